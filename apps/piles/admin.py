"""Piles, the gun wall, commands and alarms; and what a station's pages show of its guns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext, pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import pages, shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin, ReadOnlyInline
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.schema import current_schema
from apps.common.time import now
from apps.piles import networks, services
from apps.piles.command_pages import (
    BUTTONS,
    MENU,
    REFRESH,
    CommandForm,
    LockButtons,
    PileCommands,
    StationCommands,
    send_from_page,
)
from apps.piles.commands import ReadRealtime
from apps.piles.enums import AlarmKind, ConnectorState, LockState, PileState
from apps.piles.models import Alarm, Connector, ConnectorStatus, Pile
from apps.sites.admin import StationAdmin
from apps.sites.models import Station
from apps.tenancy.selectors import routes

GUN_TONES = {
    ConnectorState.IDLE: "success",
    ConnectorState.CHARGING: "info",
    ConnectorState.PLUGGED: "warning",
    ConnectorState.FAULT: "danger",
    ConnectorState.OFFLINE: "neutral",
}
PILE_TONES = {PileState.IN_SERVICE: "success", PileState.DISABLED: "warning", PileState.RETIRED: "neutral"}
LOCK_TONES = {LockState.RAISED: "success", LockState.LOWERED: "info", LockState.UNKNOWN: "warning"}
WORST_FIRST = [
    ConnectorState.FAULT,
    ConnectorState.CHARGING,
    ConnectorState.PLUGGED,
    ConnectorState.IDLE,
    ConnectorState.OFFLINE,
]


def guns_line(states: Sequence[str]) -> SafeString:
    """Return counts by state as coloured dots with words: 2 idle, 1 charging."""
    counts = [(state, states.count(state)) for state in WORST_FIRST if state in states]
    if not counts:
        return format_html("{}", shown.EMPTY)
    return format_html_join(
        "",
        '<span class="bo-count"><i class="bo-dot bo-{}"></i>{} <b>{}</b></span>',
        ((GUN_TONES[state], state.label, number) for state, number in counts),
    )


class ConnectorInline(ReadOnlyInline):
    """The guns of a pile, on its page."""

    model = Connector
    fields = ["code", "state_shown", "power_shown", "energy_shown", "soc_shown", "reported_shown"]
    readonly_fields = fields
    show_change_link = True
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connector]:
        """With the live state."""
        return super().get_queryset(request).select_related("status")

    @display(description=_("state"))
    def state_shown(self, obj: Connector) -> str:
        """As a label."""
        return shown.state(obj.status, GUN_TONES)

    @display(description=_("power now"))
    def power_shown(self, obj: Connector) -> str:
        """Present output."""
        return f"{obj.status.power_kw:.1f} kW"

    @display(description=_("energy"))
    def energy_shown(self, obj: Connector) -> str:
        """Of the running charge."""
        return f"{obj.status.energy_kwh:.2f} " + pgettext("unit", "kWh")

    @display(description=_("SOC"))
    def soc_shown(self, obj: Connector) -> str:
        """Charge of the battery."""
        return f"{obj.status.soc_percent} %" if obj.status.soc_percent else shown.EMPTY

    @display(description=_("reported at"))
    def reported_shown(self, obj: Connector) -> str:
        """Of the last word."""
        return shown.moment(obj.status.reported_at)


class PileForm(forms.ModelForm):
    """Registers a pile, with its number of guns; later the code stays as it is."""

    gun_count = forms.IntegerField(
        label=_("number of guns"), min_value=1, max_value=99, initial=1, widget=UnfoldAdminIntegerFieldWidget
    )

    class Meta:
        model = Pile
        fields = ["pile_code", "name", "station", "kind", "power_kw", "brand", "model"]

    def clean_pile_code(self) -> str:
        """A code is one tenant's."""
        code: str = self.cleaned_data["pile_code"]
        owner = routes(services.ROUTE_KIND, [code]).get(code)
        if owner is not None and owner != current_schema():
            raise forms.ValidationError(_("This pile code is registered already."))
        return code


