"""Accounts that messages leave by, whose secrets are written and never shown, and the log of messages."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.notifications import services
from apps.notifications.channels.base import NotConfigured, SendError
from apps.notifications.enums import MessageState, RobotKind
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount
from apps.notifications.robots import check_address
from apps.notifications.sms import TEMPLATES

STATE_TONES = {
    MessageState.WAITING: "info",
    MessageState.SENT: "success",
    MessageState.FAILED: "danger",
    MessageState.LIMITED: "warning",
}
NEVER_SHOWN = _("Never shown again. An empty field keeps what is stored.")


class SecretsForm(forms.ModelForm):
    """Secrets are typed in and never come back: an empty field keeps what is stored."""

    secrets: ClassVar[tuple[str, ...]] = ()
    needed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.secrets:
            if name not in self.fields:
                continue
            self.initial.pop(name, None)
            field = self.fields[name]
            field.required = False
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
            if self.instance.pk and getattr(self.instance, name):
                field.widget.attrs["placeholder"] = "••••••"

    def clean(self) -> dict[str, Any]:
        """What is stored stands in for what is empty."""
        words = super().clean() or self.cleaned_data
        for name in self.secrets:
            if not words.get(name):
                words[name] = getattr(self.instance, name, "") or ""
            if name in self.needed and not words[name] and name in self.fields:
                self.add_error(name, _("This field is needed."))
        return words


class SmsAccountForm(SecretsForm):
    """With a field for the code of each template."""

    secrets = ("access_key_secret",)

    class Meta:
        model = SmsAccount
        fields: ClassVar[list[str]] = [
            "name",
            "provider",
            "access_key_id",
            "access_key_secret",
            "sign_name",
            "app_id",
            "region",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in TEMPLATES:
            if f"template_{name}" in self.fields:
                self.initial[f"template_{name}"] = self.instance.templates.get(name, "")

    def clean(self) -> dict[str, Any]:
        """Each provider needs fields of its own."""
        words = super().clean()
        needed: dict[str, list[str]] = {
            "aliyun": ["access_key_id", "access_key_secret", "sign_name"],
            "tencent": ["access_key_id", "access_key_secret", "sign_name", "app_id", "region"],
        }
        for name in needed.get(words.get("provider", ""), []):
            if name in self.fields and not words.get(name) and name not in self.errors:
                self.add_error(name, _("This provider needs it."))
        self.instance.templates = {
            name: code.strip() for name in TEMPLATES if (code := words.get(f"template_{name}") or "").strip()
        }
        return words


for _name, _template in TEMPLATES.items():
    SmsAccountForm.base_fields[f"template_{_name}"] = SmsAccountForm.declared_fields[f"template_{_name}"] = (
        forms.CharField(
            label=_template.title,
            required=False,
            max_length=40,
            help_text=", ".join(f"${{{param}}}" for param in _template.params),
            widget=UnfoldAdminTextInputWidget(),
        )
    )


class MailAccountForm(SecretsForm):
    secrets = ("password",)

    class Meta:
        model = MailAccount
        fields: ClassVar[list[str]] = [
            "name",
            "host",
            "port",
            "security",
            "username",
            "password",
            "from_address",
        ]

    def clean(self) -> dict[str, Any]:
        """The stored password goes only where it was given for: to no other server, and never in clear."""
        typed = bool(self.data.get(self.add_prefix("password")))
        words = super().clean()
        elsewhere = {"host", "security"}.intersection(self.changed_data)
        if self.instance.password and elsewhere and not typed:
            self.add_error(
                "password", _("Type the password again: the server or its encryption has changed.")
            )
        return words


class RobotForm(SecretsForm):
    """The address has to be one of the provider that was chosen."""

    secrets = ("url", "secret")
    needed = ("url",)

    class Meta:
        model = Robot
        fields: ClassVar[list[str]] = ["name", "kind", "url", "secret", "is_active"]

    def clean(self) -> dict[str, Any]:
        """See the class."""
        words = super().clean()
        if words.get("kind") == RobotKind.WEBHOOK and not words.get("secret"):
            self.add_error("secret", _("A webhook needs a secret to sign with."))
        if words.get("url") and words.get("kind"):
            words["url"] = words["url"].strip()
            try:
                check_address(words["kind"], words["url"])
            except NotConfigured:
                self.add_error("url", _("This is not an address of that kind; it begins with https://."))
        return words


class PhoneForm(BaseDialogForm):
    """Which template, to whom."""

    template = forms.ChoiceField(
        label=_("template"),
        choices=[(name, template.title) for name, template in TEMPLATES.items()],
        widget=UnfoldAdminSelectWidget,
    )
    to = forms.RegexField(
        r"^(\+\d{8,15}|1\d{10})$",
        label=_("phone"),
        error_messages={"invalid": _("A phone number is needed.")},
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_to(self) -> str:
        """In E.164 form."""
        phone: str = self.cleaned_data["to"]
        return phone if phone.startswith("+") else f"+86{phone}"


class AddressForm(BaseDialogForm):
    """To whom."""

    to = forms.CharField(label=_("e-mail"), validators=[validate_email], widget=UnfoldAdminTextInputWidget)


class ConfirmForm(BaseDialogForm):
    """A dialog that only asks whether."""


class AccountAdmin(BackofficeAdmin):
    """What accounts have in common: one is in use, and each can be tried."""

    deletable = True
    list_filter = ["is_active"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not the one that is in use."""
        return super().has_delete_permission(request, obj) and not (obj and obj.is_active)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """What a button changes."""
        return ["active_shown"]

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change the account."""
        return self.allowed(request, f"change_{self.opts.model_name}")

    def has_switch_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """A permission of its own."""
        return self.allowed(request, f"switch_{self.opts.model_name}")

    def try_out(self, request: HttpRequest, object_id: str, **words: str) -> HttpResponse:
        """Send a test message, and say what came of it."""
        account = self.row(request, object_id)
        try:
            services.send_test(account=account, **words)
        except SendError as error:
            self.audit(request, "tested", account, changes={"result": [None, error.code]})
            messages.error(request, _("The message was not sent: %(cause)s") % {"cause": error})
            return self.back_to(request, account)
        self.audit(request, "tested", account, changes={"result": [None, "ok"]})
        return self.back_to(request, account, _("The message is sent. Please look whether it has arrived."))

    def switch_account(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """The other of in use and out of use."""
        account = self.row(request, object_id)
        services.use(account, active=not account.is_active)
        self.audit(
            request,
            "state_changed",
            account,
            changes={"is_active": [account.is_active, not account.is_active]},
            reason=form.cleaned_data["reason"],
        )
        return self.back_to(request, account, _("Saved."))

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: Any) -> str:
        """As a label."""
        return shown.label(
            _("in use") if obj.is_active else _("out of use"), "success" if obj.is_active else "neutral"
        )


def _switch_button() -> Any:
    return dialog_button(
        _("Switch on or off"),
        url="switch",
        icon="power_settings_new",
        permission="switch",
        text=_("One account is in use at a time. Without one the platform's own provider sends."),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )


def _test_button(form: type[BaseDialogForm]) -> Any:
    return dialog_button(
        _("Send a test message"),
        url="test",
        icon="outgoing_mail",
        permission="test",
        text=_("One message is sent at once; the provider may charge for it."),
        form=form,
    )


@admin.register(SmsAccount, site=tenant_site)
class SmsAccountAdmin(AccountAdmin):
    """Accounts for text messages."""

    form = SmsAccountForm
    list_display = ["name", "provider", "sign_name", "active_shown"]
    search_fields = ["name", "sign_name"]
    actions_detail = ["test_account", "switch"]
    conditional_fields: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("access_key_id", "access_key_secret", "sign_name"), "provider != 'console'"),
        "app_id": "provider == 'tencent'",
        "region": "provider == 'tencent'",
    }

    def get_fieldsets(self, request: HttpRequest, obj: SmsAccount | None = None) -> Any:
        """The account, and the templates that its provider approved."""
        where: list[Any] = ["name", "provider", "access_key_id", "access_key_secret", "sign_name"]
        where += ["app_id", "region"] if obj is None or obj.provider == "tencent" else []
        if obj is not None:
            where.append("active_shown")
        if obj is not None and not self.has_change_permission(request, obj):
            where.remove("access_key_secret")
            return [(None, {"fields": where})]
        return [
            (None, {"fields": where, "description": NEVER_SHOWN}),
            (
                _("Templates"),
                {
                    "fields": [f"template_{name}" for name in TEMPLATES],
                    "description": _(
                        "The codes that the provider gave. With Tencent the values are numbered in this order."
                    ),
                },
            ),
        ]

    @_test_button(PhoneForm)
    def test_account(self, request: HttpRequest, form: PhoneForm, object_id: str) -> HttpResponse:
        """Send a text message."""
        words = form.cleaned_data
        return self.try_out(request, object_id, to=words["to"], template=words["template"])

    @_switch_button()
    def switch(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Into use or out of it."""
        return self.switch_account(request, form, object_id)


