"""The buttons of commands on the pages of piles, guns and stations, and as actions of the pile list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.backoffice.people import staff_actor
from apps.common.errors import DomainError
from apps.piles import bulk, gateway
from apps.piles.command_pages.dialogs import (
    ClockForm,
    CommandForm,
    PowerCapForm,
    PricesForm,
    QrForm,
    ReasonedForm,
    RebootForm,
    RefreshForm,
    UpdateForm,
    WorkForm,
)
from apps.piles.commands import Command, MoveLock
from apps.piles.enums import CommandKind
from apps.piles.models import CommandBatch, Connector, Pile
from apps.sites.models import Station

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
