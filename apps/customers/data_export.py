"""A copy of a driver's own data, written in the background: JSON files in an archive (PIPL, article 45).

Every app adds what it knows (settings.CUSTOMER_EXPORTS). The archive is kept for seven days and opened by links that
are good for two hours, given to the driver alone.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import IO, Any, cast

import structlog
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from apps.common.ids import Actor
from apps.common.queue import enqueue
from apps.common.time import SHANGHAI, now
from apps.customers import kinds, tasks
from apps.customers.models import Customer, CustomerState, DataExport, DataExportState
from apps.files import content, links, services
from apps.files.errors import FileNotFound

log = structlog.get_logger(__name__)

AGAIN_AFTER = timedelta(hours=24)
"""A copy that was asked for within this time is the one that is given."""
LOST_AFTER = timedelta(minutes=10)
ATTEMPTS = 3

Data = Mapping[str, Iterable[Mapping[str, Any]]]
"""File name without ending → rows."""


def request(*, customer: Customer) -> DataExport:
    """Ask for a copy; one that waits or is younger than a day is given instead of another."""
    for _attempt in range(2):
        newest = latest(customer=customer)
        if newest is not None and (
            newest.state in {DataExportState.WAITING, DataExportState.RUNNING}
            or (newest.state == DataExportState.DONE and newest.asked_at > now() - AGAIN_AFTER)
        ):
            return newest
        try:
            with transaction.atomic():
                made = DataExport.objects.create(customer=customer, asked_at=now())
                transaction.on_commit(partial(enqueue, tasks.export_data))
                return made
        except IntegrityError:  # somebody asked at the same moment
            continue
    return DataExport.objects.filter(customer=customer).latest("id")


def latest(*, customer: Customer) -> DataExport | None:
    """Return the copy that was asked for last."""
    return DataExport.objects.select_related("file").filter(customer=customer).order_by("-id").first()


def address(export: DataExport) -> str:
    """Return a path that opens the copy for two hours, "" while there is none or when its time is over."""
    file = export.file
    if file is None or (file.expires_at and file.expires_at <= now()):
        return ""
    return links.signed_path(file)


def run_all() -> int:
    """Write every copy that is waited for; returns how many. Safe to run several times at once."""
    count = 0
    while (export := _claim()) is not None:
        try:
            _write(export)
        except Exception:
            log.exception("data_export_failed", export=str(export.number), attempt=export.attempts)
            state = DataExportState.FAILED if export.attempts >= ATTEMPTS else DataExportState.RUNNING
            _own(export).update(state=state, finished_at=now() if state == DataExportState.FAILED else None)
        count += 1
    return count


def data_of(customer: Customer) -> dict[str, list[dict[str, Any]]]:
    """Return everything that is known of a driver, by name of file."""
    found = {name: [dict(row) for row in rows] for name, rows in _own_data(customer).items()}
    for path in settings.CUSTOMER_EXPORTS:
        part = cast("Callable[[Customer], Data]", import_string(path))(customer)
        found |= {name: [dict(row) for row in rows] for name, rows in part.items()}
    return found


def _claim() -> DataExport | None:
    """Take one that waits, or one whose worker died."""
    moment = now()
    lost = DataExport.objects.filter(state=DataExportState.RUNNING, started_at__lt=moment - LOST_AFTER)
    lost.filter(attempts__gte=ATTEMPTS).update(state=DataExportState.FAILED, finished_at=moment)
    with transaction.atomic():
        waiting = DataExport.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
            "customer"
        )
        found = (
            waiting.filter(state=DataExportState.WAITING).order_by("id").first()
            or waiting.filter(state=DataExportState.RUNNING, started_at__lt=moment - LOST_AFTER).first()
        )
        if found is None:
            return None
        found.state, found.started_at = DataExportState.RUNNING, moment
        found.attempts += 1
        found.save(update_fields=["state", "started_at", "attempts"])
    return found


def _write(export: DataExport) -> None:
    customer = export.customer
    if customer.state == CustomerState.DELETED:
        _own(export).update(state=DataExportState.FAILED, finished_at=now())
        return
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(cast("IO[bytes]", file), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, rows in data_of(customer).items():
                text = json.dumps(rows, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)
                archive.writestr(f"{name}.json", text)
            _add_avatar(archive, customer)
        stored = services.store(
            kind=kinds.PERSONAL_DATA,
            file=cast("IO[bytes]", file),
            name=f"personal-data-{export.asked_at.astimezone(SHANGHAI):%Y%m%d}.zip",
            owner=Actor("customer", str(customer.pk)),
            media_type=content.ZIP,
        )
    if not _own(export).update(state=DataExportState.DONE, finished_at=now(), file=stored):
        services.discard(stored)  # another worker has taken it over, or the account is gone


def _add_avatar(archive: zipfile.ZipFile, customer: Customer) -> None:
    if customer.avatar is None:
        return
    try:
        with services.open_content(customer.avatar) as picture:
            archive.writestr(f"avatar.{content.EXTENSIONS[customer.avatar.media_type]}", picture.read())
    except FileNotFound:
        log.warning("avatar_lost", customer_id=customer.pk)


def _own(export: DataExport) -> Any:
    return DataExport.objects.filter(pk=export.pk, state=DataExportState.RUNNING, attempts=export.attempts)


def _own_data(customer: Customer) -> Data:
    profile = {
        "phone": customer.phone,
        "nickname": customer.nickname,
        "language": customer.language,
        "registered_at": customer.created_at,
        "last_login_at": customer.last_login_at,
        "has_pin": bool(customer.pin),
    }
    return {
        "profile": [profile],
        "accounts": customer.identities.values("provider", "app_id", "openid", "created_at", "last_login_at"),
        "vehicles": customer.vehicles.values("plate", "vin", "plug_and_charge", "created_at"),
        "cards": customer.cards.values("logical_no", "physical_no", "state", "created_at"),
        "consents": customer.consents.values(
            "agreement__kind", "agreement__version", "agreed_at", "method", "address", "agent"
        ),
        "devices": customer.sessions.values(
            "method", "agent", "address", "started_at", "seen_at", "ended_at", "ended_because"
        ),
    }
