"""Top-ups: made, paid through a channel, booked once."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial

import structlog
from django.db import transaction

from apps.common.ids import dated_number
from apps.common.money import to_fen
from apps.common.time import now
from apps.customers.models import Customer
from apps.wallet import debts, ledger, signals
from apps.wallet.channels import channel_for
from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.enums import AccountKind, JournalKind, RechargeState
from apps.wallet.errors import AmountNotAllowed, KeyReused, RechargeNotFound
from apps.wallet.ledger import credit, debit
from apps.wallet.models import Recharge
from apps.wallet.services import lock_wallet, wallet_of

log = structlog.get_logger(__name__)

RECHARGE_MINIMUM = Decimal("1.00")
RECHARGE_MAXIMUM = Decimal("5000.00")


def create_recharge(
    *, customer: Customer, amount: Decimal, channel: str, request_key: str, at: datetime | None = None
) -> Recharge:
    """Make a top-up order, once per `request_key`.

    Raises AmountNotAllowed outside 1 to 5,000 yuan or with parts of a fen, ChannelNotAvailable, and KeyReused when the
    key belongs to a top-up of another amount or channel.
    """
    if not RECHARGE_MINIMUM <= amount <= RECHARGE_MAXIMUM or amount != amount.quantize(Decimal("0.01")):
        raise AmountNotAllowed(reason=f"{RECHARGE_MINIMUM}–{RECHARGE_MAXIMUM}")
    channel_for(channel)
    wallet = wallet_of(customer=customer)
    recharge, created = Recharge.objects.get_or_create(
        wallet=wallet,
        request_key=request_key,
        defaults={"recharge_no": dated_number("R", at=at), "amount": amount, "channel": channel},
    )
    if not created and (recharge.amount, recharge.channel) != (amount, channel):
        raise KeyReused
    return recharge


def pay_sandbox(*, customer: Customer, recharge_no: str, at: datetime | None = None) -> Recharge:
    """Let the sandbox channel say that a top-up of this customer is paid. Raises RechargeNotFound."""
    recharge = Recharge.objects.filter(
        wallet__customer=customer, recharge_no=recharge_no, channel="sandbox"
    ).first()
    if recharge is None:
        raise RechargeNotFound
    channel_for(recharge.channel)
    trade_no = SandboxChannel().trade_no(recharge)
    return recharge_paid(recharge_no=recharge_no, amount=recharge.amount, channel_trade_no=trade_no, at=at)


def recharge_paid(
    *, recharge_no: str, amount: Decimal, channel_trade_no: str, at: datetime | None = None
) -> Recharge:
    """Book a paid top-up, once, and pay open debts with it, oldest first.

    Raises RechargeNotFound, and AmountNotAllowed when the channel says another amount than the order's.
    """
    found = Recharge.objects.select_related("wallet").filter(recharge_no=recharge_no).first()
    if found is None:
        raise RechargeNotFound
    with transaction.atomic():
        wallet = lock_wallet(customer_id=found.wallet.customer_id)
        recharge = Recharge.objects.select_for_update().get(pk=found.pk)
        if to_fen(amount) != to_fen(recharge.amount):
            raise AmountNotAllowed(reason=f"{amount} ≠ {recharge.amount}")
        if recharge.state == RechargeState.PAID:
            return recharge
        recharge.state = RechargeState.PAID
        recharge.channel_trade_no = channel_trade_no
        recharge.paid_at = at or now()
        recharge.save(update_fields=["state", "channel_trade_no", "paid_at", "updated_at"])
        ledger.post(
            key=f"recharge:{recharge_no}",
            kind=JournalKind.RECHARGE,
            wallet=wallet,
            reference=recharge_no,
            lines=[
                debit(AccountKind.CHANNEL_CLEARING, recharge.amount, recharge.channel),
                credit(AccountKind.CUSTOMER_PRINCIPAL, recharge.amount),
                debit(AccountKind.BONUS_EXPENSE, recharge.bonus),
                credit(AccountKind.CUSTOMER_BONUS, recharge.bonus),
            ],
            at=at,
        )
        debts.recover(wallet, recharge_no, at)
        transaction.on_commit(partial(signals.recharge_paid.send, sender=None, recharge_no=recharge_no))
    log.info("recharge_paid", recharge_no=recharge_no, amount=str(amount))
    return recharge
