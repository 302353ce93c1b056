"""Agreements with drivers, and how the mini-program looks."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.contrib.forms.widgets import WysiwygWidget
from unfold.decorators import display
from unfold.enums import ActionVariant

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import ConfirmForm, dialog_button
from apps.backoffice.one_row import OneRowAdmin
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common import richtext
from apps.customers import agreements
from apps.customers.errors import DraftExists
from apps.customers.models import Agreement, DriverAppSettings

LONGEST = 200_000


class AgreementForm(forms.ModelForm):
    """A text as people write it; what could run in a browser is taken out."""

    class Meta:
        model = Agreement
        fields = ["kind", "title", "changes", "body"]
        widgets = {"body": WysiwygWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "body" in self.fields:
            self.fields["body"].max_length = LONGEST

    def clean_kind(self) -> str:
        """One draft of each."""
        kind = str(self.cleaned_data["kind"])
        if Agreement.objects.filter(kind=kind, version=None).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("There is a draft of this agreement already."))
        return kind

    def clean_body(self) -> str:
        """Clean, and with something to read in it."""
        text = richtext.clean(self.cleaned_data["body"])
        if richtext.is_blank(text):
            raise forms.ValidationError(self.fields["body"].error_messages["required"])
        if len(text) > LONGEST:
            raise forms.ValidationError(_("At most %(most)s characters.") % {"most": LONGEST})
        return text


@admin.register(Agreement, site=tenant_site)
class AgreementAdmin(BackofficeAdmin):
    """Versions of the texts that drivers agree to. Drafts are changed and deleted, published ones never."""

    form = AgreementForm
    list_display = ["kind", "version_shown", "title", "published_shown", "published_by"]
    list_filter = ["kind"]
    search_fields = ["title"]
    actions_detail = ["publish", "new_version"]
    deletable: ClassVar[bool] = True
    export = [
        (_("kind"), "get_kind_display"),
        (_("version"), "version"),
        (_("title"), "title"),
        (_("published at"), "published_at"),
        (_("published by"), "published_by"),
    ]

    def get_fields(self, request: HttpRequest, obj: Agreement | None = None) -> list[Any]:
        """A published text is shown as drivers see it."""
        if obj is None or self.has_change_permission(request, obj):
            return ["kind", "title", "changes", "body"]
        return [("kind", "version_shown"), ("title", "published_shown"), "changes", "body_shown"]

    def get_readonly_fields(self, request: HttpRequest, obj: Agreement | None = None) -> list[str]:
        """A draft stays of its kind."""
        return ["version_shown", "published_shown", "body_shown", *(["kind"] if obj else [])]

    def save_model(self, request: HttpRequest, obj: Agreement, form: Any, change: bool) -> None:
        """Two who begin a draft at once: the second is told. Raises DraftExists."""
        try:
            super().save_model(request, obj, form, change)
        except IntegrityError:
            raise DraftExists from None

    def has_change_permission(self, request: HttpRequest, obj: Agreement | None = None) -> bool:
        """Drafts only."""
        return super().has_change_permission(request, obj) and (obj is None or obj.version is None)

    def has_delete_permission(self, request: HttpRequest, obj: Agreement | None = None) -> bool:
        """Drafts only."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.version is None)

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish; the button shows on drafts."""
        if not self.allowed(request, "publish_agreement"):
            return False
        return object_id is None or Agreement.objects.filter(pk=object_id, version=None).exists()

    def has_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may write; the button shows on published versions."""
        if not self.allowed(request, "add_agreement"):
            return False
        return object_id is None or Agreement.objects.filter(pk=object_id, version__isnull=False).exists()

    @dialog_button(
        _("Publish"),
        url="publish",
        icon="publish",
        permission="publish",
        variant=ActionVariant.PRIMARY,
        text=_("The text never changes again. Every driver is asked to agree at the next use."),
        form=ConfirmForm,
    )
    def publish(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """Make the draft the version that holds."""
        row = self.row(request, object_id)
        with transaction.atomic():
            done = agreements.publish(agreement=row, by=str(staff_actor(request)))
            self.audit(request, "published", done, changes={"version": [None, done.version]})
        return self.back_to(request, done, _("The agreement is published."))

    @dialog_button(
        _("New version"),
        url="new-version",
        icon="edit_note",
        permission="again",
        text=_("A draft with this text is made. This version holds until the draft is published."),
        form=ConfirmForm,
    )
    def new_version(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """Begin a draft."""
        row = self.row(request, object_id)
        with transaction.atomic():
            draft = agreements.new_version(agreement=row)
            self.audit(request, "added", draft, changes={"text": [None, str(row)]})
        return self.back_to(request, draft)

    @display(description=_("version"), ordering="version")
    def version_shown(self, obj: Agreement) -> str:
        """The number, or that it is a draft."""
        if obj.version is None:
            return shown.label(_("draft"), "warning")
        return str(obj.version)

    @display(description=_("published at"), ordering="published_at")
    def published_shown(self, obj: Agreement) -> str:
        """To the second."""
        return shown.moment(obj.published_at)

    @display(description=_("text"))
    def body_shown(self, obj: Agreement) -> SafeString:
        """As drivers see it; cleaned once more, whatever is stored."""
        text = richtext.clean(obj.body)
        return mark_safe(f'<div class="prose max-w-none dark:prose-invert">{text}</div>')  # noqa: S308


@admin.register(DriverAppSettings, site=tenant_site)
class DriverAppSettingsAdmin(OneRowAdmin):
    """How the mini-program looks to drivers."""

    list_display = ["__str__", "service_phone", "home"]
    fieldsets = [
        (
            _("Service"),
            {"fields": [("service_phone", "service_hours"), "about", "filing_number"]},
        ),
        (_("Pages"), {"fields": ["home", ("elder_mode", "english")]}),
        (
            _("What drivers see"),
            {"fields": [("shows_coupons", "shows_enterprises"), "shows_vehicles"]},
        ),
        (_("Sign-in"), {"fields": ["refuses_virtual_operators"]}),
    ]
