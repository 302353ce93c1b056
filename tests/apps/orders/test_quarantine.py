"""Records in quarantine: what they may belong to, and what a person decides, once."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from apps.accounts.enums import Scope
from apps.backoffice.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.time import now
from apps.orders import quarantine, settling
from apps.orders.enums import OrderState, RecordState
from apps.orders.errors import NotInQuarantine, NotMatchable
from apps.orders.ledger_check import differences
from apps.orders.models import BillLine, Order, OrderEvent, TransactionRecord
from apps.orders.wording import unmatchable_words
from apps.piles.models import Alarm
from apps.sites.services import give_stations
from tests import factories
from tests.apps.orders.test_at_once import at_once
from tests.staff import a_user, signed_in

STAFF = Actor("staff", "7", "王芳")
UNKNOWN = "99" * 16
DECIDES = ("orders.view_transactionrecord", "orders.view_order", "orders.decide_record")


def lost(order: Order, state: OrderState = OrderState.ABNORMAL) -> Order:
    """An order whose own record never came."""
    Order.objects.filter(pk=order.pk).update(state=state)
    order.refresh_from_db()
    return order


def stray(order: Order, energies: dict[str, str], **changes: Any) -> TransactionRecord:
    """A record of that charge under a number that nobody knows, in quarantine."""
    record = factories.a_record(order, energies, **{"transaction_no": UNKNOWN, **changes})
    return settling.settle_record(record_id=record.pk)


def undecodable(pile_code: str) -> TransactionRecord:
    body = bytes.fromhex("32010600000001010000000000000001" + pile_code + "01FF")
    return TransactionRecord.objects.create(
        transaction_no="32010600000001010000000000000001",
        pile_code=pile_code,
        connector_no="01",
        connection_pile_code=pile_code,
        protocol="ykc",
        frame_type=0x3B,
        body=body,
        digest=hashlib.sha256(body).hexdigest(),
        received_at=now(),
        state=RecordState.QUARANTINED,
        reason="undecodable",
    )


def test_a_matched_record_settles_its_order(tenant: Any) -> None:
    order = lost(factories.a_charging_order())
    record = stray(order, {"flat": "10.0000"})
    assert (record.state, record.reason) == (RecordState.QUARANTINED, "unknown_transaction")
    assert Alarm.objects.filter(subject=UNKNOWN, closed_at=None).count() == 1

    done = quarantine.match(record_id=record.pk, order_no=order.order_no, reason="同一把枪", actor=STAFF)

    order.refresh_from_db()
    done.refresh_from_db()
    assert (done.state, done.order_id) == (RecordState.SETTLED, order.pk)
    assert (done.decided_by, done.decision, done.reason) == ("王芳", "同一把枪", "unknown_transaction")
    assert (order.state, order.payable) == (OrderState.COMPLETED, Decimal("12.00"))
    assert Alarm.objects.filter(subject=UNKNOWN, closed_at=None).count() == 0
    kinds = list(OrderEvent.objects.filter(order=order).values_list("kind", "actor_name"))
    assert ("record_matched", "王芳") in kinds
    assert differences() == []


def test_matching_again_changes_nothing_and_another_order_is_refused(tenant: Any) -> None:
    order = lost(factories.a_charging_order())
    other = lost(factories.a_charging_order())
    record = stray(order, {"flat": "10.0000"})
    for _ in range(2):
        quarantine.match(record_id=record.pk, order_no=order.order_no, reason="a", actor=STAFF)
    assert BillLine.objects.filter(order=order).count() == 1
    with pytest.raises(NotInQuarantine):
        quarantine.match(record_id=record.pk, order_no=other.order_no, reason="b", actor=STAFF)
    with pytest.raises(NotInQuarantine):
        quarantine.reject(record_id=record.pk, reason="c", actor=STAFF)
    record.refresh_from_db()
    assert record.decision == "a"


def test_what_the_audit_holds_stays_abnormal(tenant: Any) -> None:
    order = lost(factories.a_charging_order())
    record = stray(order, {"flat": "10.0000"}, meter_end=Decimal("900.0000"))
    done = quarantine.match(record_id=record.pk, order_no=order.order_no, reason="a", actor=STAFF)
    order.refresh_from_db()
    assert (done.state, order.state) == (RecordState.HELD, OrderState.ABNORMAL)
    assert order.payable == 0


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (OrderState.CHARGING, "order_state"),
        (OrderState.STOPPING, "order_state"),
        (OrderState.COMPLETED, "order_state"),
    ],
)
def test_only_orders_that_wait_for_a_record_take_one(tenant: Any, state: OrderState, why: str) -> None:
    order = lost(factories.a_charging_order(), state)
    record = stray(order, {"flat": "10.0000"})
    with pytest.raises(NotMatchable) as refused:
        quarantine.match(record_id=record.pk, order_no=order.order_no, reason="a", actor=STAFF)
    assert refused.value.data["reason"] == why
    record.refresh_from_db()
    assert (record.state, record.decided_by) == (RecordState.QUARANTINED, "")


def test_an_order_with_a_record_an_unknown_order_and_broken_bytes_are_refused(tenant: Any) -> None:
    order = factories.a_charging_order()
    held = factories.a_record(order, {"flat": "10.0000"}, meter_end=Decimal("900.0000"))
    settling.settle_record(record_id=held.pk)
    order.refresh_from_db()
    assert order.state == OrderState.ABNORMAL
    second = stray(order, {"flat": "9.0000"})
    free = lost(factories.a_charging_order())
    cases = [
        (second, order.order_no, "has_record"),
        (second, "NO-SUCH", "no_order"),
        (undecodable(order.connector.pile.pile_code), free.order_no, "undecodable"),
    ]
    for record, order_no, why in cases:
        with pytest.raises(NotMatchable) as refused:
            quarantine.match(record_id=record.pk, order_no=order_no, reason="a", actor=STAFF)
        assert refused.value.data["reason"] == why


def test_a_rejected_record_is_kept_and_bills_nothing(tenant: Any) -> None:
    order = lost(factories.a_charging_order())
    record = stray(order, {"flat": "10.0000"})
    for reason in ("test device", "again"):
        quarantine.reject(record_id=record.pk, reason=reason, actor=STAFF)
    kept = TransactionRecord.objects.get(pk=record.pk)
    assert (kept.state, kept.decided_by, kept.decision) == (RecordState.REJECTED, "王芳", "test device")
    assert bytes(kept.body) != b""
    assert Alarm.objects.filter(subject=UNKNOWN, closed_at=None).count() == 0
    with pytest.raises(NotInQuarantine):
        quarantine.match(record_id=record.pk, order_no=order.order_no, reason="a", actor=STAFF)
    order.refresh_from_db()
    assert order.state == OrderState.ABNORMAL


def test_candidates_are_those_of_the_number_then_of_the_prefix_then_near(tenant: Any) -> None:
    pile = factories.a_pile(guns=2)
    first, second = pile.connectors.order_by("code")
    near = lost(factories.a_charging_order(connector=first))
    alike = lost(factories.a_charging_order(connector=second))
    factories.a_charging_order()  # elsewhere
    number = alike.transaction_no[:-2] + ("00" if alike.transaction_no[-2:] != "00" else "11")
    record = stray(near, {"flat": "10.0000"}, transaction_no=number)
    found = quarantine.candidates(record=record)
    assert [(row.order.pk, row.same_number, row.same_prefix, row.obstacle) for row in found] == [
        (alike.pk, False, True, ""),
        (near.pk, False, False, ""),
    ]


@pytest.mark.usefixtures("committed")
def test_two_people_decide_once() -> None:
    order = lost(factories.a_charging_order())
    record = stray(order, {"flat": "10.0000"})

    def match() -> str:
        return quarantine.match(record_id=record.pk, order_no=order.order_no, reason="m", actor=STAFF).state

    def reject() -> str:
        return quarantine.reject(record_id=record.pk, reason="r", actor=STAFF).state

    results = at_once(match, reject, match, reject)
    record.refresh_from_db()
    order.refresh_from_db()
    if record.state == RecordState.SETTLED:
        assert sorted(results) == ["orders.not_in_quarantine"] * 2 + ["settled"] * 2
        assert (order.state, order.payable) == (OrderState.COMPLETED, Decimal("12.00"))
    else:
        assert sorted(results) == ["orders.not_in_quarantine"] * 2 + ["rejected"] * 2
        assert (order.state, order.payable) == (OrderState.ABNORMAL, 0)
    assert differences() == []


# --- Pages ------------------------------------------------------------------------------------------------


def page(record: TransactionRecord, deed: str = "change") -> str:
    return f"/admin/orders/transactionrecord/{record.pk}/{deed}/"


def test_staff_match_on_the_records_page(tenant: Any) -> None:
    order = lost(factories.a_charging_order())
    record = stray(order, {"flat": "10.0000"})
    client = signed_in(a_user(*DECIDES, display_name="李雷"))
    text = client.get(page(record)).content.decode()
    assert order.order_no in text
    assert page(record, "match") in text
    assert page(record, "reject") in text
    assert client.get(page(record, "match")).status_code == 200
    record.refresh_from_db()
    assert record.state == RecordState.QUARANTINED  # asking decides nothing
    sent = {"_form_submitted": "True", "order_no": order.order_no, "reason": "同一把枪"}
    assert client.post(page(record, "match"), {**sent, "reason": ""}).status_code == 200  # a reason is needed
    answer = client.post(page(record, "match"), sent)
    assert answer.headers["HX-Redirect"] == page(record)
    record.refresh_from_db()
    assert (record.state, record.decided_by) == (RecordState.SETTLED, "李雷")
    entry = AuditEntry.objects.get(action="orders.transactionrecord_matched")
    assert (entry.reason, entry.changes["order"]) == ("同一把枪", [None, order.order_no])
    assert "李雷" in client.get(page(record)).content.decode()
    assert client.post(page(record, "match"), sent).status_code == 403


def test_an_order_out_of_sight_takes_no_record(tenant: Any) -> None:
    """Whoever sees one station only cannot charge a driver of another by its order's number."""
    here, other = lost(factories.a_charging_order()), lost(factories.a_charging_order())
    record = stray(here, {"flat": "10.0000"})
    person = a_user(*DECIDES, scope=Scope.STATIONS)
    give_stations(user=person, stations=[here.station])
    client = signed_in(person)
    sent = {"_form_submitted": "True", "order_no": other.order_no, "reason": "x"}
    answer = client.post(page(record, "match"), sent)
    assert "订单不存在。" in answer.content.decode()
    record.refresh_from_db()
    other.refresh_from_db()
    assert (record.state, other.state) == (RecordState.QUARANTINED, OrderState.ABNORMAL)
    client.post(page(record, "match"), {**sent, "order_no": f" {here.order_no} "})
    record.refresh_from_db()
    assert (record.state, record.order) == (RecordState.SETTLED, here)


