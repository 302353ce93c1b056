"""What a running charge has cost at retail prices, which its pile does not know.

A pile reports energy in total, not by class. What was charged in which half hour is read from its telemetry, but only
where the classes so far have different prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from apps.common.money import round_fen
from apps.orders.models import Order
from apps.piles.models import ConnectorStatus
from apps.pricing.tariff import Tariff

HALF_HOUR = timedelta(minutes=30)
NOTHING = Decimal(0)


def spent_at_retail(order: Order, words: Sequence[ConnectorStatus], at: datetime) -> Decimal:
    """Return what the energy that the guns' last words report costs at retail prices, yuan to the fen.

    Energy that no telemetry explains yet is counted at the price of `at`.
    """
    tariff = order.frozen_retail_tariff()
    energy = sum((word.energy_kwh for word in words), NOTHING)
    begin = order.charging_at or order.started_at or order.created_at
    prices = _prices_between(tariff, begin, at)
    if len(prices) == 1:
        return round_fen(energy * prices.pop())
    explained = cost = NOTHING
    for half_hour, used in _by_half_hour([word.transaction_no for word in words], begin):
        explained += used
        cost += used * tariff.price_at(half_hour).total
    return round_fen(cost + max(energy - explained, NOTHING) * tariff.price_at(at).total)


def dearest(order: Order, words: Sequence[ConnectorStatus], at: datetime) -> Decimal:
    """Return what that energy costs at most, yuan: all of it in the dearest class so far. Needs no telemetry."""
    begin = order.charging_at or order.started_at or order.created_at
    energy = sum((word.energy_kwh for word in words), NOTHING)
    return energy * max(_prices_between(order.frozen_retail_tariff(), begin, at))


def _prices_between(tariff: Tariff, begin: datetime, end: datetime) -> set[Decimal]:
    """The prices of the half hours from `begin` to `end`, each electricity and service together."""
    if end - begin >= timedelta(days=1):
        return {tariff.prices[rate_class].total for rate_class in tariff.slots}
    found, moment = {tariff.price_at(end).total}, begin
    while moment < end:
        found.add(tariff.price_at(moment).total)
        moment += HALF_HOUR
    return found


def _by_half_hour(numbers: Sequence[str], begin: datetime) -> list[tuple[datetime, Decimal]]:
    """The energy (kWh) of each half hour by the telemetry of these transactions."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT half_hour, sum(used) FROM (
                SELECT half_hour,
                       reached - lag(reached, 1, 0) OVER (PARTITION BY transaction_no ORDER BY half_hour) AS used
                  FROM (SELECT transaction_no, date_bin('30 minutes', at, TIMESTAMPTZ '2020-01-01 00:00:00+08')
                                 AS half_hour, max(energy_kwh) AS reached
                          FROM piles_telemetry
                         WHERE transaction_no = ANY(%s) AND at >= %s AND energy_kwh IS NOT NULL
                         GROUP BY 1, 2) reached_by) used_in
             GROUP BY half_hour ORDER BY half_hour
            """,
            [list(numbers), begin - HALF_HOUR],
        )
        return [(half_hour, max(used, NOTHING)) for half_hour, used in cursor.fetchall()]
