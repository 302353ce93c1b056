"""What staff send to piles: the dialogs, the buttons of pile, gun and station pages, and the pages of bulk commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.validators import RegexValidator
from django.db.models import Case, IntegerField, Model, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.piles import bulk, gateway
from apps.piles.commands import LEAST_POWER_PERCENT, Command, MoveLock, Reboot, SetQr, SetWork
from apps.piles.enums import CommandKind, CommandState
from apps.piles.models import CommandBatch, Connector, Pile, PileCommand, UpdateServer
from apps.piles.selectors import batch_progress
from apps.sites.models import Station

COMMAND_TONES = {
    CommandState.DONE: "success",
    CommandState.SENT: "info",
    CommandState.PENDING: "info",
    CommandState.REFUSED: "danger",
    CommandState.UNDELIVERED: "warning",
    CommandState.EXPIRED: "warning",
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
ASCII = RegexValidator(r"^[!-\[\]-~]*$", _("ASCII characters without blanks are needed."))
WHEN = [("idle", _("when no gun charges")), ("now", _("at once"))]
PERMISSIONS = {
    CommandKind.READ_REALTIME: "add_pilecommand",
    CommandKind.SYNC_TIME: "add_pilecommand",
    CommandKind.SET_BILLING_MODEL: "push_prices",
    CommandKind.SET_QR: "set_qr",
    CommandKind.SET_WORK: "set_work",
    CommandKind.REBOOT: "reboot_pile",
    CommandKind.UPDATE: "update_pile",
    CommandKind.LOCK: "move_lock",
}
"""Who may send what, beside the superuser; other kinds are sent by use cases, not from these pages."""


# --- Dialogs ----------------------------------------------------------------------------------------------


class CommandForm(BaseDialogForm):
    """What a dialog asks for; `commands` says what each pile gets. The reason may stay empty where nothing changes."""

    kind: ClassVar[CommandKind]
    field_order: ClassVar[Sequence[str]] = ()
    reason = forms.CharField(
        label=_("reason"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """Return {pile id: commands}."""
        return bulk.MAKERS[self.kind](piles)


class ReasonedForm(CommandForm):
    """A command that changes something is sent for a reason."""

    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


class RefreshForm(CommandForm):
    kind = CommandKind.READ_REALTIME


class ClockForm(CommandForm):
    kind = CommandKind.SYNC_TIME


class PricesForm(ReasonedForm):
    kind = CommandKind.SET_BILLING_MODEL


class QrForm(ReasonedForm):
    kind = CommandKind.SET_QR
    field_order = ["prefix", "format", "reason"]
    prefix = forms.CharField(
        label=_("start of QR codes"),
        max_length=200,
        required=False,
        validators=[ASCII],
        help_text=_("empty: the station's, else the tenant's, for piles that take QR codes"),
        widget=UnfoldAdminTextInputWidget,
    )
    format = forms.ChoiceField(
        label=_("what follows"),
        choices=[("gun", _("pile code and gun number")), ("pile", _("pile code"))],
        widget=UnfoldAdminSelectWidget,
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """The same prefix for all, or each station's own."""
        prefix = self.cleaned_data["prefix"]
        if not prefix:
            return super().commands(piles)
        with_gun_no = self.cleaned_data["format"] == "gun"
        return {pile.pk: [SetQr(prefix=prefix, with_gun_no=with_gun_no)] for pile in piles}


