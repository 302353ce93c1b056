"""What decisions and execution of wallet refunds share: locks, the plan of parts, bookings, the end of a refund.

Lock order: wallet → refund → its parts and their top-ups by id. Everything here runs inside `atomic()` with the
wallet and the refund locked, but for `lock`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F

from apps.common.ids import SYSTEM, Actor
from apps.common.money import ZERO, floor_fen
from apps.common.time import now
from apps.customers import inbox
from apps.customers.models import InboxKind
from apps.wallet import debts, ledger
from apps.wallet.channels.alipay import Alipay
from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.channels.wechatpay import WechatPay
from apps.wallet.enums import AccountKind, JournalKind, PartState, RechargeState, RefundState
from apps.wallet.errors import RefundAmount, RefundNotFound
from apps.wallet.ledger import credit, debit
from apps.wallet.models import Recharge, Wallet, WalletRefund, WalletRefundEvent, WalletRefundPart
from apps.wallet.models.refunds import AT_CHANNEL, OFF
from apps.wallet.services import lock_wallet

WINDOWS: dict[str, timedelta] = {
    channel.name: channel.refund_window for channel in (Alipay, SandboxChannel, WechatPay)
}
MARGIN = timedelta(hours=1)
"""A payment this close to the channel's age limit is transferred by hand: it might pass it on the way."""


def lock(refund_no: str) -> tuple[Wallet, WalletRefund]:
    """Lock and return a refund behind its wallet. Raises RefundNotFound."""
    refunds = WalletRefund.objects.filter(refund_no=refund_no)
    customer_id = refunds.values_list("wallet__customer_id", flat=True).first()
    if customer_id is None:
        raise RefundNotFound
    wallet = lock_wallet(customer_id=customer_id)
    return wallet, refunds.select_for_update().get()


def note(refund: WalletRefund, kind: str, actor: Actor, at: datetime, **data: Any) -> None:
    """Write a step of a refund's life."""
    WalletRefundEvent.objects.create(
        refund=refund,
        at=at,
        kind=kind,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name[:100],
        data={name: str(value) for name, value in data.items()},
    )


def too_old(recharge: Recharge, at: datetime) -> bool:
    """Return whether the channel takes no refund of this payment any more, or never did."""
    window = WINDOWS.get(recharge.channel)
    if window is None or recharge.merchant_id is None or recharge.paid_at is None:
        return True
    return at - recharge.paid_at > window - MARGIN


def plan(refund: WalletRefund, at: datetime) -> list[WalletRefundPart]:
    """Split a new refund over the wallet's payments, newest first, and reserve each part at its payment.

    A payment never gets back more than it brought. Raises RefundAmount where the payments cannot take it all, which
    no wallet's principal can be more than.
    """
    payments = Recharge.objects.select_for_update(of=("self",)).filter(
        wallet=refund.wallet_id, state=RechargeState.PAID, refunded__lt=F("amount")
    )
    left, parts = refund.amount, []
    for recharge in payments.order_by("-paid_at", "-id"):
        if not left:
            break
        amount = min(left, recharge.amount - recharge.refunded)
        parts.append(add_part(refund, recharge, amount, len(parts) + 1, manual=too_old(recharge, at)))
        left -= amount
    if left:
        raise RefundAmount(most=refund.amount - left)
    return parts


def add_part(
    refund: WalletRefund, recharge: Recharge, amount: Decimal, number: int, *, manual: bool = False
) -> WalletRefundPart:
    """Make part `number` of a refund and reserve its amount at the payment."""
    Recharge.objects.filter(pk=recharge.pk).update(refunded=F("refunded") + amount, updated_at=now())
    return WalletRefundPart.objects.create(
        refund=refund,
        recharge=recharge,
        out_refund_no=f"{refund.refund_no}P{number}",
        amount=amount,
        state=PartState.MANUAL if manual else PartState.WAITING,
        manual=manual,
    )


def drop_parts(parts: Iterable[WalletRefundPart], state: PartState) -> None:
    """Take parts out of a refund and free what they reserved at their payments."""
    for part in parts:
        Recharge.objects.filter(pk=part.recharge_id).update(
            refunded=F("refunded") - part.amount, updated_at=now()
        )
        part.state, part.next_try_at = state, None
        part.save()


def locked_parts(refund: WalletRefund) -> list[WalletRefundPart]:
    """Lock and return the parts that count, by id."""
    parts = refund.parts.select_for_update(of=("self",)).select_related("recharge")
    return list(parts.exclude(state__in=OFF).order_by("id"))


