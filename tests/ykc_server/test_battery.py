"""What batteries and chargers say once in a charge reaches the order, in words."""

from __future__ import annotations

from apps.orders.models import Order, OrderEvent
from apps.piles.models import Alarm
from tests import factories
from tests.ykc_server.harness import heartbeat, run, running
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import (
    BmsAbort,
    BmsConfig,
    BmsError,
    BmsHandshake,
    ChargerAbort,
    ChargingEnd,
)

VIN = "LSVAU2180N2183294"


def of(order: Order) -> dict[str, str]:
    connector = order.connector
    return {
        "transaction_no": order.transaction_no,
        "pile_no": connector.pile.pile_code,
        "gun_no": connector.connector_no,
    }


def handshake(order: Order, **changes):
    values = {
        "bms_protocol_version": "010100",
        "battery_type": 3,
        "rated_capacity": "202.0",
        "rated_voltage": "350.4",
        "manufacturer": "CATL",
        "pack_serial": "00000001",
        "made_year": 2023,
        "made_month": 4,
        "made_day": 9,
        "charge_count": 312,
        "ownership": 1,
        "reserved": "00",
        "vin": VIN,
        "bms_software_version": "0000000000000000",
    }
    return BmsHandshake.make(**of(order) | values | changes)


def config(order: Order):
    return BmsConfig.make(
        **of(order),
        max_cell_voltage="3.65",
        max_current="-250.0",
        nominal_energy="70.8",
        max_total_voltage="405.0",
        max_temp=60,
        soc="23.4",
        battery_voltage="348.9",
        pile_max_voltage="750.0",
        pile_min_voltage="200.0",
        pile_max_current="250.0",
        pile_min_current="0.0",
    )


def end(order: Order):
    return ChargingEnd.make(
        **of(order),
        end_soc=97,
        min_cell_voltage="3.31",
        max_cell_voltage="3.52",
        min_battery_temp=28,
        max_battery_temp=None,
        charge_minutes=43,
        output_energy="52.1",
        charger_no=0,
    )


def said(*messages):
    """Send these over a pile's connection until the gateway has answered what came behind, and its work is done."""

    async def go():
        async with running() as host:
            wire = await host.pile(messages[0].value("pile_no"))
            wire.send(*messages, heartbeat(messages[0].value("pile_no")))
            await wire.expect("heartbeat_ack")
            return dict(host.gateway.counters)

    return run(go())  # stopping waits for what was handed to the pool


def events(order: Order) -> dict[str, dict]:
    found = OrderEvent.objects.filter(order=order, kind__regex="battery|talk|charger_abort").order_by("id")
    return {event.kind: event.data for event in found}


def test_the_battery_introduces_itself_and_tells_its_limits_and_its_end(committed):
    order = factories.a_charging_order()
    said(handshake(order), config(order), end(order))
    order.refresh_from_db()
    assert (order.vin, order.abort_words) == (VIN, [])
    assert events(order) == {
        "battery_handshake": {
            "vin": VIN,
            "battery_type": "LFP",
            "rated_capacity": "202.0",
            "rated_voltage": "350.4",
            "manufacturer": "CATL",
            "charge_count": "312",
            "made": "2023-04-09",
        },
        "battery_config": {
            "max_cell_voltage": "3.65",
            "max_current": "250.0",
            "nominal_energy": "70.8",
            "max_total_voltage": "405.0",
            "max_temp": "60",
            "soc": "23.4",
            "battery_voltage": "348.9",
        },
        "battery_end": {
            "end_soc": "97",
            "min_cell_voltage": "3.31",
            "max_cell_voltage": "3.52",
            "min_battery_temp": "28",
            "charge_minutes": "43",
            "output_energy": "52.1",
        },
    }
    event = OrderEvent.objects.get(order=order, kind="battery_end")
    assert (event.actor_kind, event.actor_id) == ("pile", order.connector.pile.pile_code)
    assert event.from_state == event.to_state == "charging"


def test_why_the_battery_or_the_charger_ended_it_is_told_in_words(committed):
    order = factories.a_charging_order()
    said(
        BmsAbort.make(**of(order), abort_reason=0b01, abort_fault=0, abort_error=0),
        ChargerAbort.make(**of(order), abort_reason=0b01_00_00, abort_fault=0b10 << 8, abort_error=0),
        BmsError.make(**of(order), error_bits=0b01 << 48),
    )
    order.refresh_from_db()
    assert sorted(order.abort_words, key=str) == [
        {"by": "battery_abort", "text": "state of charge reached", "state": ""},
        {"by": "charger_abort", "text": "abnormal stop", "state": ""},
        {"by": "charger_abort", "text": "emergency stop", "state": "untrusted"},
        {"by": "talk_error", "text": "battery total state (BCS)", "state": "timeout"},
    ]
    assert events(order)["talk_error"] == {"words": [["battery total state (BCS)", "timeout"]]}
    assert not Alarm.objects.filter(kind="battery").exists()


def test_a_fault_is_an_alarm_once(committed):
    order = factories.a_charging_order()
    hot = BmsAbort.make(**of(order), abort_reason=0, abort_fault=0b01 << 8, abort_error=0)
    said(hot)
    said(hot)
    alarm = Alarm.objects.get(kind="battery")
    assert (alarm.pile_code, alarm.subject, alarm.count) == (
        order.connector.pile.pile_code,
        order.order_no,
        1,
    )
    assert alarm.detail == {"by": "battery_abort", "words": [["battery too hot", ""]]}
    assert OrderEvent.objects.filter(order=order, kind="battery_abort").count() == 1


def test_a_pile_that_never_says_the_same_twice_fills_no_order(committed):
    order = factories.a_charging_order()
    for times in range(7):
        said(handshake(order, charge_count=times))
    assert OrderEvent.objects.filter(order=order, kind="battery_handshake").count() == 5


def test_the_first_vin_stays_and_what_is_none_is_no_vin(committed):
    order = factories.a_charging_order()
    for vin in ("0" * 17, "LSVAU"):
        said(handshake(order, vin=vin))
        order.refresh_from_db()
        assert order.vin == ""
    said(handshake(order))
    said(handshake(order, vin="LFPH3ACC0A1A00001"))
    order.refresh_from_db()
    assert order.vin == VIN


def test_what_names_no_order_of_this_gun_is_passed_over(committed):
    order = factories.a_charging_order()
    other = factories.a_charging_order()
    said(handshake(order, transaction_no=other.transaction_no), handshake(order, transaction_no="9" * 32))
    assert (events(order), events(other)) == ({}, {})


def test_a_further_gun_speaks_for_its_order(committed):
    order = factories.a_charging_order()
    leg = factories.a_connector()
    order.legs.create(connector=leg, transaction_no="8" * 32)
    said(handshake(order, transaction_no="8" * 32, pile_no=leg.pile.pile_code, gun_no=leg.connector_no))
    order.refresh_from_db()
    assert order.vin == VIN


def test_frames_that_are_no_use_are_counted(committed):
    order = factories.a_charging_order()
    short = handshake(order).encode()
    counters = said(
        handshake(order, gun_no="07"), handshake(order, pile_no="32010600999999"), seal(short[2:-3])
    )
    assert (counters["unknown_gun"], counters["foreign_pile"], counters["short_body"]) == (1, 1, 1)
    assert events(order) == {}
