"""Starts at the pile, parallel charging, balances and offline cards, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.customers import cards
from apps.customers.models import Customer
from apps.orders import balance, settling
from apps.orders import services as orders
from apps.orders.enums import OrderSource, OrderState
from apps.orders.ledger_check import differences
from apps.orders.models import Order, TransactionRecord
from apps.piles import cards as offline_cards
from apps.piles import gateway
from apps.piles import services as piles
from apps.piles.enums import CardOnPile, CommandState, ConnectorState
from apps.piles.models import ConnectorStatus, OfflineCard, PileCommand
from apps.pricing.services import assign, create_template
from apps.wallet import recharges
from apps.wallet.models import Hold
from tests.factories import TARIFF, a_customer
from tests.ykc_server.harness import CODE, eventually, make_pile, realtime, run, running
from ykc_server.handlers import starts as starting
from ykc_server.protocol.codes import AuthFailure
from ykc_server.protocol.messages import ParallelStartRequest, StartRequest
from ykc_server.simulator import Car, PileClient, SimulatedPile, starts
from ykc_server.simulator.client import utc_now

CARD = "00000000D14B0A54"
VIN = "LSVAU2180N2183294"


def make_site(guns: int = 1, *, parallel: bool = False):
    """A pile with prices."""
    pile = make_pile(guns=guns)
    if parallel:
        piles.parallel_seen(pile_code=pile.pile_code)
    version = create_template(name="平日", tariff=TARIFF, actor=SYSTEM)
    assign(version=version, station=pile.station, starts_at=now() - timedelta(hours=1), actor=SYSTEM)
    return pile


def a_card(balance: str = "60.00") -> Customer:
    customer = a_customer(balance, phone="+8613800138000")
    cards.add_card(customer=customer, logical_no="12345678", physical_no=CARD)
    return customer


def request(**changes) -> StartRequest:
    values = {
        "pile_no": CODE,
        "gun_no": "01",
        "start_type": "card",
        "need_password": "no",
        "account_or_card": CARD,
        "password": "",
        "vin": "",
        "sequence": b"\x31\x32",
    }
    return StartRequest.make(**values | changes)


def refused(answer) -> str:
    assert (answer.auth_result, answer.value("account_balance")) == (0, Decimal("0.00"))
    assert answer.value("transaction_no")[:16] == f"{CODE}01"
    return f"{answer.fail_reason:02X}"


def test_a_card_starts_and_its_gun_charges(committed):
    make_site()
    a_card()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(request())
            answer = await wire.expect("start_request_ack")
            order = await host.query(schema, Order.objects.get)
            wire.send(realtime(status="charging", gun_plugged="yes", transaction_no=order.transaction_no))
            await host.until(schema, lambda: Order.objects.get().state == OrderState.CHARGING)
            return answer, order

    answer, order = run(go())
    assert answer.sequence == b"\x31\x32"
    assert (answer.auth_result, answer.fail_reason) == (1, 0)
    assert answer.value("transaction_no") == order.transaction_no
    assert answer.value("logical_card_no") == "0000000012345678"
    assert answer.value("account_balance") == Decimal("60.00")


def test_the_order_of_a_cards_bytes_and_of_a_vins_characters_does_not_matter(committed):
    make_site(guns=2)
    cards.add_vehicle(customer=a_card("900.00"), vin=VIN, plug_and_charge=True)

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(request(account_or_card="00000000540A4BD1"))
            by_card = await wire.expect("start_request_ack")
            car = {"start_type": "vin", "account_or_card": "0", "gun_no": "02"}
            wire.send(request(**car, vin=VIN))
            by_vin = await wire.expect("start_request_ack")
            wire.send(request(**car, vin=VIN[::-1]))
            the_other_way = await wire.expect("start_request_ack")
            return by_card, by_vin, the_other_way

    by_card, by_vin, the_other_way = run(go())
    assert (by_card.auth_result, by_vin.auth_result) == (1, 1)
    assert by_vin.transaction_no == the_other_way.transaction_no


def test_refusals_and_an_account_with_its_pin(committed):
    make_site()
    customer = a_card("0")
    cards.set_pin(customer=customer, pin="2468")
    account = {"start_type": "account", "need_password": "yes", "account_or_card": "13800138000"}

    async def go():
        async with running() as host:
            wire = await host.pile()

            async def ask(**changes):
                wire.send(request(**changes))
                return await wire.expect("start_request_ack")

            reasons = [
                refused(await ask(account_or_card="AABBCCDD")),
                refused(await ask()),
                refused(await ask(need_password="yes", password=cards.pin_digest("1"))),
                refused(await ask(start_type="vin", vin=VIN)),
                refused(await ask(**account)),
                refused(await ask(**account, password=cards.pin_digest("2468"))),
                refused(await ask(start_type=7)),
            ]
            await host.query(committed.schema_name, lambda: _top_up(customer))
            return reasons, await ask(**account, password=cards.pin_digest("2468"))

    reasons, answer = run(go())
    assert reasons == ["01", "03", "07", "09", "07", "03", "0B"]
    assert (answer.auth_result, answer.value("account_balance")) == (1, Decimal("20.00"))


def _top_up(customer: Customer) -> None:
    recharge = recharges.create_recharge(
        customer=customer, amount=Decimal("20.00"), channel="sandbox", request_key="k"
    )
    recharges.pay_sandbox(customer=customer, recharge_no=recharge.recharge_no)


def parallel(gun: str, role: str, **changes) -> ParallelStartRequest:
    values = request(gun_no=gun).values() | {"gun_role": role, "parallel_seq": "261123160000"}
    return ParallelStartRequest.make(**values | changes)


def test_a_password_that_cannot_be_used_is_in_no_log(committed, caplog):
    make_site()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(request(pile_no="32010600219999", password="0123456789abcdef"))
            await eventually(lambda: _now(host.gateway.counters["foreign_pile"]))

    run(go())
    logged = caplog.text
    assert "frame_passed_over" in logged
    assert b"0123456789abcdef".hex() not in logged


def test_two_guns_ask_together_and_get_one_verdict(committed):
    make_site(guns=2)
    a_card("60.01")
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(parallel("02", "auxiliary"), parallel("01", "main"))
            answers = [await wire.expect("parallel_start_request_ack") for _ in range(2)]
            order = await host.query(schema, lambda: Order.objects.prefetch_related("legs").get())
            return {answer.value("gun_no"): answer for answer in answers}, order, order.legs.all()[0]

    answers, order, leg = run(go())
    assert [answer.auth_result for answer in answers.values()] == [1, 1]
    assert answers["01"].value("transaction_no") == order.transaction_no
    assert answers["02"].value("transaction_no") == leg.transaction_no
    assert answers["01"].value("account_balance") == Decimal("30.01")
    assert answers["02"].value("account_balance") == Decimal("30.00")
    assert {answer.value("parallel_seq") for answer in answers.values()} == {"261123160000"}
    assert (order.state, order.hold_amount) == (OrderState.STARTING, Decimal("60.01"))


def test_a_pile_that_asks_for_many_parallel_charges_at_once_gets_few(committed, monkeypatch):
    monkeypatch.setattr("ykc_server.handlers.starts.LONE_S", 0.3)
    make_site(guns=2)
    flood = [parallel("01", "main", parallel_seq=f"2611231600{place:02d}") for place in range(1, 31)]

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(*flood)
            answers = [await wire.expect("parallel_start_request_ack") for _ in range(starting.MOST_AT_ONCE)]
            passed_over = host.gateway.counters["too_many_starts"]
            wire.send(parallel("01", "main"))  # those are decided: the next one is asked for
            return answers, passed_over, await wire.expect("parallel_start_request_ack")

    answers, passed_over, later = run(go())
    assert passed_over == 30 - starting.MOST_AT_ONCE
    assert len({answer.value("parallel_seq") for answer in answers}) == starting.MOST_AT_ONCE
    assert later.value("parallel_seq") == "261123160000"


def test_a_refusal_of_one_gun_is_that_of_all_and_one_gun_alone_is_refused(committed, monkeypatch):
    monkeypatch.setattr("ykc_server.handlers.starts.LONE_S", 0.3)
    make_site(guns=2)

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(parallel("01", "main"), parallel("02", "auxiliary"))
            both = [await wire.expect("parallel_start_request_ack") for _ in range(2)]
            wire.send(parallel("01", "main"))
            return both, await wire.expect("parallel_start_request_ack")

    both, alone = run(go())
    assert [(answer.auth_result, answer.fail_reason) for answer in both] == [(0, 1), (0, 1)]
    assert (alone.auth_result, alone.fail_reason) == (0, 6)


# --- Whole charges, with simulated piles


@pytest.fixture
def hasty(monkeypatch):
    """Piles that lose no time between a start and the charge, and between its end and the record."""
    monkeypatch.setattr("ykc_server.simulator.pile.charging.HANDSHAKE", timedelta(0))
    monkeypatch.setattr("ykc_server.simulator.pile.charging.RECORD_AFTER", timedelta(0))


@asynccontextmanager
async def simulated(host, *, guns: int = 1):
    """A pile that charges 30 minutes a second, logged in, with its prices and a car at each gun."""
    pile = SimulatedPile(
        CODE, guns={f"{number:02d}": 60_000 for number in range(1, guns + 1)}, time_scale=1800
    )
    for gun_no in pile.guns:
        pile.plug(gun_no, utc_now(), Car(capacity_wh=10**6, start_wh=0, vin=VIN))
    client = PileClient(pile, "127.0.0.1", host.port)
    task = asyncio.create_task(client.run())
    try:
        await eventually(lambda: _now(pile.is_online and pile.billing))
        yield pile, client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _now(value):
    return value


def charging(count: int = 1):
    return lambda: Order.objects.filter(state=OrderState.CHARGING).count() == count


def settled():
    settling.settle_pending()
    return Order.objects.filter(state=OrderState.COMPLETED).first()


def test_a_car_is_known_by_its_plug_charges_and_pays(committed, hasty):
    make_site()
    cards.add_vehicle(customer=a_card("300.00"), vin=VIN, plug_and_charge=True)
    schema = committed.schema_name

    async def go():
        async with running() as host, simulated(host) as (pile, client):
            starts.know_car(pile, "01", utc_now())
            client.flush()
            await host.until(schema, charging())
            pile.press_stop("01", utc_now())
            client.flush()
            return await host.until(schema, settled)

    order = run(go())
    assert (order.source, order.vin) == (OrderSource.VIN, VIN)
    assert order.energy_kwh > 0
    assert order.payable == order.electricity_fee + order.service_fee
    assert TransactionRecord.objects.get().report["start_mode"] == 5
    assert differences() == []


def test_one_car_over_two_guns_from_the_app(committed, hasty):
    pile_row = make_site(guns=2, parallel=True)
    customer = a_card("300.00")
    schema = committed.schema_name
    start = lambda: orders.start_charge(  # noqa: E731
        customer=customer,
        connector_code=f"{CODE}01",
        further_connectors=[f"{CODE}02"],
        request_key="k",
    )

    async def go():
        async with running() as host, simulated(host, guns=2):
            await host.until(
                schema,
                lambda: ConnectorStatus.objects.filter(state=ConnectorState.PLUGGED).count() == 2,
            )
            order = await host.query(schema, start)
            await host.until(schema, charging())
            stop = lambda: orders.stop_charge(order_no=order.order_no, actor=SYSTEM)  # noqa: E731
            await host.query(schema, stop)
            await host.until(
                schema, lambda: not PileCommand.objects.exclude(state=CommandState.DONE).exists()
            )
            return await host.until(schema, settled)

    order = run(go())
    records = TransactionRecord.objects.filter(order=order)
    assert records.count() == 2
    energies = [Decimal(record.report["total_energy_kwh"]) for record in records]
    assert order.energy_kwh == sum(energies)
    kinds = list(pile_row.commands.order_by("id").values_list("kind", flat=True))
    assert kinds == ["start_parallel", "start_parallel", "stop", "stop"]
    assert differences() == []


def test_one_car_over_two_guns_by_card(committed, hasty):
    pile_row = make_site(guns=2)
    a_card("300.00")
    schema = committed.schema_name

    async def go():
        async with running() as host, simulated(host, guns=2) as (pile, client):
            starts.tap_card_for_all(pile, CARD, utc_now())
            client.flush()
            await host.until(schema, charging())
            await eventually(lambda: _now(all(gun.session for gun in pile.guns.values())))
            for gun_no in pile.guns:
                pile.press_stop(gun_no, utc_now())
            client.flush()
            return await host.until(schema, settled)

    order = run(go())
    assert (order.source, order.legs.count(), order.records.count()) == (OrderSource.CARD, 1, 2)
    pile_row.refresh_from_db()
    assert pile_row.takes_parallel  # learnt: the app may start over both guns now
    assert differences() == []


def test_a_top_up_reaches_the_gun(committed, hasty):
    make_site()
    customer = a_card("300.00")
    committed.hold_maximum = Decimal("400.00")
    committed.save()
    schema = committed.schema_name

    async def go():
        async with running() as host, simulated(host) as (pile, client):
            starts.tap_card(pile, "01", CARD, utc_now())
            client.flush()
            await host.until(schema, charging())
            await host.query(schema, lambda: _top_up(customer))
            await host.query(schema, balance.raise_missed_holds)
            await host.until(schema, lambda: PileCommand.objects.filter(state=CommandState.DONE).first())
            return pile.guns["01"].session.request.account_balance

    assert run(go()) == 320_00
    command = PileCommand.objects.get()
    assert (command.kind, command.payload["balance"]) == ("set_balance", "320.00")
    assert Order.objects.get().hold_amount == Decimal("320.00")


def test_a_card_charges_while_the_pile_is_offline_and_pays_afterwards(committed, hasty):
    pile_row = make_site()
    customer = a_card("300.00")
    schema = committed.schema_name
    want = lambda: offline_cards.want_cards(  # noqa: E731
        piles=[pile_row], cards=customer.cards.all(), actor=SYSTEM
    )

    def ask():
        for command in offline_cards.questions(pile=pile_row):
            gateway.send(pile=pile_row, command=command, actor=SYSTEM)

    async def go():
        async with running() as host:
            async with simulated(host) as (pile, _):
                await host.query(schema, want)
                await host.until(schema, lambda: OfflineCard.objects.get().state == CardOnPile.STORED)
                await host.query(schema, ask)
                await host.until(
                    schema,
                    lambda: PileCommand.objects.filter(kind="query_cards", state=CommandState.DONE).exists(),
                )
            at = utc_now()
            starts.tap_card(pile, "01", CARD, at)
            pile.tick(at + timedelta(seconds=1))
            pile.press_stop("01", at + timedelta(seconds=3))
            assert pile.guns["01"].session is None
            task = asyncio.create_task(PileClient(pile, "127.0.0.1", host.port).run())
            unwant = lambda: offline_cards.unwant_cards(  # noqa: E731
                piles=[pile_row], physical_nos=[CARD], actor=SYSTEM
            )
            try:
                order = await host.until(schema, settled)
                await host.query(schema, unwant)
                await host.until(schema, lambda: not OfflineCard.objects.exists())
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert pile.offline_cards == {}
            return order

    order = run(go())
    assert (order.source, order.customer) == (OrderSource.OFFLINE_CARD, customer)
    assert order.energy_kwh > 0
    assert not Hold.objects.exists()
    assert differences() == []


def test_a_refused_card_is_told_at_the_pile(committed):
    make_site()

    async def go():
        async with running() as host, simulated(host) as (pile, client):
            starts.tap_card(pile, "01", CARD, utc_now())
            client.flush()
            await eventually(lambda: _now(pile.guns["01"].refused))
            return pile.guns["01"].refused, pile.guns["01"].session

    assert run(go()) == (AuthFailure.NO_ACCOUNT, None)
