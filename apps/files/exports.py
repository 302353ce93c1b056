"""Lists that are taken away in the background: what was asked for, writing it, and who may have it.

Any list of the back office with `export` columns can be one. Its filter is the list's own address, kept as it was when
it was asked for. Whether the person may is asked three times: when they ask, when the file is written, and when they
fetch it; rights and row scope that were taken away in between are gone.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import IO, Any, cast

import structlog
from django.apps import apps as django_apps
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.sites import NotRegistered
from django.contrib.auth import get_user_model
from django.core.exceptions import DisallowedHost, PermissionDenied, SuspiciousOperation
from django.db import connection, transaction
from django.db.models import F, Q
from django.http import HttpRequest, QueryDict
from django.utils import translation

from apps.backoffice.admin import BackofficeAdmin, export_value
from apps.backoffice.audit import record
from apps.backoffice.keyset import PASSING
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.queue import enqueue
from apps.common.schema import current_schema
from apps.common.time import SHANGHAI, now
from apps.files import content, kinds, services, tasks
from apps.files.enums import OPEN_STATES, ExportFormat, ExportState
from apps.files.errors import ExportBroken, ExportRefused, FilterInvalid, TooManyExports, TooManyRows
from apps.files.models import ExportJob, StoredFile

MAX_OPEN = 3
"""So many exports of one person wait or run at the same time."""

MAX_ROWS = 1_000_000
"""One sheet's worth; more rows take a command on the server."""

CHUNK = 1000
LOST_AFTER = timedelta(minutes=5)
"""A running export whose worker said nothing for so long has lost it."""

UNTAKEN_AFTER = timedelta(minutes=1)
ATTEMPTS = 3
KEPT_DAYS = 7
MEDIA_TYPES = {ExportFormat.XLSX: content.XLSX, ExportFormat.CSV: content.CSV}
LISTED_DAYS = 30

log = structlog.get_logger(__name__)


def request_export(
    *, model_admin: BackofficeAdmin, request: HttpRequest, export_format: str, query: str | None = None
) -> ExportJob:
    """Keep what the person asked for, and write it in the background.

    Raises ExportRefused, FilterInvalid, TooManyExports.
    """
    if not model_admin.has_export_permission(request):
        raise ExportRefused
    words = QueryDict(request.GET.urlencode() if query is None else query, mutable=True)
    for name in PASSING:
        words.pop(name, None)
    asked = _request(words.urlencode(), request.user)
    _filtered(model_admin, asked)  # says now what is wrong with the filter
    actor = staff_actor(request)
    with transaction.atomic():
        with connection.cursor() as cursor:  # counting and adding is one step for each person
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext(%s))", [f"exports:{current_schema()}:{actor.id}"]
            )
        own = ExportJob.objects.filter(actor_kind=actor.kind, actor_id=actor.id, state__in=OPEN_STATES)
        if own.count() >= MAX_OPEN:
            raise TooManyExports(limit=MAX_OPEN)
        job = ExportJob.objects.create(
            model=model_admin.opts.label_lower,
            query=words.urlencode(),
            format=ExportFormat(export_format),
            language=translation.get_language() or "",
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=str(actor)[:100],
        )
        model_admin.audit(
            request,
            "exported",
            None,
            changes={
                "filter": [None, job.query[:500]],
                "format": [None, job.format],
                "export": [None, job.pk],
            },
        )
        transaction.on_commit(partial(enqueue, tasks.run_export, job.pk))  # `find_exports` finds it, too
    return job


def run_export(job_id: int) -> None:
    """Write an export that waits, or one whose worker died. A second call for the same one does nothing."""
    job = _claim(job_id)
    if job is None:
        return
    try:
        with translation.override(job.language or None):
            if job.attempt > ATTEMPTS:
                raise ExportBroken
            _write(job)
    except DomainError as error:
        with translation.override(job.language or None):
            _finish(job, state=ExportState.FAILED, error=str(error)[:300])
    except Exception:
        with translation.override(job.language or None):
            _finish(job, state=ExportState.FAILED, error=str(ExportBroken()))
        raise


def find_exports() -> int:
    """Send a task for every export that nobody works on. Returns how many."""
    found = ExportJob.objects.filter(
        _lost() | Q(state=ExportState.WAITING, created_at__lt=now() - UNTAKEN_AFTER)
    )
    numbers = list(found.order_by("id").values_list("pk", flat=True)[:100])
    for number in numbers:
        enqueue(tasks.run_export, number)
    return len(numbers)


def forget_old() -> int:
    """Take exports off the list that were asked for long ago; their files went before. Returns how many."""
    over = ExportJob.objects.filter(created_at__lt=now() - timedelta(days=LISTED_DAYS), file=None)
    return over.exclude(state__in=OPEN_STATES).delete()[0]


def may_download(request: HttpRequest, file: StoredFile) -> bool:
    """Whoever asked for an export fetches it, while they may see the list. Each time goes to the audit log."""
    job = ExportJob.objects.filter(file=file).first()
    if job is None or (job.actor_kind, job.actor_id) != ("staff", str(request.user.pk)):
        return False
    model_admin = admin_of(job.model)
    if model_admin is None or not model_admin.has_export_permission(request):
        return False
    record(staff_actor(request), "files.exportjob_downloaded", job, address=client_address(request))
    return True


