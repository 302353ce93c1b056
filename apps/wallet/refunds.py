"""Refunds of wallets: what people decide. What the channel does with them is in `refund_run`.

applied → approved → executing → done, or rejected, or withdrawn by the driver before the review. What the channel
refused comes back to review; there a person sends it again (under a new number where the old one is certainly void),
has it transferred by hand, or gives the rest back to the wallet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.backoffice import approvals
from apps.backoffice.errors import ReasonMissing
from apps.common.differences import DifferenceState
from apps.common.ids import Actor, dated_number
from apps.common.money import ZERO
from apps.common.queue import enqueue
from apps.common.time import now
from apps.customers.models import Customer
from apps.wallet import refund_run, tasks
from apps.wallet.enums import BonusOnRefund, PartState, RefundState
from apps.wallet.errors import (
    HasDebt,
    KeyReused,
    NotByHand,
    NothingFailed,
    RefundAmount,
    RefundAtProvider,
    RefundDecided,
    RefundInBill,
    RefundNotFound,
    RefundUnderWay,
    TransferNumberUsed,
)
from apps.wallet.models import ChannelDifference, Wallet, WalletPolicy, WalletRefund, WalletRefundPart
from apps.wallet.models.refunds import AT_CHANNEL, OPEN_REFUNDS
from apps.wallet.refund_parts import (
    add_part,
    close,
    conclude,
    drop_parts,
    forfeited,
    freeze,
    lock,
    locked_parts,
    note,
    pay_part,
    plan,
    too_old,
)
from apps.wallet.returns import must_not_charge
from apps.wallet.services import lock_wallet

log = structlog.get_logger(__name__)

REFUND = approvals.register(
    approvals.Operation(
        "wallet.refund", _("Refund a wallet to the payment channels"), "wallet.review_walletrefund"
    )
)
TRANSFER = approvals.register(
    approvals.Operation("wallet.transfer", _("Mark a refund as transferred by hand"), "wallet.transfer_part")
)


def policy() -> WalletPolicy:
    """Return the tenant's rules for wallets; the defaults where the row is missing."""
    return WalletPolicy.objects.first() or WalletPolicy()


def apply(
    *,
    customer: Customer,
    amount: Decimal | None,
    reason: str,
    applied_by: Actor,
    request_key: str,
    at: datetime | None = None,
) -> WalletRefund:
    """Ask for principal (yuan; None: all of it) back, once per `request_key`; it is frozen until there is an end.

    Raises RefundAmount, HasDebt, ChargeRunning while a hold is open, RefundUnderWay, KeyReused.
    """
    if amount is not None and (
        not amount.is_finite() or amount <= 0 or amount != amount.quantize(Decimal("0.01"))
    ):
        raise RefundAmount(most=ZERO)
    moment = at or now()
    with transaction.atomic():
        wallet = lock_wallet(customer_id=customer.pk)
        found = WalletRefund.objects.filter(wallet=wallet, request_key=request_key).first()
        if found is not None:
            if amount is not None and found.amount != amount:
                raise KeyReused
            return found
        _may_go_out(wallet)
        under_way = WalletRefund.objects.filter(wallet=wallet, state__in=OPEN_REFUNDS).first()
        if under_way is not None:
            raise RefundUnderWay(refund_no=under_way.refund_no)
        wanted = wallet.principal if amount is None else amount
        if not 0 < wanted <= wallet.principal:
            raise RefundAmount(most=wallet.principal)
        forfeit = policy().bonus_on_refund == BonusOnRefund.FORFEIT
        refund = WalletRefund(
            refund_no=dated_number("W", at=at),
            wallet=wallet,
            amount=wanted,
            bonus_forfeited=forfeited(wallet, wanted) if forfeit else ZERO,
            reason=reason[:200],
            applied_by_kind=applied_by.kind,
            applied_by_id=applied_by.id,
            applied_by=str(applied_by)[:100],
            request_key=request_key,
            created_at=moment,
        )
        refund.save(force_insert=True)
        plan(refund, moment)
        freeze(wallet, refund, at)
        note(refund, "applied", applied_by, moment, amount=wanted)
    log.info("wallet_refund_applied", refund_no=refund.refund_no, amount=str(wanted))
    return refund


