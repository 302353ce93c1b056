"""A tenant seen from its own schema, for the platform: its figures, and what speaks against closing it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.accounts.models import SUPPORT_PREFIX, User
from apps.common.money import ZERO
from apps.common.time import business_day, now
from apps.customers.models import Customer
from apps.orders.enums import LIVE, OrderState
from apps.orders.models import Order
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import ConnectorStatus, Pile
from apps.reports import selectors
from apps.sites.models import Station
from apps.tenancy import figures
from apps.tenancy.lifecycle import Obstacle, guard_closing
from apps.wallet.enums import RefundState
from apps.wallet.models import Wallet, WalletRefund

RECENT_DAYS = 2
"""Days that each push tells; the nightly one tells NIGHTLY_DAYS, for records and refunds that came late."""
NIGHTLY_DAYS = 35


def tell_platform(*, days: int = RECENT_DAYS, at: datetime | None = None) -> None:
    """Push the figures of the current schema's tenant, and the sums of its last `days` business days."""
    last = business_day(at or now())
    told = [
        figures.Day(day, sums.orders, sums.energy_kwh, sums.electricity_fee, sums.service_fee)
        for day, sums in selectors.by_day(last=last, days=days)
    ]
    figures.tell(moment=moment(), days=told)


def moment() -> figures.Moment:
    """Return what the current schema's tenant has now."""
    guns = ConnectorStatus.objects.exclude(connector__pile__state=PileState.RETIRED).aggregate(
        all=Count("pk"),
        online=Count("pk", filter=~Q(state=ConnectorState.OFFLINE)),
        charging=Count("pk", filter=Q(state=ConnectorState.CHARGING)),
        faulty=Count("pk", filter=Q(state=ConnectorState.FAULT)),
    )
    used = in_use()
    return figures.Moment(
        stations=used["stations"],
        piles=used["piles"],
        guns=guns["all"],
        guns_online=guns["online"],
        guns_charging=guns["charging"],
        guns_faulty=guns["faulty"],
        staff=used["staff"],
        customers=Customer.objects.count(),
    )


def in_use() -> dict[str, int]:
    """Return how much the current schema's tenant has of what packages limit (`features.LIMITS`)."""
    staff = User.objects.filter(is_active=True).exclude(username__startswith=SUPPORT_PREFIX)
    return {
        "stations": Station.objects.count(),
        "piles": Pile.objects.exclude(state=PileState.RETIRED).count(),
        "staff": staff.count(),
    }


@guard_closing
def open_orders() -> Iterator[Obstacle]:
    """Charges that run, and orders that nobody has settled."""
    waiting = [*LIVE, OrderState.SETTLING, OrderState.ABNORMAL]
    count = Order.objects.filter(state__in=waiting).count()
    if count:
        words = ngettext("%(count)s order is not settled", "%(count)s orders are not settled", count)
        yield Obstacle(words % {"count": count})


@guard_closing
def open_refunds() -> Iterator[Obstacle]:
    """Refunds on their way."""
    waiting = [RefundState.APPLIED, RefundState.APPROVED, RefundState.EXECUTING, RefundState.RETURNED]
    count = WalletRefund.objects.filter(state__in=waiting).count()
    if count:
        words = ngettext("%(count)s refund is under way", "%(count)s refunds are under way", count)
        yield Obstacle(words % {"count": count})


@guard_closing
def customers_money() -> Iterator[Obstacle]:
    """Principal in wallets, and balances of enterprises: it belongs to the customers."""
    principal = Wallet.objects.filter(principal__gt=0).aggregate(sum=Sum("principal"))["sum"] or ZERO
    if principal:
        words = _("customers have %(amount)s yuan of principal in their wallets")
        yield Obstacle(words % {"amount": f"{principal:.2f}"}, is_money=True)
