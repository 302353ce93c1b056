"""Who pays for a charge: the driver's wallet, or the enterprise that the driver is a member of (docs/adr/0010).

An enterprise pays where, when and how much it allows. Limits are those of a calendar month in Asia/Shanghai: what
charges that began in it cost, less refunds, and what running ones hold. They are looked at when a charge starts, under
the lock of the enterprise's account, and cut its hold; what a pile charges beyond its hold is paid all the same. A
member's limit is that of the phone number and of the person: neither a new account nor a new number begins a new month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Case, F, Q, Sum, When
from django.db.models.functions import Least

from apps.common.errors import DomainError
from apps.common.money import ZERO
from apps.common.time import SHANGHAI
from apps.customers.enterprises import membership_of, pays_for
from apps.customers.models import Customer, CustomerState, Enterprise, EnterpriseMember, Payer
from apps.orders.enums import OrderSource, OrderState
from apps.orders.errors import (
    CustomerBlocked,
    EnterpriseDoesNotPay,
    EnterpriseElsewhere,
    EnterpriseHours,
    EnterpriseLimit,
    OwnCouponOnly,
)
from apps.orders.models import Order
from apps.sites import hours
from apps.wallet import enterprise_accounts
from apps.wallet.errors import EnterpriseShort
from apps.wallet.models import Hold
from apps.wallet.services import account_of, lock_accounts, lock_wallet

RUNNING = (
    OrderState.STARTING,
    OrderState.CHARGING,
    OrderState.STOPPING,
    OrderState.SETTLING,
    OrderState.ABNORMAL,
)
BEGAN = Case(
    When(source=OrderSource.OFFLINE_CARD, then=Least("started_at", "created_at")), default=F("created_at")
)
"""When a charge counts as begun. The order of one at a pile that was offline is made when its record comes."""


@dataclass(frozen=True)
class Membership:
    """What a driver's enterprise is to one charge: whose discount counts, and whether it pays."""

    member: EnterpriseMember | None
    pays: bool

    @property
    def enterprise(self) -> Enterprise | None:
        """The enterprise at whose discount the driver charges; None without one."""
        return self.member.enterprise if self.member and self.member.enterprise.is_active else None

    @property
    def payer(self) -> Payer:
        """Whose money it is."""
        return Payer.ENTERPRISE if self.pays else Payer.WALLET


def choose(*, customer: Customer, asked: str | None) -> Membership:
    """Return the driver's enterprise and whether it pays: as `asked` (a Payer), or as the driver chose once.

    Raises EnterpriseDoesNotPay when it is asked to and cannot (enterprises.pays_for).
    """
    member = membership_of(customer=customer)
    can = pays_for(member)
    if asked == Payer.ENTERPRISE and not can:
        raise EnterpriseDoesNotPay
    wanted = asked or (member.payer if member else Payer.WALLET)
    return Membership(member, can and wanted == Payer.ENTERPRISE)


def check_place(*, enterprise: Enterprise, station_id: int, at: datetime) -> None:
    """Refuse a charge at a station or an hour for which the enterprise does not pay.

    Raises EnterpriseElsewhere, EnterpriseHours.
    """
    allowed = set(enterprise.stations.values_list("pk", flat=True))
    if allowed and station_id not in allowed:
        raise EnterpriseElsewhere
    if enterprise.pay_hours and not hours.is_open(enterprise.pay_hours, at):
        raise EnterpriseHours(hours=hours.words(enterprise.pay_hours))


def check_coupon(coupon: int | str) -> None:
    """Refuse a coupon of the driver's choice: coupons go with the driver's own money. Raises OwnCouponOnly."""
    if isinstance(coupon, int):
        raise OwnCouponOnly


@dataclass(frozen=True)
class Quota:
    """What a member may still charge at the enterprise's cost this month, yuan; a limit of None is none."""

    limit: Decimal | None
    used: Decimal
    left: Decimal | None
    """The least of what the member and the enterprise have left; None without any limit."""


def quota_of(*, member: EnterpriseMember, customer: Customer, at: datetime) -> Quota:
    """Return a member's quota of the month of `at`."""
    enterprise = member.enterprise
    limit = member.monthly_limit if member.monthly_limit is not None else enterprise.member_monthly_limit
    used = _used(Q(enterprise=enterprise) & (Q(enterprise_member=member) | Q(customer=customer)), at)
    lefts = [limit - used] if limit is not None else []
    if enterprise.monthly_limit is not None:
        lefts.append(enterprise.monthly_limit - _used(Q(enterprise=enterprise), at))
    return Quota(limit, used, max(min(lefts), ZERO) if lefts else None)


