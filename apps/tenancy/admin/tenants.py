"""Tenants and their hosts: what becomes of them is buttons, how they are set up is a form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.backoffice import pages, shown
from apps.backoffice.days import DayField
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.sites import platform_site
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.tenancy import branding, connections, lifecycle
from apps.tenancy.admin.common import AddedByService, DeedAdmin
from apps.tenancy.admin.packages import features_of, limit_words
from apps.tenancy.enums import TenantState
from apps.tenancy.errors import LogoRefused
from apps.tenancy.features import LIMITS
from apps.tenancy.models import Domain, Package, Tenant

TONES = {
    TenantState.ACTIVE: "success",
    TenantState.OPENING: "info",
    TenantState.SUSPENDED: "warning",
    TenantState.CLOSED: "neutral",
}
WARN_DAYS = 30
"""So many days before its last one a tenant's end is a warning."""


class RenewForm(ReasonForm):
    """Until when."""

    expires_on = DayField(
        label=_("good until"),
        required=False,
        help_text=_("the last day; none: without end"),
        widget=UnfoldAdminSingleDateWidget,
    )


class PackageChoiceForm(ReasonForm):
    """Which package."""

    package = forms.ModelChoiceField(
        label=_("package"),
        queryset=Package.objects.all(),
        required=False,
        empty_label=_("none: every feature, without limits"),
        widget=UnfoldAdminSelectWidget,
    )


