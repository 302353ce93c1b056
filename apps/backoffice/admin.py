"""The base of every back-office page, and the audit log's own page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from functools import cache, wraps
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.filters import RelatedFieldListFilter
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import (
    BinaryField,
    CharField,
    DateField,
    GenericIPAddressField,
    JSONField,
    Model,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.constants import LOOKUP_SEP
from django.forms import ChoiceField, ModelChoiceField, ModelForm, PasswordInput
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.backoffice import pages, scope
from apps.backoffice.audit import plain, record
from apps.backoffice.cells import EXPORT_ROWS, csv_file
from apps.backoffice.days import check_day
from apps.backoffice.errors import EditedMeanwhile
from apps.backoffice.keyset import KeysetChangeList
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.units import with_unit
from apps.common.crypto import EncryptedTextField
from apps.common.errors import DomainError
from apps.common.schema import in_public

Export = tuple[Any, str | Callable[[Any], Any]]
"""A column of an export: its title, and a path of attributes ("customer.masked_phone") or a function of the row."""


_TEXTS = (CharField, TextField, JSONField, BinaryField, UUIDField, GenericIPAddressField)

EXPORTS_PAGE = "admin:files_exportjob_changelist"
"""Where the files of exports wait."""


class ExportForm(BaseDialogForm):
    """As what kind of file."""

    format = ChoiceField(
        label=gettext_lazy("format"),
        choices=[("xlsx", gettext_lazy("Excel (xlsx)")), ("csv", gettext_lazy("CSV"))],
        widget=UnfoldAdminSelectWidget,
    )


class BackofficeAdmin(ModelAdmin):
    """Every deed goes to the audit log, nothing is deleted in bulk, columns and panels of higher apps show.

    State is never a form field: moves are buttons that call a service and have a permission of their own.
    """

    list_per_page = 30
    list_max_show_all = 200
    show_full_result_count = True
    list_filter_submit = True
    compressed_fields = True
    change_form_outer_before_template = "backoffice/panels_above.html"
    change_form_outer_after_template = "backoffice/panels_below.html"
    change_form_before_template = "backoffice/seen.html"
    deletable: ClassVar[bool] = False
    keyset: ClassVar[Sequence[str]] = ()
    """For a list too long to count: fields that order it, newest first (see apps.backoffice.keyset)."""
    export: ClassVar[Sequence[Export]] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """What this person may see: lists, object pages, dialogs, exports and searches all come from here."""
        return scope.narrow(super().get_queryset(request), request.user)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Without secrets for those who may only look: a field that cannot be edited shows what is stored."""
        fieldsets = super().get_fieldsets(request, obj)
        secrets = {field.name for field in self.opts.concrete_fields if isinstance(field, EncryptedTextField)}
        if not secrets or obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": _without(options["fields"], secrets)})
            for title, options in fieldsets
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Filter by a text of the row itself only whole, unless the list offers that filter.

        Django lets an address filter by any field of the row. By beginnings or ranges of a text, what no page shows
        (the key of a session, a digest, the hidden part of a phone number) would be found out letter by letter.
        """
        name, _sep, how = lookup.partition(LOOKUP_SEP)
        texts = {field.name for field in self.opts.concrete_fields if isinstance(field, _TEXTS)}
        offered = self.list_filter if request is None else self.get_list_filter(request)
        if name in texts and how not in ("", "exact", "isnull") and name not in map(_filtered_by, offered):
            return False
        return super().lookup_allowed(lookup, value, request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without the theme's mass deletion, with what higher apps add."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        added = {one.name: (one.run, one.name, one.title) for one in pages.actions(self.model, request)}
        return {**actions, **added}

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only where the model's page says that a row may go."""
        return self.deletable and super().has_delete_permission(request, obj)

    def allowed(self, request: HttpRequest, codename: str) -> bool:
        """Return whether the person has the permission `codename` of this model's app."""
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")  # type: ignore[union-attr]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row with what it held when it was read: `save_model` writes what differs from it."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.as_read = {name: _kept(found.__dict__[name]) for name in _columns(found)}
        return found

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row that a button was pressed for. Raises Http404 for one that this person cannot see."""
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404
        return found

    def back_to(self, request: HttpRequest, obj: Model, message: Any = "") -> HttpResponse:
        """Return a dialog's last answer: its page loads anew, with a message."""
        if message:
            messages.success(request, message)
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponse(headers={"HX-Redirect": reverse(name, args=[obj.pk])})

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """A rule that says no while a form is being saved is shown on the form's page."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write only what changed here, and nothing over what somebody else saved since this page was opened.

        Gateways and services write columns of the same row meanwhile (whether a pile is online, how many coupons are
        claimed). Raises EditedMeanwhile, which shows on the page.
        """
        if change:
            self.check_unedited(request, obj, form)
            obj.save(update_fields=_changed_here(obj, form))
        else:
            super().save_model(request, obj, form, change)

    def check_unedited(self, request: HttpRequest, obj: Any, form: Any) -> None:
        """Raise EditedMeanwhile where the row was saved since this page said when it last was (`_seen`); lock it."""
        seen = request.POST.get("_seen")
        if seen and form.changed_data:
            rows = QuerySet(self.model).filter(pk=obj.pk)
            found = rows.select_for_update(no_key=True).values_list("updated_at", flat=True).first()
            if found is None or _stamp(found) != seen:
                raise EditedMeanwhile

    # --- Parts that other apps add ---

    def get_urls(self) -> list[Any]:
        """The pages of higher apps, then the model's own."""
        added = [
            path(
                page.path,
                self.admin_site.admin_view(page.view.as_view(model_admin=self)),  # type: ignore[call-arg]
                name=page.name,
            )
            for page in pages.added_pages(self.model)
        ]
        found = [*added, *super().get_urls()]
        for pattern in found:
            if "object_id" in pattern.pattern.converters:
                pattern.callback = self._of_a_row(pattern.callback)
        return found

    def _of_a_row(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Answer 404 where a person with a scope asks for a row outside: Django would lead to the front page, and a
        dialog's form may show what it finds before the deed asks for the row. So for what can be no row's key, such as
        "²": permissions of buttons ask the database for it."""

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            person: Any = request.user
            may_enter = self.admin_site.has_permission(request)
            if may_enter and not self._is_key(kwargs["object_id"]):
                raise Http404
            if (
                may_enter
                and scope.condition(self.model, person) is not None
                and self.has_view_permission(request)
                and self.get_object(request, kwargs["object_id"]) is None
            ):
                raise Http404
            return view(request, *args, **kwargs)

        return guarded

    def _is_key(self, object_id: str) -> bool:
        try:
            self.opts.pk.to_python(unquote(object_id))  # type: ignore[union-attr]
        except ValidationError:
            return False
        return True

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Days and times are such as can be reckoned with."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(db_field, DateField):
            field.validators.append(check_day)
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Choices are what this person sees."""
        model = db_field.remote_field.model
        if scope.is_declared(model) and scope.condition(model, request.user) is not None:
            offered = kwargs.get("queryset")
            rows = QuerySet(model) if offered is None else offered
            kwargs["queryset"] = scope.narrow(rows, request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Choices of filters are what this person sees."""
        return [
            (one[0], _scoped_filter(one[1]))
            if isinstance(one, tuple | list) and issubclass(one[1], RelatedFieldListFilter)
            else one
            for one in super().get_list_filter(request)
        ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The page's own columns, money and energy with their unit, and those of higher apps."""
        own = [with_unit(self.model, column) for column in super().get_list_display(request)]
        return [*own, *pages.columns(self.model)]

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        """Pages by place instead of number, where `keyset` names the fields."""
        return KeysetChangeList if self.keyset else super().get_changelist(request, **options)

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """No column sorts a list that has only one order."""
        return () if self.keyset else super().get_sortable_by(request)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Fill the columns of higher apps for the rows of this page at once."""
        changes = super().get_changelist_instance(request)
        for column in pages.columns(self.model):
            column.fill(changes.result_list)
        return changes

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **options: Any
    ) -> HttpResponse:
        """Add the panels, and what the page itself says of the object."""
        obj = options.get("obj")
        if obj is not None:
            context["seen"] = _stamp(getattr(obj, "updated_at", None))
            context["object_tabs"] = pages.tabs(self.model, request, obj)
            context["panels_above"] = pages.panels(self.model, request, obj, above=True)
            context["panels_below"] = pages.panels(self.model, request, obj, above=False)
            context.update(self.detail(request, obj))
        return super().render_change_form(request, context, **options)

    def detail(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return what the object's page needs beside its form."""
        return {}

    # --- Audit ---

    def construct_change_message(
        self, request: HttpRequest, form: ModelForm, formsets: Any, add: bool = False
    ) -> Any:
        """Return {field: [before, after]} of the form and of its inlines, for the audit log."""
        changes = form_changes(form, add=add)
        for formset in formsets or ():
            name = formset.model._meta.model_name
            for obj in formset.new_objects:
                changes[f"{name}+{obj.pk}"] = [None, str(obj)]
            deleted = {id(obj) for obj in formset.deleted_objects}
            for inner in formset.initial_forms:
                if inner.has_changed() and id(inner.instance) not in deleted:
                    changes[f"{name} {inner.instance}"] = _inline_change(inner)
            for obj in formset.deleted_objects:
                changes[f"{name}-{obj.pk}"] = [str(obj), None]
        return changes

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """Write the addition to the audit log."""
        self.audit(request, "added", obj, changes=message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """Write the change to the audit log; a form saved without a change is no deed."""
        if message:
            self.audit(request, "changed", obj, changes=message)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> None:
        """Write each deletion to the audit log."""
        for obj in queryset:
            self.audit(request, "deleted", obj)

    def audit(
        self,
        request: HttpRequest,
        deed: str,
        obj: Model | None,
        *,
        changes: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> None:
        """Write `<app>.<model>_<deed>` of the signed-in person to the audit log."""
        record(
            staff_actor(request),
            f"{self.opts.app_label}.{self.opts.model_name}_{deed}",
            obj,
            changes=changes if isinstance(changes, Mapping) else None,
            reason=reason,
            address=client_address(request),
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An object's history is its part of the audit log."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        words = {"object_kind__exact": self.opts.label_lower, "object_id__exact": object_id}
        return HttpResponseRedirect(f"{reverse('admin:backoffice_auditentry_changelist')}?{urlencode(words)}")

    # --- Export ---

    def export_for(self, person: Any) -> Sequence[Export]:
        """Return the columns that this person takes away."""
        return self.export

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """The export button only where there is something to export."""
        found = super().get_actions_list(request)
        return (
            found
            if self.export
            else [item for item in found if not item.action_name.endswith(("_export_csv", "_export_file"))]
        )

    actions_list: ClassVar[Sequence[Any]] = ["export_csv", "export_file"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The export buttons keep the list's filters, search and order."""
        response = super().changelist_view(request, extra_context)
        shown_context = getattr(response, "context_data", None) or {}
        for item in shown_context.get("actions_list") or ():
            if str(item.get("path", "")).endswith(("/export/", "/export-file/")):
                item["path"] = f"{item['path']}?{request.GET.urlencode()}"
        return response

    @action(description=gettext_lazy("Export"), url_path="export", icon="download", permissions=["export"])
    def export_csv(self, request: HttpRequest) -> HttpResponse:
        """Return the filtered list as CSV (UTF-8 with a byte order mark, which spreadsheets need)."""
        changes = self.get_changelist_instance(request)
        rows = list(changes.get_queryset(request)[: EXPORT_ROWS + 1])
        if len(rows) > EXPORT_ROWS:
            text = _("The list has more than %(limit)s rows: use “Export as a file”.")
            messages.warning(request, text % {"limit": EXPORT_ROWS})
            return HttpResponseRedirect(f"../?{request.GET.urlencode()}")
        changed = {"rows": [None, len(rows)], "filter": [None, request.GET.urlencode()[:500]]}
        self.audit(request, "exported", None, changes=changed)
        columns = self.export_for(request.user)
        titles = [title for title, _source in columns]
        cells = ([export_value(row, source) for _title, source in columns] for row in rows)
        return csv_file(self.opts.verbose_name_plural, titles, cells)

    @action(
        description=gettext_lazy("Export as a file"),
        url_path="export-file",
        icon="download_for_offline",
        permissions=["export_file"],
        dialog={
            "title": gettext_lazy("Export as a file"),
            "description": gettext_lazy(
                "The list as it is filtered now is written in the background. The file waits for you under “Downloads”."
            ),
            "form_class": ExportForm,
            "form_submit_text": gettext_lazy("Export"),
        },
    )
    def export_file(self, request: HttpRequest, form: ExportForm) -> HttpResponse:
        """Have the filtered list written in the background, and go to where its file will be."""
        ask = import_string(settings.EXPORT_IN_BACKGROUND)
        try:
            ask(model_admin=self, request=request, export_format=form.cleaned_data["format"])
        except DomainError as error:
            messages.error(request, str(error))
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
            return HttpResponse(headers={"HX-Redirect": f"{reverse(name)}?{request.GET.urlencode()}"})
        messages.success(request, _("The export has begun."))
        return HttpResponse(headers={"HX-Redirect": reverse(EXPORTS_PAGE)})

    def has_export_file_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As for every export; the platform's own lists are short and have no background."""
        return not in_public() and self.has_export_permission(request)

    def has_export_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may see the list may take it away; the export is in the audit log."""
        return bool(self.export) and self.has_view_permission(request)


class ReadOnlyAdmin(BackofficeAdmin):
    """A page that only shows: money, records, commands, logs."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


class ReadOnlyInline(TabularInline):
    """Rows of another table on an object's page, only shown."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


@cache
def _scoped_filter(base: type[RelatedFieldListFilter]) -> type[RelatedFieldListFilter]:
    class ScopedFilter(base):  # type: ignore[valid-type,misc]
        def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
            seen = scope.condition(field.remote_field.model, request.user)
            if seen is None or not scope.is_declared(field.remote_field.model):
                return super().field_choices(field, request, model_admin)
            ordering = self.field_admin_ordering(field, request, model_admin)
            return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=seen)

    return ScopedFilter


def _filtered_by(one: Any) -> Any:
    return one[0] if isinstance(one, tuple | list) else one


def _columns(obj: Model) -> list[str]:
    """Attributes of the columns that were read."""
    return [field.attname for field in obj._meta.concrete_fields if field.attname in obj.__dict__]


def _kept(value: Any) -> Any:
    return deepcopy(value) if isinstance(value, list | dict) else value


def _changed_here(obj: Any, form: Any) -> list[str]:
    """Fields whose value is another one than when the row was read, and times of the last change."""
    held = obj.as_read
    changed = {name for name in _columns(obj) if name not in held or obj.__dict__[name] != held[name]}
    return [
        field.name
        for field in obj._meta.concrete_fields
        if not field.primary_key
        and (field.attname in changed or field.name in form.changed_data or getattr(field, "auto_now", False))
    ]


def _without(fields: Iterable[Any], secrets: set[str]) -> list[Any]:
    kept = [_without(field, secrets) if isinstance(field, list | tuple) else field for field in fields]
    return [field for field in kept if field and (isinstance(field, list) or field not in secrets)]


def _stamp(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _inline_change(form: ModelForm) -> list[dict[str, Any]]:
    """Before and after of one row of an inline, by the labels of its fields."""
    pairs = form_changes(form, add=False)
    labels = {name: str(form.fields[name].label) if name in form.fields else name for name in pairs}
    return [{labels[name]: pair[end] for name, pair in pairs.items()} for end in (0, 1)]


def form_changes(form: ModelForm, *, add: bool) -> dict[str, list[Any]]:
    """Return {field: [before, after]} of a valid form; secrets only as having changed."""
    changes: dict[str, list[Any]] = {}
    for name in form.changed_data:
        field = form.fields.get(name)
        if field is None or "password" in name or isinstance(field.widget, PasswordInput):
            changes[name] = ["…", "…"]
            continue
        before = None if add else _words(form.get_initial_for_field(field, name), field)
        changes[name] = [before, _words(form.cleaned_data.get(name), field)]
    return changes


def _words(value: Any, field: Any) -> Any:
    if isinstance(field, ModelChoiceField):
        many = isinstance(value, QuerySet | list | tuple)
        items = list(value) if many else [] if value in (None, "") else [value]
        keys = [item for item in items if not isinstance(item, Model)]
        known = {obj.pk: obj for obj in field.queryset.filter(pk__in=keys)} if keys else {}
        names = [str(item if isinstance(item, Model) else known.get(item, item)) for item in items]
        return sorted(names) if many else next(iter(names), None)
    return plain(value)


def export_value(row: Any, source: str | Callable[[Any], Any]) -> Any:
    """Return one cell of an export."""
    if callable(source):
        return source(row)
    value = row
    for part in source.split("."):
        value = getattr(value, part, None)
        if callable(value):
            value = value()
        if value is None:
            return ""
    return value


DEEDS = {
    "added": gettext_lazy("added"),
    "changed": gettext_lazy("changed"),
    "moved": gettext_lazy("moved"),
    "deleted": gettext_lazy("deleted"),
    "exported": gettext_lazy("exported"),
    "downloaded": gettext_lazy("downloaded"),
    "state_changed": gettext_lazy("state changed"),
    "commanded": gettext_lazy("command sent"),
    "closed": pgettext_lazy("alarm", "closed"),
    "version_added": gettext_lazy("new version"),
    "assigned": gettext_lazy("assigned"),
    "approved": gettext_lazy("approved"),
    "stop_requested": gettext_lazy("stop requested"),
    "matched": gettext_lazy("matched to an order"),
    "rejected": gettext_lazy("rejected"),
    "requested": gettext_lazy("requested"),
    "executed": gettext_lazy("executed"),
    "withdrawn": gettext_lazy("withdrawn"),
    "voided": gettext_lazy("void"),
    "failed": pgettext_lazy("approval", "failed"),
    "resolved": gettext_lazy("resolved"),
    "reconciled": gettext_lazy("reconciled"),
    "refund_applied": gettext_lazy("refund applied for"),
    "recovered": gettext_lazy("taken from available money"),
    "queried": gettext_lazy("provider asked"),
    "tested": gettext_lazy("connection tested"),
    "processed": gettext_lazy("processed again"),
    "pin_set": gettext_lazy("PIN set"),
    "phone_changed": gettext_lazy("phone number changed"),
    "published": gettext_lazy("published"),
    "given": gettext_lazy("given to customers"),
    "members_added": gettext_lazy("members added"),
    "ended": gettext_lazy("ended"),
    "account_set": gettext_lazy("account and limits set"),
    "limit_set": gettext_lazy("limit set"),
    "frames_kept": gettext_lazy("keeping of frames changed"),
    "frames_exported": gettext_lazy("frames exported"),
    "rolled": gettext_lazy("summed up again"),
    "sent": pgettext_lazy("deed", "sent"),
    "unlocked": gettext_lazy("unlocked"),
    "sessions_ended": gettext_lazy("sessions ended"),
    "second_factor_set": gettext_lazy("second factor set up"),
    "second_factor_taken": gettext_lazy("second factor taken away"),
    "codes_renewed": gettext_lazy("recovery codes renewed"),
    "bound": gettext_lazy("account bound"),
    "unbound": gettext_lazy("account unbound"),
    "renewed": gettext_lazy("renewed"),
    "expired": gettext_lazy("term is over"),
    "answered": gettext_lazy("answered"),
    "noted": gettext_lazy("note written"),
    "applied": pgettext_lazy("deed", "applied for"),
    "issued": gettext_lazy("invoice entered"),
    "not_issued": gettext_lazy("could not be issued"),
    "red_marked": gettext_lazy("marked for a red invoice"),
    "reversed": gettext_lazy("red invoice entered"),
    "contract_signed": gettext_lazy("contract entered"),
    "contract_ended": gettext_lazy("contract ended earlier"),
    "station_given": gettext_lazy("station given"),
    "station_taken": gettext_lazy("station taken back"),
    "account_opened": gettext_lazy("account opened"),
    "account_closed": gettext_lazy("account closed"),
    "account_reopened": gettext_lazy("account opened again"),
    "resumed": gettext_lazy("resumed"),
}
ACTIONS = {
    "accounts.signed_in": gettext_lazy("signed in"),
    "accounts.signed_out": gettext_lazy("signed out"),
    "accounts.sign_in_failed": gettext_lazy("sign-in failed"),
    "accounts.support_entered": gettext_lazy("support visit begun"),
    "accounts.support_left": gettext_lazy("support visit ended"),
}


def action_words(action: str) -> str:
    """Return an action as "charging order: stop requested"; one without words as it is."""
    if action in ACTIONS:
        return str(ACTIONS[action])
    place, _dot, rest = action.partition(".")
    model, _dash, deed = rest.partition("_")
    if deed not in DEEDS or place not in apps.app_configs:
        return action
    try:
        subject = apps.get_model(place, model)._meta.verbose_name
    except LookupError:
        return action
    return f"{subject}: {DEEDS[deed]}"


from apps.backoffice import approval_pages, audit_pages  # noqa: E402, F401 - their pages are built on these
