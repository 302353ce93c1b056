"""The gun wall, and the line of guns by state that other pages show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Case, Count, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.common.ids import whole_number
from apps.common.time import now
from apps.piles.command_pages import REFRESH, CommandForm, LockButtons, send_from_page
from apps.piles.commands import ReadRealtime
from apps.piles.enums import ConnectorState, LockState, PileState
from apps.piles.models import Connector

GUN_TONES = {
    ConnectorState.IDLE: "success",
    ConnectorState.CHARGING: "info",
    ConnectorState.PLUGGED: "warning",
    ConnectorState.FAULT: "danger",
    ConnectorState.OFFLINE: "neutral",
}
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
        guns = scope.narrow(Connector.objects.exclude(pile__state=PileState.RETIRED), request.user)
        station = whole_number(request.GET.get("pile__station__id__exact"))
        if station is not None:
            guns = guns.filter(pile__station_id=station)
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
