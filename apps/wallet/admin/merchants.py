"""Merchant accounts, whose keys are written and never shown, and bonus tiers."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import ConfirmForm, ReasonForm
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.wallet import merchants
from apps.wallet.enums import ChannelName
from apps.wallet.errors import CredentialsWrong
from apps.wallet.models import BonusTier, MerchantAccount

TONES = {True: "success", False: "neutral"}
WORDS = {True: _("in use"), False: _("out of use")}

SECRET_FIELDS: dict[str, tuple[str, ...]] = {
    ChannelName.WECHATPAY: (
        "certificate_serial",
        "private_key",
        "api_v3_key",
        "public_key_id",
        "platform_keys",
    ),
    ChannelName.ALIPAY: ("app_private_key", "alipay_keys", "app_certificate", "root_certificates"),
    ChannelName.SANDBOX: (),
}
"""Form fields of each channel's credentials."""
STORED_AS = {"app_private_key": "private_key"}
FIELD_OF = {"private_key": {ChannelName.ALIPAY: "app_private_key"}}


def _secret(label: Any, help_text: Any = "", *, rows: int = 0) -> forms.CharField:
    widget = (
        UnfoldAdminTextareaWidget(attrs={"rows": rows, "autocomplete": "off", "spellcheck": "false"})
        if rows
        else UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )
    return forms.CharField(label=label, required=False, help_text=help_text, widget=widget, strip=True)


