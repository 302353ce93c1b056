"""What drivers pay changes by more than the tenant's threshold: a second person approves it before it counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import approvals, audit
from apps.backoffice.approvals import Operation
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.time import now
from apps.pricing import services
from apps.pricing.changes import DEFAULT_PERCENT, change_percent
from apps.pricing.errors import NoPrice
from apps.pricing.models import RetailPrice
from apps.pricing.selectors import retail_prices, station_versions
from apps.pricing.tariff import ClassPrice, RateClass, Tariff, prices_from_json, prices_to_json
from apps.sites.models import Station

Prices = Mapping[RateClass, ClassPrice]


def sold_before(*, station: Station, at: datetime) -> tuple[Tariff, Prices]:
    """Return the infrastructure tariff and the retail prices in force at a station. Raises NoPrice without a tariff."""
    version = station_versions(station_ids=[station.pk], at=at).get(station.pk)
    if version is None:
        raise NoPrice
    return version.to_tariff(), retail_prices(station_ids=[station.pk], at=at).get(station.pk, {})


def request_retail(
    *,
    station: Station,
    prices: Prices,
    starts_at: datetime,
    actor: Actor,
    note: str,
    address: str | None = None,
) -> Approval:
    """Let drivers pay `prices` at a station: at once where that changes little, else after a second person.

    How much is the tenant's rule, in per cent of what drivers pay when the prices begin to count. The note is the
    reason that the second person reads. Raises NoPrice, and ReasonMissing where a second person needs one.
    """
    tariff, before = sold_before(station=station, at=max(starts_at, now()))
    percent = change_percent(tariff.sold_at(before), tariff.sold_at(prices))
    reason = note
    if not note.strip() and not approvals.needs_second_person(RETAIL.code, percent):
        reason = str(station)
    payload = {
        "station": station.pk,
        "prices": prices_to_json(prices),
        "before": prices_to_json(before),
        "starts_at": starts_at.isoformat(),
        "note": note,
    }
    changes = {
        gettext_noop("starts at"): [None, starts_at],
        gettext_noop("prices (yuan/kWh)"): [
            prices_to_json(tariff.sold_at(before).prices),
            prices_to_json(tariff.sold_at(prices).prices),
        ],
    }
    return approvals.request(
        RETAIL,
        station,
        payload,
        actor,
        reason,
        amount=percent,
        changes={name: pair for name, pair in changes.items() if pair[0] != pair[1]},
        address=address,
    )


def _set(payload: dict[str, Any], actor: Actor) -> None:
    """Never for the past: what was charged before the approval had its price."""
    words = payload["approval"]
    made = services.set_retail_price(
        station=Station.objects.get(pk=payload["station"]),
        prices=prices_from_json(payload["prices"]),
        starts_at=max(datetime.fromisoformat(payload["starts_at"]), now()),
        actor=Actor(actor.kind, actor.id, words["requested_by"]),
        note=payload["note"],
    )
    changes = {"prices": [payload["before"], made.prices], "starts_at": [None, made.starts_at]}
    audit.record(actor, "pricing.retailprice_added", made, changes=changes, reason=words["reason"])


def _sold_now(station: Station, payload: dict[str, Any]) -> list[Any]:
    """What the second person compared with: the price version and the retail price that are in force."""
    at = max(datetime.fromisoformat(payload["starts_at"]), now())
    version = station_versions(station_ids=[station.pk], at=at).get(station.pk)
    retail = RetailPrice.objects.filter(station=station, starts_at__lte=at).order_by("-starts_at", "-id")
    return [version.pk if version else None, retail.values_list("pk", flat=True).first()]


RETAIL = approvals.register(
    Operation(
        "pricing.retail",
        _("Change retail prices by more than the threshold"),
        "pricing.approve_assignment",
        execute=_set,
        rule=ApprovalRule.ABOVE,
        threshold=DEFAULT_PERCENT,
        unit=approvals.PERCENT,
        version=_sold_now,
    )
)
