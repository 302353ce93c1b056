"""Reading the rollups: a range of business days, grouped, narrowed, with its total.

Months that lie wholly in the range are read as one row each where they are summed up, the rest by days; the answer is
the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth
from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError
from apps.common.money import ZERO
from apps.common.time import business_day, now
from apps.franchisees.models import Franchisee
from apps.franchisees.selectors import months_of_change, owned_by, owner
from apps.orders.enums import OrderSource
from apps.piles.models import Connector, Pile
from apps.reports.enums import CustomerKind, Grain, Group, Period
from apps.reports.models import FIGURES, RolledPeriod, Rollup
from apps.sites.models import Station

LONGEST_DAYS = 800
"""So many days a report may span: two years and a bit."""


_GRAIN = {Group.PILE: Grain.GUN, Group.GUN: Grain.GUN, Group.HOUR: Grain.HOUR}
_KEY: dict[Group, Any] = {
    Group.DAY: F("day"),
    Group.MONTH: TruncMonth("day"),
    Group.STATION: F("station_id"),
    Group.PILE: F("connector__pile_id"),
    Group.GUN: F("connector_id"),
    Group.SOURCE: F("source"),
    Group.CUSTOMER: F("customer_kind"),
    Group.HOUR: F("hour"),
    Group.FRANCHISEE: owner(),
}
IN_TIME = frozenset({Group.DAY, Group.MONTH, Group.HOUR})
"""Groups that have an order of their own; the others come by what is due."""
BY_PLACE_ONLY = frozenset({Group.PILE, Group.GUN, Group.HOUR})
"""Groups that cannot be narrowed to a source or a kind of customer."""


class BadRange(DomainError):
    """Days that no report can be made of."""

    code = "reports.bad_range"
    message = _("Choose a first day that is not behind the last one, and at most %(limit)s days.")


class NotTogether(DomainError):
    """A filter that this grouping cannot have."""

    code = "reports.not_together"
    message = _("Source and kind of customer cannot be chosen when a report is grouped by pile, gun or hour.")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `stations` are those to count, None for all; with none of them the answer is empty.

    Of a `franchisee` only the days count on which a station was its own.
    """

    first: date
    last: date
    group: Group = Group.DAY
    stations: Collection[int] | None = None
    source: str = ""
    customer_kind: str = ""
    franchisee: int | None = None

    def __post_init__(self) -> None:
        """Raises BadRange, NotTogether."""
        is_thinkable = self.first.year >= 2000 and self.last.year < 2100
        if not is_thinkable or not 0 <= (self.last - self.first).days < LONGEST_DAYS:
            raise BadRange(limit=LONGEST_DAYS)
        if self.group in BY_PLACE_ONLY and (self.source or self.customer_kind):
            raise NotTogether

    @property
    def grain(self) -> Grain:
        """Which rows answer."""
        return _GRAIN.get(self.group, Grain.STATION)


@dataclass(slots=True)
class Sums:
    """Figures of a group, yuan and kWh; what follows from them is worked out here and nowhere else."""

    orders: int = 0
    energy_kwh: Decimal = Decimal("0.0000")
    electricity_fee: Decimal = ZERO
    service_fee: Decimal = ZERO
    enterprise_discount: Decimal = ZERO
    coupon_discount: Decimal = ZERO
    platform_borne: Decimal = ZERO
    station_borne: Decimal = ZERO
    paid_principal: Decimal = ZERO
    paid_bonus: Decimal = ZERO
    paid_enterprise: Decimal = ZERO
    debt: Decimal = ZERO
    recovered_principal: Decimal = ZERO
    recovered_bonus: Decimal = ZERO
    refunded_electricity: Decimal = ZERO
    refunded_service: Decimal = ZERO
    refunded_principal: Decimal = ZERO
    refunded_bonus: Decimal = ZERO
    refunded_enterprise: Decimal = ZERO
    refunded_debt: Decimal = ZERO
    channel_fee: Decimal = ZERO
    charging_s: int = 0
    available_s: int = 0

    @property
    def fees(self) -> Decimal:
        """Electricity and service fee before discounts."""
        return self.electricity_fee + self.service_fee

    @property
    def discounts(self) -> Decimal:
        """What enterprises and coupons took off."""
        return self.enterprise_discount + self.coupon_discount

    @property
    def payable(self) -> Decimal:
        """What the orders cost their customers."""
        return self.fees - self.discounts

    @property
    def refunded(self) -> Decimal:
        """What of orders went back to wallets, or was taken off debts."""
        return self.refunded_electricity + self.refunded_service

    @property
    def due(self) -> Decimal:
        """What is owed to the operator (应收): payable less refunds."""
        return self.payable - self.refunded

    @property
    def settled(self) -> Decimal:
        """What was paid of it (实收) by wallets and enterprises, at settlement and of debts later, less refunds."""
        return self.settled_principal + self.settled_bonus + self.settled_enterprise

    @property
    def settled_principal(self) -> Decimal:
        """What was paid from principal, less what went back to it."""
        return self.paid_principal + self.recovered_principal - self.refunded_principal

    @property
    def settled_bonus(self) -> Decimal:
        """What was paid from bonus, less what went back to it."""
        return self.paid_bonus + self.recovered_bonus - self.refunded_bonus

    @property
    def settled_enterprise(self) -> Decimal:
        """What was paid by the accounts of enterprises, less what went back to them."""
        return self.paid_enterprise - self.refunded_enterprise

    @property
    def outstanding(self) -> Decimal:
        """What debts grew by: due that nobody has paid."""
        return self.due - self.settled

    @property
    def net(self) -> Decimal:
        """What is left of what was paid without bonus, after the payment channels took their fee."""
        return self.settled_principal + self.settled_enterprise - self.channel_fee

    @property
    def utilisation(self) -> Decimal | None:
        """Percent of the time in which guns were in use, one place; None where there were none."""
        if not self.available_s:
            return None
        return (Decimal(self.charging_s) * 100 / self.available_s).quantize(Decimal("0.1"))