def test_staff_reject_and_a_refusal_is_told(tenant: Any) -> None:
    order = factories.a_charging_order()
    record = stray(order, {"flat": "10.0000"})
    client = signed_in(a_user(*DECIDES))
    sent = {"_form_submitted": "True", "order_no": order.order_no, "reason": "x"}
    client.post(page(record, "match"), sent)
    record.refresh_from_db()
    assert record.state == RecordState.QUARANTINED
    with translation.override("zh-hans"):
        assert unmatchable_words("order_state") in client.get(page(record)).content.decode()
    assert AuditEntry.objects.filter(action="orders.transactionrecord_matched").count() == 0
    client.post(page(record, "reject"), sent)
    record.refresh_from_db()
    assert record.state == RecordState.REJECTED
    assert AuditEntry.objects.get(action="orders.transactionrecord_rejected").reason == "x"


def test_deciding_needs_its_own_permission(tenant: Any) -> None:
    record = stray(lost(factories.a_charging_order()), {"flat": "10.0000"})
    reader = signed_in(a_user("orders.view_transactionrecord"))
    text = reader.get(page(record)).content.decode()
    assert page(record, "reject") not in text
    assert reader.post(page(record, "reject"), {"_form_submitted": "True", "reason": "x"}).status_code == 403


def test_a_records_page_asks_the_same_for_one_candidate_and_for_three(tenant: Any) -> None:
    connector = factories.a_connector()
    counts = []
    client = signed_in(a_user(*DECIDES))
    record = None
    for _ in range(3):
        factories.put_online(connector.pile)
        connector.status.refresh_from_db()
        order = lost(factories.a_charging_order(connector=connector))
        record = record or stray(order, {"flat": "10.0000"})
        with CaptureQueriesContext(connection) as asked:
            assert client.get(page(record)).status_code == 200
        counts.append(len(asked.captured_queries))
    assert counts[1] == counts[2]


def test_the_refusal_is_a_domain_error_in_words() -> None:
    error = NotMatchable(why="x", reason="y")
    assert isinstance(error, DomainError)
    assert str(error).endswith("x")
