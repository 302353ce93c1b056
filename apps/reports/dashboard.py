"""What the two back offices show first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from django.core.cache import cache
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from apps.backoffice import todo
from apps.backoffice.todo import Place
from apps.common.schema import in_public
from apps.common.time import business_day, now
from apps.franchisees.selectors import franchisee_of
from apps.piles.enums import ConnectorState
from apps.reports import places, platform, selectors
from apps.reports.places import Chosen, NoSuchPlace, States
from apps.reports.samples import online_a_day_ago
from apps.reports.selectors import Change, Sums
from apps.sites.models import Station

CHART_DAYS = 14
HOUR_DAYS = 7
COMPARED_DAYS = 60
FIGURES_KEPT_S = 10
HISTORY_KEPT_S = 60
"""Everybody who looks at one place shares its figures for so long: pages that are open renew themselves."""

GUN_TONES = (
    (ConnectorState.CHARGING, "info"),
    (ConnectorState.IDLE, "success"),
    (ConnectorState.PLUGGED, "warning"),
    (ConnectorState.FAULT, "danger"),
    (ConnectorState.OFFLINE, "neutral"),
)
_REMEMBERED = "overview_at"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of a back office's first page; money and guns only to who may see them.

    `?at=` chooses a place of the tree, which the session remembers; `?part=now` leaves out what is of earlier days.
    """
    context["title"] = _("Overview")
    if in_public():
        return {**context, **platform.overview(request)}
    can = request.user.has_perm  # type: ignore[union-attr]
    moment = now()
    chosen = _chosen(request) if can("sites.view_station") else Chosen()
    seen = places.stations_seen(request.user)
    here = here_of(chosen, seen, request.user)
    states = places.guns_by_station([station.pk for station in seen]) if can("piles.view_connector") else {}
    overview: dict[str, Any] = {
        "overview_at": moment,
        "chosen": chosen,
        "figures": [],
        "todo": todo.waiting(request, chosen.place),
    }
    if can("orders.view_order"):
        overview["figures"] = business(moment, here)
    if can("piles.view_connector"):
        overview |= guns(moment, here, states_at(here, states), is_everywhere=chosen.place.is_everywhere)
    if can("sites.view_station"):
        overview["tree"] = places.tree(seen, states, chosen)
        overview["tree_states"] = {station.pk: _tree_states(states.get(station.pk, {})) for station in seen}
        if chosen.station and can("piles.view_connector"):
            overview["open_piles"] = places.piles_of(chosen.station, request.user)
    if can("orders.view_order") and request.GET.get("part") != "now":
        overview |= history(moment, here)
        shown = [station for station in seen if station.pk in (here.stations or ())]
        overview["stations"] = selectors.station_lines(shown, states, by_station(moment, here))
    return {**context, **overview}


def _chosen(request: HttpRequest) -> Chosen:
    """The place that was asked for, or the one of last time as long as it is there."""
    asked = request.GET.get("at")
    try:
        found = places.choose(request.session.get(_REMEMBERED, "") if asked is None else asked, request.user)
    except NoSuchPlace:
        if asked is not None:
            raise Http404 from None
        found = Chosen()
    if request.GET.get("part") != "now" and found.key != request.session.get(_REMEMBERED, ""):
        request.session[_REMEMBERED] = found.key
    return found


def here_of(chosen: Chosen, seen: Sequence[Station], person: Any) -> Place:
    """The place with its stations by name, which is what the figures' indexes go by.

    A franchisee's account is shown nothing of the days before a station was its own.
    """
    place = chosen.place
    if place.is_everywhere:
        place = Place(frozenset(station.pk for station in seen))
    return replace(place, franchisee=franchisee_of(person))


def states_at(here: Place, states: Mapping[int, States]) -> States:
    """Return the guns of a place by state, from those of its stations."""
    if here.pile:
        return selectors.gun_states(place=here)
    stations = here.stations or frozenset()
    return {
        state: sum(states.get(station, {}).get(state, 0) for station in stations) for state in ConnectorState
    }


def _tree_states(states: States) -> list[Any]:
    """Charging, guns, tone: what the tree shows of a station."""
    return [
        states.get(ConnectorState.CHARGING, 0),
        sum(states.values()),
        places.tone_of(states),
    ]


def business(moment: datetime, here: Place) -> list[dict[str, Any]]:
    """Return the tiles of money and energy, against yesterday until the same time of day."""
    return _kept("today", moment, here, FIGURES_KEPT_S, _business)  # type: ignore[no-any-return]


def by_station(moment: datetime, here: Place) -> dict[int, Sums]:
    """Return today's sums by station id: the day's orders are added up once for all that is shown of them."""
    return _kept("stations", moment, here, FIGURES_KEPT_S, _by_station)  # type: ignore[no-any-return]


def _by_station(moment: datetime, here: Place) -> dict[int, Sums]:
    return selectors.by_station(at=moment, place=here)


def _so_far(moment: datetime, here: Place) -> Sums:
    return sum(by_station(moment, here).values(), Sums())


def _business(moment: datetime, here: Place) -> list[dict[str, Any]]:
    today = selectors.today(at=moment, place=here, so_far=_so_far(moment, here))
    starts = selectors.start_rate(at=moment, place=here)
    return [
        _tile(_("Energy today"), f"{today.energy.today:.1f}", pgettext("unit", "kWh"), today.energy),
        _tile(_("Income today"), f"{today.income.today:.2f}", pgettext("unit", "yuan"), today.income),
        _tile(_("Orders today"), str(today.orders.today), pgettext("unit", "orders"), today.orders),
        _rate_tile(_("Starts that succeeded"), starts, reverse("admin:orders_order_changelist")),
    ]


