"""The buttons of commands on the pages of piles, guns and stations, and as actions of the pile list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant

from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.people import staff_actor
from apps.common.errors import DomainError
from apps.piles import bulk
from apps.piles.command_pages.card_buttons import CardButtons, PileCardButtons
from apps.piles.command_pages.dialogs import (
    ClockForm,
    CommandForm,
    PowerCapForm,
    PricesForm,
    QrForm,
    RebootForm,
    RefreshForm,
    UpdateForm,
    WorkForm,
)
from apps.piles.command_pages.selection import asking_page
from apps.piles.command_pages.sending import Commanding, batch_made, send_batch, send_from_page, to_dialog
from apps.piles.commands import MoveLock
from apps.piles.models import Connector, Pile
from apps.sites.models import Station


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
        return dialog_button(
            self.title,
            url=self.url,
            icon=self.icon,
            permission=self.permission,
            text=self.text,
            form=self.form,
            variant=self.variant,
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


class CommandButtons(Commanding):
    """The buttons of a pile's and of a station's page. The page says in `press` what pressing one does."""

    refresh_state = REFRESH.on_page()
    sync_clock = CLOCK.on_page()
    push_prices = PRICES.on_page()
    set_qr = QR.on_page()
    set_work = WORK.on_page()
    reboot = REBOOT.on_page()
    update_firmware = UPDATE.on_page()


class PileCommands(CommandButtons, PileCardButtons):
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
        return asking_page(
            self,
            request,
            queryset,
            name=f"selected_{button.method}",
            form=form,
            title=button.title,
            text=button.text,
        )


class StationCommands(CommandButtons, CardButtons):
    """The buttons of a station's page: every one of them goes to all of its piles."""

    def piles_of(self, obj: Station) -> Sequence[Pile]:
        """All of them."""
        return bulk.chosen_piles(station=obj)

    def press(self: Any, request: HttpRequest, form: CommandForm, object_id: str) -> HttpResponse:
        """Send to all piles of the station."""
        station: Station = self.row(request, object_id)
        chosen = bulk.chosen_piles(station=station)
        answer = send_batch(
            self, request, lambda: form.commands(chosen), form, scope=bulk.scope_of(chosen, station)
        )
        return to_dialog(answer) if answer else self.back_to(request, station)

    @dialog_button(
        _("Limit power"),
        url="power-cap",
        icon="speed",
        permission="work",
        text=_("It is split over the piles by their rated power; none goes below 30 %."),
        form=PowerCapForm,
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

    @dialog_button(
        _("Raise lock"),
        url="raise-lock",
        icon="vertical_align_top",
        permission="lock",
        text=_("Make sure that the parking space is empty."),
        form=ReasonForm,
    )
    def raise_lock(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Close the parking space."""
        return self._move(request, form, object_id, up=True)

    @dialog_button(
        _("Lower lock"),
        url="lower-lock",
        icon="vertical_align_bottom",
        permission="lock",
        text=_("The parking space can be driven onto."),
        form=ReasonForm,
    )
    def lower_lock(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Open the parking space."""
        return self._move(request, form, object_id, up=False)

    def _move(self: Any, request: HttpRequest, form: ReasonForm, object_id: str, *, up: bool) -> HttpResponse:
        gun: Connector = self.row(request, object_id)
        command = MoveLock(connector_no=gun.connector_no, up=up)
        send_from_page(self, request, gun.pile, gun, commands=[command], reason=form.cleaned_data["reason"])
        return self.back_to(request, gun)
