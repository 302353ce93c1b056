"""Feedback: a driver writes with photos, staff answer, assign and close; both see it, nobody else does."""

from __future__ import annotations

import io
import itertools
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from apps.accounts.enums import Scope
from apps.backoffice.models import AuditEntry
from apps.common.ids import Actor
from apps.common.time import now
from apps.customers.feedback import errors, personal, services
from apps.customers.feedback.models import Feedback
from apps.files import links
from apps.files.enums import FileState
from apps.files.models import StoredFile
from apps.files.services import UPLOADS_A_DAY
from apps.sites.services import give_stations
from tests import factories
from tests.apps.miniapp.conftest import refusal
from tests.apps.orders.test_at_once import at_once
from tests.staff import a_user, boss, signed_in, status_of

READ, ANSWER = "customers.view_feedback", "customers.answer_feedback"
LIST = "/admin/customers/feedback/"
LI = Actor("staff", "2", "李强")
_keys = itertools.count(1)


@pytest.fixture
def app_of() -> Any:
    from apps.miniapp.authentication import token_for
    from tests.apps.miniapp.conftest import Caller

    return lambda customer: Caller(str(token_for(customer)), **{"accept-language": "en"})


def a_jpeg() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(data, "JPEG")
    return data.getvalue()


def upload(app: Any, content: bytes | None = None) -> str:
    picture = a_jpeg() if content is None else content
    answer = app.post("feedback/photos", {"media_type": "image/jpeg", "size": len(picture)})
    assert answer.status_code == 201
    ticket = answer.json()
    sent = {**ticket["fields"], "file": SimpleUploadedFile("枪.jpg", picture)}
    assert Client(headers={"host": "alpha.test"}).post(ticket["url"], sent).status_code == 204
    return ticket["number"]


def write(app: Any, key: str = "", path: str = "feedback", **fields: Any) -> Any:
    body = {"kind": "device", "text": "2 号枪插不进去", **fields}
    return app.post(path, body, **{"idempotency-key": key or f"key-{next(_keys)}"})


def press(client: Any, feedback: Feedback, page: str, **words: Any) -> Any:
    return client.post(f"{LIST}{feedback.pk}/{page}/", {"_form_submitted": "True", **words})


def test_from_the_question_to_the_answer_and_back(tenant: Any, app_of: Any) -> None:
    order = factories.a_settled_order()
    app = app_of(order.customer)
    photo = upload(app)
    answer = write(app, key="k", order_no=order.order_no, photos=[photo])
    body = answer.json()
    assert (answer.status_code, body["state"], body["order_no"], body["station_name"]) == (
        201,
        "open",
        order.order_no,
        order.station.name,
    )
    assert body["connector_code"] == order.connector.code
    (entry,) = body["entries"]
    assert (entry["by"], entry["text"]) == ("driver", "2 号枪插不进去")
    browser = Client(headers={"host": "alpha.test"})
    for address in entry["photos"][0].values():
        assert status_of(browser, address) == 200
    assert (
        write(app, key="k", order_no=order.order_no, photos=[photo]).json()["feedback_no"]
        == body["feedback_no"]
    )
    assert Feedback.objects.count() == 1

    feedback = Feedback.objects.get()
    staff = signed_in(a_user(READ, ANSWER, display_name="王芳"))
    html = staff.get(f"{LIST}{feedback.pk}/change/").content.decode()
    for words in ("2 号枪插不进去", order.order_no, "待回复", "/thumbnail/"):
        assert words in html
    press(staff, feedback, "note", text="同一把枪第三次报修")
    press(staff, feedback, "answer", text="已安排维修")
    body = app.get(f"feedback/{feedback.feedback_no}").json()
    assert (body["state"], [entry["by"] for entry in body["entries"]]) == ("answered", ["driver", "operator"])
    assert "第三次" not in str(body)
    assert "王芳" not in str(body)

    second = write(app, path=f"feedback/{feedback.feedback_no}", text="还是不行").json()
    assert (second["state"], second["entries"][-1]["text"]) == ("open", "还是不行")
    press(staff, feedback, "close", text="已更换枪头")
    assert app.get("feedback").json()["items"][0]["state"] == "closed"
    assert press(staff, feedback, "answer", text="x").status_code == 403
    again = write(app, path=f"feedback/{feedback.feedback_no}", text="又坏了").json()
    assert (again["state"], len(again["entries"])) == ("open", 5)
    deeds = list(AuditEntry.objects.order_by("id").values_list("action", "reason"))
    assert ("customers.feedback_answered", "已安排维修") in deeds
    assert ("customers.feedback_closed", "已更换枪头") in deeds


