"""Piles: their list and their page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.piles import fleet, services
from apps.piles.admin.cards import cards_line
from apps.piles.admin.importing import BatchPage, ImportPage
from apps.piles.admin.pile_pages import qr_answer
from apps.piles.admin.pile_parts import (
    AllValuesFilter,
    ClockFilter,
    ConnectorInline,
    GunStateFilter,
    MoveForm,
    PileChangeForm,
    PileForm,
    PileStateForm,
)
from apps.piles.admin.wall import guns_line
from apps.piles.command_pages import BUTTONS, CARD_MENU, MENU, PileCommands
from apps.piles.command_pages.selection import ask_for_selection
from apps.piles.enums import PileState
from apps.piles.models import Connector, Pile
from apps.piles.qr_sheets import Layout
from apps.sites.models import Station

PILE_TONES = {PileState.IN_SERVICE: "success", PileState.DISABLED: "warning", PileState.RETIRED: "neutral"}


MOVING = _(
    "Orders and records stay with the station where they were made. The new station's prices apply and are pushed."
)
RETIRING = _(
    "It is in no list of drivers any more and gets no commands. Records that it still has are taken."
)


@admin.register(Pile, site=tenant_site)
class PileAdmin(PileCommands, BackofficeAdmin):
    """Piles: registered here or by `create_piles`, and asked for their state and clock."""

    list_display = [
        "pile_code",
        "station",
        "online_shown",
        "guns_shown",
        "kind",
        "power_shown",
        "state_shown",
        "clock_flag",
        "seen_shown",
    ]
    list_select_related = ["station"]
    list_filter = [
        ("station", RelatedDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        "is_online",
        GunStateFilter,
        ("brand", AllValuesFilter),
        ("software_version", AllValuesFilter),
        ClockFilter,
    ]
    search_fields = ["pile_code", "name", "station__name", "serial_no", "sim_no"]
    search_help_text = _("Pile code, name, station, serial number or SIM card")
    actions_list = ["batch_page", "import_page", *BackofficeAdmin.actions_list]
    inlines = [ConnectorInline]
    actions_detail = [
        "refresh_state",
        "sync_clock",
        MENU,
        {**CARD_MENU, "items": [*CARD_MENU["items"], "ask_cards"]},
        {
            "title": _("Manage"),
            "icon": "tune",
            "items": ["change_state", "move", "retire"],
        },
    ]
    actions = [
        *(f"selected_{button.method}" for button in BUTTONS),
        "selected_qr_sheet",
        "selected_move",
        "selected_retire",
    ]
    export = [
        (_("pile code"), "pile_code"),
        (_("name"), "name"),
        (_("station"), "station.name"),
        (_("kind"), "get_kind_display"),
        (_("power (kW)"), "power_kw"),
        (_("brand"), "brand"),
        (_("model"), "model"),
        (_("serial number"), "serial_no"),
        (_("number of guns"), lambda row: len(row.connectors.all())),
        (_("state"), "get_state_display"),
        (_("online"), "is_online"),
        (_("last seen"), "last_seen_at"),
        (_("software version"), "software_version"),
        (_("SIM card"), "sim_no"),
    ]
    fieldsets = [
        (
            _("Basics"),
            {
                "classes": ["tab"],
                "fields": [
                    ("pile_code", "name"),
                    ("station", "state_shown"),
                    ("kind", "power_kw"),
                    ("brand", "model"),
                    ("serial_no", "produced_on"),
                    ("maker_code", "unique_code"),
                ],
            },
        ),
        (
            _("Connection"),
            {
                "classes": ["tab"],
                "fields": [
                    ("online_shown", "seen_shown"),
                    "login_shown",
                    ("protocol", "protocol_version"),
                    "software_version",
                    ("sim_no", "clock_shown"),
                    "cards_shown",
                ],
            },
        ),
        (
            _("Identity and dialect"),
            {
                "classes": ["tab"],
                "fields": [
                    "allowed_networks",
                    "pinned_sim_no",
                    ("crc_order", "five_prices"),
                    ("takes_qr", "takes_parallel"),
                    ("cipher", "cipher_key"),
                ],
            },
        ),
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": [
                    ("pile_code", "name"),
                    "station",
                    ("kind", "power_kw"),
                    "gun_count",
                    ("brand", "model"),
                ]
            },
        )
    ]
    readonly_fields = [
        "state_shown",
        "online_shown",
        "seen_shown",
        "login_shown",
        "clock_shown",
        "cards_shown",
        "protocol",
        "protocol_version",
        "software_version",
        "sim_no",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pile]:
        """With the live state of each gun."""
        return super().get_queryset(request).prefetch_related("connectors__status")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The number of guns is asked once."""
        kwargs["form"] = PileForm if obj is None else PileChangeForm
        return super().get_form(request, obj, change, **kwargs)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """A pile that is not there yet has no guns to show."""
        return self.inlines if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The code of a registered pile stays, and another station is a button."""
        return [*self.readonly_fields, "pile_code", "station"] if obj else ["state_shown"]

    def save_model(self, request: HttpRequest, obj: Pile, form: Any, change: bool) -> None:
        """A new pile goes through the service, which makes its guns and claims its code."""
        if change:
            super().save_model(request, obj, form, change)
            return
        words = form.cleaned_data
        made = services.create_pile(actor=staff_actor(request), **words)
        obj.pk = made.pk
        obj._state.adding = False  # noqa: SLF001 - the admin goes on with this instance

    # --- Buttons (commands: see command_pages) ---

    @dialog_button(
        _("Change state"),
        url="state",
        icon="toggle_on",
        permission="state",
        text=_("A running charge goes on. No new charge starts on a pile that is out of service."),
        form=PileStateForm,
    )
    def change_state(self, request: HttpRequest, form: PileStateForm, object_id: str) -> HttpResponse:
        """Take into service, or out of it."""
        pile = self.row(request, object_id)
        before = services.set_state(pile=pile, state=PileState(form.cleaned_data["state"]))
        self.audit(request, "state_changed", pile, changes={"state": [before, pile.state]})
        return self.back_to(request, pile)

    def has_state_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change the pile."""
        return self.allowed(request, "change_pile")

    @dialog_button(
        _("Move to another station"),
        url="move",
        icon="move_up",
        permission="move",
        text=MOVING,
        form=MoveForm,
    )
    def move(self, request: HttpRequest, form: MoveForm, object_id: str) -> HttpResponse:
        """Put it at another station."""
        pile = self.row(request, object_id)
        try:
            self._move(request, [pile.pk], form)
        except DomainError as error:
            messages.error(request, str(error))
        return self.back_to(request, pile)

    @dialog_button(
        _("Retire"),
        url="retire",
        icon="delete_sweep",
        permission="retire",
        text=RETIRING,
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def retire(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Take it out of use for good."""
        pile = self.row(request, object_id)
        try:
            self._retire(request, [pile.pk], form)
        except DomainError as error:
            messages.error(request, str(error))
        return self.back_to(request, pile)

    @admin.action(description=_("Move to another station"), permissions=["move"])
    def selected_move(self, request: HttpRequest, queryset: QuerySet[Pile]) -> HttpResponse:
        """Put the selected piles at another station: all of them or none."""
        return ask_for_selection(
            self,
            request,
            queryset,
            name="selected_move",
            form_class=MoveForm,
            title=_("Move to another station"),
            text=MOVING,
            do=self._move,
        )

    @admin.action(description=_("Retire"), permissions=["retire"])
    def selected_retire(self, request: HttpRequest, queryset: QuerySet[Pile]) -> HttpResponse:
        """Take the selected piles out of use for good: all of them or none."""
        return ask_for_selection(
            self,
            request,
            queryset,
            name="selected_retire",
            form_class=ReasonForm,
            title=_("Retire"),
            text=RETIRING,
            do=self._retire,
        )

    @admin.action(description=_("Sheet of QR codes (PDF)"), permissions=["view"])
    def selected_qr_sheet(self, request: HttpRequest, queryset: QuerySet[Pile]) -> HttpResponse:
        """The codes of the selected piles' guns, to print."""
        guns = Connector.objects.filter(pile__in=queryset.order_by()).exclude(pile__state=PileState.RETIRED)
        return qr_answer(self, request, guns, Layout.MEDIUM, str(self.opts.verbose_name_plural))

    def _move(self, request: HttpRequest, pile_ids: list[int], form: MoveForm) -> None:
        station, reason = form.cleaned_data["station"], form.cleaned_data["reason"]
        names = dict(Station.objects.values_list("pk", "name"))
        with transaction.atomic():
            moved = fleet.move_piles(pile_ids=pile_ids, station=station, actor=staff_actor(request))
            for pile in Pile.objects.filter(pk__in=moved).order_by("pk"):
                before = names[moved[pile.pk][1]]
                self.audit(request, "moved", pile, changes={"station": [before, station.name]}, reason=reason)
        text = ngettext("%(count)s pile is moved.", "%(count)s piles are moved.", len(moved))
        messages.success(request, text % {"count": len(moved)})

    def _retire(self, request: HttpRequest, pile_ids: list[int], form: ReasonForm) -> None:
        reason = form.cleaned_data["reason"]
        with transaction.atomic():
            retired = fleet.retire_piles(pile_ids=pile_ids, actor=staff_actor(request))
            for pile in Pile.objects.filter(pk__in=retired).order_by("pk"):
                changes = {"state": [retired[pile.pk][1], pile.state]}
                self.audit(request, "state_changed", pile, changes=changes, reason=reason)
        text = ngettext("%(count)s pile is retired.", "%(count)s piles are retired.", len(retired))
        messages.success(request, text % {"count": len(retired)})

    def has_move_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may move piles."""
        return self.allowed(request, "move_pile")

    def has_retire_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may retire piles."""
        return self.allowed(request, "retire_pile")

    # --- Registering many ---

    @action(description=_("Register several"), url_path="batch", icon="playlist_add", permissions=["add"])
    def batch_page(self, request: HttpRequest) -> Any:
        """A page of its own."""
        return BatchPage.as_view(model_admin=self)(request)

    @action(description=_("Import"), url_path="import", icon="upload_file", permissions=["add"])
    def import_page(self, request: HttpRequest) -> Any:
        """A page of its own."""
        return ImportPage.as_view(model_admin=self)(request)

    # --- Columns ---

    @display(description=_("connection"), ordering="is_online")
    def online_shown(self, obj: Pile) -> str:
        """Online or offline."""
        return shown.label(_("online"), "success") if obj.is_online else shown.label(_("offline"), "neutral")

    @display(description=_("guns"))
    def guns_shown(self, obj: Pile) -> SafeString:
        """Counts by state."""
        return guns_line([gun.status.state for gun in obj.connectors.all()])

    @display(description=_("power"), ordering="power_kw")
    def power_shown(self, obj: Pile) -> str:
        """Rated output."""
        return f"{obj.power_kw.normalize():f} kW"

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Pile) -> str:
        """As a label."""
        return shown.state(obj, PILE_TONES)

    @display(description=_("last seen"), ordering="last_seen_at")
    def seen_shown(self, obj: Pile) -> str:
        """To the minute."""
        return shown.minute(obj.last_seen_at)

    @display(description=_("last login"))
    def login_shown(self, obj: Pile) -> str:
        """To the second."""
        return shown.moment(obj.last_login_at)

    @display(description=_("clock"), ordering="clock_offset_s")
    def clock_flag(self, obj: Pile) -> str:
        """A label when it is off."""
        offset = abs(obj.clock_offset_s or 0)
        if offset <= services.CLOCK_FLAG_S:
            return shown.EMPTY
        return shown.label(self.clock_shown(obj), "danger" if offset > services.CLOCK_ALARM_S else "warning")

    @display(description=_("clock offset (s)"))
    def clock_shown(self, obj: Pile) -> str:
        """Ahead (+) or behind (−)."""
        return shown.EMPTY if obj.clock_offset_s is None else f"{obj.clock_offset_s:+.0f} s"

    @display(description=_("offline cards"))
    def cards_shown(self, obj: Pile) -> SafeString:
        """How many there are in each state, and where they are listed."""
        return cards_line(obj.offline_cards.all(), f"pile__id__exact={obj.pk}")
