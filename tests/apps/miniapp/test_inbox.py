from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.ids import Actor
from apps.common.time import business_day, now
from apps.coupons import services as coupons
from apps.customers import inbox
from apps.customers.feedback import services as feedback
from apps.customers.models import InboxKind, InboxMessage
from apps.invoices import services as invoices
from apps.orders import refunds, settling, telling
from apps.orders.services import fail_start
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
STAFF = Actor("staff", "1", "Li")


def texts(answer) -> list[tuple[str, str]]:
    return [(one["kind"], one["text"]) for one in answer.json()["items"]]


def told(customer) -> None:
    """One message each of a charge."""
    inbox.post(inbox.News(customer.pk, InboxKind.CHARGE_STARTED, "C1", {"connector": "3201"}))
    inbox.post(inbox.News(customer.pk, InboxKind.COUPON_GIVEN, "7", {"name": "立减"}))


def test_a_charge_is_told_from_its_start_to_its_refund(app_of) -> None:
    customer = factories.a_customer("100.00")
    order = factories.a_charging_order(customer=customer, preset="50.00")
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    for _ in range(2):
        assert telling.tell_settled(order_nos=[order.order_no]) == 1
    driver = Actor("customer", str(customer.pk), "x")
    refund = refunds.apply(
        order_no=order.order_no,
        electricity=Decimal("1.00"),
        service=Decimal("0.50"),
        reason="x",
        applied_by=driver,
        request_key="r",
    )
    refunds.approve(refund_no=refund.refund_no, reviewer=STAFF)
    assert customer.inbox.get(kind="charge_started").data["amount"] == "50.00"
    assert texts(app_of(customer).get("messages")) == [
        ("order_refunded", f"1.50 yuan are in your wallet again. Order {order.order_no}."),
        ("charge_ended", f"{order.station.name}: 10.0000 kWh, 12.00 yuan."),
        ("charge_started", f"Gun {order.connector.code} is charging your car."),
    ]
    chinese = app_of(customer, **{"accept-language": "zh-hans"}).get("messages").json()["items"][1]
    assert (chinese["title"], chinese["text"]) == (
        "账单已出",
        f"{order.station.name}：10.0000 度，12.00 元。",
    )


def test_a_start_that_failed_is_told(app_of) -> None:
    order = factories.a_started_order()
    fail_start(order, "timeout", STAFF, now())
    (told_,) = texts(app_of(order.customer).get("messages"))
    assert told_ == (
        "start_failed",
        f"Gun {order.connector.code} did not start. The money that was set aside is available again.",
    )


def test_a_coupon_that_staff_give_is_told_once(app_of) -> None:
    customer = factories.a_customer("0")
    template = factories.a_coupon_template(name="立减", per_customer=5)
    for _ in range(2):
        coupons.give(template_id=template.pk, customers=[customer], actor=STAFF, batch="b")
    assert texts(app_of(customer).get("messages")) == [("coupon_given", "立减 is among your coupons.")]
    claimed = factories.a_customer("0")
    coupons.claim(customer=claimed, template_id=template.pk, request_key="c")
    assert texts(app_of(claimed).get("messages")) == []


def test_reading(app_of) -> None:
    customer = factories.a_customer("0")
    told(customer)
    app, other = app_of(customer), app_of(factories.a_customer("0"))
    assert app.get("messages/unread").json() == {"unread": 2}
    newest = app.get("messages").json()["items"][0]
    assert refusal(other.post(f"messages/{newest['id']}/read")) == (404, "customers.message_not_found")
    first = app.post(f"messages/{newest['id']}/read").json()
    assert first["read_at"] is not None
    assert app.post(f"messages/{newest['id']}/read").json() == first
    assert app.get("messages/unread").json() == {"unread": 1}
    assert texts(app.get("messages", unread="true")) == [("charge_started", "Gun 3201 is charging your car.")]
    assert app.post("messages/read").json() == {"unread": 0}
    assert texts(app.get("messages", unread="true")) == []
    assert len(texts(app.get("messages"))) == 2
    assert texts(other.get("messages")) == []


def test_pages(app_of) -> None:
    customer = factories.a_customer("0")
    told(customer)
    app = app_of(customer)
    first = app.get("messages", limit=1)
    second = app.get("messages", limit=1, cursor=first.json()["next_cursor"])
    assert [texts(one)[0][0] for one in (first, second)] == ["coupon_given", "charge_started"]
    assert second.json()["next_cursor"] is None


def test_the_same_news_is_told_once(tenant) -> None:
    customer = factories.a_customer("0")
    for _ in range(2):
        told(customer)
    assert InboxMessage.objects.filter(customer=customer).count() == 2


def test_every_kind_has_words() -> None:
    assert set(inbox.WORDS) == set(InboxKind)


def test_old_messages_go(tenant) -> None:
    customer = factories.a_customer("0")
    told(customer)
    InboxMessage.objects.filter(reference="C1").update(created_at=now() - timedelta(days=366))
    assert inbox.purge() == 1
    assert InboxMessage.objects.get().reference == "7"


HEARD: list[tuple[str, str]] = []