def _tile(title: str, value: str, unit: str, change: Change) -> dict[str, Any]:
    percent = change.percent
    sign = f"{percent:+}%" if percent is not None else ""
    return {"title": title, "value": value, "unit": unit, "change": sign, "tone": _tone(percent)}


def _rate_tile(title: str, rate: Change, link: str, note: str = "") -> dict[str, Any]:
    value = "–" if rate.today is None else f"{rate.today:.1f}"
    points = rate.points
    change = _("%(points)s points") % {"points": f"{points:+}"} if points is not None else ""
    return {
        "title": title,
        "value": value,
        "unit": "" if rate.today is None else "%",
        "change": change,
        "tone": _tone(points),
        "link": link,
        "note": note,
    }


def _tone(change: Decimal | None) -> str:
    return "neutral" if not change else "success" if change > 0 else "danger"


def guns(moment: datetime, here: Place, states: States, *, is_everywhere: bool) -> dict[str, Any]:
    """Return the online rate and the guns by state, each with a link to the gun wall."""
    total = sum(states.values())
    online = total - states.get(ConnectorState.OFFLINE, 0)
    wall = reverse("admin:piles_connector_changelist")
    where = "" if is_everywhere else f"&{todo.station_query('pile__station', here.stations or ())}"
    before = None if here.pile else online_a_day_ago(moment, here.stations)
    rate = Change(
        Decimal(online) * 100 / total if total else None,
        Decimal(before[0]) * 100 / before[1] if before else None,
    )
    note = _("%(online)s of %(total)s") % {"online": online, "total": total}
    return {
        "online": _rate_tile(
            _("Guns online"), rate, f"{wall}?status__state__exact={ConnectorState.OFFLINE.value}{where}", note
        ),
        "gun_states": [
            {
                "label": state.label,
                "tone": tone,
                "count": states.get(state, 0),
                "link": f"{wall}?status__state__exact={state.value}{where}",
            }
            for state, tone in GUN_TONES
        ],
    }


def history(moment: datetime, here: Place) -> dict[str, Any]:
    """Return the last days and the hours of the day as rows of tables and series of charts, and 7 and 30 days compared.

    Numbers are text until they are drawn. Today counts as far as it is; comparisons end with yesterday.
    """
    return _kept("history", moment, here, HISTORY_KEPT_S, _history)


def _history(moment: datetime, here: Place) -> dict[str, Any]:
    today = business_day(moment)
    yesterday = today - timedelta(days=1)
    sums = dict(selectors.by_day(last=yesterday, days=COMPARED_DAYS, place=here))
    sums[today] = _so_far(moment, here)
    return {
        "days": days([(day, sums[day]) for day in sorted(sums)[-CHART_DAYS:]]),
        "hours": hours(today, here),
        "spans": [_span(one) for one in selectors.spans(sums, last=yesterday)],
    }


def _kept(name: str, moment: datetime, here: Place, seconds: int, work_out: Callable[..., Any]) -> Any:
    """Return what `work_out` says of a place, the same to everybody for so many seconds; in the reader's language."""
    where = repr((sorted(here.stations or ()), here.pile, here.gun, here.franchisee))
    digest = sha256(where.encode()).hexdigest()[:32]
    key = f"overview:{name}:{business_day(moment)}:{get_language()}:{digest}"
    found = cache.get(key)
    if found is None:
        found = work_out(moment, here)
        cache.set(key, found, seconds)
    return found


def days(rows: Sequence[tuple[date, Sums]]) -> dict[str, Any]:
    """Return days as rows of a table, newest first, and as the series of its chart."""
    return {
        "rows": [{"day": day, "sums": sums} for day, sums in reversed(rows)],
        "chart": {
            "labels": [f"{day:%m-%d}" for day, _sums in rows],
            "series": _series([sums for _day, sums in rows]),
            "names": _names(),
        },
    }


def hours(today: date, here: Place) -> dict[str, Any]:
    """Return the hours of the day in which charges began, on average of the last full days."""
    sums = selectors.by_hour(
        first=today - timedelta(days=HOUR_DAYS), last=today - timedelta(days=1), place=here
    )
    rows = [
        {
            "hour": f"{hour:02d}:00",
            "orders": f"{Decimal(one.orders) / HOUR_DAYS:.1f}",
            "energy": f"{one.energy_kwh / HOUR_DAYS:.1f}",
        }
        for hour, one in enumerate(sums)
    ]
    return {
        "rows": rows,
        "chart": {
            "labels": [row["hour"] for row in rows],
            "series": {"orders": [row["orders"] for row in rows], "energy": [row["energy"] for row in rows]},
            "names": _names(),
        },
    }


def _series(sums: Sequence[Sums]) -> dict[str, list[str]]:
    return {
        "electricity": [str(one.electricity_fee) for one in sums],
        "service": [str(one.service_fee) for one in sums],
        "energy": [str(one.energy_kwh) for one in sums],
    }


def _names() -> dict[str, str]:
    return {
        "electricity": _("electricity fee"),
        "service": _("service fee"),
        "energy": _("energy"),
        "orders": _("orders"),
        "yuan": pgettext("unit", "yuan"),
        "kwh": pgettext("unit", "kWh"),
    }


def _span(span: selectors.Span) -> dict[str, Any]:
    pairs = (
        (_("Energy"), pgettext("unit", "kWh"), span.now.energy_kwh, span.before.energy_kwh, "{:.1f}"),
        (_("Income"), pgettext("unit", "yuan"), span.now.income, span.before.income, "{:.2f}"),
        (_("Orders"), pgettext("unit", "orders"), span.now.orders, span.before.orders, "{}"),
    )
    return {
        "days": span.days,
        "rows": [
            {**_tile(title, form.format(now_), unit, Change(now_, before)), "before": form.format(before)}
            for title, unit, now_, before, form in pairs
        ],
    }
