"""Claiming, giving, reserving, using and ending coupons. Lock order: … order → wallet → coupon.

A template's row serialises its claims: taking one from the stock is an update of the row that holds until commit, so
the driver's earlier coupons are counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from apps.common.ids import Actor
from apps.common.time import business_day, now
from apps.coupons.enums import CouponState
from apps.coupons.errors import (
    ClaimClosed,
    ClaimedBefore,
    CouponNotFound,
    CouponNotUsable,
    CouponNotVoidable,
    CouponsGone,
)
from apps.coupons.models import Coupon, CouponTemplate
from apps.coupons.rules import days_of_use
from apps.coupons.wording import obstacle_words
from apps.customers import inbox
from apps.customers.models import Customer, InboxKind
from apps.tenancy import features

log = structlog.get_logger(__name__)

EXPIRE_AT_ONCE = 5_000
FEATURE = "marketing"
"""What a tenant's package has to have for coupons to be given; those given stay good without."""


# --- Getting coupons --------------------------------------------------------------------------------------


def claimable(*, at: datetime | None = None) -> QuerySet[CouponTemplate]:
    """Return the templates that drivers may claim now, the one that ends first at the top."""
    moment = at or now()
    offered = CouponTemplate.objects.all() if features.has(FEATURE) else CouponTemplate.objects.none()
    return (
        offered.filter(
            Q(claim_from=None) | Q(claim_from__lte=moment),
            Q(claim_until=None) | Q(claim_until__gt=moment),
            Q(last_day=None) | Q(last_day__gte=business_day(moment)),
            Q(stock=None) | Q(claimed__lt=F("stock")),
            is_active=True,
            is_public=True,
        )
        .prefetch_related("stations")
        .order_by(F("last_day").asc(nulls_last=True), "id")
    )


def claim(*, customer: Customer, template_id: int, request_key: str, at: datetime | None = None) -> Coupon:
    """Give a driver one coupon of a template, once per `request_key`; a repeated request returns the first.

    Raises CouponNotFound, ClaimClosed outside the time of claims, CouponsGone when the stock is used up, and
    ClaimedBefore when the driver has as many as one customer may, FeatureMissing where the tenant's package has none.
    """
    features.require(FEATURE)
    moment = at or now()
    template = CouponTemplate.objects.filter(pk=template_id).first()
    if template is None or not template.is_public:
        raise CouponNotFound
    first = Coupon.objects.filter(customer=customer, request_key=request_key).first()
    if first is not None:
        return _same(first, template_id)
    try:
        with transaction.atomic():
            return _issue(template_id, customer, request_key, moment, given_by="")
    except IntegrityError as error:
        if "Key (customer_id, request_key)" not in str(error):
            raise
        return _same(Coupon.objects.get(customer=customer, request_key=request_key), template_id)


def _same(coupon: Coupon, template_id: int) -> Coupon:
    """A key that another claim has used takes no second coupon."""
    if coupon.template_id != template_id:
        raise ClaimedBefore
    return coupon


def _issue(template_id: int, customer: Customer, request_key: str, at: datetime, *, given_by: str) -> Coupon:
    """Take one from the stock and write the coupon, under the template's row lock."""
    template = CouponTemplate.objects.select_for_update().get(pk=template_id)
    _check_open(template, at, by_staff=bool(given_by))
    if template.stock is not None and template.claimed >= template.stock:
        raise CouponsGone
    owned = Coupon.objects.filter(template=template, customer=customer).exclude(state=CouponState.VOID)
    if owned.count() >= template.per_customer:
        raise ClaimedBefore
    first_day, last_day = days_of_use(
        claimed_on=business_day(at),
        first_day=template.first_day,
        last_day=template.last_day,
        days_valid=template.days_valid,
    )
    CouponTemplate.objects.filter(pk=template.pk).update(claimed=F("claimed") + 1)
    return Coupon.objects.create(
        template=template,
        customer=customer,
        rule=template.rule().to_json(),
        first_day=first_day,
        last_day=last_day,
        request_key=request_key,
        given_by=given_by,
        created_at=at,
    )