def approve(*, refund_no: str, reviewer: Actor, reason: str = "", at: datetime | None = None) -> WalletRefund:
    """Let a refund be paid. Back in review, what was refused is sent again under a new number.

    A part that the driver's account did not accept is asked about again under its own number: the provider still has
    it. Raises RefundNotFound, RefundDecided, RefundInBill, SamePerson, HasDebt, ChargeRunning.
    """
    moment = at or now()
    with transaction.atomic():
        wallet, refund = _lock_reviewable(refund_no, reviewer)
        _may_go_out(wallet)
        _try_failed_parts_again(refund, moment)
        refund.state = RefundState.APPROVED
        refund.decided_by(reviewer, reason, moment)
        refund.save()
        note(refund, "approved", reviewer, moment, reason=reason)
        transaction.on_commit(partial(_enqueue, refund_no))
    log.info("wallet_refund_approved", refund_no=refund_no)
    return refund


def reject(*, refund_no: str, reviewer: Actor, reason: str, at: datetime | None = None) -> WalletRefund:
    """Give what was not paid back to the wallet, with a reason that the driver reads.

    Also ends a refund of which nothing but transfers by hand is left. What was paid stays paid: then it is done.
    Raises RefundNotFound, RefundDecided, SamePerson, ReasonMissing, RefundAtProvider, RefundInBill.
    """
    if not reason.strip():
        raise ReasonMissing
    moment = at or now()
    with transaction.atomic():
        wallet, refund = lock(refund_no)
        parts = locked_parts(refund)
        waiting = [part for part in parts if part.state != PartState.DONE]
        by_hand_only = refund.state == RefundState.EXECUTING and all(
            part.state == PartState.MANUAL for part in waiting
        )
        if refund.state not in {RefundState.APPLIED, RefundState.RETURNED} and not by_hand_only:
            raise RefundDecided(state=refund.get_state_display())  # type: ignore[attr-defined]
        approvals.check_reviewer(REFUND.code, refund.applicant, reviewer, refund.amount)
        if any(_at_provider(part) for part in parts):
            raise RefundAtProvider
        _must_not_be_in_a_bill(waiting)
        drop_parts(waiting, PartState.GIVEN_BACK)
        refund.decided_by(reviewer, reason, moment)
        note(refund, "rejected", reviewer, moment, reason=reason)
        close(wallet, refund, RefundState.DONE if refund.paid else RefundState.REJECTED, moment, at)
    log.info("wallet_refund_rejected", refund_no=refund_no)
    return refund


def cancel(*, refund_no: str, customer: Customer, actor: Actor, at: datetime | None = None) -> WalletRefund:
    """Withdraw a driver's own refund before the review; a second call changes nothing.

    Raises RefundNotFound, RefundDecided.
    """
    moment = at or now()
    of_customer(customer=customer, refund_no=refund_no)
    with transaction.atomic():
        wallet, refund = lock(refund_no)
        if refund.state == RefundState.CANCELLED:
            return refund
        if refund.state != RefundState.APPLIED or refund.applied_by_kind != "customer":
            raise RefundDecided(state=refund.get_state_display())  # type: ignore[attr-defined]
        drop_parts(locked_parts(refund), PartState.GIVEN_BACK)
        note(refund, "cancelled", actor, moment)
        close(wallet, refund, RefundState.CANCELLED, moment, at)
    return refund


def transfer_by_hand(
    *, refund_no: str, reviewer: Actor, reason: str, at: datetime | None = None
) -> WalletRefund:
    """Put what the channel refused on the list of transfers by hand.

    Raises RefundNotFound, RefundDecided, NothingFailed, RefundInBill, SamePerson, ReasonMissing, HasDebt,
    ChargeRunning.
    """
    if not reason.strip():
        raise ReasonMissing
    moment = at or now()
    with transaction.atomic():
        wallet, refund = _lock_reviewable(refund_no, reviewer)
        _may_go_out(wallet)
        failed = [
            part for part in locked_parts(refund) if part.state in {PartState.FAILED, PartState.ABNORMAL}
        ]
        if not failed:
            raise NothingFailed
        _must_not_be_in_a_bill(failed)
        for part in failed:
            part.state, part.manual, part.next_try_at = PartState.MANUAL, True, None
            part.save()
        refund.decided_by(reviewer, reason, moment)
        refund.save()
        note(refund, "by_hand", reviewer, moment, reason=reason)
        conclude(wallet, refund, moment, at)
    return refund


