"""Fraud that happened to others, as far as piles can do it: none of it goes unnoticed here. Over real sockets.

Refunds while charging and payment callbacks are the wallet's to refuse; two sockets under one code are in
test_identity.py and test_connection.py.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.ids import Actor
from apps.common.time import now
from apps.orders import services as orders
from apps.orders import unbilled
from apps.orders.enums import OrderState
from apps.orders.models import Order
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm, ConnectorStatus, Pile
from apps.tenancy.models import Tenant
from tests import factories
from tests.ykc_server.harness import CODE, number, realtime, record, run, running
from ykc_server.protocol.messages import RemoteStartAck

DRIVER = Actor("customer", "1")


@pytest.fixture
def gun(committed):
    Tenant.objects.filter(pk=committed.pk).update(stops_unbilled_energy=True)
    return factories.a_connector(pile_code=CODE, online=False)


def charging(transaction_no: str, minute: int, kwh: str):
    return realtime(
        status="charging", gun_plugged="yes", transaction_no=transaction_no, output_voltage="400.0",
        output_current="100.0", charge_minutes=minute, energy_kwh=kwh, loss_energy_kwh=kwh,
    )  # fmt: skip


async def watched(host, schema: str, wire, transaction_no: str) -> Alarm:
    """The gun reports, the watch looks each time, until it is found out and told to stop."""

    def quiet():
        Pile.objects.update(last_login_at=now() - timedelta(hours=2))

    await host.query(schema, quiet)
    for report in range(1, 4):
        kwh = f"{report}0.0000"
        wire.send(charging(transaction_no, report, kwh))
        stored = lambda: ConnectorStatus.objects.filter(energy_kwh=Decimal(kwh)).exists()  # noqa: B023, E731
        await host.until(schema, stored)
        await host.query(schema, unbilled.watch_unbilled)
    return await host.query(schema, lambda: Alarm.objects.get(kind=AlarmKind.UNBILLED_ENERGY))


def test_a_local_start_with_a_factory_password(committed, gun):
    async def go():
        async with running() as host:
            wire = await host.pile()
            alarm = await watched(host, committed.schema_name, wire, "0" * 32)
            assert (await wire.expect("remote_stop")).value("gun_no") == "01"
            return alarm

    alarm = run(go())
    assert (alarm.pile_code, alarm.detail["case"], alarm.detail["unpaid_kwh"]) == (
        CODE,
        "no_order",
        "30.0000",
    )


def test_a_gun_that_goes_on_after_its_order_was_paid(committed, gun):
    async def go():
        async with running() as host:
            schema = committed.schema_name
            wire = await host.pile()
            wire.send(realtime(gun_plugged="yes"))
            plugged = lambda: ConnectorStatus.objects.filter(state="plugged").exists()  # noqa: E731
            await host.until(schema, plugged)
            order = await host.query(schema, lambda: factories.a_started_order(connector=gun, preset="1.00"))
            await wire.expect("remote_start")
            wire.send(charging(order.transaction_no, 1, "0.1000"))
            state = lambda wanted: Order.objects.filter(pk=order.pk, state=wanted).first()  # noqa: E731
            await host.until(schema, lambda: state(OrderState.CHARGING))
            report = record(
                transaction_no=order.transaction_no, start_time=now() - timedelta(minutes=9), end_time=now()
            )
            wire.send(report)
            await wire.expect("transaction_record_ack")
            ended = [OrderState.COMPLETED, OrderState.ABNORMAL]
            await host.until(schema, lambda: Order.objects.filter(pk=order.pk, state__in=ended).first())
            alarm = await watched(host, schema, wire, order.transaction_no)
            await wire.expect("remote_stop")
            return order, alarm

    order, alarm = run(go())
    assert (alarm.subject, alarm.detail["case"], alarm.detail["order"]) == (
        order.transaction_no,
        "ended",
        order.order_no,
    )


def test_a_start_that_was_called_off_while_the_pile_goes_on(committed, gun):
    async def go():
        async with running() as host:
            schema = committed.schema_name
            wire = await host.pile()
            wire.send(realtime(gun_plugged="yes"))
            await host.until(schema, lambda: ConnectorStatus.objects.filter(state="plugged").exists())
            order = await host.query(schema, lambda: factories.a_started_order(connector=gun))
            await wire.expect("remote_start")
            await host.query(schema, lambda: orders.stop_charge(order_no=order.order_no, actor=DRIVER))
            await wire.expect("remote_stop")
            answer = {"transaction_no": order.transaction_no, "pile_no": CODE, "gun_no": "01"}
            wire.send(RemoteStartAck.make(**answer, result="success", fail_reason="none"))
            wire.send(charging(order.transaction_no, 1, "1.0000"))
            charged = lambda: ConnectorStatus.objects.filter(state="charging").exists()  # noqa: E731
            await host.until(schema, charged)
            return await host.query(schema, lambda: Order.objects.get(pk=order.pk))

    order = run(go())
    # Still an order, with its money held: what it uses is billed by its record.
    assert (order.state, order.hold_amount) == (OrderState.STOPPING, Decimal("100.00"))


def test_a_pile_that_makes_up_a_number_while_an_order_runs(committed, gun):
    async def go():
        async with running() as host:
            schema = committed.schema_name
            wire = await host.pile()
            wire.send(realtime(gun_plugged="yes"))
            await host.until(schema, lambda: ConnectorStatus.objects.filter(state="plugged").exists())
            await host.query(schema, lambda: factories.a_started_order(connector=gun))
            await wire.expect("remote_start")
            return await watched(host, schema, wire, number(counter=77))

    assert run(go()).detail["case"] == "other_order"
