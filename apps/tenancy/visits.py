"""Support visits: the platform's staff enter a tenant's back office for a reason and a time.

Here is what both sides share, in the public schema; the tenant's side (who one is there, and what one may) is
`apps.accounts.support`. The way in is a ticket that is good once and for a minute.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from apps.common.ids import Actor
from apps.common.time import now
from apps.tenancy.enums import SupportEnd, TenantState
from apps.tenancy.errors import TicketInvalid, WrongState
from apps.tenancy.models import SupportSession, Tenant

TICKET_S = 60
MINUTES = (15, 30, 60, 120, 240)
"""How long a visit may be asked for."""


def ask(*, tenant: Tenant, person: Actor, role: str, minutes: int, reason: str) -> tuple[SupportSession, str]:
    """Let a person of the platform into a tenant's back office; return the visit and its ticket.

    Raises WrongState for a tenant that is not active (its site is closed to everybody).
    """
    assert minutes in MINUTES, minutes
    ticket = secrets.token_urlsafe(32)
    moment = now()
    with transaction.atomic():
        row = Tenant.objects.select_for_update(of=("self",)).get(pk=tenant.pk)
        if row.state != TenantState.ACTIVE:
            raise WrongState(state=row.get_state_display())
        visit = SupportSession.objects.create(
            tenant=row,
            person_id=person.id,
            person_name=person.name[:100],
            role=role,
            reason=reason[:200],
            started_at=moment,
            ends_at=moment + timedelta(minutes=minutes),
            ticket_hash=_digest(ticket),
        )
    return visit, ticket


def redeem(*, ticket: str, schema: str) -> SupportSession:
    """Take a ticket in at the tenant's site; it is used up. Raises TicketInvalid, also for another tenant's."""
    moment = now()
    fresh = SupportSession.objects.filter(
        ticket_hash=_digest(ticket),
        tenant__schema_name=schema,
        entered_at=None,
        ended_at=None,
        started_at__gte=moment - timedelta(seconds=TICKET_S),
    )
    with transaction.atomic():
        visit = fresh.select_for_update(of=("self",)).select_related("tenant").first()
        if visit is None:
            raise TicketInvalid
        visit.entered_at = moment
        visit.save(update_fields=["entered_at"])
    return visit


def running(number: int, *, at: datetime | None = None) -> SupportSession | None:
    """Return a visit that goes on, None for one that has ended or whose time is over. One query."""
    found = SupportSession.objects.filter(pk=number, ended_at=None).exclude(entered_at=None).first()
    return found if found is not None and (at or now()) < found.ends_at else None


def end(*, visit: SupportSession, by: SupportEnd) -> bool:
    """End a visit; return whether it was going on until now."""
    moment = now()
    return bool(
        SupportSession.objects.filter(pk=visit.pk, ended_at=None).update(ended_at=moment, ended_by=by)
    )


def others(visit: SupportSession) -> list[SupportSession]:
    """Return the earlier visits of the same person to the same tenant that have not ended."""
    mine = SupportSession.objects.filter(tenant=visit.tenant_id, person_id=visit.person_id, ended_at=None)
    return list(mine.exclude(pk=visit.pk).order_by("id"))


def over(*, at: datetime | None = None) -> list[SupportSession]:
    """Return the visits whose time is over and that nobody ended."""
    late = SupportSession.objects.filter(ended_at=None, ends_at__lte=at or now())
    return list(late.select_related("tenant").order_by("id"))


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
