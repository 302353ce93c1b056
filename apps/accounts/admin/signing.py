"""How staff sign in: the policy, the log, open sessions, and the tenant's applications at WeChat and Alipay."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from apps.accounts import policy, rules, sessions
from apps.accounts.enums import Outcome, Provider, SessionEnd
from apps.accounts.models import LoginProvider, SignInPolicy, SignInRecord, StaffSession
from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.sites import platform_site, tenant_site
from apps.backoffice.time_filter import TimeFilter

TONES = {
    Outcome.SIGNED_IN: "success",
    Outcome.CONFIRMED: "success",
    Outcome.SIGNED_OUT: "neutral",
    Outcome.LOCKED: "danger",
}


class SignInRecordAdmin(ReadOnlyAdmin):
    """The sign-in log."""

    list_display = ["at_shown", "who_shown", "outcome_shown", "method", "address", "device_shown"]
    list_select_related = ["user"]
    list_filter = [("at", TimeFilter), "outcome", "method"]
    search_fields = ["name__startswith", "user__display_name__startswith", "address__startswith"]
    keyset = ("id",)
    fields = [("at_shown", "outcome_shown"), ("who_shown", "name"), ("method", "address"), "agent"]
    export = [
        (_("time"), "at"),
        (_("staff member"), "user"),
        (_("name typed"), "name"),
        (_("outcome"), "get_outcome_display"),
        (_("by"), "get_method_display"),
        (_("address"), "address"),
        (_("device"), "agent"),
    ]

    @display(description=_("time"))
    def at_shown(self, obj: SignInRecord) -> str:
        """To the second."""
        return shown.moment(obj.at)

    @display(description=_("staff member"))
    def who_shown(self, obj: SignInRecord) -> str:
        """The person, or the name that was typed."""
        return str(obj.user) if obj.user else obj.name or shown.EMPTY

    @display(description=_("device"))
    def device_shown(self, obj: SignInRecord) -> str:
        """Browser and machine."""
        return obj.device

    @display(description=_("outcome"))
    def outcome_shown(self, obj: SignInRecord) -> str:
        """As a label."""
        return shown.state(obj, {one: TONES.get(one, "warning") for one in Outcome}, "outcome")


class StaffSessionAdmin(ReadOnlyAdmin):
    """Where staff are signed in, newest use first."""

    list_display = [
        "who_shown",
        "state_shown",
        "seen_shown",
        "started_shown",
        "method",
        "address",
        "device_shown",
    ]
    list_select_related = ["user"]
    list_filter = [("seen_at", TimeFilter), "method", "ended_because"]
    search_fields = ["user__username__startswith", "user__display_name__startswith", "address__startswith"]
    ordering = ["-seen_at", "-id"]
    fields = [
        ("who_shown", "state_shown"),
        ("started_shown", "seen_shown"),
        ("method", "address"),
        "agent",
        ("ended_at", "ended_because"),
    ]
    actions_detail = ["end"]
    export = [
        (_("staff member"), "user"),
        (_("signed in at"), "started_at"),
        (_("last used"), "seen_at"),
        (_("by"), "get_method_display"),
        (_("address"), "address"),
        (_("device"), "agent"),
        (_("ended at"), "ended_at"),
        (_("ended because"), "get_ended_because_display"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[StaffSession]:
        """With whether each still lives."""
        return sessions.with_state(super().get_queryset(request))

    @dialog_button(
        _("End the session"),
        url="end",
        icon="logout",
        permission="end",
        text=_("The person is signed out there at once."),
        form=BaseDialogForm,
    )
    def end(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Sign somebody out in one place."""
        session = self.row(request, object_id)
        rules.check_may_change(request.user, session.user)  # type: ignore[arg-type]
        if sessions.end(StaffSession.objects.filter(pk=session.pk), SessionEnd.BY_ADMINISTRATOR):
            self.audit(request, "ended", session)
        return self.back_to(request, session)

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may end sessions."""
        return self.allowed(request, "reset_sign_in")

    @display(description=_("staff member"), ordering="user__username")
    def who_shown(self, obj: StaffSession) -> str:
        """The person."""
        return str(obj.user)

    @display(description=_("state"))
    def state_shown(self, obj: Any) -> str:
        """Open, ended and why, or over by itself."""
        if obj.lives:
            return shown.label(pgettext_lazy("sign-in", "open"), "success")
        return shown.label(
            obj.get_ended_because_display() or pgettext_lazy("sign-in", "over, not used"), "neutral"
        )

    @display(description=_("device"))
    def device_shown(self, obj: StaffSession) -> str:
        """Browser and machine."""
        return obj.device

    @display(description=_("last used"), ordering="seen_at")
    def seen_shown(self, obj: StaffSession) -> str:
        """To the second."""
        return shown.moment(obj.seen_at)

    @display(description=_("signed in at"), ordering="started_at")
    def started_shown(self, obj: StaffSession) -> str:
        """To the second."""
        return shown.moment(obj.started_at)


class SignInPolicyAdmin(BackofficeAdmin):
    """One row: how staff sign in."""

    list_display = ["__str__", "second_factor", "password_length", "password_days", "lock_minutes", "note"]
    fieldsets = [
        (_("Second factor"), {"fields": ["second_factor", ("second_factor_minutes", "sms_second_factor")]}),
        (
            _("Passwords"),
            {
                "fields": [
                    ("password_length", "password_kinds"),
                    ("password_history", "password_days"),
                    "first_sign_in_changes",
                ]
            },
        ),
        (
            _("Signing in"),
            {
                "fields": [
                    ("failures", "lock_minutes"),
                    "puzzle_failures",
                    ("idle_minutes", "phone_sign_in"),
                    "note",
                ]
            },
        ),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row."""
        return False

    def save_model(self, request: HttpRequest, obj: SignInPolicy, form: Any, change: bool) -> None:
        """Every process looks it up anew."""
        super().save_model(request, obj, form, change)
        policy.forget()


