"""Piles against bills, day by day: what agrees, what does not, what a person decides, what a later run makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.backoffice.models import AuditEntry
from apps.common.differences import DifferenceState
from apps.common.ids import Actor
from apps.common.time import business_day, day_bounds, now
from apps.orders import quarantine, settling
from apps.orders.energy import GunCharge, compare
from apps.orders.energy_reconcile import EnergyRun, reconcile_energy, reconcile_energy_nightly, resolve_energy
from apps.orders.enums import EnergyDifferenceKind as Kind
from apps.orders.enums import OrderState
from apps.orders.errors import DayNotOver, DifferenceDecided
from apps.orders.guns import guns_of
from apps.orders.models import EnergyDay, EnergyDifference, Order, TransactionRecord
from apps.piles.models import Connector, Telemetry, TelemetryKind
from apps.piles.partitions import ensure_partitions
from tests import factories
from tests.apps.orders.test_parallel import charging
from tests.staff import a_user, signed_in

STAFF = Actor("staff", "7", "王芳")
YESTERDAY = business_day(now()) - timedelta(days=1)
NOON = day_bounds(YESTERDAY)[0] + timedelta(hours=12)
KWH = Decimal


def charged(
    connector: Connector, energy: str, *, meter_start: str = "1000.0000", at: datetime = NOON, **changes: Any
) -> Order:
    """An order settled yesterday by an honest record, an hour long."""
    order = factories.a_charging_order(connector=connector)
    Order.objects.filter(pk=order.pk).update(charging_at=at - timedelta(hours=1))
    order.refresh_from_db()
    total = KWH(energy)
    figures: dict[str, Any] = {
        "start_time": at - timedelta(hours=1),
        "end_time": at,
        "transaction_time": at,
        "meter_start": KWH(meter_start),
        "meter_end": KWH(meter_start) + total,
    }
    record = settling.store_record(
        report=factories.a_report(order, {"flat": energy}, **{**figures, **changes}), received_at=at
    )
    settling.settle_record(record_id=record.pk)
    factories.put_online(connector.pile)
    order.refresh_from_db()
    return order


def told(connector: Connector, number: str, energy: str, at: datetime) -> None:
    """What a gun says while it charges, as the gateway stores it."""
    ensure_partitions(at=at)
    Telemetry.objects.create(
        at=at,
        connector_id=connector.pk,
        kind=TelemetryKind.REALTIME,
        transaction_no=number,
        energy_kwh=KWH(energy),
    )


def found() -> list[tuple[str, str, str, str, str]]:
    return [
        (row.kind, row.connector_no, str(row.ours_kwh), str(row.theirs_kwh), row.state)
        for row in EnergyDifference.objects.order_by("kind", "subject")
    ]


# --- One charge -------------------------------------------------------------------------------------------


def a_charge(**changes: Any) -> GunCharge:
    values = {
        "billed": KWH("10.0000"),
        "recorded": KWH("10.0000"),
        "recorded_loss": KWH("10.0000"),
        "meter_start": KWH("500.0000"),
        "meter_end": KWH("510.0000"),
        "sampled": KWH("9.9000"),
        "sampled_at": NOON - timedelta(seconds=15),
        "ended_at": NOON,
        "power_kw": KWH(120),
    }
    return GunCharge(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"billed": KWH("10.0010")}, []),
        ({"billed": KWH("10.0011")}, ["billed_differs"]),
        ({"billed": KWH("10.5000"), "recorded_loss": KWH("10.5000")}, []),  # billed with losses
        ({"billed": KWH("0.0000"), "recorded_loss": KWH("0.0000")}, ["billed_differs"]),
        ({"billed": None}, ["unbilled_record"]),
        ({"billed": None, "recorded": KWH(0), "sampled": None, "meter_end": KWH("500.0000")}, []),
        ({"meter_end": KWH("510.0100")}, []),
        ({"meter_end": KWH("510.0101")}, ["meter_differs"]),
        ({"meter_end": KWH("499.0000")}, ["meter_differs"]),  # backwards
        ({"meter_start": KWH(0), "meter_end": KWH(0)}, []),  # no meter
        ({"sampled": None, "sampled_at": None}, []),
        ({"sampled": KWH("10.2000")}, []),
        ({"sampled": KWH("10.2001")}, ["telemetry_differs"]),
        # 45 seconds at 120 kW are 1.5 kWh, and 0.2 are nothing
        ({"sampled": KWH("8.3000")}, []),
        ({"sampled": KWH("8.2999")}, ["telemetry_differs"]),
        ({"sampled": KWH("1.0000"), "sampled_at": NOON - timedelta(hours=1)}, []),  # offline since
        ({"sampled": KWH("10.7000"), "recorded_loss": KWH("10.6000")}, []),  # counts losses
        ({"recorded": None, "billed": None, "sampled": KWH("0.1000")}, []),
        ({"recorded": None, "billed": None, "sampled": KWH("0.1001")}, ["no_record"]),
        ({"recorded": None, "billed": None, "sampled": None}, []),
    ],
)
def test_one_charge(changes: dict[str, Any], kinds: list[str]) -> None:
    assert [item.kind.value for item in compare(a_charge(**changes))] == kinds


# --- A day ------------------------------------------------------------------------------------------------


def test_a_day_that_agrees(tenant: Any) -> None:
    gun = factories.a_connector()
    first = charged(gun, "10.0000", at=NOON)
    charged(gun, "5.5000", meter_start="1010.0000", at=NOON + timedelta(hours=2))
    told(gun, first.transaction_no, "9.8000", NOON - timedelta(seconds=20))

    assert reconcile_energy(day=YESTERDAY) == EnergyRun(YESTERDAY, 1, 2, 0, 0)
    day = EnergyDay.objects.get()
    assert (day.pile_id, day.charges) == (gun.pile_id, 2)
    assert (day.recorded_kwh, day.billed_kwh, day.metered_kwh) == (
        KWH("15.5000"),
        KWH("15.5000"),
        KWH("15.5000"),
    )
    assert (day.gap_kwh, day.sampled_kwh) == (KWH("0.0000"), KWH("9.8000"))
    assert (day.differences_found, day.differences_open) == (0, 0)


def test_the_records_of_two_guns_that_came_on_two_days_are_one_bill(tenant: Any) -> None:
    order = charging()
    midnight, minute = day_bounds(YESTERDAY)[0], timedelta(minutes=1)
    for gun, energy, at in zip(
        guns_of(order), ("4.0000", "6.0000"), (midnight - minute, midnight), strict=True
    ):
        number = {"transaction_no": gun.transaction_no, "connector_no": gun.connector.connector_no}
        report = factories.a_report(order, {"flat": energy}, **number)
        settling.settle_record(record_id=settling.store_record(report=report, received_at=at).pk)
    order.refresh_from_db()
    assert (order.state, order.energy_kwh) == (OrderState.COMPLETED, KWH("10.0000"))
    for day in (YESTERDAY - timedelta(days=1), YESTERDAY):
        reconcile_energy(day=day)
    assert not EnergyDifference.objects.filter(kind=Kind.BILLED_DIFFERS).exists()
    billed = EnergyDay.objects.order_by("day").values_list("billed_kwh", flat=True)
    assert list(billed) == [KWH("4.0000"), KWH("6.0000")]


def test_a_day_that_is_not_over(tenant: Any) -> None:
    with pytest.raises(DayNotOver) as refused:
        reconcile_energy(day=business_day(now()))
    assert refused.value.data == {"day": str(business_day(now()))}


def test_a_record_of_nobodys_order_until_it_is_matched(tenant: Any) -> None:
    gun = factories.a_connector()
    order = factories.a_charging_order(connector=gun)
    Order.objects.filter(pk=order.pk).update(state=OrderState.ABNORMAL, created_at=NOON)
    report = factories.a_report(order, {"flat": "10.0000"}, transaction_no="9" * 32)
    record = settling.store_record(report=report, received_at=NOON)
    settling.settle_record(record_id=record.pk)

    assert reconcile_energy(day=YESTERDAY) == EnergyRun(YESTERDAY, 1, 1, 1, 1)
    assert found() == [("unbilled_record", "01", "0.0000", "10.0000", "open")]
    assert EnergyDifference.objects.get().figures == {
        "ours": "0.0000",
        "theirs": "10.0000",
        "record_state": "quarantined",
        "reason": "unknown_transaction",
    }

    quarantine.match(record_id=record.pk, order_no=order.order_no, reason="同一把枪", actor=STAFF)
    assert reconcile_energy(day=YESTERDAY) == EnergyRun(YESTERDAY, 1, 1, 0, 0)
    assert found() == [("unbilled_record", "01", "0.0000", "10.0000", "cleared")]
    day = EnergyDay.objects.get()
    assert (day.differences_open, day.billed_kwh) == (0, KWH("10.0000"))


def test_a_rejected_record_is_decided_where_it_was_rejected(tenant: Any) -> None:
    gun = factories.a_connector()
    order = factories.a_charging_order(connector=gun)
    report = factories.a_report(order, {"flat": "10.0000"}, transaction_no="9" * 32)
    record = settling.store_record(report=report, received_at=NOON)
    settling.settle_record(record_id=record.pk)
    reconcile_energy(day=YESTERDAY)
    quarantine.reject(record_id=record.pk, reason="测试桩", actor=STAFF)

    assert reconcile_energy(day=YESTERDAY).undecided == 0
    row = EnergyDifference.objects.get()
    assert (row.state, row.resolved_by, row.resolution) == ("resolved", "王芳", "测试桩")


def test_energy_without_a_record(tenant: Any) -> None:
    gun = factories.a_connector()
    order = factories.a_charging_order(connector=gun)
    Order.objects.filter(pk=order.pk).update(state=OrderState.ABNORMAL, created_at=NOON)
    told(gun, order.transaction_no, "3.2500", NOON)
    # Another that failed to start: its gun told nothing that counts.
    other = factories.a_charging_order(connector=factories.a_connector())
    Order.objects.filter(pk=other.pk).update(state=OrderState.FAILED, created_at=NOON)
    told(other.connector, other.transaction_no, "0.0500", NOON)

    assert reconcile_energy(day=YESTERDAY) == EnergyRun(YESTERDAY, 1, 1, 1, 1)
    row = EnergyDifference.objects.get()
    assert (row.kind, row.theirs_kwh, row.order_id) == ("no_record", KWH("3.2500"), order.pk)
    assert row.difference_kwh == KWH("3.2500")


def test_a_meter_that_went_on_between_two_charges(tenant: Any) -> None:
    gun = factories.a_connector()
    charged(gun, "10.0000", at=NOON)
    later = charged(gun, "5.0000", meter_start="1030.0000", at=NOON + timedelta(hours=3))
    assert reconcile_energy(day=YESTERDAY).differences == 1
    row = EnergyDifference.objects.get()
    assert (row.kind, row.theirs_kwh, row.transaction_no) == (
        "meter_step",
        KWH("20.0000"),
        later.transaction_no,
    )
    assert row.figures["meter_before"] == "1010.0000"
    assert EnergyDay.objects.get().gap_kwh == KWH("20.0000")


def test_the_step_of_a_meter_is_explained_by_a_record_that_came_late(tenant: Any) -> None:
    gun = factories.a_connector()
    charged(gun, "10.0000", at=NOON)
    charged(gun, "5.0000", meter_start="1030.0000", at=NOON + timedelta(hours=3))
    assert reconcile_energy(day=YESTERDAY).undecided == 1
    order = factories.a_charging_order(connector=gun)
    report = factories.a_report(
        order,
        {"flat": "20.0000"},
        start_time=NOON + timedelta(minutes=5),
        end_time=NOON + timedelta(hours=1),
        meter_start=KWH("1010.0000"),
        meter_end=KWH("1030.0000"),
    )
    settling.store_record(report=report, received_at=now())  # today, of another day

    assert reconcile_energy(day=YESTERDAY).undecided == 0
    assert found() == [("meter_step", "01", "0.0000", "20.0000", "cleared")]


def test_the_meter_is_followed_from_the_day_before(tenant: Any) -> None:
    gun = factories.a_connector()
    charged(gun, "10.0000", at=NOON - timedelta(days=1))
    charged(gun, "5.0000", meter_start="1015.0000", at=NOON)
    reconcile_energy(day=YESTERDAY)
    assert found() == [("meter_step", "01", "0.0000", "5.0000", "open")]


def test_a_decision_stands_until_the_figures_change(tenant: Any) -> None:
    gun = factories.a_connector()
    order = charged(gun, "10.0000")
    told(gun, order.transaction_no, "14.0000", NOON)
    assert reconcile_energy(day=YESTERDAY).undecided == 1
    row = EnergyDifference.objects.get()
    resolve_energy(difference_id=row.pk, reason="电表已校验", actor=STAFF)
    assert EnergyDay.objects.get().differences_open == 0
    with pytest.raises(DifferenceDecided):
        resolve_energy(difference_id=row.pk, reason="again", actor=STAFF)

    assert reconcile_energy(day=YESTERDAY).undecided == 0
    row.refresh_from_db()
    assert (row.state, row.resolution, row.resolved_by) == ("resolved", "电表已校验", "王芳")

    told(gun, order.transaction_no, "15.0000", NOON + timedelta(seconds=1))
    assert reconcile_energy(day=YESTERDAY).undecided == 1
    row.refresh_from_db()
    assert (row.state, row.resolution, row.reopened, row.theirs_kwh) == (
        DifferenceState.OPEN,
        "",
        1,
        KWH("15.0000"),
    )


def test_a_dry_run_stores_nothing(tenant: Any) -> None:
    gun = factories.a_connector()
    order = charged(gun, "10.0000")
    told(gun, order.transaction_no, "14.0000", NOON)
    assert reconcile_energy(day=YESTERDAY, dry_run=True) == EnergyRun(YESTERDAY, 1, 1, 1, 1)
    assert not EnergyDay.objects.exists()
    assert not EnergyDifference.objects.exists()


def test_the_nightly_run_repeats_days_with_open_differences(tenant: Any) -> None:
    gun = factories.a_connector()
    before = YESTERDAY - timedelta(days=3)
    order = charged(gun, "10.0000", at=NOON - timedelta(days=3))
    told(gun, order.transaction_no, "14.0000", NOON - timedelta(days=3))
    assert reconcile_energy(day=before).undecided == 1
    assert [run.day for run in reconcile_energy_nightly()] == [before, YESTERDAY]
    resolve_energy(difference_id=EnergyDifference.objects.get().pk, reason="x", actor=STAFF)
    assert [run.day for run in reconcile_energy_nightly()] == [YESTERDAY]


def test_the_number_of_queries_does_not_grow_with_the_charges(tenant: Any) -> None:
    counts = []
    pile = factories.a_pile(guns=2)
    for number in range(2):
        for gun in pile.connectors.order_by("code"):
            charged(
                gun,
                "5.0000",
                meter_start=f"{1000 + 5 * number}.0000",
                at=NOON + timedelta(hours=2 * number),
            )
        with CaptureQueriesContext(
            connection,
        ) as queries:
            reconcile_energy(day=YESTERDAY, dry_run=True)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert TransactionRecord.objects.count() == 4


# --- Pages ------------------------------------------------------------------------------------------------

SEES = ("orders.view_energyday", "orders.view_energydifference")
DECIDES = (*SEES, "orders.reconcile_energy")
LIST = "/admin/orders/energyday/"


def open_difference() -> EnergyDifference:
    """A gun that told 4 kWh more than its record has."""
    gun = factories.a_connector()
    order = charged(gun, "10.0000")
    told(gun, order.transaction_no, "14.0000", NOON)
    reconcile_energy(day=YESTERDAY)
    return EnergyDifference.objects.get(order=order)


def test_a_days_page_shows_sums_and_differences(tenant: Any) -> None:
    row = open_difference()
    client = signed_in(a_user(*DECIDES))
    page = client.get(f"{LIST}{row.energy_day_id}/change/").content.decode()
    for text in (row.transaction_no, "10.0000", "14.0000", "+4.0000", "遥测与交易记录不符"):
        assert text in page
    other = client.get(f"{LIST}{row.energy_day_id}/change/?kind=meter_step").content.decode()
    assert row.transaction_no in other  # a tab that is not there shows all


def test_a_difference_is_resolved_with_a_reason_once(tenant: Any) -> None:
    row = open_difference()
    client = signed_in(a_user(*DECIDES, display_name="王芳"))
    address = f"/admin/orders/energydifference/{row.pk}/resolve/"
    client.post(address, {"_form_submitted": "on", "reason": ""})
    row.refresh_from_db()
    assert row.state == DifferenceState.OPEN
    for _ in range(2):
        client.post(address, {"_form_submitted": "on", "reason": "电表已校验"})
    row.refresh_from_db()
    assert (row.state, row.resolution, row.resolved_by) == ("resolved", "电表已校验", "王芳")
    assert EnergyDay.objects.get().differences_open == 0
    entry = AuditEntry.objects.get(action="orders.energydifference_resolved")
    assert (entry.reason, entry.changes) == ("电表已校验", {"state": ["open", "resolved"]})


def test_who_may_only_look_neither_resolves_nor_reconciles(tenant: Any) -> None:
    row = open_difference()
    reader = signed_in(a_user(*SEES))
    for address in (
        f"/admin/orders/energydifference/{row.pk}/resolve/",
        f"{LIST}{row.energy_day_id}/again/",
        f"{LIST}reconcile/",
    ):
        answer = reader.post(address, {"_form_submitted": "on", "reason": "x", "day": str(YESTERDAY)})
        assert answer.status_code == 403, address
    row.refresh_from_db()
    assert row.state == DifferenceState.OPEN


def test_a_day_is_reconciled_from_the_list(tenant: Any) -> None:
    charged(factories.a_connector(), "10.0000")
    client = signed_in(a_user(*DECIDES))
    today = business_day(now())
    client.post(f"{LIST}reconcile/", {"_form_submitted": "on", "day": str(today)})
    assert not EnergyDay.objects.exists()
    client.post(f"{LIST}reconcile/", {"_form_submitted": "on", "day": str(YESTERDAY)})
    day = EnergyDay.objects.get()
    assert (day.charges, day.differences_open) == (1, 0)
    client.post(f"{LIST}{day.pk}/again/", {"_form_submitted": "on"})
    assert AuditEntry.objects.filter(action="orders.energyday_reconciled").count() == 2


def test_the_lists_ask_as_much_for_three_rows_as_for_one(tenant: Any) -> None:
    client = signed_in(a_user(*DECIDES))
    open_difference()
    counts: dict[str, list[int]] = {}
    for _ in range(2):
        for address in (LIST, f"{LIST}?open=1", "/admin/orders/energydifference/"):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(address).status_code == 200
            counts.setdefault(address, []).append(len(queries))
        open_difference()
        open_difference()
    assert all(len(set(numbers)) == 1 for numbers in counts.values()), counts
