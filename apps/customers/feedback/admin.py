"""Feedback in the back office: what waits for an answer, the whole conversation, answers, and who looks after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from apps.accounts.models import User
from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import NoteForm, dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.customers.admin import by_phone
from apps.customers.feedback import services
from apps.customers.feedback.models import SEEN_BY_DRIVERS, EntryKind, Feedback, FeedbackState
from apps.files import links

S = FeedbackState
TONES = {S.OPEN: "warning", S.ANSWERED: "success", S.CLOSED: "neutral"}
ENTRY_TONES = {
    EntryKind.ASKED: "info",
    EntryKind.ANSWERED: "success",
    EntryKind.ASSIGNED: "neutral",
    EntryKind.NOTED: "neutral",
    EntryKind.CLOSED: "neutral",
}
OPEN_STATES = (S.OPEN, S.ANSWERED)


class TextForm(BaseDialogForm):
    """What is said."""

    text = forms.CharField(
        label=_("text"), max_length=1000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 5})
    )


class AssignForm(NoteForm):
    """To whom."""

    person = forms.ModelChoiceField(User.objects.none(), label=_("assign to"), widget=UnfoldAdminSelectWidget)
    field_order = ["person", "reason"]

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        staff = User.objects.filter(is_active=True, is_staff=True).order_by("username")
        self.fields["person"].queryset = scope.narrow(staff, self.request.user)  # type: ignore[attr-defined]


@admin.register(Feedback, site=tenant_site)
class FeedbackAdmin(ReadOnlyAdmin):
    """What drivers wrote."""

    list_display = [
        "feedback_no",
        "created_shown",
        "customer_shown",
        "kind",
        "text_shown",
        "station",
        "state_shown",
        "assigned_to",
    ]
    list_select_related = ["customer", "station", "assigned_to"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("station", RelatedDropdownFilter),
        ("assigned_to", RelatedDropdownFilter),
        ("created_at", TimeFilter),
    ]
    list_before_template = "backoffice/feedback_chips.html"
    search_fields = ["feedback_no"]
    search_help_text = _(
        "Feedback or order number, gun, words of the text, nickname, or a whole phone number"
    )
    actions_detail = ["answer", "assign", "note", "close_feedback"]
    change_form_template = "backoffice/feedback.html"
    export = [
        (_("feedback number"), "feedback_no"),
        (_("created at"), "created_at"),
        (_("customer"), "customer.masked_phone"),
        (_("kind"), "get_kind_display"),
        (_("text"), "text"),
        (_("station"), "station.name"),
        (_("order number"), "order_no"),
        (_("gun"), "connector_code"),
        (_("state"), "get_state_display"),
        (_("assigned to"), "assigned_to"),
        (_("answered at"), "answered_at"),
        (_("closed at"), "closed_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How many wait for an answer, and how many of these are one's own."""
        waiting = scope.narrow(Feedback.objects.filter(state=S.OPEN), request.user)
        mine = [person == request.user.pk for person in waiting.values_list("assigned_to", flat=True)]
        own = f"?state__exact=open&assigned_to__id__exact={request.user.pk}"
        chips = [
            {"label": S.OPEN.label, "query": "?state__exact=open", "number": len(mine)},
            {"label": _("assigned to me"), "query": own, "number": sum(mine)},
        ]
        return super().changelist_view(request, {"chips": chips, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Feedback], search_term: str
    ) -> tuple[QuerySet[Feedback], bool]:
        """By a whole number, words or the customer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        numbers = Q(feedback_no=term.upper()) | Q(order_no=term.upper()) | Q(connector_code=term)
        who = Q(customer__phone=by_phone(term)) | Q(customer__nickname__icontains=term)
        return queryset.filter(numbers | who | Q(text__icontains=term)), False

    def detail(self, request: HttpRequest, obj: Feedback) -> dict[str, Any]:
        """Everything that was said and done, with the photos."""
        return {
            "feedback": obj,
            "state_label": shown.state(obj, TONES),
            "entries": [
                {
                    "entry": entry,
                    "label": shown.state(entry, ENTRY_TONES, "kind"),
                    "is_seen": entry.kind in SEEN_BY_DRIVERS,
                    "photos": [
                        {"address": links.path(photo.file), "small": links.path(photo.file, thumbnail=True)}
                        for photo in entry.photos.all()
                    ],
                }
                for entry in obj.entries.prefetch_related("photos__file")
            ],
        }

    # --- Buttons ---

    @dialog_button(
        _("Answer"),
        url="answer",
        icon="reply",
        permission="answer",
        text=_("The driver reads it in the app."),
        form=TextForm,
        variant=ActionVariant.PRIMARY,
    )
    def answer(self, request: HttpRequest, form: TextForm, object_id: str) -> HttpResponse:
        """Answer."""
        text = form.cleaned_data["text"]
        return self._do(request, object_id, services.answer, "answered", _("The answer is there."), text=text)

    @dialog_button(
        _("Assign"),
        url="assign",
        icon="person_add",
        permission="answer",
        text=_("The person finds it under “assigned to me”."),
        form=AssignForm,
    )
    def assign(self, request: HttpRequest, form: AssignForm, object_id: str) -> HttpResponse:
        """Give it to somebody."""
        words = form.cleaned_data
        return self._do(
            request,
            object_id,
            services.assign,
            "assigned",
            _("It is assigned."),
            person=words["person"],
            note=words["reason"],
        )

    @dialog_button(
        _("Write a note"),
        url="note",
        icon="edit_note",
        permission="note",
        text=_("For the staff alone: the driver does not see it."),
        form=TextForm,
    )
    def note(self, request: HttpRequest, form: TextForm, object_id: str) -> HttpResponse:
        """Write something down."""
        text = form.cleaned_data["text"]
        return self._do(request, object_id, services.add_note, "noted", _("Saved."), text=text)

    @dialog_button(
        _("Close feedback"),
        url="close",
        icon="check",
        permission="answer",
        text=_("With a last word to the driver, who may write again."),
        form=TextForm,
    )
    def close_feedback(self, request: HttpRequest, form: TextForm, object_id: str) -> HttpResponse:
        """End it."""
        text = form.cleaned_data["text"]
        return self._do(request, object_id, services.close, "closed", _("The feedback is closed."), text=text)

    def _do(
        self,
        request: HttpRequest,
        object_id: str,
        deed: Callable[..., Feedback],
        name: str,
        message: Any,
        **words: Any,
    ) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            with transaction.atomic():
                done = deed(feedback=row, actor=staff_actor(request), **words)
                changes = {"state": [row.state, done.state]}
                if "person" in words:
                    before = str(row.assigned_to) if row.assigned_to else None
                    changes = {"assigned_to": [before, str(words["person"])]}
                reason = str(words.get("text") or words.get("note") or "")[:200]
                self.audit(request, name, done, changes=changes, reason=reason)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, message)

    def has_answer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may answer, assign and close; the buttons show while it is not closed."""
        if not self.allowed(request, "answer_feedback"):
            return False
        return object_id is None or Feedback.objects.filter(pk=object_id, state__in=OPEN_STATES).exists()

    def has_note_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may answer may write notes, on closed ones too."""
        return self.allowed(request, "answer_feedback")

    # --- Columns ---

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: Feedback) -> str:
        """To the minute."""
        return shown.minute(obj.created_at)

    @display(description=_("customer"), ordering="customer")
    def customer_shown(self, obj: Feedback) -> str:
        """Nickname or masked number."""
        return str(obj.customer)

    @display(description=_("text"))
    def text_shown(self, obj: Feedback) -> str:
        """Its beginning."""
        return Truncator(obj.text).chars(40)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Feedback) -> str:
        """As a label."""
        return shown.state(obj, TONES)