class LoginProviderForm(forms.ModelForm):
    """A secret is entered and never shown."""

    class Meta:
        model = LoginProvider
        fields = ["provider", "app_id", "secret", "public_key", "is_active"]
        widgets = {"public_key": UnfoldAdminTextareaWidget}

    secret = forms.CharField(
        label=_("secret"),
        required=False,
        strip=True,
        max_length=10_000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text=_(
            "WeChat: the AppSecret. Alipay: the app's private key (PKCS#8 or PKCS#1). Empty: as it is stored."
        ),
    )

    def clean(self) -> dict[str, Any]:
        """Alipay's answers are believed by its key; nothing works without a secret."""
        words = super().clean() or self.cleaned_data
        words["secret"] = words.get("secret") or self.instance.secret
        if not words["secret"]:
            self.add_error("secret", _("Enter the secret."))
        if words.get("provider") == Provider.ALIPAY and not words.get("public_key"):
            self.add_error("public_key", _("Enter Alipay's public key."))
        return words


class LoginProviderAdmin(BackofficeAdmin):
    """By which apps staff can sign in with a QR code."""

    form = LoginProviderForm
    list_display = ["provider", "app_id", "active_shown", "bound_shown"]
    fields = ["provider", "app_id", "secret", "public_key", "is_active"]
    deletable = True

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: LoginProvider) -> str:
        """In use or not."""
        if obj.is_active:
            return shown.label(_("in use"), "success")
        return shown.label(_("not in use"), "neutral")

    @display(description=_("callback address"))
    def bound_shown(self, obj: LoginProvider) -> str:
        """What the provider's console wants to know."""
        return f"/admin/sign-in/scan/{obj.provider}/back/"


for site in (tenant_site, platform_site):
    site.register(SignInRecord, SignInRecordAdmin)
    site.register(StaffSession, StaffSessionAdmin)
    site.register(SignInPolicy, SignInPolicyAdmin)
    site.register(LoginProvider, LoginProviderAdmin)
