"""Bonus tiers: which of them a top-up gets, frozen when it is made (充值赠送)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q

from apps.common.money import ZERO
from apps.tenancy import features
from apps.wallet.enums import RechargeState
from apps.wallet.models import BonusTier, BonusUse, Recharge, Wallet


def tiers_now(*, at: datetime, wallet: Wallet | None = None) -> list[BonusTier]:
    """Return the tiers in force, cheapest first, without those that this wallet has used up.

    None where the tenant's package has no marketing any more; what was promised before is kept.
    """
    if not features.has("marketing"):
        return []
    tiers = list(
        BonusTier.objects.filter(
            Q(starts_at=None) | Q(starts_at__lte=at), Q(ends_at=None) | Q(ends_at__gt=at), is_active=True
        ).order_by("threshold", "id")
    )
    if wallet is None or not any(tier.per_customer for tier in tiers):
        return tiers
    used = _used(wallet, tiers)
    return [tier for tier in tiers if not tier.per_customer or used.get(tier.pk, 0) < tier.per_customer]


def chosen(tiers: Iterable[BonusTier], amount: Decimal) -> list[BonusTier]:
    """Return the tiers that a top-up of `amount` yuan gets.

    The ordinary one with the largest bonus (the oldest of equals), then all that come on top.
    """
    fitting = [tier for tier in tiers if amount >= tier.threshold]
    ordinary = [tier for tier in fitting if not tier.is_additional]
    best = [max(ordinary, key=lambda tier: (tier.bonus, -tier.pk))] if ordinary else []
    return best + [tier for tier in fitting if tier.is_additional]


def freeze(recharge: Recharge, *, at: datetime) -> None:
    """Write the tiers that a new top-up gets into it; the wallet is locked, so that limits hold."""
    tiers = chosen(tiers_now(at=at, wallet=recharge.wallet), recharge.amount)
    if not tiers:
        return
    recharge.bonus_rule = [_frozen(tier) for tier in tiers]
    recharge.bonus = sum((tier.bonus for tier in tiers), ZERO)
    recharge.save(update_fields=["bonus_rule", "bonus", "updated_at"])
    BonusUse.objects.bulk_create(
        BonusUse(tier=tier, wallet=recharge.wallet, recharge=recharge) for tier in tiers
    )


def settle_late(recharge: Recharge) -> None:
    """Take from a closed top-up that was paid after all what the wallet has used up with others since then."""
    uses = list(BonusUse.objects.filter(recharge=recharge).select_related("tier"))
    used = _used(recharge.wallet, [use.tier for use in uses])
    gone = {
        use.tier_id
        for use in uses
        if use.tier.per_customer and used.get(use.tier_id, 0) >= use.tier.per_customer
    }
    if not gone:
        return
    BonusUse.objects.filter(recharge=recharge, tier_id__in=gone).delete()
    recharge.bonus_rule = [
        rule | {"used_up": True} if rule["tier"] in gone else rule for rule in recharge.bonus_rule
    ]
    kept = [Decimal(rule["bonus"]) for rule in recharge.bonus_rule if rule["tier"] not in gone]
    recharge.bonus = sum(kept, ZERO)
    recharge.save(update_fields=["bonus_rule", "bonus", "updated_at"])


def drop(recharge: Recharge) -> None:
    """Take the bonus from a top-up that was not paid as it was offered; the wallet is locked."""
    BonusUse.objects.filter(recharge=recharge).delete()
    recharge.bonus, recharge.bonus_rule = ZERO, []
    recharge.save(update_fields=["bonus_rule", "bonus", "updated_at"])


def _used(wallet: Wallet, tiers: Iterable[BonusTier]) -> dict[int, int]:
    """How often a wallet has used tiers: in top-ups that are paid or may still be."""
    rows = BonusUse.objects.filter(
        wallet=wallet,
        tier__in=[tier.pk for tier in tiers],
        recharge__state__in=[RechargeState.CREATED, RechargeState.PAID],
    )
    return dict(rows.values_list("tier").annotate(times=Count("id")).order_by())


def _frozen(tier: BonusTier) -> dict[str, Any]:
    return {
        "tier": tier.pk,
        "name": tier.name,
        "threshold": f"{tier.threshold:.2f}",
        "bonus": f"{tier.bonus:.2f}",
        "is_additional": tier.is_additional,
    }
