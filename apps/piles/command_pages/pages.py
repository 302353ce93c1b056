"""The pages of what was sent: bulk commands, each pile's command, and the servers that firmware comes from."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminPasswordWidget

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.people import KINDS, staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.piles import bulk
from apps.piles.command_pages.dialogs import ASCII, HarmlessForm
from apps.piles.command_pages.sending import PERMISSIONS, Commanding, batch_made, to_dialog
from apps.piles.enums import CommandKind, CommandState
from apps.piles.models import CommandBatch, PileCommand, UpdateServer
from apps.piles.selectors import batch_progress

COMMAND_TONES = {
    CommandState.DONE: "success",
    CommandState.SENT: "info",
    CommandState.PENDING: "info",
    CommandState.REFUSED: "danger",
    CommandState.UNDELIVERED: "warning",
    CommandState.EXPIRED: "warning",
}
REASONS = {
    "none": shown.EMPTY,
    "ok": shown.EMPTY,
    "offline": _("offline"),
    "unreachable": _("no gateway was reached"),
    "not_plugged": _("not plugged in"),
    "wrong_pile": _("the pile says the code is not its own"),
    "already_charging": _("the gun is charging already"),
    "not_charging": _("the gun does not charge"),
    "fault": _("fault"),
    "other": _("refused by the pile"),
}
RESULTS = {
    "code": _("code"),
    "offset_s": _("clock offset (s)"),
    "cleared": _("deleted"),
    "failed": _("failed"),
    "present": _("there"),
    "absent": _("missing"),
}
FAILED_FIRST = [
    CommandState.REFUSED,
    CommandState.EXPIRED,
    CommandState.UNDELIVERED,
    CommandState.PENDING,
    CommandState.SENT,
    CommandState.DONE,
]
ROWS_SHOWN = 500


@admin.register(CommandBatch, site=tenant_site)
class CommandBatchAdmin(Commanding, ReadOnlyAdmin):
    """Bulk commands: how far each has come, and what became of it at each pile."""

    list_display = ["created_shown", "kind", "scope", "progress_shown", "actor_name", "reason"]
    list_filter = [("kind", ChoicesDropdownFilter), ("created_at", TimeFilter)]
    search_fields = ["scope", "reason", "actor_name"]
    change_form_template = "backoffice/command_batch.html"
    actions_detail = ["retry_failed"]
    fields = ["kind"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Count the page's commands by state at once."""
        changes = super().get_changelist_instance(request)
        rows = list(changes.result_list)
        found = batch_progress(batches=rows) if rows else {}
        for row in rows:
            row.progress = found[row.pk]
        changes.result_list = rows
        return changes

    def detail(self, request: HttpRequest, obj: CommandBatch) -> dict[str, Any]:
        """Return the commands, failed ones first, and how many there are of each."""
        rank = Case(
            *(When(state=state, then=Value(place)) for place, state in enumerate(FAILED_FIRST)),
            output_field=IntegerField(),
        )
        rows = obj.commands.select_related("pile__station").order_by(rank.asc(), "id")[:ROWS_SHOWN]
        counts = batch_progress(batches=[obj])[obj.pk]
        percent = 100 * (counts["total"] - counts["open"]) // max(counts["total"], 1)
        return {
            "batch": obj,
            "counts": counts,
            "percent": percent,
            "rows": [
                {
                    "command": row,
                    "state": shown.state(row, COMMAND_TONES),
                    "result": result_words(row),
                    "took": took_words(row),
                }
                for row in rows
            ],
            "hidden": max(0, counts["total"] - ROWS_SHOWN),
        }

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **options: Any
    ) -> HttpResponse:
        """The page that renews itself loads anew at the end: only then is there a button for what failed."""
        response = super().render_change_form(request, context, **options)
        if "HX-Request" in request.headers and not context["counts"]["open"]:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return response

    @dialog_button(
        _("Retry failed"),
        url="retry",
        icon="replay",
        permission="retry",
        text=_("What failed is sent again, as a new bulk command."),
        form=HarmlessForm,
        variant=ActionVariant.PRIMARY,
    )
    def retry_failed(self, request: HttpRequest, form: HarmlessForm, object_id: str) -> HttpResponse:
        """Send what failed again."""
        batch: CommandBatch = self.row(request, object_id)
        reason = form.cleaned_data["reason"] or batch.reason
        try:
            again = bulk.retry_failed(batch=batch, actor=staff_actor(request), reason=reason)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, batch)
        return to_dialog(batch_made(self, request, again, reason))

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may send the kind, where something failed that may be sent again."""
        batch = CommandBatch.objects.filter(pk=whole_number(object_id)).first()
        if batch is None:  # a row that is not there is said to be missing, not forbidden
            return any(self._may(request, kind) for kind in PERMISSIONS)
        kind = CommandKind(batch.kind)
        return kind in PERMISSIONS and self._may(request, kind) and bulk.can_retry(batch=batch)

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: CommandBatch) -> str:
        """To the second."""
        return shown.moment(obj.created_at)

    @display(description=_("done / failed / open"))
    def progress_shown(self, obj: CommandBatch) -> str:
        """Commands by what became of them."""
        counts = obj.progress  # type: ignore[attr-defined]
        return f"{counts['done']} / {counts['failed']} / {counts['open']}"


def result_words(row: PileCommand) -> str:
    """Return a command's result in words: "offline", "clock offset (s): 2.1"; what has no words as it is."""
    parts = []
    for name, value in row.result.items():
        if name == "reason":
            parts.append(str(REASONS.get(value, value)))
        else:
            parts.append(f"{RESULTS.get(name, name)}: {value}")
    return "; ".join(parts) or shown.EMPTY


