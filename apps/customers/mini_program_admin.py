"""By which mini-programs drivers sign in. Secrets are entered and never shown."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts import providers
from apps.accounts.errors import ProviderRefused
from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import ConfirmForm, dialog_button
from apps.backoffice.sites import tenant_site
from apps.customers import alipay, mini_programs, subscriptions
from apps.customers.models import IdentityProvider, MiniProgram

APP_ID = {
    IdentityProvider.WECHAT: (
        re.compile(r"wx[0-9a-f]{16}"),
        _("wx and 16 digits or letters a to f are needed."),
    ),
    IdentityProvider.ALIPAY: (re.compile(r"20[0-9]{14}"), _("16 digits that begin with 20 are needed.")),
}
SECRETS = ("secret", "content_key")
TEMPLATES = {
    event: [f"{event}_{name}" for name in ("id", *words.values)]
    for event, words in subscriptions.EVENTS.items()
}
"""The form's fields of each message template: its id, and which of its fields shows what."""


def _hidden(label: Any, text: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        strip=True,
        max_length=10_000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text=text,
    )


class MiniProgramForm(forms.ModelForm):
    """An empty secret keeps what is stored."""

    class Meta:
        model = MiniProgram
        fields = ["provider", "app_id", "secret", "public_key", "content_key", "is_active"]
        widgets = {"public_key": UnfoldAdminTextareaWidget}

    secret = _hidden(
        _("secret"),
        _("WeChat: the AppSecret. Alipay: the app's private key (PKCS#8 or PKCS#1). Empty: as it is stored."),
    )
    content_key = _hidden(
        _("key of encrypted contents"),
        _("Alipay: the AES key of the app, with which it encrypts phone numbers. Empty: as it is stored."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for event, (first, *names) in TEMPLATES.items():
            kept = self.instance.templates.get(event, {})
            self.initial[first] = kept.get("id", "")
            for name, value in zip(names, subscriptions.EVENTS[event].values, strict=True):
                self.initial[name] = kept.get("fields", {}).get(value, "")

    def clean(self) -> dict[str, Any]:
        """Nothing is kept that cannot work: the app id's form, keys that can be read, fields of templates."""
        words = super().clean() or self.cleaned_data
        for name in SECRETS:
            words[name] = words.get(name) or getattr(self.instance, name)
        provider = words.get("provider")
        if not words["secret"]:
            self.add_error("secret", _("Enter the secret."))
        if provider in APP_ID and words.get("app_id"):
            form, text = APP_ID[IdentityProvider(provider)]
            if not form.fullmatch(words["app_id"]):
                self.add_error("app_id", text)
        if provider == IdentityProvider.ALIPAY:
            self._check_keys(words)
        if provider in subscriptions.FIELD:
            self.instance.templates = self._templates(words, IdentityProvider(provider))
        return words

    def _templates(self, words: dict[str, Any], provider: IdentityProvider) -> dict[str, Any]:
        found = {}
        for event, (first, *names) in TEMPLATES.items():
            template_id = (words.get(first) or "").strip()
            fields: dict[str, str] = {}
            for name, value in zip(names, subscriptions.EVENTS[event].values, strict=True):
                field = (words.get(name) or "").strip()
                if not field:
                    continue
                if not subscriptions.FIELD[provider].fullmatch(field):
                    self.add_error(name, _("Enter the field as the provider's console names it."))
                elif field in fields.values():
                    self.add_error(name, _("Another value is shown there already."))
                fields[value] = field
            if template_id and not fields:
                self.add_error(first, _("Say at least for one field what it shows."))
            elif fields and not template_id:
                self.add_error(first, _("Enter the template's id."))
            if template_id:
                found[event] = {"id": template_id, "fields": fields}
        return found

    def _check_keys(self, words: dict[str, Any]) -> None:
        probe = MiniProgram(
            provider=IdentityProvider.ALIPAY,
            secret=words["secret"],
            public_key=words.get("public_key") or "",
        )
        checks = (
            ("secret", lambda: providers.private_key(probe), _("The private key cannot be read.")),
            ("public_key", lambda: providers.public_key(probe), _("Enter Alipay's public key.")),
            (
                "content_key",
                lambda: alipay.content_key(words["content_key"]),
                _("Enter the AES key as Alipay shows it."),
            ),
        )
        for name, check, text in checks:
            if name in self.errors:
                continue
            try:
                check()
            except (ProviderRefused, ValueError):
                self.add_error(name, text)


for _event, (_first, *_names) in TEMPLATES.items():
    MiniProgramForm.base_fields[_first] = MiniProgramForm.declared_fields[_first] = forms.CharField(
        label=_("template id"), required=False, max_length=64, widget=UnfoldAdminTextInputWidget()
    )
    for _name, _value in zip(_names, subscriptions.EVENTS[_event].values, strict=True):
        MiniProgramForm.base_fields[_name] = MiniProgramForm.declared_fields[_name] = forms.CharField(
            label=subscriptions.VALUES[_value],
            required=False,
            max_length=24,
            widget=UnfoldAdminTextInputWidget(),
        )


@admin.register(MiniProgram, site=tenant_site)
class MiniProgramAdmin(BackofficeAdmin):
    """The tenant's mini-programs."""

    form = MiniProgramForm
    list_display = ["provider", "app_id", "active_shown"]
    fields = ["provider", "app_id", "secret", "public_key", "content_key", "is_active"]
    conditional_fields = {
        "public_key": f"provider == '{IdentityProvider.ALIPAY}'",
        "content_key": f"provider == '{IdentityProvider.ALIPAY}'",
    }
    deletable = True
    actions_detail = ["test_connection"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Credentials, and for who may change them the templates of messages."""
        shown_to_all = super().get_fieldsets(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            return shown_to_all
        text = _(
            "Which field of the template shows what, as the provider's console names it (thing1, amount2; Alipay: "
            "keyword1). Drivers are asked when they start a charge."
        )
        return [
            *shown_to_all,
            *(
                (
                    format_lazy("{} · {}", _("message template"), subscriptions.EVENTS[event].title),
                    {"fields": [template, *names], "description": text},
                )
                for event, (template, *names) in TEMPLATES.items()
            ),
        ]

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Of secrets the log says that they changed, and nothing else."""
        changes = super().construct_change_message(request, form, formsets, add)
        for name in SECRETS:
            if name in changes:
                changes[name] = ["…", "…"]
        return changes

    @dialog_button(
        _("Test connection"),
        url="test",
        icon="network_check",
        permission="test",
        text=_("The provider is asked whether it knows the mini-program by its secret. Nobody is signed in."),
        form=ConfirmForm,
    )
    def test_connection(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """Ask the provider."""
        mini = self.row(request, object_id)
        found = mini_programs.check_connection(mini)
        self.audit(request, "tested", mini, changes={"result": [None, found.cause or "ok"]})
        if not found.ok:
            messages.error(request, _("The connection does not work: %(cause)s") % {"cause": found.cause})
            return self.back_to(request, mini)
        return self.back_to(request, mini, _("The connection works."))

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may test it."""
        return self.allowed(request, "test_miniprogram")

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: MiniProgram) -> str:
        """In use or not."""
        if obj.is_active:
            return shown.label(_("in use"), "success")
        return shown.label(_("not in use"), "neutral")
