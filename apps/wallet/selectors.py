"""Reads of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from apps.common import keyset
from apps.common.money import ZERO
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.models import JournalEntry, Posting, Wallet

OWN_MONEY = (
    AccountKind.CUSTOMER_PRINCIPAL,
    AccountKind.CUSTOMER_BONUS,
    AccountKind.HELD_PRINCIPAL,
    AccountKind.HELD_BONUS,
    AccountKind.FROZEN_PRINCIPAL,
    AccountKind.FROZEN_BONUS,
    AccountKind.ENTERPRISE_BALANCE,
    AccountKind.ENTERPRISE_HELD,
)

WITHIN_A_WALLET = (
    JournalKind.HOLD,
    JournalKind.RELEASE,
    JournalKind.REFUND_FREEZE,
    JournalKind.REFUND_BACK,
)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement as the customer sees it: `change` in yuan of all their money, held money included."""

    id: int
    kind: str
    label: str
    reference: str
    change: Decimal
    at: datetime


def statement(*, wallet: Wallet, before_id: int | None = None, limit: int = 20) -> list[StatementLine]:
    """Return a wallet's movements, newest first, behind the one of `before_id` (nothing is behind an unknown one).

    What only sets money aside is left out.
    """
    entries = JournalEntry.objects.filter(wallet=wallet).exclude(kind__in=WITHIN_A_WALLET)
    if before_id is not None:
        last = (
            JournalEntry.objects.filter(pk=before_id, wallet=wallet).values_list("business_day", "id").first()
        )
        if last is None:
            return []
        entries = keyset.below(entries, ("business_day", "id"), last)
    page = list(entries.order_by("-business_day", "-id")[:limit])
    # A question of its own: joined, the database would add up every entry of the wallet before it cuts off the page.
    legs = Posting.objects.filter(
        entry__in=[entry.pk for entry in page], account__kind__in=OWN_MONEY
    ).order_by()
    changes = dict(legs.values_list("entry").annotate(Sum("amount")))
    return [
        StatementLine(
            id=entry.pk,
            kind=entry.kind,
            label=entry.get_kind_display(),
            reference=entry.reference,
            change=ZERO - changes.get(entry.pk, ZERO),
            at=entry.posted_at,
        )
        for entry in page
    ]