def _check_open(template: CouponTemplate, at: datetime, *, by_staff: bool) -> None:
    """Staff give also what drivers cannot claim, and outside the time of claims, but nothing that is over."""
    over = template.last_day is not None and template.last_day < business_day(at)
    if not template.is_active or over:
        raise ClaimClosed
    if by_staff:
        return
    early = template.claim_from is not None and at < template.claim_from
    late = template.claim_until is not None and at >= template.claim_until
    if early or late or not template.is_public:
        raise ClaimClosed


@dataclass(frozen=True)
class Given:
    """What became of giving coupons: how many, whom the rule left out, and whether the stock ran out."""

    given: int
    had_enough: int
    stock_short: int


def give(
    *,
    template_id: int,
    customers: Iterable[Customer],
    actor: Actor,
    batch: str,
    at: datetime | None = None,
) -> Given:
    """Give one coupon to each customer, once per `batch`; those who have as many as they may are passed over.

    Each customer is a transaction of its own, so a repeated batch goes on where a killed one stopped. Raises
    CouponNotFound, ClaimClosed, and FeatureMissing where the tenant's package has no coupons.
    """
    features.require(FEATURE)
    moment = at or now()
    if not CouponTemplate.objects.filter(pk=template_id).exists():
        raise CouponNotFound
    given = had_enough = stock_short = 0
    for customer in customers:
        key = f"given:{batch}"[:64]
        if Coupon.objects.filter(customer=customer, request_key=key).exists():
            continue
        try:
            with transaction.atomic():
                coupon = _issue(template_id, customer, key, moment, given_by=str(actor)[:100] or actor.kind)
                words = {"name": coupon.terms.name}
                inbox.post(inbox.News(customer.pk, InboxKind.COUPON_GIVEN, str(coupon.pk), words), at=moment)
            given += 1
        except ClaimedBefore:
            had_enough += 1
        except CouponsGone:
            stock_short += 1
        except IntegrityError as error:
            if "Key (customer_id, request_key)" not in str(error):
                raise
    log.info("coupons_given", template_id=template_id, given=given, by=str(actor))
    return Given(given, had_enough, stock_short)


# --- Using coupons ----------------------------------------------------------------------------------------


def obstacle(coupon: Coupon, *, station_id: int, at: datetime) -> str:
    """Why a charge that begins `at` at a station cannot use the coupon (wording.OBSTACLES); "" if it can.

    The state is not looked at: a coupon that a charge has reserved stays good for it.
    """
    day = business_day(at)
    if day < coupon.first_day or (coupon.last_day is not None and day > coupon.last_day):
        return "date"
    return coupon.terms.obstacle(station_id=station_id, at=at)


def usable(*, customer: Customer, station_id: int, at: datetime) -> list[Coupon]:
    """Return the available coupons that a charge beginning `at` at a station may use, oldest first."""
    mine = Coupon.objects.filter(customer=customer, state=CouponState.AVAILABLE).order_by("id")
    return [coupon for coupon in mine if not obstacle(coupon, station_id=station_id, at=at)]


def reserve(*, customer: Customer, coupon_id: int, order_no: str, station_id: int, at: datetime) -> Coupon:
    """Set a coupon aside for an order that begins `at`. Inside `atomic()`, after the wallet's lock.

    Raises CouponNotFound, also for another driver's, and CouponNotUsable with the reason.
    """
    coupon = Coupon.objects.select_for_update().filter(pk=coupon_id, customer=customer).first()
    if coupon is None:
        raise CouponNotFound
    if coupon.state == CouponState.RESERVED and coupon.order_no == order_no:
        return coupon
    _check_usable(coupon, station_id=station_id, at=at)
    coupon.state = CouponState.RESERVED
    coupon.order_no = order_no
    coupon.reserved_at = at
    coupon.save(update_fields=["state", "order_no", "reserved_at", "updated_at"])
    return coupon


def chosen(*, customer: Customer, coupon_id: int, station_id: int, at: datetime) -> Coupon:
    """Return a driver's coupon that a charge beginning `at` could reserve; raises as `reserve` does."""
    coupon = Coupon.objects.filter(pk=coupon_id, customer=customer).first()
    if coupon is None:
        raise CouponNotFound
    _check_usable(coupon, station_id=station_id, at=at)
    return coupon