def freeze(wallet: Wallet, refund: WalletRefund, at: datetime | None) -> None:
    """Move the money of a new refund out of the driver's reach."""
    ledger.post(
        key=f"refund-freeze:{refund.refund_no}",
        kind=JournalKind.REFUND_FREEZE,
        wallet=wallet,
        reference=refund.refund_no,
        lines=[
            debit(AccountKind.CUSTOMER_PRINCIPAL, refund.amount),
            debit(AccountKind.CUSTOMER_BONUS, refund.bonus_forfeited),
            credit(AccountKind.FROZEN_PRINCIPAL, refund.amount),
            credit(AccountKind.FROZEN_BONUS, refund.bonus_forfeited),
        ],
        at=at,
    )


def pay_part(
    wallet: Wallet,
    refund: WalletRefund,
    part: WalletRefundPart,
    at: datetime,
    posted_at: datetime | None = None,
) -> None:
    """Book a part that was paid, through the channel or by hand; once per number."""
    account = (
        credit(AccountKind.MANUAL_TRANSFER, part.amount)
        if part.manual
        else credit(AccountKind.CHANNEL_CLEARING, part.amount, part.recharge.channel)
    )
    ledger.post(
        key=f"refund:{part.out_refund_no}",
        kind=JournalKind.REFUND_PAID,
        wallet=wallet,
        reference=refund.refund_no,
        lines=[debit(AccountKind.FROZEN_PRINCIPAL, part.amount), account],
        at=posted_at,
        memo=part.transfer_no,
    )
    part.state, part.done_at, part.next_try_at = PartState.DONE, at, None
    part.unclear_since, part.problem = None, ""
    part.save()
    refund.paid += part.amount
    refund.save(update_fields=["paid", "updated_at"])


def conclude(wallet: Wallet, refund: WalletRefund, at: datetime, posted_at: datetime | None = None) -> None:
    """Move a refund on by what its parts have become: still being paid, back to review, or done."""
    states = {part.state for part in locked_parts(refund)}
    if states & set(AT_CHANNEL):
        return
    if states & {PartState.FAILED, PartState.ABNORMAL}:
        if refund.state != RefundState.RETURNED:
            refund.state = RefundState.RETURNED
            refund.save(update_fields=["state", "updated_at"])
            note(refund, "returned", SYSTEM, at)
        return
    if PartState.MANUAL in states:
        if refund.state != RefundState.EXECUTING:
            refund.state = RefundState.EXECUTING
            refund.save(update_fields=["state", "updated_at"])
        return
    close(wallet, refund, RefundState.DONE, at, posted_at)
    words = {"amount": f"{refund.paid:.2f}"}
    inbox.post(inbox.News(wallet.customer_id, InboxKind.WALLET_REFUNDED, refund.refund_no, words), at=at)


def close(
    wallet: Wallet, refund: WalletRefund, state: RefundState, at: datetime, posted_at: datetime | None = None
) -> None:
    """End a refund: the bonus of what was paid is taken, the rest of the frozen money returns, open debts are paid."""
    rest = refund.open_amount
    taken = refund.bonus_forfeited
    if rest:
        taken = floor_fen(refund.bonus_forfeited * refund.paid / refund.amount)
    ledger.post(
        key=f"refund-bonus:{refund.refund_no}",
        kind=JournalKind.REFUND_PAID,
        wallet=wallet,
        reference=refund.refund_no,
        lines=[debit(AccountKind.FROZEN_BONUS, taken), credit(AccountKind.BONUS_EXPENSE, taken)],
        at=posted_at,
    )
    bonus_back = refund.bonus_forfeited - taken
    ledger.post(
        key=f"refund-back:{refund.refund_no}",
        kind=JournalKind.REFUND_BACK,
        wallet=wallet,
        reference=refund.refund_no,
        lines=[
            debit(AccountKind.FROZEN_PRINCIPAL, rest),
            debit(AccountKind.FROZEN_BONUS, bonus_back),
            credit(AccountKind.CUSTOMER_PRINCIPAL, rest),
            credit(AccountKind.CUSTOMER_BONUS, bonus_back),
        ],
        at=posted_at,
    )
    refund.state, refund.closed_at = state, at
    refund.bonus_taken, refund.given_back = taken, rest
    refund.save()
    if state == RefundState.DONE:
        note(refund, "done", SYSTEM, at, paid=refund.paid, given_back=refund.given_back)
    if rest or bonus_back:
        debts.recover(wallet, refund.refund_no, posted_at)


def forfeited(wallet: Wallet, amount: Decimal) -> Decimal:
    """Return the bonus that goes with a refund of `amount` of the principal, rounded down to the fen."""
    if not wallet.bonus:
        return ZERO
    return wallet.bonus if amount == wallet.principal else floor_fen(wallet.bonus * amount / wallet.principal)
