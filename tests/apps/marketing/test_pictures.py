"""Pictures in the text of an activity: ours alone, seen by drivers without signing in, gone when no text shows them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from apps.common import richtext
from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.customers.models import Agreement
from apps.files import kinds, links
from apps.files import services as files
from apps.files.models import StoredFile
from apps.marketing import services, texts
from apps.marketing.models import Activity
from tests import factories
from tests.apps.files.test_content import a_photo
from tests.apps.marketing.test_activities import LIST, app_of, press
from tests.staff import a_user, boss, form_of, signed_in, status_of

UPLOAD = f"{LIST}picture/"
STYLE = f'style="{richtext.PICTURE_STYLE}"'

pytestmark = pytest.mark.usefixtures("tenant")


def a_text_picture() -> StoredFile:
    return services.add_picture(file=a_photo(), name="a.jpg", actor=SYSTEM)


def shown(picture: StoredFile, alt: str = "") -> str:
    """A picture as the editor sends it."""
    return f'<img src="{links.path(picture)}" alt="{alt}">'


def stored(picture: StoredFile, alt: str = "") -> str:
    return f'<img src="{links.path(picture)}" alt="{alt}" {STYLE}>'


def send(client: Client, content: bytes, name: str = "a.jpg") -> Any:
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, content, content_type="image/jpeg")})


def test_uploaded_placed_published_and_seen_without_signing_in() -> None:
    client = boss()
    activity = factories.an_activity()
    answer = send(client, a_photo().getvalue())
    assert answer.status_code == 201
    address = answer.json()["address"]
    picture = StoredFile.objects.get(kind="activity-picture")
    assert address == f"/files/{picture.number}/"
    assert status_of(client, address) == 200, "the editor shows it before it is saved"
    change = f"{LIST}{activity.pk}/change/"
    sent = form_of(client, change) | {"text": f'<div>海报<img src="{address}" alt="八折 &amp; 红包"></div>'}
    sent.pop("coupon_templates")
    for name in ("starts_at", "ends_at"):
        moment = getattr(activity, name)
        sent |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M:%S}"}
    assert client.post(change, sent).status_code == 302
    activity.refresh_from_db()
    assert activity.text == f'<div>海报<img src="{address}" alt="八折 &amp; 红包" {STYLE}></div>'
    assert address in client.get(change).content.decode()
    press(client, activity, "publish")
    text = app_of().get(f"activities/{activity.pk}").json()["text"]
    found = re.fullmatch(
        rf'<div>海报<img src="([^"]+)" alt="八折 &amp; 红包" {re.escape(STYLE)}></div>', text
    )
    assert found
    driver = Client(headers={"host": "alpha.test"})
    assert found[1].startswith(f"{address}?s=")
    assert status_of(driver, found[1]) == 200
    assert status_of(driver, address) == 302, "without the signature it asks who wants it"
    reader = signed_in(a_user("marketing.view_activity"))
    assert stored(picture, "八折 &amp; 红包") in reader.get(change).content.decode()
    assert status_of(reader, address) == 200
    assert status_of(signed_in(a_user("orders.view_order")), address) == 404


@pytest.mark.parametrize(
    "hostile",
    [
        '<img src="https://evil.example{path}">',
        '<img src="//evil.example{path}">',
        '<img src="http://alpha.test{path}">',
        '<img src="\\\\evil.example{path}">',
        '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
        '<img src="javascript:alert(1)">',
        '<img src="java&#10;script:{path}">',
        '<img src="{path}thumbnail/">',
        '<img src="{path}?s=x">',
        '<img src="{path}#x">',
        '<img src="/files/../admin/?x={path}">',
        '<img src="/admin/logout/">',
        '<img alt="a > b" src="x">',
        "<img src>",
        "<img alt=' src=\"{path}\" '>",
        '<img srcset="{path} 2x">',
        '<img src="/files/{other}/">',
        '<picture><source srcset="https://evil.example/"></picture>',
        '<svg><image href="{path}"/></svg>',
        '<video poster="{path}"></video>',
        '<input type="image" src="{path}">',
        '<div style="background:url({path})"></div>',
        '<img background="{path}">',
    ],
)
def test_no_picture_but_ours_by_its_address(hostile: str) -> None:
    picture = a_text_picture()
    written = hostile.format(path=links.path(picture), other=uuid4())
    text = texts.clean(f"<p>a{written}b</p>")
    assert "<img" not in text
    assert "evil" not in text
    kept = texts.clean(f"<p>{written}</p>{shown(picture)}")
    assert kept.count("<img") == 1
    assert kept.endswith(stored(picture)), "one that is ours stays beside it"


def test_of_a_picture_its_description_stays_and_nothing_else() -> None:
    picture = a_text_picture()
    path = links.path(picture)
    for attributes in (
        'width="9000" height="1"',
        'width="300%"',
        'style="width:300vw;position:fixed"',
        'onerror="x()" onload="x()"',
        'class="x" id="y" usemap="#z" ismap longdesc="https://evil.example" crossorigin loading="eager"',
    ):
        assert texts.clean(f'<IMG SRC="{path}" ALT="a" {attributes}>') == stored(picture, "a"), attributes
    tricky = f'<img src="{path}" alt="&quot;&gt;&lt;script&gt;x()&lt;/script&gt;">'
    kept = texts.clean(tricky)
    assert kept.startswith(f'<img src="{path}" alt="&quot;')
    assert kept.endswith(f'" {STYLE}>')
    assert texts.clean(kept) == kept
    assert '"><script' not in kept


def test_a_file_of_another_kind_or_of_another_tenant_is_no_picture(other_tenant: Any) -> None:
    own = [factories.a_picture(), files.store(kind=services.COVER, file=a_photo(), name="a", owner=SYSTEM)]
    with schema_context("t_beta"):
        own.append(a_text_picture())
        assert texts.clean(shown(own[-1])) == stored(own[-1])
    for file in own:
        activity = factories.an_activity(text=f"<p>a{shown(file)}</p>")
        assert activity.text == "<p>a</p>"
        Activity.objects.filter(pk=activity.pk).update(text=stored(file), is_published=True)
        assert "?s=" not in app_of().get(f"activities/{activity.pk}").json()["text"]
    with schema_context("t_beta"):
        assert StoredFile.objects.get(pk=own[-1].pk).expires_at is not None


def test_agreements_have_no_pictures() -> None:
    picture = a_text_picture()
    page = f"/admin/customers/agreement/{factories.an_agreement().pk}/new-version/"
    boss().post(page, {"_form_submitted": "on"})
    draft = Agreement.objects.get(version=None)
    sent = {"kind": draft.kind, "title": draft.title, "body": f"<p>a{shown(picture)}</p>"}
    boss().post(f"/admin/customers/agreement/{draft.pk}/change/", sent)
    draft.refresh_from_db()
    assert draft.body == "<p>a</p>"


def test_a_poster_is_a_text() -> None:
    activity = factories.an_activity(text=shown(a_text_picture(), "海报"))
    assert services.publish(activity=activity).is_published


def test_a_picture_goes_unless_a_saved_text_shows_it() -> None:
    unused, used, moved = (a_text_picture() for _ in range(3))
    soon = now() + kinds.DAY
    assert all(one.expires_at and now() < one.expires_at <= soon for one in (unused, used, moved))
    first = factories.an_activity(text=shown(used) + shown(moved))
    second = factories.an_activity(text=shown(moved))

    def kept() -> set[StoredFile]:
        return set(StoredFile.objects.filter(kind="activity-picture", expires_at=None))

    assert kept() == {used, moved}
    first.text = shown(used)
    first.save()
    assert kept() == {used, moved}, "another text shows it still"
    second.text = ""
    second.save(update_fields=["title"])
    assert kept() == {used, moved}, "the text is not saved"
    second.save(update_fields=["text"])
    assert kept() == {used}
    services.publish(activity=first)
    services.set_cover(activity=first, file=a_photo(), name="c.jpg", actor=SYSTEM)
    assert kept() == {used}
    StoredFile.objects.exclude(expires_at=None).update(expires_at=now() - timedelta(seconds=1))
    first.refresh_from_db()
    first.text = shown(used) + shown(unused)
    first.save()
    assert first.text == stored(used), "what is over is not shown again"
    assert files.purge() == 2
    assert not StoredFile.objects.filter(pk__in=[unused.pk, moved.pk]).exists()
    with files.open_content(StoredFile.objects.get(pk=used.pk)) as file:
        assert file.read(3) == b"\xff\xd8\xff"


def test_what_is_taken_is_a_picture_of_at_most_five_megabytes() -> None:
    client = boss()
    for content in (
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a",
        b"%PDF-1.7",
        b"\xff\xd8\xff broken",
    ):
        answer = send(client, content)
        assert answer.status_code in {400, 415}, content
        assert re.search("[\u4e00-\u9fff]", answer.json()["error"])
    large = a_photo().getvalue() + bytes(5_000_001)
    assert send(client, large).status_code == 413
    assert client.post(UPLOAD).status_code == 400
    assert client.get(UPLOAD).status_code == 405
    assert not StoredFile.objects.exists()
    answer = send(client, a_photo("PNG").getvalue(), "a.exe")
    assert answer.status_code == 201
    assert StoredFile.objects.get().media_type == "image/png"


def test_who_writes_texts_uploads() -> None:
    content = a_photo().getvalue()
    for permission, status in (
        ("marketing.add_activity", 201),
        ("marketing.change_activity", 201),
        ("marketing.view_activity", 403),
        ("marketing.publish_activity", 403),
    ):
        assert send(signed_in(a_user(permission)), content).status_code == status, permission
    stranger = Client(headers={"host": "alpha.test"})
    assert send(stranger, content).status_code == 302
    cautious = Client(headers={"host": "alpha.test"}, enforce_csrf_checks=True)
    cautious.force_login(a_user(superuser=True))
    assert send(cautious, content).status_code == 403


def test_more_pictures_ask_no_more_questions() -> None:
    activity = factories.an_activity(is_published=True)
    counts = []
    for number in (1, 2, 3):
        activity.text = "".join(shown(a_text_picture()) for _ in range(number))
        activity.save()
        with CaptureQueriesContext(connection) as asked:
            assert app_of().get(f"activities/{activity.pk}").json()["text"].count("?s=") == number
        counts.append(len(asked.captured_queries))
    assert counts[0] == counts[1] == counts[2]