def _check_usable(coupon: Coupon, *, station_id: int, at: datetime) -> None:
    reason = "taken" if coupon.state != CouponState.AVAILABLE else ""
    reason = reason or obstacle(coupon, station_id=station_id, at=at)
    if reason:
        raise CouponNotUsable(why=obstacle_words(reason), reason=reason)


class Purse:
    """The coupons that one or many orders may use, locked together. Inside `atomic()`, after the wallets' locks."""

    def __init__(self, orders: Mapping[str, int]) -> None:
        """Lock the coupons for these orders, number → customer's id: those they reserved, and what is available."""
        locked = (
            Coupon.objects.select_for_update()
            .filter(Q(state=CouponState.AVAILABLE) | Q(state=CouponState.RESERVED, order_no__in=orders))
            .filter(customer_id__in=set(orders.values()))
            .order_by("id")
        )
        self._coupons = list(locked) if orders else []

    def of_order(self, *, customer_id: int, order_no: str, station_id: int, at: datetime) -> list[Coupon]:
        """Return the coupons that an order which began `at` may use, oldest first.

        The one that it reserved, alone; else every available one that was valid then.
        """
        mine = [coupon for coupon in self._coupons if coupon.customer_id == customer_id]
        reserved = [
            coupon for coupon in mine if coupon.state == CouponState.RESERVED and coupon.order_no == order_no
        ]
        return reserved or [
            coupon
            for coupon in mine
            if coupon.state == CouponState.AVAILABLE and not obstacle(coupon, station_id=station_id, at=at)
        ]

    def release(self, *, order_no: str) -> None:
        """Give back what an order reserved, as `release` does; the next order may use it."""
        release(order_no=order_no)
        for coupon in self._coupons:
            if coupon.state == CouponState.RESERVED and coupon.order_no == order_no:
                coupon.state, coupon.order_no, coupon.reserved_at = CouponState.AVAILABLE, "", None


def use(coupon: Coupon, *, order_no: str, saved: Decimal, at: datetime) -> None:
    """Spend a locked coupon on an order that it saved `saved` yuan."""
    coupon.state = CouponState.USED
    coupon.order_no = order_no
    coupon.saved = saved
    coupon.used_at = at
    coupon.save(update_fields=["state", "order_no", "saved", "used_at", "updated_at"])


def release(*, order_no: str) -> None:
    """Give back what an order reserved. Nothing happens when it reserved none, or used it."""
    Coupon.objects.filter(order_no=order_no, state=CouponState.RESERVED).update(
        state=CouponState.AVAILABLE, order_no="", reserved_at=None, updated_at=now()
    )


# --- Ending coupons ---------------------------------------------------------------------------------------


def expire(*, at: datetime | None = None) -> int:
    """Mark available coupons whose last day is over; returns how many. A reserved one stays good for its charge."""
    today = business_day(at or now())
    over: Sequence[int] = []
    with transaction.atomic():
        over = list(
            Coupon.objects.select_for_update(skip_locked=True)
            .filter(state=CouponState.AVAILABLE, last_day__lt=today)
            .order_by("id")
            .values_list("pk", flat=True)[:EXPIRE_AT_ONCE]
        )
        Coupon.objects.filter(pk__in=over).update(state=CouponState.EXPIRED, updated_at=now())
    if over:
        log.info("coupons_expired", count=len(over))
    return len(over)


def void(*, coupon_id: int, actor: Actor, reason: str) -> Coupon:
    """Make a coupon worthless. Again changes nothing. Raises CouponNotFound, CouponNotVoidable."""
    with transaction.atomic():
        coupon = Coupon.objects.select_for_update().filter(pk=coupon_id).first()
        if coupon is None:
            raise CouponNotFound
        if coupon.state == CouponState.VOID:
            return coupon
        if coupon.state not in {CouponState.AVAILABLE, CouponState.EXPIRED}:
            raise CouponNotVoidable
        coupon.state = CouponState.VOID
        coupon.ended_by = str(actor)[:100]
        coupon.ended_why = reason[:200]
        coupon.save(update_fields=["state", "ended_by", "ended_why", "updated_at"])
    log.info("coupon_void", coupon_id=coupon_id, by=str(actor))
    return coupon