class CloseForm(ReasonForm):
    """The code once more, and whether the customers' money is settled."""

    code = forms.CharField(
        label=_("the tenant's code, typed once more"), max_length=32, widget=UnfoldAdminTextInputWidget
    )
    money_settled = forms.BooleanField(
        label=_("the customers' money was paid out outside this system"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def clean_code(self) -> str:
        """That of the very tenant."""
        code: str = self.cleaned_data["code"].strip()
        if not Tenant.objects.filter(pk=self.object_id, code=code).exists():
            raise forms.ValidationError(gettext("This is not the code of this tenant."))
        return code


class DomainNameForm(BaseDialogForm):
    """A host."""

    domain = forms.CharField(label=_("domain"), max_length=253, widget=UnfoldAdminTextInputWidget)


class TenantForm(forms.ModelForm):
    """How a tenant is set up."""

    new_logo = forms.FileField(
        label=_("new logo"),
        required=False,
        help_text=_("PNG, JPEG or WebP, at most 1 MB; drawn anew at 256 pixels"),
        widget=UnfoldAdminFileFieldWidget,
    )
    no_logo = forms.BooleanField(label=_("remove the logo"), required=False, widget=UnfoldBooleanSwitchWidget)

    class Meta:
        model = Tenant
        fields = [
            "name",
            "contact_name",
            "contact_phone",
            "contact_email",
            "colour",
            "hold_maximum",
            "qr_prefix",
            "second_login",
            "stops_unbilled_energy",
            "stops_offline_sessions",
            "frame_days",
            "telemetry_months",
        ]
        widgets: ClassVar[dict[str, Any]] = {"colour": UnfoldAdminTextInputWidget}

    def clean_new_logo(self) -> Any:
        """A picture that can be drawn."""
        file = self.cleaned_data["new_logo"]
        if file:
            try:
                lifecycle.drawn_logo(file)
            except LogoRefused as error:
                raise forms.ValidationError(str(error)) from error
        return file


@admin.register(Tenant, site=platform_site)
class TenantAdmin(DeedAdmin):
    """Tenants. A new one is opened on a page of its own: it takes seconds and makes a schema."""

    form = TenantForm
    list_display = [
        "code",
        "name",
        "state_shown",
        "package_shown",
        "expires_shown",
        "domains_shown",
        "routes_shown",
        "created_shown",
    ]
    list_filter = ["state", ("package", RelatedDropdownFilter)]
    search_fields = ["code", "name", "domains__domain", "contact_name", "contact_phone__endswith"]
    search_help_text = _("Code, name, domain or contact")
    readonly_fields = ["code", "state_shown", "created_shown", "package_shown", "expires_shown", "logo_shown"]
    actions_list = ["open_tenant", "export_csv", "export_file"]
    actions_detail = [
        "renew",
        "change_package",
        "add_domain",
        {"title": _("State"), "items": ["suspend", "resume", "close"]},
    ]
    fieldsets = [
        (
            _("Basics"),
            {
                "classes": ["tab"],
                "fields": [
                    ("code", "name"),
                    ("state_shown", "package_shown"),
                    ("expires_shown", "created_shown"),
                    ("contact_name", "contact_phone", "contact_email"),
                ],
            },
        ),
        (
            _("Look"),
            {"classes": ["tab"], "fields": [("logo_shown", "colour"), ("new_logo", "no_logo")]},
        ),
        (
            _("Charging and piles"),
            {
                "classes": ["tab"],
                "fields": [
                    ("hold_maximum", "qr_prefix"),
                    "second_login",
                    ("stops_unbilled_energy", "stops_offline_sessions"),
                    ("frame_days", "telemetry_months"),
                ],
            },
        ),
    ]
    export = [
        (_("code"), "code"),
        (_("name"), "name"),
        (_("state"), "get_state_display"),
        (_("package"), lambda row: row.package or ""),
        (_("good until"), "expires_on"),
        (_("domains"), lambda row: ", ".join(domain.domain for domain in row.domains.all())),
        (_("contact"), "contact_name"),
        (_("contact's phone"), "contact_phone"),
        (_("registered piles"), "route_count"),
        (_("created at"), "created_at"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        """With hosts and the number of registered piles; the platform itself is none."""
        counted = (
            super()
            .get_queryset(request)
            .annotate(route_count=Count("routes", filter=Q(routes__kind="pile"), distinct=True))
        )
        tenants = counted.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME)
        return tenants.select_related("package").prefetch_related("domains").order_by("code")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: see the class."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        """Without the fields of a new logo for those who may only look."""
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return fieldsets
        uploads = ("new_logo", "no_logo")
        return [
            (title, {**words, "fields": [row for row in words["fields"] if row != uploads]})
            for title, words in fieldsets
        ]

    def save_model(self, request: HttpRequest, obj: Tenant, form: TenantForm, change: bool) -> None:
        """With the logo. Only what the form changed: routes and figures of the row move by themselves."""
        self.check_unedited(request, obj, form)
        fields = [name for name in form.changed_data if name in TenantForm._meta.fields]
        obj.save(update_fields=[*fields, "updated_at"])
        if form.cleaned_data.get("new_logo") or form.cleaned_data.get("no_logo"):
            lifecycle.set_logo(tenant=obj, file=form.cleaned_data.get("new_logo"))

    # --- Buttons ---

    @action(
        description=_("Open a tenant"),
        url_path="open",
        icon="add",
        variant=ActionVariant.PRIMARY,
        permissions=["open"],
    )
    def open_tenant(self, request: HttpRequest) -> HttpResponse:
        """On its own page."""
        return HttpResponseRedirect(reverse("admin:tenancy_tenantopening_add"))

    @dialog_button(
        _("Renew"),
        url="renew",
        icon="event_repeat",
        permission="run",
        text=_("One that was suspended because its term was over is active again at once."),
        form=RenewForm,
    )
    def renew(self, request: HttpRequest, form: RenewForm, object_id: str) -> HttpResponse:
        """Another last day."""
        tenant, words = self.row(request, object_id), form.cleaned_data

        def service() -> dict[str, Any]:
            day, state = lifecycle.renew(
                tenant=tenant, expires_on=words["expires_on"], reason=words["reason"]
            )
            tenant.refresh_from_db()
            return {"expires_on": [day, tenant.expires_on], "state": [state, tenant.state]}

        done = _("The tenant is renewed.")
        return self.do(request, tenant, "renewed", service, reason=words["reason"], done=done)

    @dialog_button(
        _("Change package"),
        url="package",
        icon="inventory_2",
        permission="run",
        text=_("What the tenant has beyond a smaller package stays; nothing more of it can be added."),
        form=PackageChoiceForm,
    )
    def change_package(self, request: HttpRequest, form: PackageChoiceForm, object_id: str) -> HttpResponse:
        """Other features and limits."""
        tenant, words = self.row(request, object_id), form.cleaned_data

        def service() -> dict[str, Any]:
            before = lifecycle.set_package(tenant=tenant, package=words["package"])
            return {"package": [before and before.name, words["package"] and words["package"].name]}

        done = _("The package holds from now on.")
        return self.do(request, tenant, "changed", service, reason=words["reason"], done=done)

    @dialog_button(
        _("Suspend"),
        url="suspend",
        icon="pause_circle",
        permission="run",
        text=_("Its back office and its drivers' app are closed. Running charges end and are settled."),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def suspend(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Nothing new begins."""
        tenant, reason = self.row(request, object_id), form.cleaned_data["reason"]

        def service() -> dict[str, Any]:
            return {"state": [lifecycle.suspend(tenant=tenant, reason=reason), TenantState.SUSPENDED]}

        return self.do(
            request, tenant, "state_changed", service, reason=reason, done=_("The tenant is suspended.")
        )

    @dialog_button(
        _("Resume"),
        url="resume",
        icon="play_circle",
        permission="run",
        text=_("Its sites open again."),
        form=ReasonForm,
    )
    def resume(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """As before the suspension."""
        tenant, reason = self.row(request, object_id), form.cleaned_data["reason"]

        def service() -> dict[str, Any]:
            return {"state": [lifecycle.resume(tenant=tenant, reason=reason), TenantState.ACTIVE]}

        return self.do(
            request, tenant, "state_changed", service, reason=reason, done=_("The tenant is active again.")
        )

    @dialog_button(
        _("Close for good"),
        url="close",
        icon="cancel",
        permission="close",
        text=_(
            "It has to be suspended first. Its domains and pile codes become free, its data is kept. "
            "This cannot be undone."
        ),
        form=CloseForm,
        variant=ActionVariant.DANGER,
    )
    def close(self, request: HttpRequest, form: CloseForm, object_id: str) -> HttpResponse:
        """The end."""
        tenant, words = self.row(request, object_id), form.cleaned_data

        def service() -> dict[str, Any]:
            before = lifecycle.close(
                tenant=tenant, reason=words["reason"], money_settled=words["money_settled"]
            )
            return {"state": [before, TenantState.CLOSED], "money_settled": [None, words["money_settled"]]}

        return self.do(
            request,
            tenant,
            "state_changed",
            service,
            reason=words["reason"],
            done=_("The tenant is closed."),
        )

    @dialog_button(
        _("Add a domain"),
        url="domain",
        icon="add_link",
        permission="domains",
        text=_("The name has to lead to this system first."),
        form=DomainNameForm,
    )
    def add_domain(self, request: HttpRequest, form: DomainNameForm, object_id: str) -> HttpResponse:
        """One more way in."""
        tenant = self.row(request, object_id)

        def service() -> dict[str, Any]:
            added = lifecycle.add_domain(tenant=tenant, hostname=form.cleaned_data["domain"].strip())
            return {"domains": [None, added.domain]}

        return self.do(request, tenant, "changed", service, done=_("The tenant is reached by it too."))

    # --- Connections to providers ---

    def get_urls(self) -> list[Any]:
        """With the tests of connections."""
        own = path(
            "<path:object_id>/test/<slug:kind>/<slug:number>/",
            self.admin_site.admin_view(require_POST(self.test_view)),
            name="tenancy_tenant_test",
        )
        return [own, *super().get_urls()]

    def test_view(self, request: HttpRequest, object_id: str, kind: str, number: str) -> HttpResponse:
        """Ask one provider, and say what it answered."""
        if not self.has_test_permission(request):
            return HttpResponse(status=403)
        tenant = self.row(request, object_id)
        back = HttpResponseRedirect(reverse("admin:tenancy_tenant_change", args=[tenant.pk]))
        try:
            found = connections.test(tenant=tenant, kind=kind, number=number)
        except DomainError as error:
            messages.error(request, str(error))
            return back
        self.audit(request, "tested", tenant, changes={f"{kind} {number}": [None, found.cause or "ok"]})
        if found.ok:
            messages.success(request, gettext("The connection works."))
        else:
            messages.error(
                request, gettext("The connection does not work: %(cause)s") % {"cause": found.cause}
            )
        return back

    # --- Who may ---

    def has_open_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may open tenants."""
        return self.allowed(request, "add_tenantopening")

    def has_run_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may suspend, resume, renew, and change packages."""
        return self.allowed(request, "run_tenant")

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may end tenants."""
        return self.allowed(request, "close_tenant")

    def has_domains_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change domains."""
        return self.allowed(request, "set_domains")

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may test connections."""
        return self.allowed(request, "test_tenant")

    # --- How it looks ---

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Tenant) -> str:
        """As a label, with the reason."""
        label = shown.state(obj, TONES)
        return format_html("{} {}", label, obj.state_reason) if obj.state_reason else label

    @display(description=_("package"), ordering="package__position")
    def package_shown(self, obj: Tenant) -> str:
        """Its name."""
        return obj.package.name if obj.package else shown.EMPTY

    @display(description=_("good until"), ordering="expires_on")
    def expires_shown(self, obj: Tenant) -> str:
        """A label where it is near or over."""
        return term(obj)

    @display(description=_("logo"))
    def logo_shown(self, obj: Tenant) -> str:
        """The picture."""
        address = branding.logo_address(obj)
        if not address:
            return shown.EMPTY
        return format_html('<img class="bo-logo" src="{}" alt="{}">', address, _("logo"))

    @display(description=_("domains"))
    def domains_shown(self, obj: Tenant) -> str:
        """All hosts."""
        return ", ".join(domain.domain for domain in obj.domains.all()) or shown.EMPTY

    @display(description=_("registered piles"), ordering="route_count")
    def routes_shown(self, obj: Tenant) -> int:
        """Pile codes that belong to the tenant."""
        return obj.route_count  # type: ignore[attr-defined]

    @display(description=_("created at"), ordering="created_at")
    def created_shown(self, obj: Tenant) -> str:
        """To the second."""
        return shown.moment(obj.created_at)


def term(tenant: Tenant) -> str:
    """Return a tenant's last day, as a label where it is near or over."""
    if tenant.expires_on is None:
        return shown.EMPTY
    text = f"{tenant.expires_on:%Y-%m-%d}"
    if tenant.state == TenantState.CLOSED:
        return text
    today = business_day(now())
    if tenant.expires_on < today:
        return shown.label(text, "danger")
    near = tenant.expires_on <= today + timedelta(days=WARN_DAYS)
    return shown.label(text, "warning") if near else text


def _usage(request: HttpRequest, tenant: Tenant) -> dict[str, Any]:
    figures = getattr(tenant, "figures", None)
    package = tenant.package
    names = {"stations": _("stations"), "piles": _("piles"), "staff": _("active staff")}
    rows = []
    for kind in LIMITS:
        most = getattr(package, f"max_{kind}", None)
        used = getattr(figures, kind, None)
        rows.append(
            {
                "name": names[kind],
                "used": shown.EMPTY if used is None else used,
                "most": limit_words(most),
                "percent": min(100, used * 100 // most) if most and used is not None else None,
            }
        )
    return {
        "rows": rows,
        "features": features_of(package) if package else _("all"),
        "told_at": figures and figures.told_at,
        "domains": tenant.domains.order_by("-is_primary", "domain"),
        "may_domains": request.user.has_perm("tenancy.view_domain"),  # type: ignore[union-attr]
    }


def _connections(request: HttpRequest, tenant: Tenant) -> dict[str, Any]:
    if tenant.state == TenantState.OPENING:
        return {"kinds": []}
    return {
        "kinds": connections.of_tenant(tenant),
        "tenant": tenant,
        "may_test": request.user.has_perm("tenancy.test_tenant"),  # type: ignore[union-attr]
    }


pages.add_panel(
    Tenant, pages.Panel(_("Package and use"), "tenancy/usage.html", _usage, "tenancy.view_tenant", above=True)
)
pages.add_panel(
    Tenant,
    pages.Panel(
        _("Connections to providers"), "tenancy/connections.html", _connections, "tenancy.view_tenant"
    ),
)


class DomainForm(forms.ModelForm):
    """A host of a tenant."""

    class Meta:
        model = Domain
        fields = ["tenant", "domain"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tenant" in self.fields:
            working = Tenant.objects.filter(state__in=[TenantState.ACTIVE, TenantState.SUSPENDED])
            tenants = working.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME)
            self.fields["tenant"].queryset = tenants.order_by("code")


@admin.register(Domain, site=platform_site)
class DomainAdmin(AddedByService, DeedAdmin):
    """Hosts. The last host of a tenant stays, or nobody reaches it."""

    form = DomainForm
    list_display = ["domain", "tenant", "primary_shown"]
    list_select_related = ["tenant"]
    list_filter = [("tenant", RelatedDropdownFilter)]
    search_fields = ["domain", "tenant__code", "tenant__name"]
    search_help_text = _("Domain, tenant's code or name")
    actions_detail = ["make_primary", "remove"]
    export = [(_("domain"), "domain"), (_("tenant"), "tenant.code"), (_("main domain"), "is_primary")]

    def get_fields(self, request: HttpRequest, obj: Domain | None = None) -> Any:
        """A host is not changed: another name is another host."""
        return ["tenant", "domain"] if obj is None else ["tenant", "domain", "primary_shown"]

    def get_readonly_fields(self, request: HttpRequest, obj: Domain | None = None) -> list[str]:
        """What is shown of one."""
        return ["primary_shown"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may change domains."""
        return self.allowed(request, "set_domains")

    def has_domains_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change domains."""
        return self.allowed(request, "set_domains")

    def save_form(self, request: HttpRequest, form: DomainForm, change: bool) -> Domain:
        """By the service."""
        words = form.cleaned_data
        return lifecycle.add_domain(tenant=words["tenant"], hostname=words["domain"].strip())

    @dialog_button(
        _("Make it the main domain"),
        url="primary",
        icon="star",
        permission="domains",
        text=_("Links to the tenant's site name this one from now on."),
        form=BaseDialogForm,
    )
    def make_primary(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Instead of the one before."""
        domain = self.row(request, object_id)

        def service() -> dict[str, Any]:
            return {"is_primary": [lifecycle.make_primary(domain=domain), domain.domain]}

        return self.do(request, domain, "changed", service, done=_("It is the main domain."))

    @dialog_button(
        _("Remove"),
        url="remove",
        icon="delete",
        permission="domains",
        text=_("Nobody reaches the tenant by it any more."),
        form=BaseDialogForm,
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """One way less."""
        domain = self.row(request, object_id)
        try:
            lifecycle.remove_domain(domain=domain)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, domain)
        self.audit(request, "deleted", domain)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:tenancy_domain_changelist")})

    @display(description=_("main domain"), boolean=True)
    def primary_shown(self, obj: Domain) -> bool:
        """Whether links name it."""
        return obj.is_primary
