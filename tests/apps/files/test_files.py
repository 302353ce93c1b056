"""Storing, uploading by ticket and opening files, on a disk and in an object storage."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine as clock
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import StreamingHttpResponse
from django.test import AsyncRequestFactory, Client
from django_tenants.utils import schema_context
from moto.server import ThreadedMotoServer

from apps.common.ids import Actor
from apps.common.time import now
from apps.files import kinds, links, services, views
from apps.files.enums import FileState
from apps.files.errors import (
    FileEmpty,
    FileNotFound,
    FileTooLarge,
    FileTypeRefused,
    PictureBroken,
    TicketInvalid,
    UploadMissing,
)
from apps.files.models import StoredFile
from tests import factories
from tests.apps.files.test_content import a_photo
from tests.staff import a_user, signed_in

DRIVER = Actor("customer", "7")
PHOTO = a_photo("PNG", (20, 10)).getvalue()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["disk", "s3"])
def storage(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
    """Both kinds of storage, empty."""
    if request.param == "disk":
        use_disk(settings, tmp_path)
    else:
        use_bucket(settings, request.getfixturevalue("s3"))
    return str(request.param)


def use_disk(settings: Any, place: Path) -> None:
    options = {**settings.STORAGES["default"]["OPTIONS"], "location": str(place)}
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.STORAGES["default"], "OPTIONS": options}}


def use_bucket(settings: Any, endpoint: str, **changes: object) -> None:
    options = {
        "bucket_name": f"bucket-{uuid.uuid4().hex[:12]}",
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "access_key": "key",
        "secret_key": "secret",
        "addressing": "path",
        "signature": "s3v4",
        "default_acl": None,
        "file_overwrite": True,
        "querystring_expire": 600,
    } | changes
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "apps.files.storage.ObjectStorage", "OPTIONS": options},
    }
    default_storage.bucket.create()


def store(data: bytes = PHOTO, kind: kinds.Kind = kinds.PICTURE, owner: Actor = DRIVER) -> StoredFile:
    return services.store(kind=kind, file=io.BytesIO(data), name="照片.png", owner=owner)


def content_of(client: Client, path: str) -> bytes:
    """What a browser gets, also when it is sent on to the object storage."""
    answer = client.get(path)
    if answer.status_code == 302:
        assert answer.headers["cache-control"] == "no-store"
        found = requests.get(answer.headers["location"], timeout=10)
        found.raise_for_status()
        return found.content
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


# --- Storing ---


def test_a_picture_is_stored_with_a_small_one(tenant: Any, storage: str) -> None:
    file = store()
    assert (file.state, file.media_type, file.size) == (FileState.READY, "image/png", len(PHOTO))
    assert (file.width, file.height) == (20, 10)
    assert file.key.startswith(f"t_alpha/picture/{now():%Y/%m}/")
    assert file.key.endswith(".png")
    with services.open_content(file) as opened:
        assert opened.read() == PHOTO
    with services.open_content(file, thumbnail=True) as opened:
        assert opened.read()[8:12] == b"WEBP"
    services.discard(file)
    assert not default_storage.exists(file.key)
    assert not default_storage.exists(file.thumbnail_key)
    assert not StoredFile.objects.exists()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", FileEmpty),
        (b"%PDF-1.7", FileTypeRefused),
        (b"<svg onload=alert(1)/>", FileTypeRefused),
        (PHOTO[: len(PHOTO) // 2], PictureBroken),
        (PHOTO + b"x" * kinds.PICTURE.max_bytes, FileTooLarge),
    ],
)
def test_a_bad_file_is_not_kept(
    tenant: Any, settings: Any, tmp_path: Path, data: bytes, error: type[Exception]
) -> None:
    use_disk(settings, tmp_path)
    with pytest.raises(error) as told:
        store(data)
    assert str(told.value)
    assert not StoredFile.objects.exists()
    assert list(tmp_path.rglob("*")) == []


def test_files_on_disk_are_for_us_alone(tenant: Any, settings: Any, tmp_path: Path) -> None:
    use_disk(settings, tmp_path)
    store()
    made = list(tmp_path.rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_requests_to_the_object_storage_carry_nothing_that_oss_refuses(
    tenant: Any, settings: Any, s3: str, signature: str
) -> None:
    use_bucket(settings, s3, signature=signature)
    seen: list[dict[str, Any]] = []
    client = default_storage.connection.meta.client
    client.meta.events.register("before-send.s3", lambda request, **_: seen.append(dict(request.headers)))
    file = store()
    with services.open_content(file) as opened:
        assert opened.read() == PHOTO
    names = {name.lower() for headers in seen for name in headers}
    assert seen
    assert not any(
        name.startswith(("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer")) for name in names
    )
    assert not any(b"aws-chunked" in bytes(h.get("Content-Encoding", b"")) for h in seen)


# --- Tickets ---


def send(ticket: services.UploadTicket, data: bytes, **changes: str) -> int:
    """Fill in the ticket's form as a client does; return the status."""
    fields = {**ticket.fields, **changes}
    if ticket.url.startswith("/"):
        file = SimpleUploadedFile("x.png", data)
        return Client(headers={"host": "alpha.test"}).post(ticket.url, {**fields, "file": file}).status_code
    return requests.post(ticket.url, data=fields, files={"file": data}, timeout=10).status_code