def admin_of(label: str) -> BackofficeAdmin | None:
    """Return the page of a model ("app.model"); None where there is none any more."""
    try:
        found = tenant_site.get_model_admin(django_apps.get_model(label))
    except (LookupError, ValueError, NotRegistered):
        return None
    return found if isinstance(found, BackofficeAdmin) else None


EXPORT = kinds.register(
    kinds.Kind(
        "export",
        frozenset({content.XLSX, content.CSV}),
        2_000 * kinds.MB,
        opens=may_download,
        lifetime=timedelta(days=KEPT_DAYS),
    )
)


def _lost() -> Q:
    return Q(state=ExportState.RUNNING, heartbeat_at__lt=now() - LOST_AFTER)


def _claim(job_id: int) -> ExportJob | None:
    """Of several workers one gets the job: the update waits for the row and looks again."""
    free = ExportJob.objects.filter(Q(state=ExportState.WAITING) | _lost(), pk=job_id)
    moment = now()
    if not free.update(
        state=ExportState.RUNNING, attempt=F("attempt") + 1, heartbeat_at=moment, done=0, total=None
    ):
        return None
    return ExportJob.objects.get(pk=job_id)


def rows_of(model_admin: BackofficeAdmin, query: str, person: Any) -> tuple[Any, int]:
    """Return the rows of a list as that person sees it and their number; `query` is that of the list's address.

    Raises ExportRefused, FilterInvalid, TooManyRows.
    """
    request = _request(query, person)
    if not model_admin.has_export_permission(request):
        raise ExportRefused
    rows = _filtered(model_admin, request)
    total = rows.order_by().count()
    if total > MAX_ROWS:
        raise TooManyRows(rows=total, limit=MAX_ROWS)
    return rows, total


def write_rows(
    model_admin: BackofficeAdmin,
    rows: Any,
    file: IO[bytes],
    form: str,
    told: Callable[[int], bool],
    *,
    person: Any = None,
) -> int | None:
    """Write rows as a table, with the columns of a person (None: all).

    Returns how many, or None where `told` (rows so far) said to stop.
    """
    from apps.files import sheets  # openpyxl is for the worker

    columns = model_admin.export_for(person)
    titles = [one for one, _source in columns]
    table = sheets.sheet(file, form, title=str(model_admin.opts.verbose_name_plural), titles=titles)
    done = 0
    # Rows that came since they were counted stay out: the sheet has an end.
    for row in itertools.islice(rows.iterator(chunk_size=CHUNK), MAX_ROWS):
        table.write(export_value(row, source) for _title, source in columns)
        done += 1
        if done % CHUNK == 0 and not told(done):
            return None
    table.close()
    return done


def _write(job: ExportJob) -> None:
    model_admin = admin_of(job.model)
    person = get_user_model().objects.filter(pk=job.actor_id, is_active=True, is_staff=True).first()
    if model_admin is None or person is None:
        raise ExportRefused
    rows, total = rows_of(model_admin, job.query, person)
    if not _advance(job, done=0, total=total):
        return
    with tempfile.TemporaryFile() as file:
        done = write_rows(
            model_admin,
            rows,
            cast("Any", file),
            job.format,
            lambda count: _advance(job, done=count),
            person=person,
        )
        if done is None:
            return
        title = model_admin.opts.verbose_name_plural
        name = f"{title}-{job.created_at.astimezone(SHANGHAI):%Y%m%d-%H%M%S}.{job.format}"
        owner = Actor(job.actor_kind, job.actor_id, job.actor_name)
        stored = services.store(
            kind=EXPORT, file=cast("Any", file), name=name, owner=owner, media_type=MEDIA_TYPES[job.format]
        )
    if not _finish(job, state=ExportState.DONE, done=done, total=done, file=stored):
        services.discard(stored)


def _request(query: str, person: Any) -> HttpRequest:
    """A request for the list as that person would make it."""
    request = HttpRequest()
    request.method = "GET"
    request.GET = QueryDict(query)
    request.user = person
    request.tenant = getattr(connection, "tenant", None)  # type: ignore[attr-defined]
    request.META |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}
    return request


def _filtered(model_admin: BackofficeAdmin, request: HttpRequest) -> Any:
    try:
        return model_admin.get_changelist_instance(request).get_queryset(request)
    except (IncorrectLookupParameters, SuspiciousOperation, DisallowedHost, ValueError) as error:
        raise FilterInvalid from error
    except PermissionDenied as error:
        raise ExportRefused from error


def _advance(job: ExportJob, **facts: Any) -> bool:
    """Say how far it is. False: another worker has taken the job over, or it is gone."""
    own = ExportJob.objects.filter(pk=job.pk, attempt=job.attempt, state=ExportState.RUNNING)
    return bool(own.update(heartbeat_at=now(), **facts))


def _finish(job: ExportJob, **facts: Any) -> bool:
    return _advance(job, finished_at=now(), **facts)
