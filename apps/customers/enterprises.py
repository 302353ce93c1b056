"""Who charges at an enterprise's discount or cost: members are phone numbers, each active in one enterprise at most."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction

from apps.common import limits
from apps.common.ids import Actor
from apps.common.limits import Window
from apps.common.phones import PhoneInvalid, normalize_phone
from apps.common.time import now
from apps.customers.errors import (
    InvitationUnknown,
    MemberElsewhere,
    MemberRemoved,
    NoMember,
    TooManyFailures,
)
from apps.customers.models import Customer, Enterprise, EnterpriseMember, Payer
from apps.tenancy import features

log = structlog.get_logger(__name__)

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without what is taken for something else when it is read out or typed."""
CODE_LENGTH = 8
HOUR, FAILURES_PER_HOUR, LOCK_SECONDS = 3600, 10, 15 * 60


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


def membership_of(*, customer: Customer) -> EnterpriseMember | None:
    """Return a customer's active membership with its enterprise, active or not; None without."""
    return (
        EnterpriseMember.objects.select_related("enterprise")
        .filter(phone=customer.phone, is_active=True)
        .first()
    )


def pays_for(member: EnterpriseMember | None) -> bool:
    """Return whether a member may charge at the enterprise's cost: it has an account, and the tenant the feature."""
    return member is not None and member.enterprise.pays and features.has("enterprises")


def renew_code(*, enterprise: Enterprise) -> str:
    """Give an enterprise a new invitation code, and return it; the one before is void."""
    features.require("enterprises")
    enterprise.invitation_code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    enterprise.save(update_fields=["invitation_code", "updated_at"])
    return enterprise.invitation_code


def end_code(*, enterprise: Enterprise) -> None:
    """Make an enterprise's invitation code void; members stay members."""
    enterprise.invitation_code = ""
    enterprise.save(update_fields=["invitation_code", "updated_at"])


def join(*, customer: Customer, code: str, at: datetime | None = None) -> EnterpriseMember:
    """Make a customer a member by an invitation code; who is one already stays it, who was removed is refused.

    Ten wrong codes of one customer within an hour lock joining for 15 minutes. Raises InvitationUnknown,
    TooManyFailures, MemberElsewhere, MemberRemoved, FeatureMissing.
    """
    features.require("enterprises")
    moment = at or now()
    guard = Window("join-enterprise", str(customer.pk), HOUR, FAILURES_PER_HOUR)
    text = code.upper().replace(" ", "").replace("-", "")
    with limits.trying([guard], at=moment) as wait_s:
        if wait_s:
            raise TooManyFailures(retry_after_s=wait_s)
        with transaction.atomic():
            # As in add_members: the enterprises' rows serialise who joins where.
            known = {
                one.invitation_code: one for one in Enterprise.objects.select_for_update().order_by("pk")
            }
            enterprise = known.get(text) if text else None
            if enterprise is not None and enterprise.is_active:
                return _join(enterprise, customer)
        limits.fail(guard, at=moment, lock_s=LOCK_SECONDS)
    log.info("join_failed", customer_id=customer.pk)
    raise InvitationUnknown


def _join(enterprise: Enterprise, customer: Customer) -> EnterpriseMember:
    there = membership_of(customer=customer)
    if there is not None:
        if there.enterprise_id != enterprise.pk:
            raise MemberElsewhere(name=there.enterprise.name)
        return there
    removed = EnterpriseMember.objects.filter(enterprise=enterprise, removed_at__isnull=False)
    if removed.filter(orders__customer=customer).exists():  # with another number since
        raise MemberRemoved(name=enterprise.name)
    member, _ = EnterpriseMember.objects.get_or_create(
        enterprise=enterprise, phone=customer.phone, defaults={"name": customer.nickname}
    )
    if member.removed_at is not None:
        raise MemberRemoved(name=enterprise.name)
    if not member.is_active:
        member.is_active = True
        member.save(update_fields=["is_active", "updated_at"])
    log.info("enterprise_joined", enterprise=enterprise.pk, customer_id=customer.pk)
    return member


def leave(*, customer: Customer) -> bool:
    """End a customer's membership; running charges keep their discount. Returns whether there was one."""
    left = EnterpriseMember.objects.filter(phone=customer.phone, is_active=True).update(
        is_active=False, updated_at=now()
    )
    if left:
        log.info("enterprise_left", customer_id=customer.pk)
    return bool(left)


def choose_payer(*, customer: Customer, payer: str) -> EnterpriseMember:
    """Keep with what (a Payer) a member pays from the next start on, where nothing else is said.

    Raises NoMember, FeatureMissing.
    """
    features.require("enterprises")
    member = membership_of(customer=customer)
    if member is None:
        raise NoMember
    member.payer = Payer(payer)
    member.save(update_fields=["payer"])  # since when it is one stays
    return member


ACCOUNT_FIELDS = ("account_kind", "credit_limit", "monthly_limit", "member_monthly_limit")


def set_account(
    *,
    enterprise: Enterprise,
    account_kind: str,
    credit_limit: Decimal,
    monthly_limit: Decimal | None,
    member_monthly_limit: Decimal | None,
) -> dict[str, list[Any]]:
    """Set whether an enterprise pays for its members and up to how much (yuan; None is no limit).

    Starts from now on go by it. Returns what changed, {field: [before, after]}.
    """
    features.require("enterprises")
    wanted = (account_kind, credit_limit, monthly_limit, member_monthly_limit)
    changes = {}
    for name, value in zip(ACCOUNT_FIELDS, wanted, strict=True):
        before = getattr(enterprise, name)
        if before != value:
            changes[name] = [before, value]
            setattr(enterprise, name, value)
    enterprise.save(update_fields=[*ACCOUNT_FIELDS, "updated_at"])
    return changes


def add_members(*, enterprise: Enterprise, phones: Iterable[str], actor: Actor) -> Added:
    """Make phone numbers active members, each once, also those that were removed before.

    One that is active elsewhere stays there and is told.

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
                past[phone].is_active, past[phone].removed_at = True, None
                past[phone].save(update_fields=["is_active", "removed_at", "updated_at"])
                result.added += 1
            else:
                EnterpriseMember.objects.create(enterprise=enterprise, phone=phone)
                result.added += 1
    log.info("enterprise_members_added", enterprise=enterprise.pk, added=result.added, by=str(actor))
    return result


def remove_members(*, enterprise: Enterprise, member_ids: Iterable[int]) -> int:
    """End memberships, and let nobody of them join by a code again. Returns how many ended.

    Running charges go on with the discount and the payer that they started with.
    """
    members = enterprise.members.filter(pk__in=list(member_ids), is_active=True)
    return members.update(is_active=False, removed_at=now())