def a_ticket(size: int = len(PHOTO), **changes: Any) -> services.UploadTicket:
    facts = {"kind": kinds.PICTURE, "media_type": "image/png", "size": size, "name": "a.png", "owner": DRIVER}
    return services.issue_ticket(**facts | changes)


def test_an_upload_by_ticket(tenant: Any, storage: str) -> None:
    ticket = a_ticket()
    assert ticket.expires_at - now() <= timedelta(minutes=10)
    with pytest.raises(UploadMissing):
        services.confirm_upload(number=ticket.number, owner=DRIVER)
    with pytest.raises(FileNotFound):
        services.confirm_upload(number=ticket.number, owner=Actor("customer", "8"))
    assert send(ticket, PHOTO) == 204
    file = services.confirm_upload(number=ticket.number, owner=DRIVER)
    assert (file.state, file.width, file.expires_at) == (FileState.READY, 20, None)
    # The key that the ticket writes to is not the one that is read.
    assert file.key != ticket.key
    assert not default_storage.exists(ticket.key)
    assert services.confirm_upload(number=ticket.number, owner=DRIVER) == file
    send(ticket, b"something else")
    with services.open_content(file) as opened:
        assert opened.read() == PHOTO


def test_what_a_ticket_brought_is_checked(tenant: Any, storage: str) -> None:
    ticket = a_ticket(size=100)
    page = b"<html><script>alert(1)</script></html>"
    assert send(ticket, page) == 204
    with pytest.raises(FileTypeRefused):
        services.confirm_upload(number=ticket.number, owner=DRIVER)
    assert not default_storage.exists(ticket.key)
    assert StoredFile.objects.get().state == FileState.PENDING


def test_a_ticket_is_for_the_size_and_type_it_was_issued_for(tenant: Any, storage: str) -> None:
    ticket = a_ticket(size=len(PHOTO) - 1)
    if storage == "disk":
        assert send(ticket, PHOTO) == 413
    else:
        send(
            ticket, PHOTO
        )  # moto does not look at the policy's length; what arrived is measured all the same
    with pytest.raises(UploadMissing if storage == "disk" else FileTooLarge):
        services.confirm_upload(number=ticket.number, owner=DRIVER)
    assert not default_storage.exists(ticket.key)
    with pytest.raises(FileTypeRefused):
        a_ticket(media_type="text/html")
    with pytest.raises(FileTooLarge):
        a_ticket(size=kinds.PICTURE.max_bytes + 1)
    with pytest.raises(FileEmpty):
        a_ticket(size=0)


def test_a_forged_late_or_foreign_ticket_is_none(
    tenant: Any, other_tenant: Any, settings: Any, tmp_path: Path
) -> None:
    use_disk(settings, tmp_path)
    ticket = a_ticket()
    assert send(ticket, PHOTO, token=ticket.fields["token"] + "x") == 403
    assert send(ticket, PHOTO, token="") == 403
    assert Client(headers={"host": "alpha.test"}).post(ticket.url, ticket.fields).status_code == 400
    foreign = Client(headers={"host": "beta.test"})
    file = SimpleUploadedFile("x.png", PHOTO)
    assert foreign.post(ticket.url, {**ticket.fields, "file": file}).status_code == 403
    with clock.travel(now() + timedelta(minutes=11), tick=False):
        assert send(ticket, PHOTO) == 403
    with pytest.raises(TicketInvalid):
        services.take_upload(token="", file=file)
    assert list(tmp_path.rglob("*")) == []


