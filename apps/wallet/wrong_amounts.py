"""A payment of another amount than its top-up's: booked as it was paid, or given back, when a second person agrees.

Nothing of it is booked by itself (`recharges.accept_trade`): either the provider or somebody else is wrong then.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import approvals
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.money import parse_decimal
from apps.common.time import now
from apps.wallet import bonus, recharges
from apps.wallet.enums import RechargeState
from apps.wallet.errors import NoWrongAmount, RechargeNotFound
from apps.wallet.models import Recharge, Wallet

log = structlog.get_logger(__name__)


class Decision(models.TextChoices):
    """What becomes of the money."""

    BOOK = "book", _("book what was paid, without a bonus")
    GIVEN_BACK = "given_back", _("not booked: given back to the payer at the provider")


def request_decision(
    *, recharge_no: str, decision: Decision, actor: Actor, reason: str, address: str | None = None
) -> Approval:
    """Ask the provider what was paid, and a second person to agree to what becomes of it.

    Calls the provider, so it must not run inside a transaction. Raises RechargeNotFound, NoWrongAmount when the
    provider tells of no payment of this top-up with another amount, what `recharges.ask` raises, and what
    `approvals.request` raises.
    """
    recharge = Recharge.objects.select_related("merchant", "wallet").filter(recharge_no=recharge_no).first()
    if recharge is None:
        raise RechargeNotFound
    if recharge.state == RechargeState.PAID:
        raise NoWrongAmount
    trade = recharges.ask(recharge)
    if trade.out_trade_no != recharge_no or not trade.paid or not trade.amount:
        raise NoWrongAmount
    if trade.amount == recharge.amount:
        raise NoWrongAmount
    payload = {
        "recharge": recharge.pk,
        "decision": decision.value,
        "amount": str(trade.amount),
        "channel_trade_no": trade.channel_trade_no,
        "paid_at": trade.paid_at.isoformat() if trade.paid_at else "",
    }
    booked = decision == Decision.BOOK
    return approvals.request(
        DECIDE,
        recharge.wallet,  # money of it moves: its row is locked before the top-up's, as everywhere
        payload,
        actor,
        reason,
        amount=trade.amount,
        changes={
            gettext_noop("recharge number"): [None, recharge_no],
            gettext_noop("decision"): [None, str(decision.label)],
            gettext_noop("amount (yuan)"): [recharge.amount, trade.amount],
            "bonus": [recharge.bonus, Decimal("0.00")],
            gettext_noop("booked (yuan)"): [None, trade.amount if booked else Decimal("0.00")],
            gettext_noop("channel's trade number"): [None, trade.channel_trade_no],
        },
        address=address,
    )


def _execute(payload: dict[str, Any], _actor: Actor) -> None:
    recharge = Recharge.objects.select_for_update(of=("self",)).get(pk=payload["recharge"])
    wallet = Wallet.objects.get(pk=recharge.wallet_id)  # locked by `approvals`
    recharge.wallet = wallet
    if recharge.state == RechargeState.PAID:
        raise NoWrongAmount
    if payload["decision"] == Decision.GIVEN_BACK:
        if recharge.state == RechargeState.CREATED:
            recharge.state, recharge.closed_at = RechargeState.CLOSED, now()
        recharge.problem, recharge.next_check_at = "", None
        recharge.save()
        log.info("recharge_given_back", recharge_no=recharge.recharge_no, amount=payload["amount"])
        return
    bonus.drop(recharge)
    recharge.amount = parse_decimal(payload["amount"], 2)
    recharge.save(update_fields=["amount", "updated_at"])
    paid_at = datetime.fromisoformat(payload["paid_at"]) if payload["paid_at"] else None
    recharges.book(recharge, channel_trade_no=payload["channel_trade_no"], paid_at=paid_at)


def _version(_wallet: Wallet, payload: dict[str, Any]) -> list[str]:
    """The top-up as the second person saw it; its wallet's balances may move meanwhile."""
    recharge = Recharge.objects.get(pk=payload["recharge"])
    return [recharge.state, str(recharge.amount)]


DECIDE = approvals.register(
    approvals.Operation(
        "wallet.wrong_amount",
        _("Decide on a payment of a wrong amount"),
        "wallet.approve_wrong_amount",
        execute=_execute,
        version=_version,
    )
)
