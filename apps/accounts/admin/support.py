"""The platform's pages of support visits, and the block about them on a tenant's page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.roles import ROLES
from apps.accounts.support import leave, role_words
from apps.backoffice import pages, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import platform_site
from apps.common.time import now
from apps.tenancy import visits
from apps.tenancy.admin.common import AddedByService
from apps.tenancy.enums import SupportEnd, TenantState
from apps.tenancy.lifecycle import primary_host
from apps.tenancy.models import SupportSession, Tenant

PERMISSION = "tenancy.add_supportsession"
SHOWN = 5


class VisitForm(forms.ModelForm):
    """Whom, as what, how long, why."""

    role = forms.ChoiceField(
        label=_("role"),
        help_text=_("one of the tenant's roles: as much as the visit needs, and no more"),
        initial="readonly",
        widget=UnfoldAdminSelectWidget,
    )
    minutes = forms.TypedChoiceField(label=_("how long"), coerce=int, widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(
        label=_("reason"),
        max_length=200,
        help_text=_("both audit logs and the visitor's banner show it"),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = SupportSession
        fields = ["tenant", "role", "minutes", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tenant" not in self.fields:  # the page of a visit only shows
            return
        open_tenants = Tenant.objects.filter(state=TenantState.ACTIVE).order_by("code")
        self.fields["tenant"].queryset = open_tenants.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME)
        self.fields["role"].choices = [(role.code, role.name) for role in ROLES if role.in_tenants]
        self.fields["minutes"].choices = [
            (one, ngettext("%(count)s minute", "%(count)s minutes", one) % {"count": one})
            for one in visits.MINUTES
        ]
        self.fields["minutes"].initial = 30


@admin.register(SupportSession, site=platform_site)
class SupportSessionAdmin(AddedByService, BackofficeAdmin):
    """Visits to tenants' back offices. Adding one is going there."""

    form = VisitForm
    list_display = [
        "tenant",
        "person_name",
        "role_shown",
        "reason",
        "started_shown",
        "length_shown",
        "state_shown",
    ]
    list_select_related = ["tenant"]
    list_filter = [("tenant", RelatedDropdownFilter), "ended_by"]
    search_fields = ["person_name", "reason", "tenant__code", "tenant__name"]
    search_help_text = _("Person, reason, tenant's code or name")
    actions_detail = ["end_visit"]
    export = [
        (_("tenant"), "tenant.code"),
        (_("person"), "person_name"),
        (_("role"), lambda row: role_words(row.role)),
        (_("reason"), "reason"),
        (_("asked for at"), "started_at"),
        (_("entered at"), "entered_at"),
        (_("ended at"), "ended_at"),
        (_("ended by"), "get_ended_by_display"),
    ]

    def get_fields(self, request: HttpRequest, obj: SupportSession | None = None) -> Any:
        """What is asked for, or what became of it."""
        if obj is None:
            return ["tenant", ("role", "minutes"), "reason"]
        return [
            ("tenant", "person_name"),
            ("role_shown", "state_shown"),
            "reason",
            ("started_shown", "entered_shown"),
            ("until_shown", "ended_shown"),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: SupportSession | None = None) -> list[str]:
        """A visit is not changed."""
        return (
            [] if obj is None else [str(name) for row in self.get_fields(request, obj) for name in _flat(row)]
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The tenant from whose page one comes."""
        return {"tenant": request.GET.get("tenant", "")}

    def save_form(self, request: HttpRequest, form: VisitForm, change: bool) -> SupportSession:
        """By the service, which makes the ticket too."""
        words = form.cleaned_data
        visit, request.support_ticket = visits.ask(  # type: ignore[attr-defined]
            tenant=words["tenant"],
            person=staff_actor(request),
            role=words["role"],
            minutes=words["minutes"],
            reason=words["reason"],
        )
        return visit

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> dict[str, Any]:
        """What was asked for."""
        words = form.cleaned_data
        return {
            "tenant": [None, words["tenant"].code],
            "role": [None, words["role"]],
            "minutes": [None, words["minutes"]],
        }

    def log_addition(self, request: HttpRequest, obj: SupportSession, message: Any) -> None:
        """With the reason."""
        self.audit(request, "added", obj, changes=message, reason=obj.reason)

    def response_add(
        self, request: HttpRequest, obj: SupportSession, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Straight to the tenant's site."""
        ticket = request.support_ticket  # type: ignore[attr-defined]
        path = reverse("support_enter", args=[ticket], urlconf=settings.ROOT_URLCONF)
        return HttpResponseRedirect(f"{site_address(request, obj.tenant)}{path}")

    @dialog_button(
        _("End visit"),
        url="end",
        icon="logout",
        permission="end",
        text=_("The visitor is signed out at once."),
        form=BaseDialogForm,
    )
    def end_visit(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """From the platform's side."""
        visit = self.row(request, object_id)
        ended = leave(
            visit=visit,
            by=SupportEnd.PLATFORM,
            actor=staff_actor(request),
            address=client_address(request),
        )
        return self.back_to(request, visit, _("The visit has ended.") if ended else _("It had ended before."))

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may make visits may end them."""
        return self.has_add_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SupportSession]:
        """With their tenants."""
        return super().get_queryset(request).select_related("tenant")

    @display(description=_("role"), ordering="role")
    def role_shown(self, obj: SupportSession) -> str:
        """In words."""
        return role_words(obj.role)

    @display(description=_("state"))
    def state_shown(self, obj: SupportSession) -> str:
        """Whether it goes on, and what ended it."""
        return state_of(obj)

    @display(description=_("asked for at"), ordering="started_at")
    def started_shown(self, obj: SupportSession) -> str:
        """To the second."""
        return shown.moment(obj.started_at)

    @display(description=_("entered at"))
    def entered_shown(self, obj: SupportSession) -> str:
        """To the second."""
        return shown.moment(obj.entered_at)

    @display(description=_("ends at the latest"))
    def until_shown(self, obj: SupportSession) -> str:
        """To the second."""
        return shown.moment(obj.ends_at)

    @display(description=_("ended at"))
    def ended_shown(self, obj: SupportSession) -> str:
        """To the second."""
        return shown.moment(obj.ended_at)

    @display(description=_("length"))
    def length_shown(self, obj: SupportSession) -> str:
        """From entering to the end."""
        return shown.duration(length_of(obj))


def _flat(row: Any) -> tuple[Any, ...]:
    return tuple(row) if isinstance(row, tuple | list) else (row,)


def length_of(visit: SupportSession) -> timedelta | None:
    """Return how long a visit was or has been so far, None for one that was never begun."""
    if visit.entered_at is None:
        return None
    return min(visit.ended_at or now(), visit.ends_at) - visit.entered_at


def state_of(visit: SupportSession) -> str:
    """Return the state of a visit as a label."""
    if visit.ended_at is not None:
        return shown.label(_("ended by %(who)s") % {"who": visit.get_ended_by_display()}, "neutral")
    if visit.ends_at <= now():
        return shown.label(_("time is over"), "neutral")
    if visit.entered_at is None:
        return shown.label(_("not entered"), "info")
    return shown.label(_("in the back office"), "warning")


def site_address(request: HttpRequest, tenant: Tenant) -> str:
    """Return the address of a tenant's site as the platform's own is reached: same scheme, same port."""
    port = request.get_host().rpartition(":")[2] if ":" in request.get_host().rpartition("]")[2] else ""
    return f"{request.scheme}://{primary_host(tenant)}{f':{port}' if port else ''}"


def _visits_of(request: HttpRequest, tenant: Tenant) -> dict[str, Any]:
    add = reverse("admin:tenancy_supportsession_add")
    may = request.user.has_perm(PERMISSION) and tenant.state == TenantState.ACTIVE  # type: ignore[union-attr]
    return {
        "enter": f"{add}?tenant={tenant.pk}" if may else "",
        "all": f"{reverse('admin:tenancy_supportsession_changelist')}?tenant__id__exact={tenant.pk}",
        "visits": [
            {
                "visit": visit,
                "role": role_words(visit.role),
                "state": state_of(visit),
                "length": length_of(visit),
            }
            for visit in tenant.visits.order_by("-id")[:SHOWN]
        ],
    }


pages.add_panel(
    Tenant,
    pages.Panel(_("Support visits"), "tenancy/visits.html", _visits_of, "tenancy.view_supportsession"),
)