assert tuple(one.name for one in fields(Sums)) == FIGURES


@dataclass(frozen=True, slots=True)
class Row:
    """One group: its key (a day, an id, a word, an hour), its name, and its figures."""

    key: Any
    label: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Report:
    """The answer: a page of rows, all groups together, and until when the running day is in it."""

    question: Question
    rows: list[Row]
    total: Sums
    more: bool
    rolled_at: datetime | None
    missing: list[date] = field(default_factory=list)
    """Days of the range that nobody has summed up yet."""


SORTS = (
    "orders",
    "energy_kwh",
    "fees",
    "discounts",
    "refunded",
    "due",
    "settled",
    "channel_fee",
    "utilisation",
)
_FEES = F("electricity_fee") + F("service_fee")
_DISCOUNTS = F("enterprise_discount") + F("coupon_discount")
_REFUNDED = F("refunded_electricity") + F("refunded_service")
_SORT: dict[str, Any] = {
    "orders": Sum("orders"),
    "energy_kwh": Sum("energy_kwh"),
    "fees": Sum(_FEES),
    "discounts": Sum(_DISCOUNTS),
    "refunded": Sum(_REFUNDED),
    "due": Sum(_FEES - _DISCOUNTS - _REFUNDED),
    "settled": Sum(
        F("paid_principal") + F("paid_bonus") + F("paid_enterprise") + F("recovered_principal") + F("recovered_bonus")
        - F("refunded_principal") - F("refunded_bonus") - F("refunded_enterprise")
    ),
    "channel_fee": Sum("channel_fee"),
    "utilisation": Sum("charging_s"),
}  # fmt: skip


def report(
    question: Question, *, sort: str = "", falling: bool = True, offset: int = 0, limit: int | None = None
) -> Report:
    """Answer a question. Rows come by `sort` (one of SORTS), else in the order of time or by what is due."""
    periods = _periods(question)
    # Stations are the shortest way to the same total.
    total = _sums(_rows(question, Grain.STATION, periods).aggregate(**_AGGREGATES))
    keyed = (
        _rows(question, question.grain, periods).order_by().annotate(key=_KEY[question.group]).values("key")
    )
    if sort in _SORT or question.group not in IN_TIME:
        place = _SORT.get(sort, _SORT["due"])
        order = [F("place").desc(nulls_last=True) if falling else F("place").asc(nulls_first=True), "key"]
    else:
        place, order = None, ["key"]
    if question.grain == Grain.GUN and limit is not None:  # all figures only of the guns that are shown
        keys = list(keyed.annotate(place=place).order_by(*order)[offset : offset + limit + 1])
        shown = [row["key"] for row in keys]
        nobody = Q(key=None) if None in shown else Q()
        keyed, offset = keyed.filter(Q(key__in=[key for key in shown if key is not None]) | nobody), 0
    grouped = keyed.annotate(**_AGGREGATES)
    if question.group in (Group.SOURCE, Group.CUSTOMER):
        grouped = grouped.exclude(key="", s_channel_fee=0)  # how long guns were there has no source
    if place is not None:
        grouped = grouped.annotate(place=place)
    grouped = grouped.order_by(*order)
    found = list(grouped[offset : None if limit is None else offset + limit + 1])
    page = found if limit is None else found[:limit]
    names = _names(question.group, [row["key"] for row in page])
    answered = [Row(row["key"], names(row["key"]), _sums(row)) for row in page]
    rolled_at, missing = state_of(question)
    return Report(question, answered, total, len(found) > len(page), rolled_at, missing)


