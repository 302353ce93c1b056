"""Piles that speak otherwise: byte order of checksums, five rate classes, a cipher. Over real sockets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.piles.enums import CommandState, CrcOrder
from apps.piles.models import Pile
from apps.pricing.services import assign, create_template
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from tests.ykc_server.harness import (
    CODE,
    eventually,
    heartbeat,
    login,
    make_pile,
    realtime,
    record,
    run,
    running,
)
from tests.ykc_server.test_charging import TARIFF, command_is, send
from ykc_server.protocol import BY_NAME, CIPHERS, Dialect, check_frame, decode, open_frame, seal_message
from ykc_server.protocol.messages import BillingRequest

FIVE = Tariff(
    {**TARIFF.prices, RateClass.DEEP_VALLEY: ClassPrice(Decimal("0.10000"), Decimal("0.20000"))},
    (RateClass.DEEP_VALLEY,) * 8 + TARIFF.slots[8:],
)


async def _true(value):
    return value


async def raw(wire) -> bytes:
    """The next frame as it came."""
    while not wire.frames:
        wire.frames += wire.buffer.feed(await wire.reader.read(65_536))
    return wire.frames.pop(0)


def swapped(message) -> bytes:
    return message.encode(crc_swapped=True)


# --- Checksums --------------------------------------------------------------------------------------------


def test_a_pile_that_takes_no_answer_is_answered_in_its_own_order_next_time(committed):
    make_pile()

    async def order_of_answers(host) -> str:
        wire = await host.dial()
        wire.send(swapped(login()))
        found = check_frame(await raw(wire))
        assert found == check_frame(await raw(wire))  # the clock's
        wire.close()  # it does not understand us, or it does: it says no word
        return found

    async def go():
        async with running() as host:
            assert await order_of_answers(host) == "ok"
            high = lambda: Pile.objects.filter(crc_order=CrcOrder.HIGH_FIRST).exists()  # noqa: E731
            await host.until(committed.schema_name, high)
            assert await order_of_answers(host) == "swapped"
            await host.until(committed.schema_name, lambda: not high())  # that was not it either
        async with running() as host:
            await host.query(
                committed.schema_name, lambda: Pile.objects.update(crc_order=CrcOrder.HIGH_FIRST)
            )
            wire = await host.dial()
            wire.send(swapped(login()), swapped(heartbeat()))
            kinds = [await raw(wire) for _ in range(3)]
            assert [(frame[5], check_frame(frame)) for frame in kinds] == [
                (0x02, "swapped"),
                (0x56, "swapped"),
                (0x04, "swapped"),
            ]

    run(go())


def test_a_pile_that_is_heard_keeps_its_order(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(swapped(login()))
            assert check_frame(await raw(wire)) == "ok"
            await raw(wire)
            host.gateway.sessions[committed.schema_name][CODE].session.since -= 1  # a moment passes
            wire.send(swapped(heartbeat()))
            assert check_frame(await raw(wire)) == "ok"
            wire.close()
            await eventually(lambda: _true(not host.gateway.sessions[committed.schema_name]))
            assert host.gateway.counters["logins_unheard"] == 0

    run(go())


# --- Five rate classes ------------------------------------------------------------------------------------


def test_five_rate_classes_go_to_piles_that_know_them_and_to_no_other(committed):
    pile = make_pile()
    schema = committed.schema_name
    version = create_template(name="五", tariff=FIVE, actor=SYSTEM)
    assign(version=version, station=pile.station, starts_at=now() - timedelta(hours=1), actor=SYSTEM)
    plain = record()
    values = {name: field.json(getattr(plain, name)) for name, field in plain.spec.fields.items()}
    deep = {f"deep_valley_{name}": "0.0000" for name in ("price", "kwh", "loss_kwh", "amount")}
    of_five = BY_NAME["transaction_record_five_prices"].make(**values | deep)
    command = _set_prices(version)

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(BillingRequest.make(pile_no=CODE))
            await wire.silent(until=heartbeat(), answer="heartbeat_ack")  # 0x0A could not say it
            refused = await host.query(schema, lambda: send(pile, command))
            undelivered = await host.until(schema, command_is(refused, CommandState.UNDELIVERED))
            assert undelivered.result["reason"] == "untranslatable: five_rate_classes"
            wire.send(of_five)
            await wire.expect("transaction_record_ack")
            await host.until(schema, lambda: Pile.objects.filter(five_prices=True).exists())
            wire.send(BillingRequest.make(pile_no=CODE, sequence=b"\x09\x09"))
            model = await wire.expect("billing_set_five_prices")
            assert model.sequence == b"\x09\x09"
            assert model.value("deep_valley_service_price") == Decimal("0.20000")
            assert model.value("slot_rate_codes")[:9] == (4,) * 8 + (3,)
            taken = await host.query(schema, lambda: send(pile, command))
            await wire.expect("billing_set_five_prices")
            await host.until(schema, command_is(taken, CommandState.SENT))

    run(go())


def _set_prices(version):
    from apps.piles.commands import SetBillingModel

    return SetBillingModel(billing_model_no=version.billing_model_no, tariff=version.to_tariff().to_json())


# --- Ciphers ----------------------------------------------------------------------------------------------


class Shift:
    """Adds the key to every byte: enough to tell whether, and on what, a cipher was used."""

    def __init__(self, key):
        if len(key) != 1:
            raise ValueError("needs a key of 1 byte")
        self.key = key[0]

    def encrypt(self, body):
        return bytes((byte + self.key) % 256 for byte in body)

    def decrypt(self, body):
        return bytes((byte - self.key) % 256 for byte in body)


@pytest.fixture
def shift():
    CIPHERS["shift"] = Shift
    yield Dialect(cipher="shift", key=b"\x07")
    del CIPHERS["shift"]


def test_a_pile_with_a_cipher_is_answered_in_clear_until_it_uses_it(committed, shift):
    make_pile()
    pile = Pile.objects.get()
    pile.cipher, pile.cipher_key = "shift", "07"
    pile.save()

    async def go():
        async with running() as host:
            wire = await host.pile()  # the login names the pile, so it cannot be encrypted itself
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            wire.send(seal_message(heartbeat(sequence=b"\x11\x12"), shift))
            answer = await raw(wire)
            assert (answer[4], check_frame(answer)) == (1, "ok")
            opened = decode(open_frame(answer, shift.open_cipher()))
            assert (opened.spec.name, opened.sequence) == ("heartbeat_ack", b"\x11\x12")
            wire.send(seal_message(record(), shift), seal_message(realtime(), shift))
            confirmed = decode(open_frame(await raw(wire), shift.open_cipher()))
            assert confirmed.spec.name == "transaction_record_ack"
            assert host.gateway.counters["encrypted"] == 0

    run(go())


@pytest.mark.parametrize(("cipher", "key"), [("", ""), ("3des", "07"), ("shift", "0708")])
def test_without_a_cipher_that_works_an_encrypted_frame_ends_the_connection(
    committed, shift, caplog, cipher, key
):
    make_pile()
    pile = Pile.objects.get()
    pile.cipher, pile.cipher_key = cipher, key
    pile.save()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(seal_message(heartbeat(), shift))
            await wire.closed()
            assert host.gateway.counters["encrypted"] == 1

    run(go())
    (line,) = [entry.msg for entry in caplog.records if "encrypted_connection_closed" in str(entry.msg)]
    assert (line["pile_code"], "no cipher is configured" in line["error"]) == (CODE, True)