@admin.register(MailAccount, site=tenant_site)
class MailAccountAdmin(AccountAdmin):
    """Mailboxes to send from."""

    form = MailAccountForm
    list_display = ["name", "host", "port", "from_address", "active_shown"]
    search_fields = ["name", "host", "from_address"]
    actions_detail = ["test_account", "switch"]

    def get_fieldsets(self, request: HttpRequest, obj: MailAccount | None = None) -> Any:
        """All of it."""
        fields: list[Any] = ["name", ("host", "port"), "security", "username", "password", "from_address"]
        if obj is not None:
            fields.append("active_shown")
        if obj is not None and not self.has_change_permission(request, obj):
            fields.remove("password")
        return [(None, {"fields": fields, "description": NEVER_SHOWN})]

    @_test_button(AddressForm)
    def test_account(self, request: HttpRequest, form: AddressForm, object_id: str) -> HttpResponse:
        """Send a mail."""
        return self.try_out(request, object_id, to=form.cleaned_data["to"])

    @_switch_button()
    def switch(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Into use or out of it."""
        return self.switch_account(request, form, object_id)


@admin.register(Robot, site=tenant_site)
class RobotAdmin(AccountAdmin):
    """Robots of group chats. Several may be in use: rules name them."""

    form = RobotForm
    list_display = ["name", "kind", "active_shown"]
    list_filter = [("kind", ChoicesDropdownFilter), "is_active"]
    search_fields = ["name"]
    actions_detail = ["test_account"]
    conditional_fields: ClassVar[dict[str, str]] = {"secret": "kind != 'wecom'"}

    def get_fieldsets(self, request: HttpRequest, obj: Robot | None = None) -> Any:
        """All of it; those who may only look see no secrets."""
        fields = ["name", "kind", "url", "secret", "is_active"]
        if obj is not None and not self.has_change_permission(request, obj):
            fields = ["name", "kind", "is_active"]
        return [(None, {"fields": fields, "description": NEVER_SHOWN})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """None."""
        return []

    @_test_button(ConfirmForm)
    def test_account(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """Write into the chat."""
        return self.try_out(request, object_id, to="")


@admin.register(Message, site=tenant_site)
class MessageAdmin(ReadOnlyAdmin):
    """Every message: to whom, by what, and what came of it."""

    list_display = [
        "id",
        "created_shown",
        "medium",
        "masked_shown",
        "name",
        "subject_shown",
        "source",
        "state_shown",
        "sent_shown",
    ]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("medium", ChoicesDropdownFilter),
        ("created_at", TimeFilter),
    ]
    list_select_related = ["robot"]
    search_fields = ["name", "subject", "source"]
    search_help_text = _("Recipient, subject or who sent it")
    keyset = ("id",)
    fields = [
        ("medium", "state_shown"),
        ("masked_shown", "name"),
        "subject",
        "text_shown",
        "source",
        ("created_shown", "sent_shown"),
        ("tries", "next_shown"),
        ("provider_no", "error"),
    ]
    actions_detail = ["again"]
    export = [
        (_("created at"), "created_at"),
        (_("way"), "get_medium_display"),
        (_("address"), "masked_to"),
        (_("recipient"), "name"),
        (_("subject"), "subject"),
        (_("sent by"), "source"),
        (_("state"), "get_state_display"),
        (_("sent at"), "sent_at"),
        (_("what went wrong"), "error"),
    ]

    @dialog_button(
        _("Send again"),
        url="again",
        icon="send",
        permission="again",
        text=_("Messages that failed or were held back are sent after all."),
        form=ReasonForm,
    )
    def again(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """With all its tries."""
        message = self.row(request, object_id)
        if message.state not in (MessageState.FAILED, MessageState.LIMITED):
            messages.error(request, _("Only a message that failed or was held back is sent again."))
            return self.back_to(request, message)
        services.send_again(message=message)
        self.audit(request, "sent_again", message, reason=form.cleaned_data["reason"])
        return self.back_to(request, message, _("The message is being sent."))

    def has_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """A permission of its own."""
        return self.allowed(request, "resend_message")

    @display(description=_("state"))
    def state_shown(self, obj: Message) -> str:
        """As a label."""
        return shown.state(obj, STATE_TONES)

    @display(description=_("address"))
    def masked_shown(self, obj: Message) -> str:
        """Without its middle."""
        return obj.masked_to or shown.EMPTY

    @display(description=_("subject"))
    def subject_shown(self, obj: Message) -> str:
        """Of mails and robots; of a text message what it is for."""
        if obj.subject:
            return obj.subject
        template = TEMPLATES.get(obj.template)
        return str(template.title) if template else shown.EMPTY

    @display(description=_("text"))
    def text_shown(self, obj: Message) -> str:
        """As it is sent; of a text message its values."""
        return obj.text or " · ".join(str(value) for value in obj.params.values()) or shown.EMPTY

    @display(description=_("created at"))
    def created_shown(self, obj: Message) -> str:
        """When it was wanted."""
        return shown.moment(obj.created_at)

    @display(description=_("sent at"))
    def sent_shown(self, obj: Message) -> str:
        """When the provider took it."""
        return shown.moment(obj.sent_at)

    @display(description=_("next try"))
    def next_shown(self, obj: Message) -> str:
        """If there is one."""
        return shown.moment(obj.next_try_at)