class WorkForm(ReasonedForm):
    kind = CommandKind.SET_WORK
    field_order = ["work", "max_power_percent", "reason"]
    work = forms.ChoiceField(
        label=_("pile"),
        choices=[("allowed", _("may work")), ("locked", _("is locked: no charge starts"))],
        widget=UnfoldAdminSelectWidget,
    )
    max_power_percent = forms.IntegerField(
        label=_("largest output (%)"),
        min_value=LEAST_POWER_PERCENT,
        max_value=100,
        initial=100,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """The same for all."""
        command = SetWork(
            is_locked=self.cleaned_data["work"] == "locked",
            max_power_percent=self.cleaned_data["max_power_percent"],
        )
        return {pile.pk: [command] for pile in piles}


class RebootForm(ReasonedForm):
    kind = CommandKind.REBOOT
    field_order = ["when", "reason"]
    when = forms.ChoiceField(label=_("when"), choices=WHEN, widget=UnfoldAdminSelectWidget)

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """The same for all."""
        command = Reboot(when_idle=self.cleaned_data["when"] == "idle")
        return {pile.pk: [command] for pile in piles}


class UpdateForm(ReasonedForm):
    kind = CommandKind.UPDATE
    field_order = ["server", "path", "when", "download_minutes", "reason"]
    server = forms.ModelChoiceField(
        label=_("update server"), queryset=UpdateServer.objects.all(), widget=UnfoldAdminSelectWidget
    )
    path = forms.CharField(
        label=_("file path"), max_length=32, validators=[ASCII], widget=UnfoldAdminTextInputWidget
    )
    when = forms.ChoiceField(label=_("when"), choices=WHEN, widget=UnfoldAdminSelectWidget)
    download_minutes = forms.IntegerField(
        label=_("longest download (min)"),
        min_value=1,
        max_value=255,
        initial=30,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """Each pile's own kind and rated power."""
        words = self.cleaned_data
        return bulk.firmware(
            piles,
            server=words["server"],
            path=words["path"],
            when_idle=words["when"] == "idle",
            download_minutes=words["download_minutes"],
        )


class PowerCapForm(ReasonedForm):
    """What all piles of a station may give together."""

    field_order = ["kw", "reason"]
    kw = forms.DecimalField(
        label=_("largest output of all piles together (kW)"),
        min_value=1,
        max_digits=9,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )


# --- Buttons ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Button:
    """A command as a button of a pile's or a station's page and as an action of the pile list."""

    method: str
    url: str
    title: Any
    icon: str
    permission: str
    form: type[CommandForm]
    text: Any
    variant: ActionVariant = ActionVariant.DEFAULT

    def on_page(self) -> Any:
        """Return the button of an object's page: a dialog whose answer is sent by POST."""

        def press(page: Any, request: HttpRequest, form: CommandForm, object_id: str) -> HttpResponse:
            return page.press(request, form, object_id)

        press.__name__ = self.method
        return action(
            description=self.title,
            url_path=self.url,
            icon=self.icon,
            permissions=[self.permission],
            variant=self.variant,
            dialog={
                "title": self.title,
                "description": self.text,
                "form_class": self.form,
                "form_submit_text": self.title,
            },
        )(press)

    def on_list(self) -> Any:
        """Return the action for a selection of piles: a page that asks, then the batch."""

        def press(page: Any, request: HttpRequest, queryset: QuerySet[Pile]) -> HttpResponse:
            return page.press_for_selection(request, queryset, self)

        press.__name__ = f"selected_{self.method}"
        return admin.action(description=self.title, permissions=[self.permission])(press)


REFRESH = Button(
    "refresh_state",
    "refresh",
    _("Refresh state"),
    "sync",
    "command",
    RefreshForm,
    _("The pile is asked for the state of each gun."),
)
CLOCK = Button(
    "sync_clock",
    "clock",
    _("Set clock"),
    "schedule",
    "command",
    ClockForm,
    _("The pile is given the platform's time."),
)
PRICES = Button(
    "push_prices",
    "prices",
    _("Push prices"),
    "price_change",
    "prices",
    PricesForm,
    _("The prices in force are sent. A pile that charges gets them when it is idle."),
)
QR = Button("set_qr", "qr", _("Set QR code"), "qr_code", "qr", QrForm, _("The pile shows it on its screen."))
WORK = Button(
    "set_work",
    "work",
    _("Work parameters"),
    "bolt",
    "work",
    WorkForm,
    _("Both are set: whether the pile may work, and how much it gives."),
)
REBOOT = Button(
    "reboot",
    "reboot",
    _("Reboot"),
    "restart_alt",
    "reboot",
    RebootForm,
    _("At once breaks off what is being charged."),
    ActionVariant.DANGER,
)
UPDATE = Button(
    "update_firmware",
    "update",
    _("Update firmware"),
    "system_update_alt",
    "update",
    UpdateForm,
    _("The pile fetches the file itself and answers after the attempt. It is not tried again."),
    ActionVariant.DANGER,
)
BUTTONS = (REFRESH, CLOCK, PRICES, QR, WORK, REBOOT, UPDATE)
MENU = {"title": _("Commands"), "icon": "settings_remote", "items": [b.method for b in BUTTONS[2:]]}


class Commanding:
    """Who may send what: one permission for each kind, on the pages of piles, guns, stations and batches."""

    def _may(self, request: HttpRequest, kind: CommandKind) -> bool:
        return request.user.has_perm(f"piles.{PERMISSIONS[kind]}")  # type: ignore[union-attr]

    def has_command_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask piles for their state and set their clocks."""
        return self._may(request, CommandKind.SYNC_TIME)

    def has_prices_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may push prices."""
        return self._may(request, CommandKind.SET_BILLING_MODEL)

    def has_qr_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may set QR codes."""
        return self._may(request, CommandKind.SET_QR)

    def has_work_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may lock piles and limit their power."""
        return self._may(request, CommandKind.SET_WORK)

    def has_reboot_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may reboot piles."""
        return self._may(request, CommandKind.REBOOT)

    def has_update_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may update firmware."""
        return self._may(request, CommandKind.UPDATE)

    def has_lock_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may move ground locks."""
        return self._may(request, CommandKind.LOCK)


class CommandButtons(Commanding):
    """The buttons of a pile's and of a station's page. The page says in `press` what pressing one does."""

    refresh_state = REFRESH.on_page()
    sync_clock = CLOCK.on_page()
    push_prices = PRICES.on_page()
    set_qr = QR.on_page()
    set_work = WORK.on_page()
    reboot = REBOOT.on_page()
    update_firmware = UPDATE.on_page()


class PileCommands(CommandButtons):
    """A pile's page and the pile list."""

    selected_refresh_state = REFRESH.on_list()
    selected_sync_clock = CLOCK.on_list()
    selected_push_prices = PRICES.on_list()
    selected_set_qr = QR.on_list()
    selected_set_work = WORK.on_list()
    selected_reboot = REBOOT.on_list()
    selected_update_firmware = UPDATE.on_list()

    def press(self: Any, request: HttpRequest, form: CommandForm, object_id: str) -> HttpResponse:
        """Send to this pile, if it is there to hear it."""
        pile = self.row(request, object_id)
        try:
            found = form.commands([pile]).get(pile.pk, []) if pile.is_online else []
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, pile)
        send_from_page(self, request, pile, pile, commands=found, reason=form.cleaned_data["reason"])
        return self.back_to(request, pile)

    def press_for_selection(
        self: Any, request: HttpRequest, queryset: QuerySet[Pile], button: Button
    ) -> HttpResponse:
        """Ask on a page of its own, then send to the selected piles and show what becomes of it."""
        asked = "_form_submitted" in request.POST
        form = button.form(request=request, data=request.POST if asked else None)
        if form.is_valid():
            chosen = bulk.chosen_piles(piles=queryset)
            answer = send_batch(
                self, request, lambda: form.commands(chosen), form, scope=bulk.scope_of(chosen)
            )
            return answer or HttpResponseRedirect(request.get_full_path())
        context = {
            **self.admin_site.each_context(request),
            "title": button.title,
            "text": button.text,
            "form": form,
            "opts": self.opts,
            "count": queryset.count(),
            "first": list(queryset[:10]),
            "selected": request.POST.getlist(admin.helpers.ACTION_CHECKBOX_NAME),
            "chosen_action": f"selected_{button.method}",
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "backoffice/bulk_command.html", context)


def send_from_page(
    page: Any, request: HttpRequest, pile: Pile, obj: Model, *, commands: Sequence[Command], reason: str
) -> None:
    """Send commands to one pile and say so, or say that it is offline or that there is nothing to send."""
    if not pile.is_online:
        messages.warning(request, _("The pile is offline, nothing was sent."))
    elif not commands:
        messages.warning(request, _("There is nothing to send to these piles."))
    else:
        for command in commands:
            gateway.send(pile=pile, command=command, actor=staff_actor(request), reason=reason)
        changes = {"command": [None, commands[0].kind.value]}
        page.audit(request, "commanded", obj, changes=changes, reason=reason)
        messages.success(request, _("Sent. The answer shows under pile commands."))


def send_batch(
    page: Any,
    request: HttpRequest,
    commands: Callable[[], Mapping[int, list[Command]]],
    form: CommandForm,
    *,
    scope: str,
) -> HttpResponse | None:
    """Send to many piles and lead to the batch's page; None, with a message, when a rule says no."""
    reason = form.cleaned_data["reason"]
    try:
        batch = bulk.send_each(
            kind=form.kind, commands=commands(), actor=staff_actor(request), scope=scope, reason=reason
        )
    except DomainError as error:
        messages.error(request, str(error))
        return None
    return batch_made(page, request, batch, reason)


def batch_made(page: Any, request: HttpRequest, batch: CommandBatch, reason: str) -> HttpResponse:
    """Write the batch to the audit log and lead to its page."""
    changes = {"command": [None, batch.kind], "piles": [None, batch.scope], "count": [None, batch.total]}
    page.audit(request, "commanded", batch, changes=changes, reason=reason)
    return HttpResponseRedirect(reverse("admin:piles_commandbatch_change", args=[batch.pk]))


def to_dialog(response: HttpResponse) -> HttpResponse:
    """Return a redirect as a dialog's last answer."""
    return HttpResponse(headers={"HX-Redirect": response["Location"]})


class StationCommands(CommandButtons):
    """The buttons of a station's page: every one of them goes to all of its piles."""

    def press(self: Any, request: HttpRequest, form: CommandForm, object_id: str) -> HttpResponse:
        """Send to all piles of the station."""
        station: Station = self.row(request, object_id)
        chosen = bulk.chosen_piles(station=station)
        answer = send_batch(
            self, request, lambda: form.commands(chosen), form, scope=bulk.scope_of(chosen, station)
        )
        return to_dialog(answer) if answer else self.back_to(request, station)

    @action(
        description=_("Limit power"),
        url_path="power-cap",
        icon="speed",
        permissions=["work"],
        dialog={
            "title": _("Limit power"),
            "description": _("It is split over the piles by their rated power; none goes below 30 %."),
            "form_class": PowerCapForm,
            "form_submit_text": _("Limit power"),
        },
    )
    def limit_power(self: Any, request: HttpRequest, form: PowerCapForm, object_id: str) -> HttpResponse:
        """Split a limit over the piles of the station."""
        station: Station = self.row(request, object_id)
        reason = form.cleaned_data["reason"]
        try:
            batch = bulk.set_power_cap(
                station=station, kw=form.cleaned_data["kw"], actor=staff_actor(request), reason=reason
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, station)
        return to_dialog(batch_made(self, request, batch, reason))


class LockButtons(Commanding):
    """Raising and lowering the ground lock of a gun's parking space."""

    @action(
        description=_("Raise lock"),
        url_path="raise-lock",
        icon="vertical_align_top",
        permissions=["lock"],
        dialog={
            "title": _("Raise lock"),
            "description": _("Make sure that the parking space is empty."),
            "form_class": ReasonedForm,
            "form_submit_text": _("Raise lock"),
        },
    )
    def raise_lock(self, request: HttpRequest, form: ReasonedForm, object_id: str) -> HttpResponse:
        """Close the parking space."""
        return self._move(request, form, object_id, up=True)

    @action(
        description=_("Lower lock"),
        url_path="lower-lock",
        icon="vertical_align_bottom",
        permissions=["lock"],
        dialog={
            "title": _("Lower lock"),
            "description": _("The parking space can be driven onto."),
            "form_class": ReasonedForm,
            "form_submit_text": _("Lower lock"),
        },
    )
    def lower_lock(self, request: HttpRequest, form: ReasonedForm, object_id: str) -> HttpResponse:
        """Open the parking space."""
        return self._move(request, form, object_id, up=False)

    def _move(
        self: Any, request: HttpRequest, form: ReasonedForm, object_id: str, *, up: bool
    ) -> HttpResponse:
        gun: Connector = self.row(request, object_id)
        command = MoveLock(connector_no=gun.connector_no, up=up)
        send_from_page(self, request, gun.pile, gun, commands=[command], reason=form.cleaned_data["reason"])
        return self.back_to(request, gun)


# --- Pages ------------------------------------------------------------------------------------------------


@admin.register(CommandBatch, site=tenant_site)
class CommandBatchAdmin(Commanding, ReadOnlyAdmin):
    """Bulk commands: how far each has come, and what became of it at each pile."""

    list_display = ["created_shown", "kind", "scope", "progress_shown", "actor_name", "reason"]
    list_filter = [("kind", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter)]
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

    @action(
        description=_("Retry failed"),
        url_path="retry",
        icon="replay",
        variant=ActionVariant.PRIMARY,
        permissions=["retry"],
        dialog={
            "title": _("Retry failed"),
            "description": _("What failed is sent again, as a new bulk command."),
            "form_class": CommandForm,
            "form_submit_text": _("Retry failed"),
        },
    )
    def retry_failed(self, request: HttpRequest, form: CommandForm, object_id: str) -> HttpResponse:
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
        batch = CommandBatch.objects.filter(pk=object_id).first() if str(object_id).isdecimal() else None
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
    """Return a command's result as "reason: offline"."""
    return "; ".join(f"{name}: {value}" for name, value in row.result.items()) or shown.EMPTY


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
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["pile__pile_code"]
    search_help_text = _("Pile code")
    fields = [
        ("pile", "connector_no"),
        ("kind", "batch"),
        ("state_shown", "created_shown"),
        ("took_shown", "sent_shown"),
        ("tries", "deadline_shown"),
        ("actor_name", "actor_kind"),
        "reason",
        "payload",
        "frame_shown",
        "answer_shown",
        "result_shown",
    ]

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
        """A new server needs a password, a known one keeps its own."""
        password: str = self.cleaned_data["password"]
        if not password and self.instance.pk is None:
            raise forms.ValidationError(_("A password is needed."))
        return password or self.instance.password


@admin.register(UpdateServer, site=tenant_site)
class UpdateServerAdmin(BackofficeAdmin):
    """Where piles fetch firmware from."""

    form = UpdateServerForm
    list_display = ["name", "host", "port", "username"]
    search_fields = ["name", "host"]
    fields = ["name", ("host", "port"), ("username", "password")]
    deletable = True
