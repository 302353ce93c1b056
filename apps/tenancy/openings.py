"""Opening a tenant in the background: asked for on a page, done by a worker, watched while it goes on.

The opening is `done` in the very transaction that makes the tenant, so a worker that dies leaves either nothing, and
the next attempt begins anew, or a tenant that is open. Progress is written by a connection of its own, since nothing of
the transaction shows before its end.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q

from apps.common.errors import DomainError
from apps.common.queue import enqueue
from apps.common.schema import schema_context
from apps.common.time import now
from apps.tenancy import tasks
from apps.tenancy.enums import PERCENT, OpeningState, OpeningStep
from apps.tenancy.errors import OpeningUnderWay
from apps.tenancy.models import Package, Tenant, TenantOpening
from apps.tenancy.selectors import host_name
from apps.tenancy.services import Administrator, check_new_tenant, create_tenant

LOST_AFTER = timedelta(minutes=5)
"""An opening whose worker said nothing for so long has lost it."""
UNTAKEN_AFTER = timedelta(seconds=30)
ATTEMPTS = 3
OPEN_STATES = (OpeningState.WAITING, OpeningState.RUNNING)
log = structlog.get_logger(__name__)


def request_opening(
    *,
    code: str,
    name: str,
    hostname: str,
    package: Package | None,
    expires_on: date | None,
    administrator: str,
    password: str,
    administrator_name: str = "",
    administrator_phone: str = "",
    asked_by: str = "",
) -> TenantOpening:
    """Keep what the new tenant is to be, and have it opened in the background.

    Raises TenantInvalid, CodeTaken, HostTaken, SchemaExists, OpeningUnderWay.
    """
    check_new_tenant(code=code, name=name, hostname=hostname)
    with transaction.atomic():
        try:
            with transaction.atomic():
                opening = TenantOpening.objects.create(
                    code=code,
                    name=name.strip(),
                    hostname=host_name(hostname),
                    package=package,
                    expires_on=expires_on,
                    administrator=administrator,
                    administrator_name=administrator_name,
                    administrator_phone=administrator_phone,
                    password_hash=make_password(password),
                    asked_by=asked_by[:100],
                )
        except IntegrityError as error:
            raise OpeningUnderWay(tenant_code=code) from error
        transaction.on_commit(partial(enqueue, tasks.open_tenant, opening.pk))  # beat finds it, too
    return opening


def run_opening(opening_id: int) -> None:
    """Open a tenant that waits, or go on after a worker that died. A second call for the same one does nothing."""
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        if not _claim(opening_id):
            return
        opening = TenantOpening.objects.select_related("package").get(pk=opening_id)
        if opening.attempt > ATTEMPTS:
            _finish(opening_id, OpeningState.FAILED, error="the worker died several times")
            return
        try:
            with _Progress(opening_id) as progress:
                create_tenant(
                    code=opening.code,
                    name=opening.name,
                    hostname=opening.hostname,
                    package=opening.package,
                    expires_on=opening.expires_on,
                    administrator=Administrator(
                        opening.administrator,
                        opening.password_hash,
                        opening.administrator_name,
                        opening.administrator_phone,
                    ),
                    progress=progress.at,
                    finish=lambda tenant: _finish(opening_id, OpeningState.DONE, tenant=tenant),
                )
        except DomainError as error:
            _finish(opening_id, OpeningState.FAILED, error=str(error))
        except Exception as error:
            _finish(opening_id, OpeningState.FAILED, error=f"{type(error).__name__}: {error}")
            raise


def find_openings() -> int:
    """Send a task for every opening that nobody works on. Returns how many."""
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        waiting = Q(state=OpeningState.WAITING, created_at__lt=now() - UNTAKEN_AFTER)
        numbers = list(
            TenantOpening.objects.filter(waiting | _lost()).order_by("id").values_list("pk", flat=True)
        )
        for number in numbers:
            enqueue(tasks.open_tenant, number)
    return len(numbers)


def retry(*, opening: TenantOpening) -> None:
    """Try a failed opening again. Raises OpeningUnderWay, and what `check_new_tenant` raises."""
    check_new_tenant(code=opening.code, name=opening.name, hostname=opening.hostname)
    with transaction.atomic():
        failed = TenantOpening.objects.filter(pk=opening.pk, state=OpeningState.FAILED).exclude(
            password_hash=""
        )
        try:
            with transaction.atomic():
                changed = failed.update(
                    state=OpeningState.WAITING,
                    step=OpeningStep.WAITING,
                    attempt=0,
                    error="",
                    updated_at=now(),
                )
        except IntegrityError as error:
            raise OpeningUnderWay(tenant_code=opening.code) from error
        if not changed:
            raise OpeningUnderWay(tenant_code=opening.code)
        transaction.on_commit(partial(enqueue, tasks.open_tenant, opening.pk))


def percent(opening: TenantOpening) -> int:
    """Return how far an opening is, 0 to 100."""
    return PERCENT[OpeningStep(opening.step)]


def _lost() -> Q:
    return Q(state=OpeningState.RUNNING, heartbeat_at__lt=now() - LOST_AFTER)


def _claim(opening_id: int) -> bool:
    free = TenantOpening.objects.filter(Q(state=OpeningState.WAITING) | _lost(), pk=opening_id)
    return bool(
        free.update(
            state=OpeningState.RUNNING, attempt=F("attempt") + 1, heartbeat_at=now(), updated_at=now()
        )
    )


def _finish(opening_id: int, state: OpeningState, *, tenant: Tenant | None = None, error: str = "") -> None:
    words = {"step": OpeningStep.DONE, "password_hash": ""} if state == OpeningState.DONE else {}
    TenantOpening.objects.filter(pk=opening_id).update(
        state=state, tenant=tenant, error=error[:300], finished_at=now(), updated_at=now(), **words
    )


class _Progress:
    """Writes how far an opening is, outside the transaction that does it."""

    def __init__(self, opening_id: int) -> None:
        self.opening_id = opening_id

    def __enter__(self) -> _Progress:
        self.connection = connection.copy()
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()

    def at(self, step: OpeningStep) -> None:
        """Say that `step` begins."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"update {settings.PUBLIC_SCHEMA_NAME}.tenancy_tenantopening"  # noqa: S608 - a setting, no input
                " set step = %s, heartbeat_at = %s where id = %s",
                [step.value, now(), self.opening_id],
            )