class MerchantForm(forms.ModelForm):
    """Credentials are typed in and never come back: an empty field keeps what is stored."""

    certificate_serial = _secret(_("serial number of the API certificate"))
    private_key = _secret(_("private key of the API certificate"), _("PEM (apiclient_key.pem)"), rows=4)
    api_v3_key = _secret(_("APIv3 key"), _("32 characters"))
    public_key_id = _secret(
        _("id of WeChat Pay's public key"),
        _("PUB_KEY_ID_…; empty for merchants that verify with platform certificates"),
    )
    platform_keys = _secret(
        _("WeChat Pay's public key or platform certificates"),
        _(
            "JSON object: PEM by PUB_KEY_ID_… or by the certificate's serial number; or one PEM of the key named above"
        ),
        rows=4,
    )
    app_private_key = _secret(_("private key of the app"), _("PEM or what Alipay's key tool writes"), rows=4)
    alipay_keys = _secret(
        _("Alipay's public key or certificate"),
        _("several: one after another, an empty line between"),
        rows=4,
    )
    app_certificate = _secret(_("certificate of the app"), _("only in certificate mode"), rows=4)
    root_certificates = _secret(_("Alipay's root certificates"), _("only in certificate mode"), rows=4)

    class Meta:
        model = MerchantAccount
        fields: ClassVar[list[str]] = ["channel", "name", "merchant_no", "app_id", "base_url"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("channel", "merchant_no", "app_id"):
            # An account stays what top-ups and refunds know it as; as fields, since the page shows keys by channel.
            if self.instance.pk and name in self.fields:
                self.fields[name].disabled = True
        kept = self.instance.fingerprints if self.instance.pk else {}
        for name in {field for fields in SECRET_FIELDS.values() for field in fields}:
            mark = kept.get(STORED_AS.get(name, name))
            if mark and name in self.fields and name in SECRET_FIELDS[self.instance.channel]:
                self.fields[name].widget.attrs["placeholder"] = f"•••••• ({mark})"

    def clean_base_url(self) -> str:
        """Keys and money do not travel in the open."""
        url: str = self.cleaned_data["base_url"]
        if url and not url.startswith("https://") and not settings.EMBEDDED:
            raise forms.ValidationError(_("An address that begins with https:// is needed."))
        return url

    def clean_platform_keys(self) -> Any:
        """JSON, or the PEM of the one key that is named beside it."""
        text: str = self.cleaned_data["platform_keys"]
        if not text:
            return ""
        if text.startswith("-----BEGIN"):
            key_id = self.cleaned_data.get("public_key_id") or self.instance.secrets.get("public_key_id")
            if not key_id:
                raise forms.ValidationError(_("Name the id of this key, or write a JSON object."))
            return {key_id: text}
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise forms.ValidationError(_("A JSON object of PEM texts is needed."))
        return found

    def clean_alipay_keys(self) -> list[str]:
        """One key or certificate for each block."""
        text = self.cleaned_data["alipay_keys"].replace("\r\n", "\n")
        return [block.strip() for block in text.split("\n\n") if block.strip()]

    def clean(self) -> dict[str, Any]:
        """The credentials have to work together, with those that are stored."""
        words = super().clean() or self.cleaned_data
        channel = words.get("channel") or self.instance.channel
        self.given = {
            STORED_AS.get(name, name): words[name]
            for name in SECRET_FIELDS.get(channel, ())
            if words.get(name)
        }
        if self.errors:
            return words
        probe = MerchantAccount(
            channel=channel,
            merchant_no=words.get("merchant_no") or self.instance.merchant_no,
            app_id=words.get("app_id") or self.instance.app_id,
            base_url=words.get("base_url", ""),
            credentials=self.instance.credentials,
        )
        try:
            merchants.check_credentials(merchant=probe, given=self.given)
        except CredentialsWrong as error:
            stored = error.data["field"].partition("[")[0]
            name = FIELD_OF.get(stored, {}).get(channel, stored)
            self.add_error(name if name in self.fields else None, str(error))
        return words


@admin.register(MerchantAccount, site=tenant_site)
class MerchantAccountAdmin(BackofficeAdmin):
    """Accounts at payment providers."""

    form = MerchantForm
    list_display = ["name", "channel", "merchant_no", "app_id", "default_shown", "active_shown"]
    list_filter = [("channel", ChoicesDropdownFilter), "is_active"]
    search_fields = ["name", "merchant_no", "app_id"]
    search_help_text = _("Name, merchant number or app id")
    conditional_fields: ClassVar[dict[str, str]] = {
        name: f"channel == '{channel}'" for channel, names in SECRET_FIELDS.items() for name in names
    }
    actions_detail = ["test_connection", "make_default", "switch"]
    export = [
        (_("name"), "name"),
        (_("channel"), "get_channel_display"),
        (_("merchant number"), "merchant_no"),
        (_("app id"), "app_id"),
        (_("default"), "is_default"),
        (_("in use"), "is_active"),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: MerchantAccount | None = None) -> Any:
        """Where, and the credentials of the channel; those who may only look see no field of them."""
        where = ["name", ("channel", "merchant_no"), ("app_id", "base_url")]
        if obj is not None:
            where.append(("default_shown", "active_shown"))
        fieldsets: list[Any] = [(None, {"fields": where})]
        if obj is None:
            names = [name for fields in SECRET_FIELDS.values() for name in fields]
        elif self.has_change_permission(request, obj):
            names = list(SECRET_FIELDS[obj.channel])
        else:
            names = []
        if names:
            words = _("Never shown again. An empty field keeps what is stored.")
            fieldsets.append((_("Credentials"), {"fields": names, "description": words}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: MerchantAccount | None = None) -> list[str]:
        """What buttons change."""
        return ["default_shown", "active_shown"]

    def save_model(
        self, request: HttpRequest, obj: MerchantAccount, form: MerchantForm, change: bool
    ) -> None:
        """With its credentials, by the service."""
        if change:
            self.check_unedited(request, obj, form)
        merchants.store_credentials(merchant=obj, given=form.given)

    def construct_change_message(
        self, request: HttpRequest, form: MerchantForm, formsets: Any, add: bool = False
    ) -> Any:
        """Of credentials the log says that they changed, and nothing else."""
        changes = super().construct_change_message(request, form, formsets, add)
        for name in {field for fields in SECRET_FIELDS.values() for field in fields}:
            if name in changes:
                changes[name] = ["…", "…"]
        return changes

    @action(
        description=_("Test connection"),
        url_path="test",
        icon="network_check",
        permissions=["test"],
        dialog={
            "title": _("Test connection"),
            "description": _("The provider is asked for a payment that does not exist. No money moves."),
            "form_class": ConfirmForm,
            "form_submit_text": _("Test connection"),
        },
    )
    def test_connection(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """Ask the provider."""
        merchant = self.row(request, object_id)
        found = merchants.check_connection(merchant=merchant)
        self.audit(request, "tested", merchant, changes={"result": [None, found.cause or "ok"]})
        if not found.ok:
            cause = merchants.CAUSES.get(found.cause, found.cause)
            messages.error(request, _("The connection does not work: %(cause)s") % {"cause": cause})
            return self.back_to(request, merchant)
        return self.back_to(request, merchant, _("The connection works, in both directions."))

    @action(
        description=_("Make default"),
        url_path="default",
        icon="star",
        permissions=["switch"],
        dialog={
            "title": _("Make default"),
            "description": _("New top-ups of this channel go to this account."),
            "form_class": ReasonForm,
            "form_submit_text": _("Make default"),
        },
    )
    def make_default(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """New top-ups go here."""
        merchant = self.row(request, object_id)
        try:
            merchants.make_default(merchant=merchant)
        except DomainError:
            messages.error(request, _("Take the account into use first."))
            return self.back_to(request, merchant)
        self.audit(
            request,
            "state_changed",
            merchant,
            changes={"is_default": [merchant.is_default, True]},
            reason=form.cleaned_data["reason"],
        )
        return self.back_to(request, merchant, _("New top-ups go to this account."))

    @action(
        description=_("Switch on or off"),
        url_path="switch",
        icon="power_settings_new",
        variant=ActionVariant.DANGER,
        permissions=["switch"],
        dialog={
            "title": _("Switch on or off"),
            "description": _(
                "Out of use it takes no new top-ups. Open ones are still booked, refunds still go out."
            ),
            "form_class": ReasonForm,
            "form_submit_text": _("Switch on or off"),
        },
    )
    def switch(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """The other of the two."""
        merchant = self.row(request, object_id)
        after = not merchant.is_active
        merchants.switch(merchant=merchant, is_active=after)
        self.audit(
            request,
            "state_changed",
            merchant,
            changes={"is_active": [not after, after]},
            reason=form.cleaned_data["reason"],
        )
        return self.back_to(request, merchant, _("The account is now: %(state)s.") % {"state": WORDS[after]})

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may test it."""
        return self.allowed(request, "test_merchantaccount")

    def has_switch_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may decide where money goes."""
        return self.allowed(request, "switch_merchantaccount")

    @display(description=_("default"), ordering="is_default")
    def default_shown(self, obj: MerchantAccount) -> str:
        """Whether new top-ups go here."""
        return shown.label(_("default"), "info") if obj.is_default else shown.EMPTY

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: MerchantAccount) -> str:
        """Whether it takes top-ups."""
        return shown.label(WORDS[obj.is_active], TONES[obj.is_active])


@admin.register(BonusTier, site=tenant_site)
class BonusTierAdmin(BackofficeAdmin):
    """Bonus for top-ups. A top-up keeps the tiers that were there when it was made."""

    list_display = [
        "name",
        "threshold_shown",
        "bonus_shown",
        "from_shown",
        "until_shown",
        "per_customer",
        "additional_shown",
        "active_shown",
    ]
    list_filter = ["is_active", "is_additional"]
    search_fields = ["name"]
    search_help_text = _("Name")
    fields = [
        "name",
        ("threshold", "bonus"),
        "starts_at",
        "ends_at",
        ("per_customer", "is_additional"),
        "active_shown",
    ]
    readonly_fields = ["active_shown"]
    actions_detail = ["switch"]
    export = [
        (_("name"), "name"),
        (_("for top-ups of at least"), "threshold"),
        (_("bonus"), "bonus"),
        (_("starts at"), "starts_at"),
        (_("ends at"), "ends_at"),
        (_("times per customer"), "per_customer"),
        (_("comes on top of others"), "is_additional"),
        (_("in use"), "is_active"),
    ]

    @action(
        description=_("Switch on or off"),
        url_path="switch",
        icon="power_settings_new",
        permissions=["switch"],
        dialog={
            "title": _("Switch on or off"),
            "description": _("Top-ups that were begun keep the bonus that they were promised."),
            "form_class": ReasonForm,
            "form_submit_text": _("Switch on or off"),
        },
    )
    def switch(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """The other of the two."""
        tier = self.row(request, object_id)
        after = not tier.is_active
        merchants.switch_tier(tier=tier, is_active=after)
        self.audit(
            request,
            "state_changed",
            tier,
            changes={"is_active": [not after, after]},
            reason=form.cleaned_data["reason"],
        )
        return self.back_to(request, tier, _("The tier is now: %(state)s.") % {"state": WORDS[after]})

    def has_switch_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may give bonus money, and stop it."""
        return self.allowed(request, "switch_bonustier")

    @display(description=_("for top-ups of at least (yuan)"), ordering="threshold")
    def threshold_shown(self, obj: BonusTier) -> str:
        """Yuan."""
        return shown.yuan(obj.threshold)

    @display(description=_("bonus (yuan)"), ordering="bonus")
    def bonus_shown(self, obj: BonusTier) -> str:
        """Yuan."""
        return shown.yuan(obj.bonus)

    @display(description=_("starts at"), ordering="starts_at")
    def from_shown(self, obj: BonusTier) -> str:
        """To the second."""
        return shown.moment(obj.starts_at)

    @display(description=_("ends at"), ordering="ends_at")
    def until_shown(self, obj: BonusTier) -> str:
        """To the second."""
        return shown.moment(obj.ends_at)

    @display(description=_("comes on top of others"), ordering="is_additional")
    def additional_shown(self, obj: BonusTier) -> str:
        """Beside the largest."""
        return str(_("yes")) if obj.is_additional else shown.EMPTY

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: BonusTier) -> str:
        """Whether new top-ups get it."""
        return shown.label(WORDS[obj.is_active], TONES[obj.is_active])