def took_words(row: PileCommand) -> str:
    """Return the seconds from the order to the answer."""
    if row.answered_at is None:
        return shown.EMPTY
    return f"{(row.answered_at - row.created_at).total_seconds():.2f} s"


@admin.register(PileCommand, site=tenant_site)
class PileCommandAdmin(ReadOnlyAdmin):
    """What was asked of piles, by whom and why, byte by byte, and what became of it."""

    show_full_result_count = False

    list_display = [
        "created_shown",
        "pile",
        "connector_no",
        "kind",
        "state_shown",
        "took_shown",
        "actor_name",
        "reason",
    ]
    list_select_related = ["pile"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("created_at", TimeFilter),
    ]
    search_fields = ["pile__pile_code"]
    search_help_text = _("Pile code")
    fields = [
        ("pile", "connector_no"),
        ("kind", "batch"),
        ("state_shown", "created_shown"),
        ("took_shown", "sent_shown"),
        ("tries", "deadline_shown"),
        ("actor_name", "actor_shown"),
        "reason",
        "payload",
        "frame_shown",
        "answer_shown",
        "result_shown",
    ]

    @display(description=_("actor kind"))
    def actor_shown(self, obj: PileCommand) -> str:
        """What kind of actor asked, in words."""
        return str(KINDS.get(obj.actor_kind, obj.actor_kind))

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: PileCommand) -> str:
        """To the second."""
        return shown.moment(obj.created_at)

    @display(description=_("sent at"))
    def sent_shown(self, obj: PileCommand) -> str:
        """To the second."""
        return shown.moment(obj.sent_at)

    @display(description=_("deadline"))
    def deadline_shown(self, obj: PileCommand) -> str:
        """To the second."""
        return shown.moment(obj.deadline)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: PileCommand) -> str:
        """As a label."""
        return shown.state(obj, COMMAND_TONES)

    @display(description=_("answered after"))
    def took_shown(self, obj: PileCommand) -> str:
        """Seconds from the order to the answer."""
        return took_words(obj)

    @display(description=_("result"))
    def result_shown(self, obj: PileCommand) -> str:
        """What the pile said, or why it heard nothing."""
        return result_words(obj)

    @display(description=_("bytes sent"))
    def frame_shown(self, obj: PileCommand) -> str:
        """In hex; secrets are asterisks."""
        return bytes(obj.frame).hex(" ").upper() or shown.EMPTY

    @display(description=_("bytes answered"))
    def answer_shown(self, obj: PileCommand) -> str:
        """In hex."""
        return bytes(obj.answer).hex(" ").upper() or shown.EMPTY


class UpdateServerForm(forms.ModelForm):
    """The password is written and never read: an empty field keeps the one that is stored."""

    password = forms.CharField(
        label=_("password"),
        max_length=16,
        required=False,
        validators=[ASCII],
        help_text=_("It is shown to nobody. Empty: it stays as it is."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = UpdateServer
        fields = ["name", "host", "port", "username", "password"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("password", None)
        for name in ("host", "username"):
            if name in self.fields:
                self.fields[name].validators.append(ASCII)

    def clean_password(self) -> str:
        """A new server needs a password; a known one keeps its own, which goes to no other server."""
        password: str = self.cleaned_data["password"]
        if not password and self.instance.pk is None:
            raise forms.ValidationError(_("A password is needed."))
        if not password and {"host", "port"}.intersection(self.changed_data):
            raise forms.ValidationError(_("Type the password again: the server has changed."))
        return password or self.instance.password


@admin.register(UpdateServer, site=tenant_site)
class UpdateServerAdmin(BackofficeAdmin):
    """Where piles fetch firmware from."""

    form = UpdateServerForm
    list_display = ["name", "host", "port", "username"]
    search_fields = ["name", "host"]
    fields = ["name", ("host", "port"), ("username", "password")]
    deletable = True