def test_what_is_over_goes(tenant: Any, storage: str) -> None:
    kept, ticket = store(), a_ticket()
    assert send(ticket, PHOTO) == 204
    assert services.purge() == 0
    with clock.travel(now() + timedelta(days=2), tick=False):
        if storage == "disk":  # moto's clock is the machine's
            assert services.purge() == 1
            assert not default_storage.exists(ticket.key)
            assert StoredFile.objects.get() == kept
            assert services.purge() == 0


# --- Opening ---


def test_who_may_open_a_file(tenant: Any, storage: str) -> None:
    owner, other = a_user(), a_user()
    reader = a_user("files.view_storedfile")
    file = store(owner=Actor("staff", str(owner.pk)))
    path = links.path(file)
    assert content_of(signed_in(owner), path) == PHOTO
    assert content_of(signed_in(reader), path) == PHOTO
    assert content_of(signed_in(reader), links.path(file, thumbnail=True))[8:12] == b"WEBP"
    assert signed_in(other).get(path).status_code == 404
    assert signed_in(reader).get(f"/files/{uuid.uuid4()}/").status_code == 404
    stranger = Client(headers={"host": "alpha.test"}).get(path)
    assert (stranger.status_code, stranger.headers["location"]) == (302, f"/admin/login/?next={path}")
    reader.is_staff = False
    reader.save()
    assert signed_in(reader).get(path).status_code == 404


def test_a_signed_address_opens_one_file_for_a_while(
    tenant: Any, other_tenant: Any, settings: Any, tmp_path: Path
) -> None:
    use_disk(settings, tmp_path)
    file, second = store(), store()
    app = Client(headers={"host": "alpha.test"})
    path = links.signed_path(file)
    assert content_of(app, path) == PHOTO
    assert content_of(app, links.signed_path(file, thumbnail=True))[8:12] == b"WEBP"
    signature = path.partition("?s=")[2]
    for wrong in ("x", signature[:-1], f"{signature}x"):
        assert app.get(links.path(file), {"s": wrong}).status_code == 404
    assert app.get(links.path(second), {"s": signature}).status_code == 404
    with schema_context("t_beta"):
        factories.a_picture(number=file.number)
    assert Client(headers={"host": "beta.test"}).get(path).status_code == 404
    with clock.travel(now() + links.LIFETIME + timedelta(seconds=1), tick=False):
        assert app.get(path).status_code == 404


def test_a_file_is_served_so_that_no_browser_runs_it(tenant: Any, settings: Any, tmp_path: Path) -> None:
    use_disk(settings, tmp_path)
    client = signed_in(a_user("files.view_storedfile"))
    picture = client.get(links.path(store()))
    assert b"".join(picture.streaming_content) == PHOTO
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["content-disposition"] == "inline; filename*=UTF-8''%E7%85%A7%E7%89%87.png"
    assert picture.headers["content-length"] == str(len(PHOTO))
    assert picture.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert picture.headers["x-content-type-options"] == "nosniff"
    paper = client.get(links.path(store(b"%PDF-1.7", kinds.DOCUMENT)))
    assert b"".join(paper.streaming_content) == b"%PDF-1.7"
    assert paper.headers["content-disposition"].startswith("attachment; ")
    assert paper.headers["cache-control"] == "no-store"


def test_lost_bytes_and_pending_uploads_are_not_found(tenant: Any, settings: Any, tmp_path: Path) -> None:
    use_disk(settings, tmp_path)
    client = signed_in(a_user("files.view_storedfile"))
    file, ticket = store(), a_ticket()
    assert client.get(f"/files/{ticket.number}/").status_code == 404
    default_storage.delete(file.key)
    assert client.get(links.path(file)).status_code == 404
    StoredFile.objects.filter(pk=file.pk).update(expires_at=now())
    assert client.get(links.path(file)).status_code == 404


def test_under_asgi_a_file_comes_piece_by_piece(tmp_path: Path) -> None:
    data = bytes(range(256)) * (views.CHUNK // 100)
    (tmp_path / "f").write_bytes(data)

    async def read() -> list[bytes]:
        opened = File(open(tmp_path / "f", "rb"))  # noqa: ASYNC230, SIM115
        answer = StreamingHttpResponse(views.pieces(AsyncRequestFactory().get("/"), opened))
        assert answer.is_async
        found = [piece async for piece in answer]
        answer.close()
        assert opened.closed
        return found

    found = asyncio.run(read())
    assert len(found) == 3
    assert b"".join(found) == data