_AGGREGATES = {f"s_{name}": Sum(name) for name in FIGURES}


def _sums(row: dict[str, Any]) -> Sums:
    empty = Sums()
    return Sums(
        **{name: getattr(empty, name) if row[f"s_{name}"] is None else row[f"s_{name}"] for name in FIGURES}
    )


def _rows(question: Question, grain: Grain, periods: Q) -> QuerySet[Rollup]:
    rows = Rollup.objects.filter(periods, grain=grain)
    if question.stations is not None:
        rows = rows.filter(station__in=question.stations)
    if question.source:
        rows = rows.filter(source__in=[question.source, ""])
    if question.customer_kind:
        rows = rows.filter(customer_kind__in=[question.customer_kind, ""])
    if question.franchisee is not None:
        rows = rows.filter(owned_by(question.franchisee))
    if question.source or question.customer_kind:
        rows = rows.exclude(station=None)  # a fee that nobody's payment bears
    return rows


def _periods(question: Question) -> Q:
    """Which rows hold the range: sums of months that lie in it, days beside them."""
    first, last = question.first, question.last
    days = Q(period=Period.DAY, day__range=(first, last))
    if question.group == Group.DAY:
        return days
    summed = RolledPeriod.objects.filter(period=Period.MONTH, day__gte=first, through__lte=last)
    months = dict(summed.values_list("day", "through"))
    if question.group == Group.FRANCHISEE or question.franchisee is not None:
        for month in months_of_change(first, last):  # whose a station was is asked day by day
            months.pop(month, None)
    if not months:
        return days
    covered = Q(period=Period.MONTH, day__in=list(months))
    rest, begin = Q(), first
    for month, through in sorted(months.items()):
        if begin < month:
            rest |= Q(day__range=(begin, month - timedelta(days=1)))
        begin = through + timedelta(days=1)
    if begin <= last:
        rest |= Q(day__range=(begin, last))
    return covered | (Q(period=Period.DAY) & rest) if rest else covered


def _names(group: Group, keys: list[Any]) -> Any:
    """Return what a key is called, with one query for all."""
    nobody = str(_("not attributed"))
    if group == Group.DAY:
        return lambda key: f"{key:%Y-%m-%d}"
    if group == Group.MONTH:
        return lambda key: f"{key:%Y-%m}"
    if group == Group.HOUR:
        return lambda key: nobody if key is None else f"{key:02d}:00–{key + 1:02d}:00"
    if group in (Group.SOURCE, Group.CUSTOMER):
        words = dict(OrderSource.choices if group == Group.SOURCE else CustomerKind.choices)
        return lambda key: str(words.get(key, key or nobody))
    known: dict[Any, str]
    wanted = [key for key in keys if key is not None]
    if group == Group.FRANCHISEE:
        nobody = str(_("stations of our own"))
        known = dict(Franchisee.objects.filter(pk__in=wanted).values_list("pk", "name"))
    elif group == Group.STATION:
        known = dict(Station.objects.filter(pk__in=wanted).values_list("pk", "name"))
    elif group == Group.PILE:
        piles = Pile.objects.filter(pk__in=wanted).select_related("station")
        known = {pile.pk: f"{pile.pile_code} {pile.name}".strip() for pile in piles}
    else:
        known = dict(Connector.objects.filter(pk__in=wanted).values_list("pk", "code"))
    return lambda key: known.get(key, nobody)


def state_of(question: Question) -> tuple[datetime | None, list[date]]:
    """When the newest of the days was summed up, and which days since the first one that was never were."""
    rolled = RolledPeriod.objects.filter(period=Period.DAY)
    known = dict(rolled.filter(day__range=(question.first, question.last)).values_list("day", "rolled_at"))
    began = rolled.aggregate(first=Min("day"))["first"]
    if began is None:
        return None, []
    first, last = max(question.first, began), min(question.last, business_day(now()))
    missing = [
        day
        for day in (first + timedelta(days=number) for number in range((last - first).days + 1))
        if day not in known
    ]
    return (known[max(known)] if known else None), missing