def used_this_month(*, enterprise: Enterprise, at: datetime) -> Decimal:
    """Return what of an enterprise's limit is used in the month of `at`, yuan."""
    return _used(Q(enterprise=enterprise), at)


def _used(whose: Q, at: datetime) -> Decimal:
    begin = at.astimezone(SHANGHAI).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=32)).replace(day=1)
    # None is made before it begins: the first condition is for the index.
    orders = Order.objects.filter(whose, payer=Payer.ENTERPRISE, created_at__gte=begin)
    orders = orders.alias(began=BEGAN).filter(began__gte=begin, began__lt=end)
    sums = orders.aggregate(
        paid=Sum(
            F("paid_enterprise") - F("refunded_electricity") - F("refunded_service"),
            filter=Q(state=OrderState.COMPLETED),
        ),
        held=Sum("hold_amount", filter=Q(state__in=RUNNING)),
    )
    return ZERO + (sums["paid"] or ZERO) + (sums["held"] or ZERO)


def hold(
    *,
    member: EnterpriseMember,
    customer: Customer,
    order_no: str,
    amount: Decimal | None,
    maximum: Decimal,
    at: datetime,
) -> Hold:
    """Hold money of the member's enterprise for a new order: `amount` yuan, or all that balance and limits allow.

    Must run inside `atomic()` with the order saved by nobody yet. The driver's wallet is locked first: whoever deletes
    the driver's account holds it, and sees either this order or no start. Raises CustomerBlocked, EnterpriseLimit,
    EnterpriseShort, AmountNotAllowed.
    """
    enterprise = member.enterprise
    lock_wallet(customer_id=customer.pk)
    if not Customer.objects.filter(pk=customer.pk, state=CustomerState.ACTIVE).exists():
        raise CustomerBlocked
    account = lock_accounts([enterprise.pk])[enterprise.pk]
    left = quota_of(member=member, customer=customer, at=at).left
    if left is not None:
        if not left or (amount is not None and left < amount <= maximum):
            raise EnterpriseLimit(left=left)
        maximum = min(maximum, left)
    return enterprise_accounts.open_hold(
        account=account, enterprise=enterprise, order_no=order_no, amount=amount, maximum=maximum, at=at
    )


@dataclass(frozen=True)
class Offer:
    """What a driver's enterprise would pay of a charge: at most `upto` yuan, or why nothing, in words.

    `upto` goes by the limits alone: what the enterprise has is not told to drivers.
    """

    name: str
    upto: Decimal
    left: Decimal | None
    problem: str


def offer_of(
    *, customer: Customer, station_id: int, amount: Decimal | None, maximum: Decimal, at: datetime
) -> Offer | None:
    """Return what the driver's enterprise would pay of a charge that begins now; None where it has no account.

    `amount` is what would be held of its money, yuan; None: what there is, up to `maximum`.
    """
    member = membership_of(customer=customer)
    if member is None or not pays_for(member):
        return None
    enterprise = member.enterprise
    left = quota_of(member=member, customer=customer, at=at).left
    free = enterprise_accounts.spendable(account_of(enterprise=enterprise), enterprise)
    try:
        check_place(enterprise=enterprise, station_id=station_id, at=at)
        if left is not None and (not left or (amount is not None and left < amount)):
            raise EnterpriseLimit(left=left)
        if free <= 0 or (amount is not None and free < amount):
            raise EnterpriseShort
    except DomainError as error:
        return Offer(enterprise.name, ZERO, left, str(error))
    return Offer(enterprise.name, maximum if left is None else min(maximum, left), left, "")


def pays_offline(*, customer: Customer, station_id: int, at: datetime) -> Membership:
    """Return who pays for a charge that a card began while its pile was offline: nobody could be asked then.

    The enterprise, as the driver chose, unless its stations, hours or limits forbid it or its account is empty: the
    driver's wallet then. Inside `atomic()`, which also settles the charge: its account stays locked, behind the
    driver's wallet, so that of two charges the second finds what the first one left.
    """
    found = choose(customer=customer, asked=None)
    if not found.pays or found.member is None:
        return found
    try:
        check_place(enterprise=found.member.enterprise, station_id=station_id, at=at)
    except (EnterpriseElsewhere, EnterpriseHours):
        return Membership(found.member, pays=False)
    enterprise = found.member.enterprise
    lock_wallet(customer_id=customer.pk)
    account = lock_accounts([enterprise.pk])[enterprise.pk]
    left = quota_of(member=found.member, customer=customer, at=at).left
    has_money = enterprise_accounts.spendable(account, enterprise) > 0
    return Membership(found.member, pays=has_money and (left is None or left > 0))
