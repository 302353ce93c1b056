"""How far a pile's clock is off, and what that does to a bill. Pure: no tables, no clock.

The end of a charge is the moment that both sides see: the platform by the pile's change of state, the pile in its
record. Only a record that came within a minute of the end says something; one from a pile's memory may come days
later. What is seen leaves room (a pile that charges reports every 15 s), and the smallest error that explains it is
taken, so that a right clock is never measured as wrong.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from apps.pricing.tariff import RateClass, Tariff

SENT_WITHIN = timedelta(seconds=60)
REPORT_EVERY = timedelta(seconds=15)
"""How often a pile that charges reports (YKC V1.6, 7.2): the end may be so much older than the report of it."""
STEP = timedelta(minutes=30)


def offset_of_record(
    *, end_time: datetime, received_at: datetime, ended_seen: datetime | None
) -> Decimal | None:
    """Return by how many seconds a record's clock is ahead (+) or behind (−); None when it cannot be said.

    `ended_seen` is when the platform saw the charge end. Without it, or for a late record, only an end in the future
    tells something: the clock is ahead by that much at least.
    """
    latest = received_at if ended_seen is None else min(ended_seen, received_at)
    if ended_seen is None or received_at - ended_seen > SENT_WITHIN:
        return _seconds(end_time - received_at) if end_time > received_at else None
    if end_time > latest:
        return _seconds(end_time - latest)
    if end_time < latest - REPORT_EVERY:
        return _seconds(end_time - (latest - REPORT_EVERY))
    return Decimal("0.0")


def moved_shares(
    *, start: datetime, end: datetime, offset_s: Decimal, tariff: Tariff
) -> dict[RateClass, Decimal]:
    """Return the share of the charge that a right clock would put into each class more (+) or less (−).

    `start` and `end` are the pile's; energy is taken as even over the time. Empty when nothing moves.
    """
    if end <= start or not tariff.slots:
        return {}
    shift = timedelta(milliseconds=int(offset_s * 1000))
    told, true = _shares(start, end, tariff), _shares(start - shift, end - shift, tariff)
    moved = {name: true.get(name, Decimal(0)) - told.get(name, Decimal(0)) for name in {*told, *true}}
    return {name: moved[name] for name in RateClass if moved.get(name)}


def _shares(start: datetime, end: datetime, tariff: Tariff) -> dict[RateClass, Decimal]:
    shares: dict[RateClass, Decimal] = {}
    whole = _seconds(end - start)
    moment = start
    while moment < end:
        # Half hours are the same in every zone that is used here: China is eight whole hours ahead of UTC.
        until = moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0) + STEP
        name = tariff.class_at(moment)
        shares[name] = shares.get(name, Decimal(0)) + _seconds(min(until, end) - moment) / whole
        moment = until
    return shares


def _seconds(duration: timedelta) -> Decimal:
    return Decimal(duration // timedelta(milliseconds=1)) / 1000
