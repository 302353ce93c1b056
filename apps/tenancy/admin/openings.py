"""Opening a tenant: a form, and a page that shows how far it is."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import password_validation
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminPasswordToggleWidget, UnfoldAdminTextInputWidget

from apps.backoffice import shown
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import platform_site
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.tenancy import openings
from apps.tenancy.admin.common import AddedByService, DeedAdmin
from apps.tenancy.enums import OpeningState, OpeningStep
from apps.tenancy.models import TenantOpening
from apps.tenancy.services import check_new_tenant

TONES = {
    OpeningState.WAITING: "neutral",
    OpeningState.RUNNING: "info",
    OpeningState.DONE: "success",
    OpeningState.FAILED: "danger",
}


class OpeningForm(forms.ModelForm):
    """Who the new tenant is, and its first administrator."""

    hostname = forms.CharField(
        label=_("domain"), required=False, max_length=253, widget=UnfoldAdminTextInputWidget
    )
    password = forms.CharField(
        label=_("first password"),
        max_length=128,
        strip=False,
        widget=UnfoldAdminPasswordToggleWidget(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = TenantOpening
        fields = [
            "code",
            "name",
            "hostname",
            "package",
            "expires_on",
            "administrator",
            "administrator_name",
            "administrator_phone",
        ]
        help_texts = {"code": _("2 to 32 letters a to z and digits, a letter first; it never changes")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "administrator" in self.fields:
            words = _("empty: the code, a dot and %(domain)s") % {"domain": settings.TENANT_DOMAIN}
            self.fields["hostname"].help_text = words
            self.fields["administrator"].validators.append(UnicodeUsernameValidator())
            self.fields["administrator"].initial = "admin"

    def clean_password(self) -> str:
        """As for every password of staff."""
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password)
        return password

    def clean_expires_on(self) -> Any:
        """Not over already."""
        day = self.cleaned_data["expires_on"]
        if day is not None and day < business_day(now()):
            raise forms.ValidationError(_("This day is over."))
        return day

    def clean(self) -> dict[str, Any]:
        """Whether it could be opened, before anybody waits for it."""
        words = super().clean() or self.cleaned_data
        if not self.errors:
            words["hostname"] = words["hostname"].strip() or f"{words['code']}.{settings.TENANT_DOMAIN}"
            try:
                check_new_tenant(code=words["code"], name=words["name"], hostname=words["hostname"])
            except DomainError as error:
                field = {"tenancy.host_taken": "hostname", "tenancy.code_taken": "code"}.get(error.code)
                field = field or {"host": "hostname"}.get(
                    error.data.get("field", ""), error.data.get("field")
                )
                self.add_error(field if field in self.fields else None, str(error))
        return words


@admin.register(TenantOpening, site=platform_site)
class TenantOpeningAdmin(AddedByService, DeedAdmin):
    """Openings of tenants. Adding one begins it."""

    form = OpeningForm
    change_form_template = "tenancy/opening.html"
    list_display = ["code", "name", "hostname", "package", "state_shown", "asked_by", "created_shown"]
    list_select_related = ["package"]
    list_filter = ["state"]
    search_fields = ["code", "name", "hostname"]
    search_help_text = _("Code, name or domain")
    actions_detail = ["try_again"]

    def get_fieldsets(self, request: HttpRequest, obj: TenantOpening | None = None) -> Any:
        """What is asked for; the page of one shows how far it is."""
        if obj is not None:
            return []
        return [
            (_("Tenant"), {"fields": [("code", "name"), "hostname", ("package", "expires_on")]}),
            (
                _("First administrator"),
                {
                    "fields": [
                        ("administrator", "password"),
                        ("administrator_name", "administrator_phone"),
                    ]
                },
            ),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def save_form(self, request: HttpRequest, form: OpeningForm, change: bool) -> TenantOpening:
        """By the service, which sends for a worker."""
        words = {name: value for name, value in form.cleaned_data.items() if name != "password"}
        return openings.request_opening(
            **words, password=form.cleaned_data["password"], asked_by=str(staff_actor(request))
        )

    def response_add(
        self, request: HttpRequest, obj: TenantOpening, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To the page that shows how far it is."""
        return HttpResponseRedirect(reverse("admin:tenancy_tenantopening_change", args=[obj.pk]))

    def detail(self, request: HttpRequest, obj: TenantOpening) -> dict[str, Any]:
        """How far it is."""
        steps = [step for step in OpeningStep if step != OpeningStep.DONE]
        reached = list(OpeningStep).index(OpeningStep(obj.step))
        return {
            "opening": obj,
            "state": shown.state(obj, TONES),
            "percent": openings.percent(obj),
            "goes_on": obj.state in openings.OPEN_STATES,
            "steps": [
                {"words": step.label, "done": number < reached, "now": number == reached}
                for number, step in enumerate(steps)
            ],
        }

    @dialog_button(
        _("Try again"),
        url="retry",
        icon="refresh",
        permission="retry",
        text=_("What the first try began was undone; it begins anew with the same words."),
        form=BaseDialogForm,
    )
    def try_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """After a failure."""
        opening = self.row(request, object_id)

        def again() -> dict[str, Any]:
            openings.retry(opening=opening)
            return {"state": [OpeningState.FAILED, OpeningState.WAITING]}

        return self.do(request, opening, "changed", again)

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may open tenants; the button shows only where it has failed."""
        if not self.has_add_permission(request):
            return False
        if object_id is None:
            return True
        return TenantOpening.objects.filter(pk=object_id, state=OpeningState.FAILED).exists()

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: TenantOpening) -> str:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=_("asked for at"), ordering="created_at")
    def created_shown(self, obj: TenantOpening) -> str:
        """To the second."""
        return shown.moment(obj.created_at)
