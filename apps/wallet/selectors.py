"""Reads of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, Sum

from apps.common.money import ZERO
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.models import JournalEntry, Wallet

OWN_MONEY = (
    AccountKind.CUSTOMER_PRINCIPAL,
    AccountKind.CUSTOMER_BONUS,
    AccountKind.HELD_PRINCIPAL,
    AccountKind.HELD_BONUS,
    AccountKind.FROZEN_PRINCIPAL,
    AccountKind.FROZEN_BONUS,
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
    """Return a wallet's movements, newest first, from below `before_id`. What only sets money aside is left out."""
    entries = (
        JournalEntry.objects.filter(wallet=wallet)
        .exclude(kind__in=WITHIN_A_WALLET)
        .annotate(change=Sum("postings__amount", filter=Q(postings__account__kind__in=OWN_MONEY)))
        .order_by("-id")
    )
    if before_id is not None:
        entries = entries.filter(id__lt=before_id)
    return [
        StatementLine(
            id=entry.pk,
            kind=entry.kind,
            label=entry.get_kind_display(),
            reference=entry.reference,
            change=-(entry.change or ZERO),
            at=entry.posted_at,
        )
        for entry in entries[:limit]
    ]