def test_a_reply_is_written_once_for_each_key(tenant: Any, app_of: Any) -> None:
    feedback = factories.a_feedback()
    app = app_of(feedback.customer)
    path = f"feedback/{feedback.feedback_no}"
    first, second = (write(app, key="same", path=path, text="在吗") for _ in range(2))
    assert first.json() == second.json()
    assert feedback.entries.count() == 2


def test_what_is_refused(tenant: Any, app_of: Any) -> None:
    app = app_of(factories.a_customer("0"))
    assert refusal(app.post("feedback", {"kind": "device", "text": "x"})) == (400, "idempotency.key_missing")
    for wrong in (
        {"kind": "x"},
        {"text": ""},
        {"text": "x" * 1001},
        {"photos": ["x"]},
        {"photos": [str(n) for n in range(7)]},
    ):
        assert refusal(write(app, **wrong)) == (400, "invalid"), wrong
    assert refusal(write(app, order_no=factories.a_settled_order().order_no)) == (404, "orders.not_found")
    assert refusal(write(app, connector_code="9999999999999901"))[0] == 404
    assert refusal(write(app, photos=["0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11"])) == (404, "files.not_found")
    answer = app.post("feedback/photos", {"media_type": "image/svg+xml", "size": 9})
    assert refusal(answer) == (400, "invalid")
    answer = app.post("feedback/photos", {"media_type": "image/jpeg", "size": 5_000_001})
    assert refusal(answer) == (400, "invalid")
    assert refusal(write(app, photos=[upload(app, b"<script>alert(1)</script>")])) == (
        415,
        "files.type_refused",
    )
    assert not Feedback.objects.exists()
    photo = upload(app)
    assert write(app, photos=[photo]).status_code == 201
    assert refusal(write(app, photos=[photo])) == (409, "feedback.photo_used")
    stranger = app_of(factories.a_customer("0"))
    assert refusal(write(stranger, photos=[upload(app)])) == (404, "files.not_found")


def test_ten_a_day(tenant: Any) -> None:
    customer = factories.a_customer("0")
    for _ in range(services.MOST_A_DAY):
        factories.a_feedback(customer)
    with pytest.raises(errors.TooManyFeedbacks):
        factories.a_feedback(customer)
    factories.a_feedback(customer, at=now() + timedelta(days=1, minutes=1))


def test_photos_that_nobody_would_find_are_not_kept(tenant: Any, app_of: Any) -> None:
    customer = factories.a_customer("0")
    app = app_of(customer)
    for _ in range(services.MOST_A_DAY):
        factories.a_feedback(customer)
    photo = upload(app)
    assert refusal(write(app, photos=[photo])) == (429, "feedback.too_many")
    assert StoredFile.objects.get(number=photo).state == FileState.PENDING


def test_a_driver_fills_no_disk(tenant: Any, app_of: Any) -> None:
    customer = factories.a_customer("0")
    owner = Actor("customer", str(customer.pk))
    words = {"media_type": "image/jpeg", "size": 10}
    for _ in range(UPLOADS_A_DAY):
        services.photo_ticket(name="x", owner=owner, **words)
    refused = app_of(customer).post("feedback/photos", words)
    assert refusal(refused) == (429, "files.too_many_uploads")
    assert int(refused.headers["Retry-After"]) > 3600
    assert app_of(factories.a_customer("0")).post("feedback/photos", words).status_code == 201


def test_a_conversation_has_an_end(tenant: Any) -> None:
    feedback = factories.a_feedback()
    words = {"customer": feedback.customer, "feedback_no": feedback.feedback_no, "actor": LI, "text": "x"}
    for number in range(services.MOST_ENTRIES - 1):
        services.reply(request_key=str(number), **words)
    with pytest.raises(errors.TooManyEntries):
        services.reply(request_key="last", **words)


def test_nobody_elses(tenant: Any, app_of: Any) -> None:
    feedback = factories.a_feedback()
    app = app_of(factories.a_customer("0"))
    path = f"feedback/{feedback.feedback_no}"
    assert refusal(app.get(path)) == (404, "feedback.not_found")
    assert refusal(write(app, path=path)) == (404, "feedback.not_found")
    assert app.get("feedback").json()["items"] == []


def test_buttons_need_the_permission(tenant: Any) -> None:
    feedback = factories.a_feedback()
    client = signed_in(a_user(READ))
    for page in ("answer", "assign", "note", "close"):
        assert press(client, feedback, page, text="x").status_code == 403
    assert feedback.entries.count() == 1


