"""Storing files: from a form or a program, or by an upload ticket that a client uses on its own.

Bytes go to the storage before the row that names them is written, and no transaction is open meanwhile: what a crash
leaves behind in between is an object that nobody names.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

import structlog
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.signing import BadSignature, TimestampSigner
from django.db import models
from redis.exceptions import RedisError

from apps.common import limits
from apps.common.ids import Actor
from apps.common.limits import Window
from apps.common.schema import current_schema
from apps.common.time import now
from apps.files import content, kinds, oss
from apps.files.enums import FileState
from apps.files.errors import (
    FileEmpty,
    FileNotFound,
    FileTooLarge,
    FileTypeRefused,
    TicketInvalid,
    TooManyUploads,
    UploadMissing,
)
from apps.files.models import StoredFile

log = structlog.get_logger(__name__)

TICKET_S = 600
"""How long a ticket is good (integrations 3: ten minutes at most)."""
UPLOADS_A_DAY = 100
"""Tickets for one owner within 24 hours."""

_CHUNK = 1 << 20
_IN_MEMORY = 5 << 20
_TICKET_SALT = "files.ticket"


@dataclass(frozen=True)
class UploadTicket:
    """A form that a client fills in: POST multipart to `url` with `fields`, then `file`, before `expires_at`."""

    number: uuid.UUID
    url: str
    fields: dict[str, str]
    key: str
    expires_at: datetime


def store(*, kind: kinds.Kind, file: IO[bytes], name: str, owner: Actor, media_type: str = "") -> StoredFile:
    """Check a file by its content and keep it. `name` is what a download is called.

    `media_type` is for files that we wrote ourselves: what they are is known. Raises FileEmpty, FileTooLarge,
    FileTypeRefused, PictureBroken.
    """
    size, found = _checked(kind, file, media_type)
    return _keep(kind, file, name=name, owner=owner, size=size, media_type=found)


def issue_ticket(*, kind: kinds.Kind, media_type: str, size: int, name: str, owner: Actor) -> UploadTicket:
    """Let a client upload one file of that type and at most `size` bytes by itself.

    Nothing is kept before `confirm_upload`. Raises FileEmpty, FileTooLarge, FileTypeRefused, TooManyUploads.
    """
    if media_type not in kind.types:
        raise FileTypeRefused(allowed=_allowed(kind))
    _check_size(kind, size)
    moment = now()
    _count_upload(owner, moment)
    number = uuid.uuid4()
    row = StoredFile.objects.create(
        number=number,
        kind=kind.name,
        state=FileState.PENDING,
        key=f"{current_schema()}/incoming/{number}",
        name=name[:200],
        media_type=media_type,
        size=size,
        owner_kind=owner.kind,
        owner_id=owner.id,
        expires_at=moment + timedelta(days=1),
    )
    url, fields = _form(row, moment)
    return UploadTicket(number, url, fields, row.key, moment + timedelta(seconds=TICKET_S))


def take_upload(*, token: str, file: File) -> None:
    """Keep what came with a ticket of the local storage. Raises TicketInvalid, FileEmpty, FileTooLarge."""
    try:
        text = TimestampSigner(salt=_TICKET_SALT).unsign(token, max_age=TICKET_S)
    except BadSignature as error:
        raise TicketInvalid from error
    schema, _slash, number = text.partition("/")
    row = StoredFile.objects.filter(number=number, state=FileState.PENDING).first()
    if schema != current_schema() or row is None:
        raise TicketInvalid
    _check_size(kinds.get(row.kind), file.size or 0, limit=row.size)
    default_storage.delete(row.key)
    default_storage.save(row.key, file)


def confirm_upload(*, number: uuid.UUID, owner: Actor) -> StoredFile:
    """Check what came with a ticket and keep it under a key that no ticket writes to; a second call changes nothing.

    A file that breaks a rule is thrown away. Raises FileNotFound, UploadMissing and the errors of `store`.
    """
    row = StoredFile.objects.filter(number=number, owner_kind=owner.kind, owner_id=owner.id).first()
    if row is None:
        raise FileNotFound
    if row.state == FileState.READY:
        return row
    kind = kinds.get(row.kind)
    if not default_storage.exists(row.key):
        raise UploadMissing
    incoming = row.key
    try:
        _check_size(kind, default_storage.size(incoming), limit=row.size)
        with default_storage.open(incoming) as uploaded, tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            for chunk in uploaded.chunks(_CHUNK):
                copy.write(chunk)
            size, media_type = _checked(kind, copy)
            _keep(kind, copy, name=row.name, owner=owner, size=size, media_type=media_type, row=row)
    finally:
        default_storage.delete(incoming)
    row.refresh_from_db()
    return row


def discard(file: StoredFile) -> None:
    """Throw a file away, its objects first: what fails in between is thrown away again."""
    for key in filter(None, (file.key, file.thumbnail_key)):
        default_storage.delete(key)
    file.delete()


def purge() -> int:
    """Throw away what is over: files past their time, tickets that nobody used. Returns how many."""
    over = StoredFile.objects.filter(expires_at__lte=now()).order_by("id")
    count = 0
    for file in over.iterator(chunk_size=200):
        discard(file)
        count += 1
    return count


def is_object_storage() -> bool:
    """Return whether files are in an object storage (apps.files.storage) and not on a disk."""
    return bool(getattr(default_storage, "vendor", ""))


def outside_origins() -> list[str]:
    """Return from where, besides this host, browsers load files and to where they upload them."""
    return list(getattr(default_storage, "origins", ()))


def open_content(file: StoredFile, *, thumbnail: bool = False) -> File:
    """Open a file's bytes. Raises FileNotFound when the storage has lost them."""
    try:
        return default_storage.open(file.thumbnail_key if thumbnail else file.key)
    except FileNotFoundError as error:
        raise FileNotFound from error


