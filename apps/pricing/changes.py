"""How much prices change, and the second person that a large change needs before it applies anywhere."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import approvals
from apps.backoffice.approvals import Operation
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.time import now
from apps.piles.models import Pile
from apps.pricing import services
from apps.pricing.models import PriceVersion
from apps.pricing.selectors import effective_version, station_versions
from apps.pricing.tariff import Tariff
from apps.sites.models import Station

PERCENT = Decimal("0.01")
DEFAULT_PERCENT = Decimal(20)
PARTS = (gettext_noop("electricity"), gettext_noop("service"))
"""Of a price, as `Tariff.to_json` names them and the second person reads them."""


def change_percent(old: Tariff, new: Tariff) -> Decimal | None:
    """Return the largest change of a price in any half hour, up or down, in per cent of the old one, two places.

    Electricity, service and their sum are each looked at. None where a price was zero and is not any more.
    """
    largest = Decimal(0)
    for before_class, after_class in zip(old.slots, new.slots, strict=True):
        before, after = old.prices[before_class], new.prices[after_class]
        for was, becomes in (
            (before.electricity, after.electricity),
            (before.service, after.service),
            (before.total, after.total),
        ):
            if was == becomes:
                continue
            if not was:
                return None
            largest = max(largest, abs(becomes - was) / was * 100)
    return largest.quantize(PERCENT)


def price_in_force(*, station: Station | None, pile: Pile | None, at: datetime) -> PriceVersion | None:
    """Return the version that applies at a station, or at one pile, at `at`."""
    if pile is not None:
        return effective_version(pile_id=pile.pk, station_id=pile.station_id, at=at)
    assert station is not None
    return station_versions(station_ids=[station.pk], at=at).get(station.pk)


def request_assignment(
    *,
    version: PriceVersion,
    starts_at: datetime,
    actor: Actor,
    reason: str,
    station: Station | None = None,
    pile: Pile | None = None,
    address: str | None = None,
) -> Approval:
    """Let a version apply to a station or a pile: at once where it changes prices little, else after a second person.

    How much is the tenant's rule for this operation, in per cent of the price in force. A place without a price has
    nothing to compare with. A reason is needed only where a second person is; ReasonMissing says so.
    """
    place: Any = pile or station
    current = price_in_force(station=station, pile=pile, at=max(starts_at, now()))
    percent = change_percent(current.to_tariff(), version.to_tariff()) if current else Decimal(0)
    if not reason.strip() and not approvals.needs_second_person(ASSIGN.code, percent):
        reason = str(version)
    payload = {
        "version": version.pk,
        "station": station.pk if station else None,
        "pile": pile.pk if pile else None,
        "starts_at": starts_at.isoformat(),
    }
    changes = {
        gettext_noop("price version"): [str(current) if current else None, str(version)],
        gettext_noop("starts at"): [None, starts_at],
        gettext_noop("prices"): [
            current.to_tariff().to_json()["prices"] if current else None,
            version.to_tariff().to_json()["prices"],
        ],
        gettext_noop("periods"): [
            _periods(current.to_tariff()) if current else None,
            _periods(version.to_tariff()),
        ],
    }
    return approvals.request(
        ASSIGN,
        place,
        payload,
        actor,
        reason,
        amount=percent,
        changes={name: pair for name, pair in changes.items() if pair[0] != pair[1]},
        address=address,
    )


def _periods(tariff: Tariff) -> dict[str, str]:
    """Return {class: its periods of the day}."""
    found: dict[str, list[str]] = {}
    for period in tariff.periods():
        found.setdefault(period.rate_class.value, []).append(f"{period.start}–{period.end}")
    return {name: ", ".join(times) for name, times in found.items()}


def _place(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "station": Station.objects.get(pk=payload["station"]) if payload["station"] else None,
        "pile": Pile.objects.get(pk=payload["pile"]) if payload["pile"] else None,
    }


def _assign(payload: dict[str, Any], actor: Actor) -> None:
    """Never for the past: what was charged before the approval had its price."""
    services.assign(
        version=PriceVersion.objects.get(pk=payload["version"]),
        starts_at=max(datetime.fromisoformat(payload["starts_at"]), now()),
        actor=actor,
        **_place(payload),
    )


def _price_now(_place_row: Any, payload: dict[str, Any]) -> str:
    """What the second person compared with: the price that is in force at the place."""
    current = price_in_force(**_place(payload), at=max(datetime.fromisoformat(payload["starts_at"]), now()))
    return str(current.pk if current else "")


ASSIGN = approvals.register(
    Operation(
        "pricing.assign",
        _("Change prices by more than the threshold"),
        "pricing.approve_assignment",
        execute=_assign,
        rule=ApprovalRule.ABOVE,
        threshold=DEFAULT_PERCENT,
        unit=approvals.PERCENT,
        version=_price_now,
    )
)
