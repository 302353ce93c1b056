"""A top-up while a car charges: the hold grows, and the pile is told (YKC V1.6, 7.4)."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.db.models import F

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.customers.models import Payer
from apps.orders.enums import OrderState
from apps.orders.guns import guns_of, shares
from apps.orders.models import Order
from apps.orders.moves import note
from apps.orders.services import hold_maximum
from apps.piles import gateway
from apps.piles.commands import SetBalance
from apps.wallet import services as wallet
from apps.wallet.enums import RechargeState
from apps.wallet.models import Recharge

log = structlog.get_logger(__name__)


def raise_holds(*, recharge_no: str) -> int:
    """Let the holds of a customer's running orders grow after a top-up, oldest order first. Returns how many grew.

    Only an order that the driver pays, without a preset amount: it holds all that is available, up to the tenant's
    maximum, and so takes the new money too. The guns are sent their new balances after commit. Once per order and
    top-up, however often it is called. An order that is still starting follows when it charges (`raise_missed_holds`).
    """
    recharge = Recharge.objects.select_related("wallet").filter(recharge_no=recharge_no).first()
    if recharge is None:
        return 0
    running = Order.objects.filter(
        customer=recharge.wallet.customer_id,
        state=OrderState.CHARGING,
        preset_amount=None,
        payer=Payer.WALLET,
    )
    return sum(
        _raise(order_no, recharge_no)
        for order_no in list(running.order_by("pk").values_list("order_no", flat=True))
    )


def _raise(order_no: str, recharge_no: str) -> bool:
    with transaction.atomic():
        order = (
            Order.objects.select_for_update(of=["self"])
            .select_related("connector__pile")
            .get(order_no=order_no)
        )
        if order.state != OrderState.CHARGING:
            return False
        hold = wallet.raise_hold(order_no=order_no, reason=recharge_no, maximum=hold_maximum())
        if hold is None:
            return False
        order.hold_amount = hold.amount
        note(order, "hold_raised", SYSTEM, now(), hold=str(hold.amount), recharge=recharge_no)
        order.save(update_fields=["hold_amount", "updated_at"])
        guns = guns_of(order)
        for gun, balance in zip(guns, shares(order.pile_balance(), len(guns)), strict=True):
            command = SetBalance(connector_no=gun.connector.connector_no, balance=balance)
            gateway.send(pile=order.connector.pile, command=command, actor=SYSTEM)
    log.info("hold_raised", order_no=order_no, hold=str(hold.amount), recharge_no=recharge_no)
    return True


def raise_missed_holds() -> int:
    """Raise holds for top-ups that were paid while an order started, or whose task was lost. Returns how many grew."""
    missed = Recharge.objects.filter(
        state=RechargeState.PAID,
        wallet__customer__orders__state=OrderState.CHARGING,
        wallet__customer__orders__preset_amount=None,
        wallet__customer__orders__payer=Payer.WALLET,
        paid_at__gt=F("wallet__customer__orders__created_at"),
    )
    numbers = missed.exclude(wallet__principal=0, wallet__bonus=0).values_list("recharge_no", flat=True)
    return sum(raise_holds(recharge_no=number) for number in list(numbers.distinct()))