class Loud:
    """A messenger that keeps what it is told."""

    kinds = ("coupon_given",)

    def tell(self, message: InboxMessage) -> None:
        HEARD.append((message.customer.phone, inbox.text_of(message)))


class Broken:
    """A messenger whose provider is away."""

    kinds = ("coupon_given",)

    def tell(self, message: InboxMessage) -> None:
        raise OSError("away")


def test_other_ways_to_the_phone_hear_it_too(tenant, settings) -> None:
    HEARD.clear()
    settings.INBOX_MESSENGERS = [f"{__name__}.Broken", f"{__name__}.Loud"]
    customer = factories.a_customer("0")
    told(customer)
    inbox.tell(named=[(customer.pk, "coupon_given", "7")])
    assert HEARD[-1] == (customer.phone, "「立减」已放入您的卡券。")
    inbox.tell(named=[(customer.pk, "coupon_given", "gone")])
    assert HEARD[-1] == (customer.phone, "「立减」已放入您的卡券。")


def test_what_no_messenger_carries_makes_no_task(
    tenant, settings, django_capture_on_commit_callbacks
) -> None:
    HEARD.clear()
    settings.INBOX_MESSENGERS = [f"{__name__}.Loud"]
    customer = factories.a_customer("0")
    words = {"amount": "1.00", "order": "C1"}
    with django_capture_on_commit_callbacks(execute=True) as nothing:
        inbox.post(inbox.News(customer.pk, InboxKind.ORDER_REFUNDED, "R1", words))
    coupon = inbox.News(customer.pk, InboxKind.COUPON_GIVEN, "7", {"name": "立减"})
    refund = inbox.News(customer.pk, InboxKind.ORDER_REFUNDED, "R2", words)
    with django_capture_on_commit_callbacks(execute=True) as one:
        inbox.post(refund, coupon)
    assert (len(nothing), len(one)) == (0, 1)
    inbox.tell(named=[(customer.pk, "order_refunded", "R2")])
    assert [text for _phone, text in HEARD] == ["「立减」已放入您的卡券。"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(app_of, django_assert_num_queries, count: int) -> None:
    customer = factories.a_customer("0")
    for number in range(count):
        inbox.post(inbox.News(customer.pk, InboxKind.COUPON_GIVEN, str(number), {"name": "立减"}))
    app = app_of(customer)
    with django_assert_num_queries(5):  # three choose the tenant
        assert len(app.get("messages").json()["items"]) == count


def test_a_deleted_account_leaves_neither_messages_nor_plates(tenant) -> None:
    from apps.customers.deletion import _forget
    from apps.orders.personal import forget_plates

    customer = factories.a_customer("100.00")
    order = factories.a_charging_order(customer=customer)
    type(order).objects.filter(pk=order.pk).update(plate="苏A12345")
    assert InboxMessage.objects.filter(customer=customer).exists()
    forget_plates(customer)
    _forget(customer)
    order.refresh_from_db()
    assert (order.plate, InboxMessage.objects.filter(customer=customer).exists()) == ("", False)


def test_an_invoice_and_an_answer_are_told(app_of) -> None:
    customer = factories.a_customer("200.00")
    first, second = (factories.an_invoice(factories.a_settled_order(customer=customer)) for _ in range(2))
    invoices.reject(application_no=first.application_no, reviewer=STAFF, reason="抬头有误")
    invoices.approve(application_no=second.application_no, reviewer=STAFF)
    invoices.issue(
        application_no=second.application_no,
        invoice_no="25312000000012345678",
        issued_on=business_day(now()),
        file=io.BytesIO(b"%PDF-1.7\n%an invoice\n"),
        name="i.pdf",
        actor=STAFF,
    )
    written = factories.a_feedback(customer)
    feedback.answer(feedback=written, text="已派人处理", actor=STAFF)
    feedback.answer(feedback=written, text="已修好", actor=STAFF)
    feedback.add_note(feedback=written, text="内部", actor=STAFF)
    feedback.close(feedback=written, text="谢谢", actor=STAFF)
    found = app_of(customer).get("messages").json()["items"]
    news = [one for one in found if one["kind"].startswith(("invoice", "feedback"))]
    assert [(one["kind"], one["text"], one["reference"]) for one in news] == [
        ("feedback_answered", "谢谢", written.feedback_no),
        ("feedback_answered", "已修好", written.feedback_no),
        ("feedback_answered", "已派人处理", written.feedback_no),
        (
            "invoice_issued",
            f"The invoice over {second.amount} yuan for {second.title} can be downloaded.",
            second.application_no,
        ),
        (
            "invoice_rejected",
            f"The application over {first.amount} yuan was rejected: 抬头有误",
            first.application_no,
        ),
    ]


def test_the_news_of_a_refund_lead_to_the_order(app_of) -> None:
    customer = factories.a_customer("0")
    words = {"amount": "1.50", "order": "C1"}
    inbox.post(inbox.News(customer.pk, InboxKind.ORDER_REFUNDED, "OR1", words))
    (told_of,) = app_of(customer).get("messages").json()["items"]
    assert told_of["reference"] == "C1"