def _checked(kind: kinds.Kind, file: IO[bytes], known: str = "") -> tuple[int, str]:
    size = file.seek(0, io.SEEK_END)
    _check_size(kind, size)
    found = known or content.media_type(file)
    if found not in kind.types:
        raise FileTypeRefused(allowed=_allowed(kind))
    return size, found


def _check_size(kind: kinds.Kind, size: int, *, limit: int | None = None) -> None:
    most = min(kind.max_bytes, kind.max_bytes if limit is None else limit)
    if size <= 0:
        raise FileEmpty
    if size > most:
        raise FileTooLarge(limit_mb=f"{most / kinds.MB:.1f}".removesuffix(".0"))


def _count_upload(owner: Actor, at: datetime) -> None:
    """One owner fills no disk. Without Redis nobody is counted, and nobody is sent away."""
    window = Window("uploads", f"{owner.kind} {owner.id}", 24 * 3600, UPLOADS_A_DAY)
    try:
        refusal = limits.take([window], at=at)
    except RedisError as error:
        log.warning("upload_not_counted", error=str(error))
        return
    if refusal is not None:
        raise TooManyUploads(retry_after_s=refusal.retry_after_s)


def _allowed(kind: kinds.Kind) -> str:
    return ", ".join(sorted(content.EXTENSIONS[one] for one in kind.types))


def _keep(
    kind: kinds.Kind,
    file: IO[bytes],
    *,
    name: str,
    owner: Actor,
    size: int,
    media_type: str,
    row: StoredFile | None = None,
) -> StoredFile:
    from apps.files import pictures  # Pillow is for those processes that meet a picture

    facts: dict[str, Any] = {}
    picture = pictures.read_picture(file) if media_type in content.PICTURES else None
    moment = now()
    place = f"{current_schema()}/{kind.name}/{moment:%Y/%m}/{uuid.uuid4()}"
    key = f"{place}.{content.EXTENSIONS[media_type]}"
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    if picture is not None:
        small = f"{place}-small.webp"
        default_storage.save(small, ContentFile(picture.thumbnail))
        facts |= {"thumbnail_key": small, "width": picture.width, "height": picture.height}
    default_storage.save(key, File(file, name=key))
    facts |= {
        "key": key,
        "state": FileState.READY,
        "media_type": media_type,
        "size": size,
        "sha256": digest.hexdigest(),
        "expires_at": moment + kind.lifetime if kind.lifetime else None,
    }
    if row is None:
        return StoredFile.objects.create(
            kind=kind.name, name=name[:200], owner_kind=owner.kind, owner_id=owner.id, **facts
        )
    waiting: models.QuerySet[StoredFile] = StoredFile.objects.filter(pk=row.pk, state=FileState.PENDING)
    if not waiting.update(**facts):  # another call was quicker
        for unused in filter(None, (key, facts.get("thumbnail_key"))):
            default_storage.delete(unused)
    return row


def _form(row: StoredFile, moment: datetime) -> tuple[str, dict[str, str]]:
    storage: Any = default_storage
    if not is_object_storage():
        token = TimestampSigner(salt=_TICKET_SALT).sign(f"{current_schema()}/{row.number}")
        return "/files/upload/", {"token": token}
    form: dict[str, Any] = {
        "key": row.key,
        "media_type": row.media_type,
        "size": row.size,
        "lifetime_s": TICKET_S,
    }
    if storage.vendor != "oss":
        return storage.post_form(**form)
    fields = oss.post_form(
        bucket=storage.bucket_name,
        region=storage.region_name,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        at=moment,
        **form,
    )
    return storage.oss_form_address(), fields
