"""Who charges at an enterprise's discount: members are phone numbers, each active in one enterprise at most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog
from django.db import transaction

from apps.common.ids import Actor
from apps.common.phones import PhoneInvalid, normalize_phone
from apps.customers.models import Customer, Enterprise, EnterpriseMember
from apps.tenancy import features

log = structlog.get_logger(__name__)


@dataclass
class Added:
    """What became of a list of phone numbers."""

    added: int = 0
    known: int = 0
    elsewhere: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def enterprise_of(*, customer: Customer) -> Enterprise | None:
    """Return the enterprise at whose discount a customer charges now, or None."""
    return Enterprise.objects.filter(
        is_active=True, members__phone=customer.phone, members__is_active=True
    ).first()


def add_members(*, enterprise: Enterprise, phones: Iterable[str], actor: Actor) -> Added:
    """Make phone numbers active members, each once. One that is active elsewhere stays there and is told.

    Raises FeatureMissing where the tenant's package has no enterprises.
    """
    features.require("enterprises")
    result = Added()
    wanted: dict[str, str] = {}
    for text in phones:
        try:
            wanted[normalize_phone(text)] = text
        except PhoneInvalid:
            result.wrong.append(text)
    with transaction.atomic():
        # The enterprises' rows serialise who joins where; the constraint is the last word.
        list(Enterprise.objects.select_for_update().order_by("pk").values_list("pk"))
        active = dict(
            EnterpriseMember.objects.filter(phone__in=wanted, is_active=True).values_list(
                "phone", "enterprise_id"
            )
        )
        past = {
            row.phone: row for row in EnterpriseMember.objects.filter(enterprise=enterprise, phone__in=wanted)
        }
        for phone, text in wanted.items():
            if active.get(phone) == enterprise.pk:
                result.known += 1
            elif phone in active:
                result.elsewhere.append(text)
            elif phone in past:
                past[phone].is_active = True
                past[phone].save(update_fields=["is_active", "updated_at"])
                result.added += 1
            else:
                EnterpriseMember.objects.create(enterprise=enterprise, phone=phone)
                result.added += 1
    log.info("enterprise_members_added", enterprise=enterprise.pk, added=result.added, by=str(actor))
    return result


def remove_members(*, enterprise: Enterprise, member_ids: Iterable[int]) -> int:
    """End memberships; running charges keep the discount that they started with. Returns how many ended."""
    return enterprise.members.filter(pk__in=list(member_ids), is_active=True).update(is_active=False)
