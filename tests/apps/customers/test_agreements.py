"""Agreements: drafts, versions that never change, consent that is asked for again, and pages for both."""

from __future__ import annotations

import pytest

from apps.backoffice.models import AuditEntry
from apps.common import richtext
from apps.customers import agreements, sessions
from apps.customers.errors import AgreementPublished, DraftExists
from apps.customers.models import Agreement, Consent, DriverAppSettings
from tests import factories
from tests.staff import a_user, boss, form_of, signed_in

pytestmark = pytest.mark.usefixtures("tenant")
PAGE = "/admin/customers/agreement/"
SURE = {"_form_submitted": "on"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<h2>一</h2><p>二<br>三</p>", "<h2>一</h2><p>二<br>三</p>"),
        ("<p onclick='x()'>a</p><script>x()</script>", "<p>a</p>"),
        ('<a href="javascript:x()">a</a>', '<a rel="noopener noreferrer nofollow">a</a>'),
        (
            '<a href="https://x.cn/?a=1">a</a>',
            '<a href="https://x.cn/?a=1" rel="noopener noreferrer nofollow">a</a>',
        ),
        ('<img src=x onerror="x()">b<iframe src="https://x.cn"></iframe>', "b"),
        ('<p style="position:fixed">a</p><style>p{}</style>', "<p>a</p>"),
        ("<svg><script>x()</script></svg>a", "a"),
        ("<form action='https://x'><input name=a>b</form>", "b"),
        ("<a href='http://x.cn'>a</a>", '<a rel="noopener noreferrer nofollow">a</a>'),
        (
            "<a href='tel:4001234567'>a</a>",
            '<a href="tel:4001234567" rel="noopener noreferrer nofollow">a</a>',
        ),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
    ],
)
def test_what_could_run_is_taken_out(written: str, kept: str) -> None:
    assert richtext.clean(written) == kept
    assert richtext.clean(kept) == kept


@pytest.mark.parametrize(("text", "blank"), [("<p>&nbsp;</p><br>", True), ("", True), ("<p>a</p>", False)])
def test_a_text_that_nobody_could_read(text: str, blank: bool) -> None:
    assert richtext.is_blank(text) is blank


def test_versions_are_counted_by_kind_and_never_change() -> None:
    first = factories.an_agreement()
    assert (first.version, first.published_by) == (1, "张三")
    with pytest.raises(AgreementPublished):
        agreements.publish(agreement=first, by="x")
    draft = agreements.new_version(agreement=first)
    assert (draft.version, draft.body) == (None, first.body)
    with pytest.raises(DraftExists):
        agreements.new_version(agreement=first)
    assert agreements.publish(agreement=draft, by="李四").version == 2
    assert factories.an_agreement("terms").version == 1
    assert [(one.kind, one.version) for one in agreements.current()] == [("terms", 1), ("privacy", 2)]


def test_staff_write_publish_and_begin_anew() -> None:
    client = boss()
    form = {"kind": "privacy", "title": "隐私政策", "changes": "", "body": "<p>正文<script>x()</script></p>"}
    assert client.post(f"{PAGE}add/", {**form, "body": "<p> </p>"}).status_code == 200, "nothing to read"
    assert client.post(f"{PAGE}add/", form).status_code == 302
    draft = Agreement.objects.get()
    assert (draft.body, draft.version) == ("<p>正文</p>", None)
    assert "已有草稿" in client.post(f"{PAGE}add/", form).content.decode()
    page = f"{PAGE}{draft.pk}/"
    changed = form_of(client, f"{page}change/") | {"title": "隐私权政策", "body": "<p>新正文</p>"}
    assert client.post(f"{page}change/", changed).status_code == 302
    assert client.post(f"{page}publish/", SURE).status_code == 200
    draft.refresh_from_db()
    assert (draft.version, draft.title, draft.body) == (1, "隐私权政策", "<p>新正文</p>")
    assert draft.published_by
    # Published: nothing changes it, and nothing takes it away.
    assert client.post(f"{page}change/", {**changed, "title": "x"}).status_code == 403
    assert client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert "<p>新正文</p>" in client.get(f"{page}change/").content.decode()
    draft.refresh_from_db()
    assert draft.title == "隐私权政策"
    assert client.post(f"{page}new-version/", SURE).status_code == 200
    again = Agreement.objects.get(version=None)
    assert client.post(f"{PAGE}{again.pk}/delete/", {"post": "yes"}).status_code == 302
    assert list(
        AuditEntry.objects.filter(action__startswith="customers.")
        .order_by("id")
        .values_list("action", flat=True)
    ) == [f"customers.agreement_{deed}" for deed in ("added", "changed", "published", "added", "deleted")]


def test_who_may_write_may_not_publish() -> None:
    draft = Agreement.objects.create(kind="terms", title="x", body="<p>x</p>")
    writer = signed_in(
        a_user(*(f"customers.{deed}_agreement" for deed in ("view", "add", "change", "delete")))
    )
    assert writer.get(f"{PAGE}{draft.pk}/change/").status_code == 200
    assert writer.post(f"{PAGE}{draft.pk}/publish/", SURE).status_code == 403
    draft.refresh_from_db()
    assert draft.version is None


def test_a_new_version_asks_again() -> None:
    customer = factories.a_customer("0")
    session = sessions.open_session(customer=customer, method="wechat")
    assert not agreements.open_to(customer).exists()
    factories.an_agreement()
    factories.an_agreement("terms")
    assert agreements.open_to(customer).exists()
    words = {"session": session, "address": "10.0.0.1", "agent": "WeChat"}
    agreements.agree(versions=[("privacy", 1), ("terms", 1), ("terms", 1)], **words)
    assert not agreements.open_to(customer).exists()
    first = Consent.objects.get(agreement__kind="privacy")
    assert (first.method, first.address, first.agent) == ("wechat", "10.0.0.1", "WeChat")
    agreements.agree(versions=[("privacy", 1)], **words)
    assert Consent.objects.get(agreement__kind="privacy").agreed_at == first.agreed_at
    factories.an_agreement()
    assert agreements.open_to(customer).exists()
    assert [(one.agreement.kind, one.is_needed) for one in agreements.standing_of(customer)] == [
        ("terms", False),
        ("privacy", True),
    ]
    page = boss().get(f"/admin/customers/customer/{customer.pk}/change/").content.decode()
    assert "隐私政策 · 1" in page


def test_the_settings_page() -> None:
    client = boss()
    row = DriverAppSettings.objects.get()
    page = f"/admin/customers/driverappsettings/{row.pk}/change/"
    assert client.get("/admin/customers/driverappsettings/").headers["location"] == page
    form = form_of(client, page)
    assert "电话只能" in client.post(page, {**form, "service_phone": "call <me>"}).content.decode()
    assert client.post(page, {**form, "service_phone": "400-800-1234"}).status_code == 302
    assert DriverAppSettings.objects.get().service_phone == "400-800-1234"
    assert AuditEntry.objects.get(action="customers.driverappsettings_changed").changes == {
        "service_phone": ["", "400-800-1234"]
    }
