"""Agreements with drivers: drafts, versions that never change once they are published, and who agreed to which.

Personal Information Protection Law, articles 14 and 17: consent is kept with the version, the time and the way it was
given; a new version asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.common.time import now
from apps.customers.errors import (
    AgreementOutdated,
    AgreementPublished,
    AgreementUnknown,
    ConsentNeeded,
    DraftExists,
)
from apps.customers.models import Agreement, AgreementKind, Consent, Customer, DriverSession

log = structlog.get_logger(__name__)

TO_CHARGE = (AgreementKind.TERMS, AgreementKind.PRIVACY)
TO_TOP_UP = (*TO_CHARGE, AgreementKind.RECHARGE)
"""What a driver has agreed to before money is taken: prepaid consumption wants the agreement before the top-up
(Supreme Court, 法释〔2025〕4号)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An agreement as it is now, and what a driver said to it."""

    agreement: Agreement
    latest: Consent | None
    """To this version or an earlier one."""

    @property
    def is_needed(self) -> bool:
        """Whether the driver has to be asked."""
        return self.latest is None or self.latest.agreement_id != self.agreement.pk


def current() -> list[Agreement]:
    """Return the newest published version of each kind, in the order of the kinds."""
    found = Agreement.objects.filter(version__isnull=False).order_by("kind", "-version").distinct("kind")
    places = list(AgreementKind.values)
    return sorted(found, key=lambda one: places.index(one.kind))


def current_of(kind: str) -> Agreement:
    """Return the newest published version of a kind. Raises AgreementUnknown."""
    found = Agreement.objects.filter(kind=kind, version__isnull=False).order_by("-version").first()
    if found is None:
        raise AgreementUnknown
    return found


def standing_of(customer: Customer) -> list[Standing]:
    """Return every agreement with the newest version of it that a driver agreed to."""
    latest: dict[str, Consent] = {}
    for consent in Consent.objects.select_related("agreement").filter(customer=customer):
        known = latest.get(consent.agreement.kind)
        if known is None or (consent.agreement.version or 0) > (known.agreement.version or 0):
            latest[consent.agreement.kind] = consent
    return [Standing(one, latest.get(one.kind)) for one in current()]


def open_to(customer: Customer) -> QuerySet[Agreement]:
    """Return the agreements whose newest version the driver has not agreed to, as one query."""
    newest = Agreement.objects.filter(version__isnull=False).order_by("kind", "-version").distinct("kind")
    agreed = Consent.objects.filter(customer=customer).values("agreement")
    return Agreement.objects.filter(pk__in=newest.values("pk")).exclude(pk__in=agreed)


def check(customer: Customer, kinds: Sequence[str]) -> None:
    """Raise ConsentNeeded when a driver has not agreed to the newest version of one of `kinds` that is published."""
    missing = list(open_to(customer).filter(kind__in=kinds).order_by("id"))
    if missing:
        raise ConsentNeeded(
            titles="、".join(one.title for one in missing),
            agreements=[{"kind": one.kind, "version": one.version, "title": one.title} for one in missing],
        )


def agree(
    *, session: DriverSession, versions: Sequence[tuple[str, int]], address: str, agent: str
) -> list[Standing]:
    """Keep that a driver agrees to versions (kind, version), all or none; what was agreed before stays as it was.

    Raises AgreementUnknown, AgreementOutdated.
    """
    newest = {one.kind: one for one in current()}
    for kind, version in versions:
        if kind not in newest:
            raise AgreementUnknown
        if newest[kind].version != version:
            raise AgreementOutdated
    moment = now()
    Consent.objects.bulk_create(
        [
            Consent(
                customer=session.customer,
                agreement=newest[kind],
                agreed_at=moment,
                method=session.method,
                address=None if address in {"", "unknown"} else address,
                agent=agent[:200],
            )
            for kind, _version in dict.fromkeys(versions)
        ],
        ignore_conflicts=True,
    )
    log.info("agreed", customer_id=session.customer_id, versions=[f"{kind}:{no}" for kind, no in versions])
    return standing_of(session.customer)


def publish(*, agreement: Agreement, by: str) -> Agreement:
    """Give a draft the next version of its kind; every driver is asked again. Raises AgreementPublished."""
    with transaction.atomic():
        rows = {row.pk: row for row in Agreement.objects.select_for_update().filter(kind=agreement.kind)}
        draft = rows.get(agreement.pk)
        if draft is None or draft.version is not None:
            raise AgreementPublished
        draft.version = max((row.version or 0 for row in rows.values()), default=0) + 1
        draft.published_at = now()
        draft.published_by = by[:100]
        draft.save(update_fields=["version", "published_at", "published_by", "updated_at"])
    log.info("agreement_published", kind=draft.kind, version=draft.version)
    return draft


def new_version(*, agreement: Agreement) -> Agreement:
    """Begin a draft with the text of a published version. Raises DraftExists."""
    try:
        with transaction.atomic():
            return Agreement.objects.create(kind=agreement.kind, title=agreement.title, body=agreement.body)
    except IntegrityError:
        raise DraftExists from None