class PileChangeForm(forms.ModelForm):
    """Changes a registered pile."""

    class Meta:
        model = Pile
        fields = ["allowed_networks", "pinned_sim_no", "cipher_key"]  # beside those that the page names

    cipher_key = forms.CharField(
        label=_("cipher key"),
        max_length=200,
        required=False,
        help_text=_("Hex digits or text. It is shown to nobody. Empty: it stays as it is."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("cipher_key", None)

    def clean(self) -> dict[str, Any]:
        """The key is written and never read: an empty field keeps it, a pile without a cipher has none."""
        words: dict[str, Any] = super().clean() or self.cleaned_data
        kept = words.get("cipher_key") or self.instance.cipher_key
        words["cipher_key"] = kept if words.get("cipher") else ""
        return words

    def clean_allowed_networks(self) -> str:
        """Networks that can be read, or none."""
        text: str = self.cleaned_data["allowed_networks"]
        try:
            networks.parse(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return text

    def clean_pinned_sim_no(self) -> str:
        """An ICCID has 20 digits; some have hex digits in them."""
        number: str = self.cleaned_data["pinned_sim_no"].strip().upper()
        if number and not re.fullmatch(r"[0-9A-F]{20}", number):
            raise forms.ValidationError(_("20 digits are needed."))
        return number


class ClockFilter(admin.SimpleListFilter):
    """Piles whose clock is off."""

    title = _("clock")
    parameter_name = "clock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Off by more than the limit, or by so much that there is an alarm."""
        limits = (services.CLOCK_FLAG_S, services.CLOCK_ALARM_S)
        return [(str(limit), _("off by more than %(limit)s s") % {"limit": limit}) for limit in limits]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Pile]) -> QuerySet[Pile]:
        """On either side."""
        value = self.value() or ""
        if not value.isdecimal():
            return queryset
        limit = int(value)
        return queryset.filter(Q(clock_offset_s__gt=limit) | Q(clock_offset_s__lt=-limit))


class PileStateForm(BaseDialogForm):
    """The state that a pile is put into."""

    state = forms.ChoiceField(label=_("state"), choices=PileState, widget=UnfoldAdminSelectWidget)


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
        ClockFilter,
    ]
    search_fields = ["pile_code", "name", "station__name"]
    search_help_text = _("Pile code, name or station")
    inlines = [ConnectorInline]
    actions_detail = ["refresh_state", "sync_clock", MENU, "change_state"]
    actions = [f"selected_{button.method}" for button in BUTTONS]
    export = [
        (_("pile code"), "pile_code"),
        (_("name"), "name"),
        (_("station"), "station.name"),
        (_("kind"), "get_kind_display"),
        (_("power (kW)"), "power_kw"),
        (_("brand"), "brand"),
        (_("model"), "model"),
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
                    "takes_qr",
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
        """The code of a registered pile stays."""
        return [*self.readonly_fields, "pile_code"] if obj else ["state_shown"]

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

    @action(
        description=_("Change state"),
        url_path="state",
        icon="toggle_on",
        permissions=["state"],
        dialog={
            "title": _("Change state"),
            "description": _(
                "A running charge goes on. No new charge starts on a pile that is out of service."
            ),
            "form_class": PileStateForm,
            "form_submit_text": _("Change state"),
        },
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


@admin.register(Connector, site=tenant_site)
class ConnectorAdmin(LockButtons, ReadOnlyAdmin):
    """The gun wall: one card a gun, faults first, renewed every few seconds."""

    list_display = ["code", "pile"]
    list_select_related = ["pile__station", "status"]
    list_filter = [
        ("pile__station", RelatedDropdownFilter),
        ("status__state", ChoicesDropdownFilter),
        ("pile__kind", ChoicesDropdownFilter),
    ]
    search_fields = ["code", "pile__station__name"]
    search_help_text = _("Gun code, pile code or station")
    list_per_page = 60
    list_before_template = "backoffice/gun_chips.html"
    fields = [
        ("code", "pile"),
        "power_kw",
        ("state_shown", "reported_shown"),
        ("power_shown", "volts_shown"),
        "soc_shown",
        ("energy_shown", "amount_shown"),
        "minutes_shown",
        ("transaction_shown", "fault_shown"),
        ("lock_shown", "space_shown"),
    ]
    actions_detail = ["refresh_state", "raise_lock", "lower_lock"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connector]:
        """Guns of piles that are not retired."""
        guns = super().get_queryset(request).exclude(pile__state=PileState.RETIRED)
        return guns.select_related("pile__station", "status", "lock")

    def get_ordering(self, request: HttpRequest) -> Sequence[Any]:
        """What needs a person first."""
        rank = Case(
            *(When(status__state=state, then=Value(place)) for place, state in enumerate(WORST_FIRST)),
            default=Value(len(WORST_FIRST)),
            output_field=IntegerField(),
        )
        return [rank.asc(), "code"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add the chips: how many guns are in each state, over all stations or the chosen one."""
        guns = Connector.objects.exclude(pile__state=PileState.RETIRED)
        station = request.GET.get("pile__station__id__exact", "")
        if station.isdecimal():
            guns = guns.filter(pile__station_id=int(station))
        counts = dict(guns.order_by().values_list("status__state").annotate(Count("id")))
        words = request.GET.copy()
        words.pop("p", None)
        chosen = request.GET.get("status__state__exact", "")
        chips = []
        for state in WORST_FIRST:
            words["status__state__exact"] = state.value
            chips.append(
                {
                    "label": state.label,
                    "tone": GUN_TONES[state],
                    "count": counts.get(state.value, 0),
                    "chosen": chosen == state.value,
                    "query": words.urlencode(),
                }
            )
        words.pop("status__state__exact", None)
        everything = {"count": sum(counts.values()), "chosen": not chosen, "query": words.urlencode()}
        return super().changelist_view(
            request,
            {**(extra_context or {}), "chips": chips, "everything": everything, "refreshed_at": now()},
        )

    refresh_state = REFRESH.on_page()

    def press(self, request: HttpRequest, form: CommandForm, object_id: str) -> HttpResponse:
        """Ask the pile for this gun's state (0x12 on the wire)."""
        gun = self.row(request, object_id)
        command = ReadRealtime(connector_no=gun.connector_no)
        send_from_page(self, request, gun.pile, gun, commands=[command], reason=form.cleaned_data["reason"])
        return self.back_to(request, gun)

    @display(description=_("state"))
    def state_shown(self, obj: Connector) -> str:
        """As a label."""
        return shown.state(obj.status, GUN_TONES)

    @display(description=_("reported at"))
    def reported_shown(self, obj: Connector) -> str:
        """Of the last word."""
        return shown.moment(obj.status.reported_at)

    @display(description=_("power now"))
    def power_shown(self, obj: Connector) -> str:
        """Present output."""
        return f"{obj.status.power_kw:.1f} kW"

    @display(description=_("voltage and current"))
    def volts_shown(self, obj: Connector) -> str:
        """Of the output."""
        return f"{obj.status.voltage_v} V · {obj.status.current_a} A"

    @display(description=_("SOC"))
    def soc_shown(self, obj: Connector) -> str:
        """Charge of the battery."""
        return f"{obj.status.soc_percent} %" if obj.status.soc_percent else shown.EMPTY

    @display(description=_("energy"))
    def energy_shown(self, obj: Connector) -> str:
        """Of the running charge."""
        return f"{obj.status.energy_kwh:.4f} " + pgettext("unit", "kWh")

    @display(description=_("pile's amount"))
    def amount_shown(self, obj: Connector) -> str:
        """As the pile counts it."""
        return shown.yuan(obj.status.amount_yuan)

    @display(description=_("time and rest (min)"))
    def minutes_shown(self, obj: Connector) -> str:
        """Charged, and what is left."""
        return f"{obj.status.charge_minutes} / {obj.status.remaining_minutes}"

    @display(description=_("transaction number"))
    def transaction_shown(self, obj: Connector) -> str:
        """Of the running charge."""
        return obj.status.transaction_no or shown.EMPTY

    @display(description=_("ground lock"))
    def lock_shown(self, obj: Connector) -> str:
        """Where it is, and when it said so; guns without one never report."""
        lock = getattr(obj, "lock", None)
        if lock is None:
            return shown.EMPTY
        return format_html("{} {}", shown.state(lock, LOCK_TONES), shown.moment(lock.reported_at))

    @display(description=_("parking space"))
    def space_shown(self, obj: Connector) -> str:
        """Whether a car stands there, and the lock's battery."""
        lock = getattr(obj, "lock", None)
        if lock is None:
            return shown.EMPTY
        space = _("occupied") if lock.is_occupied else _("empty")
        trouble = f" · {_('alarm')}" if lock.has_alarm else ""
        return f"{space} · {_('battery')} {lock.battery_percent} %{trouble}"

    @display(description=_("fault bits"))
    def fault_shown(self, obj: Connector) -> str:
        """As the pile sends them."""
        return f"0x{obj.status.fault_bits:04X}"


class OpenFilter(admin.SimpleListFilter):
    """Open alarms, or closed ones."""

    title = _("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Open, closed."""
        return [("1", pgettext_lazy("alarm", "open")), ("0", pgettext_lazy("alarm", "closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        """By whether somebody or something closed it."""
        if self.value() in ("0", "1"):
            return queryset.filter(closed_at__isnull=self.value() == "1")
        return queryset


class CloseForm(BaseDialogForm):
    """Why an alarm is closed."""

    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


@admin.register(Alarm, site=tenant_site)
class AlarmAdmin(ReadOnlyAdmin):
    """What somebody must look at."""

    list_display = [
        "kind",
        "pile_code",
        "connector_no",
        "subject",
        "count",
        "state_shown",
        "since_shown",
        "last_shown",
    ]
    list_filter = [OpenFilter, ("kind", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter)]
    search_fields = ["pile_code", "subject"]
    fields = [
        ("kind", "state_shown"),
        ("pile_code", "connector_no"),
        "subject",
        ("count", "since_shown"),
        ("last_shown", "closed_shown"),
        "detail_shown",
    ]
    actions_detail = ["close_alarm"]

    @action(
        description=_("Close alarm"),
        url_path="close",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["close"],
        dialog={
            "title": _("Close alarm"),
            "description": _("If the cause is still there, it is raised again."),
            "form_class": CloseForm,
            "form_submit_text": _("Close alarm"),
        },
    )
    def close_alarm(self, request: HttpRequest, form: CloseForm, object_id: str) -> HttpResponse:
        """Close it with a reason."""
        alarm = self.row(request, object_id)
        services.close_alarm(
            kind=AlarmKind(alarm.kind),
            pile_code=alarm.pile_code,
            connector_no=alarm.connector_no,
            subject=alarm.subject,
        )
        self.audit(request, "closed", alarm, reason=form.cleaned_data["reason"])
        return self.back_to(request, alarm, _("The alarm is closed."))

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change alarms."""
        return self.allowed(request, "change_alarm")

    @display(description=_("state"), ordering="closed_at")
    def state_shown(self, obj: Alarm) -> str:
        """Open or closed."""
        if obj.closed_at is None:
            return shown.label(pgettext_lazy("alarm", "open"), "danger")
        return shown.label(pgettext_lazy("alarm", "closed"), "neutral")

    @display(description=_("since"), ordering="created_at")
    def since_shown(self, obj: Alarm) -> str:
        """Of the first time."""
        return shown.moment(obj.created_at)

    @display(description=_("last time"), ordering="updated_at")
    def last_shown(self, obj: Alarm) -> str:
        """Of the last time."""
        return shown.moment(obj.updated_at)

    @display(description=_("closed at"))
    def closed_shown(self, obj: Alarm) -> str:
        """If it was."""
        return shown.moment(obj.closed_at)

    @display(description=_("detail"))
    def detail_shown(self, obj: Alarm) -> str:
        """The facts."""
        return "; ".join(f"{name}: {value}" for name, value in obj.detail.items()) or shown.EMPTY


# --- What a station's pages show of its guns --------------------------------------------------------------


def station_guns(stations: Sequence[Station]) -> dict[int, SafeString]:
    """Return the line of guns by state for each station, in one query."""
    rows = (
        ConnectorStatus.objects.filter(connector__pile__station__in=stations)
        .exclude(connector__pile__state=PileState.RETIRED)
        .values_list("connector__pile__station_id", "state")
    )
    states: dict[int, list[str]] = {}
    for station_id, state in rows:
        states.setdefault(station_id, []).append(state)
    return {station.pk: guns_line(states.get(station.pk, [])) for station in stations}


def station_panel(request: HttpRequest, station: Station) -> dict[str, Any]:
    """Return the guns of a station by state, and where their wall and their piles are."""
    wall = f"{reverse('admin:piles_connector_changelist')}?pile__station__id__exact={station.pk}"
    piles = f"{reverse('admin:piles_pile_changelist')}?station__id__exact={station.pk}"
    return {"guns": station_guns([station])[station.pk], "wall": wall, "piles": piles}


tenant_site.unregister(Station)


@admin.register(Station, site=tenant_site)
class StationWithPilesAdmin(StationCommands, StationAdmin):
    """A station's page, with what can be sent to all of its piles."""

    actions_detail = [
        "refresh_state",
        "sync_clock",
        {**MENU, "items": [*MENU["items"], "limit_power"]},
        *StationAdmin.actions_detail,
    ]


pages.add_column(Station, pages.Column("guns", _("guns"), station_guns))
pages.add_panel(
    Station,
    pages.Panel(
        _("Guns now"), "backoffice/station_guns.html", station_panel, "piles.view_connector", above=True
    ),
)

from apps.piles import device_admin  # noqa: E402, F401 -- a page of its own, found by the admin through this module