def mark_transferred(
    *, part_id: int, actor: Actor, transfer_no: str, transfer_to: str = "", at: datetime | None = None
) -> WalletRefundPart:
    """Book a part as transferred by hand, with the bank's reference number, by another person than who approved.

    The same number again changes nothing. Raises RefundNotFound, NotByHand, SamePerson, TransferNumberUsed,
    ReasonMissing for an empty number.
    """
    number = transfer_no.strip()
    if not number:
        raise ReasonMissing
    moment = at or now()
    with transaction.atomic():
        refund_no = (
            WalletRefundPart.objects.filter(pk=part_id).values_list("refund__refund_no", flat=True).first()
        )
        if refund_no is None:
            raise RefundNotFound
        wallet, refund = lock(refund_no)
        part = (
            WalletRefundPart.objects.select_for_update(of=("self",))
            .select_related("recharge")
            .get(pk=part_id)
        )
        if part.state == PartState.DONE and part.manual and part.transfer_no == number:
            return part
        if part.state != PartState.MANUAL or refund.state != RefundState.EXECUTING:
            raise NotByHand
        for other in (refund.reviewer, refund.applicant):
            approvals.check_reviewer(TRANSFER.code, other, actor, part.amount)
        used = WalletRefundPart.objects.filter(transfer_no=number).exclude(refund=refund)
        earlier = used.values_list("refund__refund_no", flat=True).first()
        if earlier is not None:
            raise TransferNumberUsed(number=number, refund_no=earlier)
        part.transfer_no, part.transfer_to = number, transfer_to.strip()[:100]
        part.transferred_by_id, part.transferred_by = actor.id, str(actor)[:100]
        pay_part(wallet, refund, part, moment, at)
        note(refund, "transferred", actor, moment, amount=part.amount, number=number)
        conclude(wallet, refund, moment, at)
    log.info("refund_transferred", out_refund_no=part.out_refund_no, amount=str(part.amount))
    return part


def may_transfer(part: WalletRefundPart, actor: Actor) -> bool:
    """Return whether `mark_transferred` lets this person book a part: neither applicant nor approver."""
    others = (part.refund.reviewer, part.refund.applicant)
    return all(approvals.may_review(TRANSFER.code, other, actor, part.amount) for other in others)


def refund_reported(*, out_refund_no: str) -> None:
    """A notice says that something happened to a refund: ask the channel what, by its number. Unknown numbers pass."""
    part_id = (
        WalletRefundPart.objects.filter(out_refund_no=out_refund_no).values_list("pk", flat=True).first()
    )
    if part_id is not None:
        refund_run.run_part(part_id=part_id, reported=True)


def of_customer(*, customer: Customer, refund_no: str) -> WalletRefund:
    """Return one refund of a customer's own wallet. Raises RefundNotFound."""
    refund = WalletRefund.objects.filter(wallet__customer=customer, refund_no=refund_no).first()
    if refund is None:
        raise RefundNotFound
    return refund


def _may_go_out(wallet: Wallet) -> None:
    must_not_charge(wallet)
    if wallet.debt:
        raise HasDebt(amount=wallet.debt)


def _lock_reviewable(refund_no: str, reviewer: Actor) -> tuple[Wallet, WalletRefund]:
    wallet, refund = lock(refund_no)
    if refund.state not in {RefundState.APPLIED, RefundState.RETURNED}:
        raise RefundDecided(state=refund.get_state_display())  # type: ignore[attr-defined]
    approvals.check_reviewer(REFUND.code, refund.applicant, reviewer, refund.amount)
    return wallet, refund


def _at_provider(part: WalletRefundPart) -> bool:
    """Whether the provider was asked for a part and may still pay it: money that is given back could go out as well."""
    return part.state == PartState.ABNORMAL or (part.state in AT_CHANNEL and part.sent_at is not None)


def _must_not_be_in_a_bill(parts: Sequence[WalletRefundPart]) -> None:
    """The channel's own bill goes before its refusal: what it paid after all must not go out, or back, once more."""
    if not parts:
        return
    paid = ChannelDifference.objects.filter(
        refund_part__in=parts, theirs__isnull=False, state=DifferenceState.OPEN
    ).first()
    if paid is not None:
        raise RefundInBill(number=paid.out_no)


def _try_failed_parts_again(refund: WalletRefund, at: datetime) -> None:
    number = refund.parts.count()
    parts = locked_parts(refund)
    _must_not_be_in_a_bill([part for part in parts if part.state == PartState.FAILED])
    for part in parts:
        if part.state == PartState.FAILED:
            drop_parts([part], PartState.REPLACED)
            number += 1
            add_part(refund, part.recharge, part.amount, number, manual=too_old(part.recharge, at))
        elif part.state == PartState.ABNORMAL:
            part.state, part.next_try_at, part.unclear_since = PartState.PROCESSING, at, at
            part.save()


def _enqueue(refund_no: str) -> None:
    # With the broker away `wallet.execute_refunds` finds the refund.
    enqueue(tasks.execute_refund, refund_no)
