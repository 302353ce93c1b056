"""Private files, and uploads by ticket where the storage is this machine's disk."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from apps.common.api import error_response
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.time import now
from apps.files import content, kinds, links, services
from apps.files.enums import FileState
from apps.files.errors import FileEmpty, FileNotFound, FileTooLarge
from apps.files.models import StoredFile

CHUNK = 1 << 18
REDIRECT_S = 60
"""How long an address of the object storage is good that a permitted person is sent to."""

UPLOAD_MAX_BYTES = 30_000_000


@require_safe
def open_file(request: HttpRequest, number: uuid.UUID, *, thumbnail: bool = False) -> Any:
    """Give a file to who may have it; for everybody else it does not exist."""
    signature = request.GET.get(links.SIGNATURE, "")
    person = request.user
    if not signature and not person.is_authenticated:
        return redirect_to_login(request.get_full_path())
    file = StoredFile.objects.filter(number=number, state=FileState.READY).first()
    if file is None or (file.expires_at and file.expires_at <= now()):
        raise Http404
    if thumbnail and not file.thumbnail_key:
        raise Http404
    if not (links.signature_holds(file, signature) if signature else may_open(request, file)):
        raise Http404
    return _answer(request, file, thumbnail=thumbnail)


def may_open(request: HttpRequest, file: StoredFile) -> bool:
    """Return whether the signed-in person may open a file: by its kind's rule or permission, or as its owner."""
    person = request.user
    if not (person.is_authenticated and person.is_active and person.is_staff):
        return False
    kind = kinds.get(file.kind)
    if kind.opens is not None:
        return kind.opens(request, file)
    if (file.owner_kind, file.owner_id) == ("staff", str(person.pk)):
        return True
    return bool(kind.permission) and person.has_perm(kind.permission)


@csrf_exempt
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Take a file that comes with a ticket: multipart, fields `token` and `file`. 204, or the API's error shape."""
    try:
        if (whole_number(request.META.get("CONTENT_LENGTH")) or 0) > UPLOAD_MAX_BYTES:
            raise FileTooLarge(limit_mb=UPLOAD_MAX_BYTES // kinds.MB)
        file = request.FILES.get("file")
        if file is None:
            raise FileEmpty
        services.take_upload(token=request.POST.get("token", ""), file=file)
    except DomainError as error:
        return error_response(error.code, str(error), error.status)
    return HttpResponse(status=204)


def _answer(request: HttpRequest, file: StoredFile, *, thumbnail: bool) -> Any:
    media_type = content.WEBP if thumbnail else file.media_type
    inline = media_type in content.PICTURES
    disposition = f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(file.name, safe='')}"
    if services.is_object_storage():
        asked = {"ResponseContentDisposition": disposition, "ResponseContentType": media_type}
        address = default_storage.url(file.thumbnail_key if thumbnail else file.key, asked, REDIRECT_S)
        return HttpResponseRedirect(address, headers={"Cache-Control": "no-store"})
    try:
        opened = services.open_content(file, thumbnail=thumbnail)
    except FileNotFound as error:
        raise Http404 from error
    headers = {
        "Content-Type": media_type,
        "Content-Length": str(opened.size),
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600" if inline else "no-store",
    }
    return StreamingHttpResponse(pieces(request, opened), headers=headers)


def pieces(request: HttpRequest, file: File) -> _Pieces:
    """Return a file piece by piece in the way of the server: a plain iterator under ASGI would be read whole first."""
    return _AsyncPieces(file) if isinstance(request, ASGIRequest) else _SyncPieces(file)


class _Pieces:
    """The response closes it, also when nobody read (HEAD, a browser that went away)."""

    def __init__(self, file: File) -> None:
        self.file = file

    def close(self) -> None:
        self.file.close()


class _SyncPieces(_Pieces):
    def __iter__(self) -> Iterator[bytes]:
        while piece := self.file.read(CHUNK):
            yield piece


class _AsyncPieces(_Pieces):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = sync_to_async(self.file.read, thread_sensitive=False)
        while piece := await read(CHUNK):
            yield piece