def test_assigned_to_who_sees_it(tenant: Any) -> None:
    feedback = factories.a_feedback(station=factories.a_station())
    elsewhere = a_user(READ, scope=Scope.STATIONS)
    blind, fit = a_user(), a_user(READ, display_name="李强")
    client = boss()
    for person in (elsewhere, blind):
        press(client, feedback, "assign", person=person.pk)
        feedback.refresh_from_db()
        assert feedback.assigned_to is None
    press(client, feedback, "assign", person=fit.pk, reason="请跟进")
    feedback.refresh_from_db()
    assert feedback.assigned_to == fit
    assert feedback.entries.last().text == "李强: 请跟进"  # type: ignore[union-attr]
    html = signed_in(fit).get(LIST).content.decode()
    assert f"assigned_to__id__exact={fit.pk}" in html


def test_what_it_is_about_has_to_be_there(tenant: Any, app_of: Any) -> None:
    order = factories.a_charging_order()
    app, hidden = app_of(order.customer), factories.a_station(is_published=False)
    stranger = app_of(factories.a_customer("0"))
    wrong = {"station_no": "NONE", "connector_code": "9" * 16, "order_no": "C1"}
    for name, code in zip(wrong, ("not_found", "piles.not_found", "orders.not_found"), strict=True):
        assert refusal(write(app, **{name: wrong[name]})) == (404, code)
        if name != "order_no":  # also beside an order that is there
            assert refusal(write(app, order_no=order.order_no, **{name: wrong[name]})) == (404, code)
    assert refusal(write(app, station_no=hidden.station_no)) == (404, "not_found")
    assert refusal(write(stranger, order_no=order.order_no)) == (404, "orders.not_found")
    assert refusal(write(app, photos=[str(uuid4())])) == (404, "files.not_found")
    assert not Feedback.objects.exists()
    kept = write(app, key="kept", station_no=order.station.station_no)
    assert (kept.status_code, kept.json()["station_name"]) == (201, order.station.name)


def test_who_sees_some_stations_sees_what_is_about_them(tenant: Any, app_of: Any) -> None:
    here, there = factories.a_station(), factories.a_station()
    customer = factories.a_customer("0")
    app = app_of(customer)
    body = write(app, station_no=there.station_no, photos=[upload(app)]).json()
    mine, other = factories.a_feedback(station=here), Feedback.objects.get(feedback_no=body["feedback_no"])
    nowhere = factories.a_feedback()
    person = a_user(READ, scope=Scope.STATIONS)
    give_stations(user=person, stations=[here])
    client = signed_in(person)
    html = client.get(LIST).content.decode()
    assert mine.feedback_no in html
    assert other.feedback_no not in html
    assert nowhere.feedback_no not in html
    assert client.get(f"{LIST}{other.pk}/change/").status_code == 404
    photo = other.entries.get().photos.get().file
    assert status_of(client, links.path(photo)) == 404
    assert status_of(boss(), links.path(photo)) == 200


def test_found_by_number_words_and_phone_and_on_the_overview(tenant: Any) -> None:
    feedback, other = factories.a_feedback(text="屏幕不亮"), factories.a_feedback()
    client = signed_in(a_user(READ))
    for term in (feedback.feedback_no, "屏幕", feedback.customer.phone.removeprefix("+86")):
        html = client.get(LIST, {"q": term}).content.decode()
        assert feedback.feedback_no in html, term
        assert other.feedback_no not in html, term
    assert feedback.feedback_no in client.get(f"{LIST}export/").content.decode()
    assert "待回复反馈" in boss().get("/admin/").content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(
    tenant: Any, app_of: Any, django_assert_num_queries: Any, count: int
) -> None:
    customer = factories.a_customer("0")
    rows = [factories.a_feedback(customer, station=factories.a_station()) for _ in range(count)]
    for row in rows:
        services.answer(feedback=rows[0], text=row.feedback_no, actor=LI)
    app = app_of(customer)
    app.get("feedback")
    with django_assert_num_queries(5):  # three choose the tenant
        app.get("feedback")
    with django_assert_num_queries(7):
        app.get(f"feedback/{rows[0].feedback_no}")


def test_sent_twice_at_once_is_one(committed: Any) -> None:
    customer = factories.a_customer("0")
    results = at_once(*[lambda: factories.a_feedback(customer, key="same").feedback_no] * 3)
    assert len(set(results)) == Feedback.objects.count() == 1


def test_a_deleted_account_leaves_no_name_in_what_it_wrote(tenant: Any) -> None:
    feedback, other = factories.a_feedback(), factories.a_feedback()
    services.answer(feedback=feedback, text="已安排维修", actor=LI)
    services.add_note(feedback=feedback, text="内部", actor=LI)
    found = personal.data_of(feedback.customer)["feedback"]
    assert [row["text"] for row in found] == ["枪插不进去", "已安排维修"]
    personal.forget_writer(feedback.customer)
    feedback.refresh_from_db()
    other.refresh_from_db()
    assert (feedback.state, other.state) == ("closed", "open")
    assert [entry.actor_name for entry in feedback.entries.all()] == ["", "李强", "李强"]
    assert other.entries.get().actor_name != ""
