"""States, prices and commands between services and piles, over real sockets and Redis."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from channels.layers import get_channel_layer

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.piles import gateway as pile_gateway
from apps.piles.commands import ReadRealtime, SetBillingModel, StartCharge, StopCharge, SyncTime
from apps.piles.drivers import routes_key
from apps.piles.enums import AlarmKind, CommandState, ConnectorState
from apps.piles.fleet import move_piles
from apps.piles.models import Alarm, ConnectorStatus, Pile, PileCommand
from apps.pricing.enums import PushState
from apps.pricing.models import PricePush
from apps.pricing.services import assign, create_template
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites.models import Station
from tests.ykc_server.harness import (
    CODE,
    Clock,
    eventually,
    heartbeat,
    locked,
    login,
    make_pile,
    number,
    realtime,
    redis,
    run,
    running,
)
from ykc_server.protocol.messages import (
    BillingRequest,
    BillingSetAck,
    BillingVerify,
    RemoteStartAck,
    RemoteStopAck,
    TimeSyncAck,
)

TARIFF = Tariff(
    prices={
        RateClass.SHARP: ClassPrice(Decimal("1.20000"), Decimal("0.40000")),
        RateClass.PEAK: ClassPrice(Decimal("1.00000"), Decimal("0.40000")),
        RateClass.FLAT: ClassPrice(Decimal("0.70000"), Decimal("0.40000")),
        RateClass.VALLEY: ClassPrice(Decimal("0.31234"), Decimal("0.40001")),
    },
    slots=(RateClass.VALLEY,) * 16 + (RateClass.PEAK,) * 16 + (RateClass.FLAT,) * 8 + (RateClass.SHARP,) * 8,
)
START = StartCharge(transaction_no=number(), connector_no="01", balance=Decimal("50.00"))


def give_prices(pile: Pile, name: str = "平日") -> str:
    version = create_template(name=name, tariff=TARIFF, actor=SYSTEM)
    assign(version=version, station=pile.station, starts_at=now() - timedelta(hours=1), actor=SYSTEM)
    return version.billing_model_no


def test_watchers_of_a_charge_are_woken_once_a_second_at_most(committed):
    make_pile(guns=2)
    watched = f"live.{committed.schema_name}.{number()}"

    async def go():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(watched, channel)
        async with running() as host:
            wire = await host.pile()
            charging = realtime(transaction_no=number(), status="charging", gun_plugged="yes")
            other = realtime(gun_no="02", transaction_no=number(counter=2), status="charging")
            for _ in range(2):
                wire.send(charging, other)
                await wire.silent(until=heartbeat(), answer="heartbeat_ack")
                await host.gateway.statuses.flush()
            assert await asyncio.wait_for(layer.receive(channel), 3) == {"type": "live.update"}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(layer.receive(channel), 0.3)
            # What was reported within that second is news when it is over, also without another report.
            assert await asyncio.wait_for(layer.receive(channel), 2) == {"type": "live.update"}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(layer.receive(channel), 1.3)
        await layer.flush()

    run(go())


def send(pile: Pile, command) -> int:
    """As a service does, on a connection of its own; the id of the command."""
    return pile_gateway.send(pile=pile, command=command, actor=SYSTEM).pk


def command_is(pk: int, state: CommandState):
    return lambda: PileCommand.objects.filter(pk=pk, state=state).first()


def test_realtime_data_become_the_connectors_status(committed):
    make_pile(guns=2)
    schema = committed.schema_name
    charging = realtime(
        status="charging",
        gun_plugged="yes",
        transaction_no=number(),
        output_voltage="394.1",
        output_current="101.6",
        soc=42,
        battery_max_temp=31,
        charge_minutes=7,
        remaining_minutes=50,
        energy_kwh="12.3456",
        loss_energy_kwh="12.3456",
        amount="19.7530",
    )

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(realtime(gun_no="02", gun_plugged="yes"), charging)
            stored = lambda: ConnectorStatus.objects.filter(state=ConnectorState.CHARGING).first()  # noqa: E731
            status = await host.until(schema, stored)
            other = await host.query(
                schema, lambda: ConnectorStatus.objects.get(connector__connector_no="02")
            )
            wire.send(realtime(transaction_no=number()))
            await host.until(
                schema, lambda: ConnectorStatus.objects.filter(state=ConnectorState.IDLE).exists()
            )
            return status, other

    status, other = run(go())
    assert (status.transaction_no, other.state) == (number(), ConnectorState.PLUGGED)
    assert (status.voltage_v, status.current_a) == (Decimal("394.1"), Decimal("101.6"))
    assert (status.soc_percent, status.battery_temp_c) == (42, 31)
    assert (status.charge_minutes, status.remaining_minutes) == (7, 50)
    assert (status.energy_kwh, status.amount_yuan) == (Decimal("12.3456"), Decimal("19.7530"))
    assert other.battery_temp_c is None
    assert abs(status.reported_at - now()) < timedelta(minutes=1)


def test_a_fault_raises_an_alarm_and_its_end_closes_it(committed):
    make_pile()
    schema = committed.schema_name
    open_alarm = lambda: Alarm.objects.filter(kind=AlarmKind.PILE_FAULT, closed_at=None).first()  # noqa: E731

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(realtime(status="fault", hardware_fault="0x0001"))
            assert (await host.until(schema, open_alarm)).detail == {"fault_bits": "0x0001"}
            wire.send(realtime())
            await host.until(schema, lambda: not open_alarm())
            wire.send(heartbeat(fault=True))
            await wire.expect("heartbeat_ack")
            await host.until(schema, open_alarm)
            await host.until(schema, lambda: ConnectorStatus.objects.get().state == ConnectorState.FAULT)
            wire.send(heartbeat())
            await host.until(schema, lambda: ConnectorStatus.objects.get().state == ConnectorState.IDLE)
            await host.until(schema, lambda: not open_alarm())

    run(go())


def test_prices_are_verified_given_and_pushed(committed):
    pile = make_pile()
    model_no = give_prices(pile)
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(BillingVerify.make(pile_no=CODE, billing_model_no="0000", sequence=b"\x05\x06"))
            ack = await wire.expect("billing_verify_ack")
            assert (ack.result, ack.value("billing_model_no"), ack.sequence) == (1, "0000", b"\x05\x06")
            wire.send(BillingRequest.make(pile_no=CODE))
            model = await wire.expect("billing_request_ack")
            wire.send(BillingVerify.make(pile_no=CODE, billing_model_no=model_no))
            assert (await wire.expect("billing_verify_ack")).result == 0
            await host.until(schema, lambda: PricePush.objects.get().state == PushState.DONE)
            await host.query(schema, lambda: PricePush.objects.update(state=PushState.SENT, tried_at=now()))
            command = SetBillingModel(billing_model_no=model_no, tariff=TARIFF.to_json())
            pk = await host.query(schema, lambda: send(pile, command))
            pushed = await wire.expect("billing_set")
            wire.send(BillingSetAck.make(pile_no=CODE, result="success"))
            await host.until(schema, command_is(pk, CommandState.DONE))
            await host.until(schema, lambda: PricePush.objects.get().state == PushState.DONE)
            return model.values(), pushed.values()

    model, pushed = run(go())
    assert model == pushed
    assert model["billing_model_no"] == model_no
    assert (model["valley_electricity_price"], model["valley_service_price"]) == (
        Decimal("0.31234"),
        Decimal("0.40001"),
    )
    assert model["slot_rate_codes"] == (3,) * 16 + (1,) * 16 + (2,) * 8 + (0,) * 8
    assert model["loss_ratio"] == 0


def test_a_pile_without_prices_gets_none(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(BillingVerify.make(pile_no=CODE, billing_model_no="0100"))
            assert (await wire.expect("billing_verify_ack")).result == 1
            wire.send(BillingRequest.make(pile_no=CODE))
            await wire.silent(
                until=BillingVerify.make(pile_no=CODE, billing_model_no="0100"), answer="billing_verify_ack"
            )

    run(go())


def test_prices_assigned_after_the_login_are_found(committed):
    pile = make_pile()
    clock = Clock()
    schema = committed.schema_name

    async def go():
        async with running(clock=clock) as host:
            wire = await host.pile()
            wire.send(realtime())
            model_no = await host.query(schema, lambda: give_prices(pile))
            clock.now += 31
            await eventually(lambda: _true(host.gateway.now == clock.now))
            wire.send(BillingVerify.make(pile_no=CODE, billing_model_no=model_no))
            assert (await wire.expect("billing_verify_ack")).result == 0

    run(go())


def test_a_pile_that_is_moved_while_connected_is_told_the_prices_of_where_it_is(committed):
    pile = make_pile()
    left = give_prices(pile)
    clock = Clock()
    schema = committed.schema_name

    def move() -> str:
        there = Station.objects.create(station_no="S2", name="南站", latitude="31.3", longitude="121.5")
        move_piles(pile_ids=[pile.pk], station=there, actor=SYSTEM)
        return give_prices(Pile.objects.get(), "节假日")

    async def go():
        async with running(clock=clock) as host:
            wire = await host.pile()
            wire.send(realtime())
            there = await host.query(schema, move)
            clock.now += 31
            await eventually(lambda: _true(host.gateway.now == clock.now))
            for told, result in ((left, 1), (there, 0)):
                wire.send(BillingVerify.make(pile_no=CODE, billing_model_no=told))
                assert (await wire.expect("billing_verify_ack")).result == result

    run(go())


def test_a_command_goes_from_a_service_to_the_pile_and_back(committed):
    pile = make_pile()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            pk = await host.query(schema, lambda: send(pile, START))
            start = await wire.expect("remote_start")
            await host.until(schema, command_is(pk, CommandState.SENT))
            answer = {"transaction_no": number(), "pile_no": CODE, "gun_no": "01"}
            wire.send(RemoteStartAck.make(**answer, result="fail", fail_reason="not_plugged_in"))
            refused = await host.until(schema, command_is(pk, CommandState.REFUSED))
            wire.send(RemoteStartAck.make(**answer, result="success", fail_reason="none"))
            await host.until(schema, command_is(pk, CommandState.DONE))
            stop_pk = await host.query(schema, lambda: send(pile, StopCharge(connector_no="01")))
            stop = await wire.expect("remote_stop")
            wire.send(RemoteStopAck.make(pile_no=CODE, gun_no="01", result="success", fail_reason="none"))
            await host.until(schema, command_is(stop_pk, CommandState.DONE))
            return start, refused, stop

    start, refused, stop = run(go())
    assert start.value("transaction_no") == number()
    assert (start.value("pile_no"), start.value("gun_no")) == (CODE, "01")
    assert start.value("account_balance") == Decimal("50.00")
    assert refused.result == {"reason": "not_plugged"}
    assert (stop.value("pile_no"), stop.value("gun_no")) == (CODE, "01")
    assert (start.sequence, stop.sequence) == (b"\1\0", b"\2\0")  # 0x56 was the first


def test_clock_and_forced_refresh(committed):
    pile = make_pile()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            pk = await host.query(schema, lambda: send(pile, SyncTime()))
            sync = await wire.expect("time_sync")
            wire.send(TimeSyncAck.make(pile_no=CODE, time=sync.value("time") + timedelta(seconds=90)))
            await host.until(schema, command_is(pk, CommandState.DONE))
            offset_s = await host.query(schema, lambda: Pile.objects.get().clock_offset_s)
            pk = await host.query(schema, lambda: send(pile, ReadRealtime(connector_no="01")))
            await wire.expect("read_realtime")
            wire.send(realtime())
            await host.until(schema, command_is(pk, CommandState.DONE))
            return offset_s

    assert 80 < run(go()) < 91


def test_commands_that_cannot_be_delivered(committed):
    pile = make_pile()
    schema = committed.schema_name
    five = Tariff(
        prices=dict(TARIFF.prices) | {RateClass.DEEP_VALLEY: ClassPrice(Decimal("0.1"), Decimal("0.1"))},
        slots=(RateClass.DEEP_VALLEY,) * 48,
    )

    async def go():
        async with running() as host:
            await host.pile()
            untranslatable = SetBillingModel(billing_model_no="0001", tariff=five.to_json())
            pk = await host.query(schema, lambda: send(pile, untranslatable))
            told = await host.until(schema, command_is(pk, CommandState.UNDELIVERED))
            assert "five_rate_classes" in told.result["reason"]
            # The route says that the pile is here, but it has gone.
            host.gateway.sessions[schema].clear()
            pk = await host.query(schema, lambda: send(pile, START))
            told = await host.until(schema, command_is(pk, CommandState.UNDELIVERED))
            assert told.result == {"reason": "offline"}

    run(go())


def test_a_lost_connection_has_no_route(committed):
    pile = make_pile()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            assert await redis(lambda client: client.hexists(routes_key(schema), CODE))
            wire.close()
            await eventually(lambda: redis(lambda client: _no_route(client, schema)))
            pk = await host.query(schema, lambda: send(pile, START))
            assert (await host.query(schema, command_is(pk, CommandState.UNDELIVERED))).result == {
                "reason": "offline"
            }

    run(go())


async def _no_route(client, schema):
    return not await client.hexists(routes_key(schema), CODE)


def test_commands_arrive_after_redis_was_emptied(committed):
    pile = make_pile()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            await redis(lambda client: client.flushall())
            await eventually(lambda: redis(lambda client: client.hexists(routes_key(schema), CODE)))
            process = f"chargeplat:process:{host.gateway.channel}"
            await eventually(lambda: redis(lambda client: client.exists(process)))
            await host.query(schema, lambda: send(pile, START))
            await wire.expect("remote_start")

    run(go())


def test_commands_arrive_after_redis_dropped_its_clients(committed):
    pile = make_pile()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            await redis(
                lambda client: client.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "pubsub")
            )
            subscribed = lambda: redis(lambda client: _subscribers(client, host.gateway.channel))  # noqa: E731
            await eventually(subscribed)
            await host.query(schema, lambda: send(pile, START))
            await wire.expect("remote_start")

    run(go())


async def _subscribers(client, channel):
    return (await client.pubsub_numsub(channel))[0][1]


def test_heartbeats_are_answered_while_the_database_is_held(committed):
    """A slow frame waits for the database; heartbeats that came behind it pass it, and the login goes first."""
    model_no = give_prices(make_pile())
    schema = committed.schema_name

    async def go():
        async with running() as host:
            with locked(schema, "pricing_pricepush"):
                wire = await host.dial()
                verify = BillingVerify.make(pile_no=CODE, billing_model_no=model_no, sequence=b"\5\5")
                wire.send(login(), verify, heartbeat(sequence=b"\1\1"), verify, heartbeat(sequence=b"\2\2"))
                order = [(await wire.receive()).spec.name for _ in range(5)]
                # The second 0x05 waits for the first, which waits for the lock.
                assert order == [
                    "login_ack",
                    "time_sync",
                    "heartbeat_ack",
                    "heartbeat_ack",
                    "billing_verify_ack",
                ]
                await wire.silent(until=heartbeat(), answer="heartbeat_ack")
            await wire.expect("billing_verify_ack")

    run(go())


async def _true(value):
    return value
