"""Who a pile is: TLS, networks, SIM card, first-seen devices, second logins, floods. Over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta

import pytest

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.common.time import now
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm, Pile
from apps.piles.services import create_pile
from apps.sites.models import Station
from apps.tenancy import services as tenancy
from apps.tenancy.models import Newcomer, SecondLogin, Tenant, TenantState
from tests.ykc_server.certificates import make_certificate
from tests.ykc_server.harness import (
    CODE,
    OTHER_CODE,
    heartbeat,
    login,
    make_pile,
    realtime,
    run,
    running,
)
from ykc_server.floods import ADDRESSES, LoginLimit
from ykc_server.server import tls_context

STRANGER = "99010203040506"


async def _true(value):
    return value


# --- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself, and its key, as PEM files."""
    return make_certificate(tmp_path)


def test_piles_dial_in_over_tls_and_beside_it(committed, certificate):
    make_pile()
    make_pile(OTHER_CODE)
    trusting = ssl.create_default_context(cafile=certificate[0])

    async def go():
        async with running(tls=tls_context(*certificate)) as host:
            safe = await host.dial(trusting)
            await safe.login()
            plain = await host.pile(OTHER_CODE)
            for wire, code in ((safe, CODE), (plain, OTHER_CODE)):
                wire.send(heartbeat(code))
                await wire.expect("heartbeat_ack")
            consumer = host.gateway.sessions[committed.schema_name][CODE]
            assert consumer.transport.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
            assert consumer.address == "127.0.0.1"
            # Speaking in clear to the TLS port is no login, and does not disturb the others.
            confused = await asyncio.open_connection("127.0.0.1", host.tls_port)
            confused[1].write(login().encode())
            try:
                while await confused[0].read(100):
                    pass  # an alert of TLS
            except ConnectionResetError:
                pass
            confused[1].transport.abort()
            with pytest.raises(ssl.SSLError):
                await host.dial(ssl.create_default_context())  # does not know who signed
            safe.send(heartbeat())
            await safe.expect("heartbeat_ack")
            assert host.gateway.counters["logins"] == 2
            safe.writer.close()

    run(go())


# --- Networks and SIM cards -------------------------------------------------------------------------------


def test_a_login_from_elsewhere_is_refused_with_an_alarm(committed):
    make_pile()
    Pile.objects.update(allowed_networks="10.0.0.0/8, 192.0.2.7")

    async def go():
        async with running() as host:
            for _ in range(2):
                wire = await host.dial()
                wire.send(login())
                assert (await wire.expect("login_ack")).result == 1
                await wire.closed()
            await host.query(
                committed.schema_name, lambda: Pile.objects.update(allowed_networks="127.0.0.0/8")
            )
            await host.pile()
            return await host.query(
                committed.schema_name, lambda: Alarm.objects.get(kind=AlarmKind.WRONG_ADDRESS)
            )

    alarm = run(go())
    assert (alarm.pile_code, alarm.count, alarm.closed_at) == (CODE, 2, None)
    assert alarm.detail == {"address": "127.0.0.1", "sim_no": "89860000000000000001"}


def test_a_pinned_sim_card(committed):
    make_pile()
    Pile.objects.update(pinned_sim_no="898600c0000000000001")

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login())
            assert (await wire.expect("login_ack")).result == 1
            await wire.closed()
            assert not await host.query(committed.schema_name, lambda: Pile.objects.get().is_online)
            mine = await host.dial()
            mine.send(login(sim_no="898600C0000000000001"))
            assert (await mine.expect("login_ack")).result == 0
            return await host.query(
                committed.schema_name, lambda: Alarm.objects.get(kind=AlarmKind.WRONG_SIM)
            )

    alarm = run(go())
    assert (alarm.pile_code, alarm.detail["sim_no"]) == (CODE, "89860000000000000001")


# --- First-seen devices -----------------------------------------------------------------------------------


def newcomers():
    return list(Newcomer.objects.order_by("key"))


def test_an_unknown_pile_waits_to_be_approved_and_then_logs_in(committed, other_tenant):
    schema = committed.schema_name
    Station.objects.create(station_no="S1", name="站", latitude="31.2", longitude="121.4")

    async def go():
        async with running() as host:
            for times in (1, 2):
                wire = await host.dial()
                wire.send(login(STRANGER))
                assert (await wire.expect("login_ack")).result == 1
                await wire.closed()
                seen = lambda: Newcomer.objects.filter(key=STRANGER, times=times).first()  # noqa: B023, E731
                device = await host.until("public", seen)
            assert (device.kind, device.address, device.tenant) == ("pile", "127.0.0.1", None)  # two tenants
            assert device.facts == {
                "protocol_version": "1.6",
                "software_version": "V4.1.50",
                "sim_no": "89860000000000000001",
            }
            await host.query(schema, lambda: _approve(device))
            assert await host.query("public", newcomers) == []
            await host.pile(STRANGER)

    run(go())


def _approve(device):
    create_pile(
        station=Station.objects.get(),
        pile_code=device.key,
        kind="dc",
        power_kw=120,
        gun_count=1,
        actor=SYSTEM,
    )
    tenancy.drop_newcomer(kind=device.kind, key=device.key)


def test_a_device_is_offered_to_the_only_tenant_there_is(committed, other_tenant):
    Tenant.objects.filter(pk=other_tenant.pk).update(state=TenantState.SUSPENDED)

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login(STRANGER))
            await wire.expect("login_ack")
            return await host.until("public", lambda: Newcomer.objects.select_related("tenant").first())

    assert run(go()).tenant == committed


def test_the_queue_is_bounded_by_address_and_in_all(committed, monkeypatch):
    monkeypatch.setattr(tenancy, "NEWCOMERS_PER_ADDRESS", 3)
    monkeypatch.setattr(tenancy, "NEWCOMERS", 5)

    def sightings(first, count, address):
        return [tenancy.Sighting(f"{first + n:014d}", now(), 1, address, {}) for n in range(count)]

    with schema_context("public"):
        assert tenancy.newcomers_seen(kind="pile", seen=sightings(100, 5, "192.0.2.1")) == 3
        assert (
            tenancy.newcomers_seen(kind="pile", seen=sightings(100, 3, "192.0.2.1")) == 3
        )  # known ones count on
        assert tenancy.newcomers_seen(kind="pile", seen=sightings(200, 3, "192.0.2.2")) == 2
        assert tenancy.newcomers_seen(kind="pile", seen=sightings(300, 1, "192.0.2.3")) == 0
        assert [row.times for row in newcomers()] == [2, 2, 2, 1, 1]
        # What has not been seen for long makes room.
        Newcomer.objects.filter(key__startswith="000000000001").update(
            last_seen_at=now() - timedelta(days=31)
        )
        assert tenancy.newcomers_seen(kind="pile", seen=sightings(300, 3, "192.0.2.3")) == 3


def test_a_registered_pile_is_no_newcomer(committed):
    make_pile()
    Pile.objects.update(state="disabled")

    async def go():
        async with running() as host:
            for code in (CODE, "9901020304050A", STRANGER):
                wire = await host.dial()
                wire.send(login("0" * 14) if "A" in code else login(code))
                await wire.expect("login_ack")
            await host.until("public", lambda: Newcomer.objects.filter(key=STRANGER).exists())
            return await host.query("public", newcomers)

    assert [row.key for row in run(go())] == ["0" * 14, STRANGER]


# --- Second logins ----------------------------------------------------------------------------------------


def challenge(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(second_login=SecondLogin.CHALLENGE)


def alarm_of_two():
    return Alarm.objects.filter(kind=AlarmKind.DUPLICATE_LOGIN).first()


def test_the_older_connection_proves_itself(committed):
    make_pile(guns=2)
    challenge(committed)

    async def go():
        async with running() as host:
            older = await host.pile()
            newer = await host.dial()
            newer.send(login())
            assert [(await older.expect("read_realtime")).value("gun_no") for _ in range(2)] == ["01", "02"]
            older.send(realtime())
            assert (await newer.expect("login_ack")).result == 1
            await newer.closed()
            older.send(heartbeat())
            await older.expect("heartbeat_ack")
            assert host.gateway.counters["logins_defended"] == 1
            alarm = await host.until(committed.schema_name, alarm_of_two)
            assert alarm.detail["kept"] == "older"
            assert alarm.detail["older"] != alarm.detail["newer"]
            assert await host.query(committed.schema_name, lambda: Pile.objects.get().is_online)

    run(go())


def test_an_older_connection_that_is_silent_is_replaced(committed):
    make_pile()
    challenge(committed)

    async def go():
        async with running() as host:
            host.gateway.rivals.wait_s = 0.2
            older = await host.pile()
            newer = await host.pile()
            await older.expect("read_realtime")
            await older.closed()
            newer.send(heartbeat())
            await newer.expect("heartbeat_ack")
            assert (await host.until(committed.schema_name, alarm_of_two)).detail["kept"] == "newer"
            # The pile itself may log in again on its connection: it is not its own rival.
            await newer.login()

    run(go())


def test_a_challenge_in_another_process(committed):
    make_pile()
    challenge(committed)

    async def go():
        async with running() as one, running() as other:
            one.gateway.rivals.wait_s = other.gateway.rivals.wait_s = 0.5
            older = await one.pile()
            newer = await other.dial()
            newer.send(login())
            await older.expect("read_realtime")
            older.send(heartbeat())
            await older.expect("heartbeat_ack")
            assert (await newer.expect("login_ack")).result == 1
            alarm = await one.until(committed.schema_name, alarm_of_two)
            assert (alarm.detail["kept"], len({alarm.detail["older"], alarm.detail["newer"]})) == ("older", 2)
            # Silent now.
            third = await other.pile()
            await older.expect("read_realtime")
            await older.closed()
            third.send(heartbeat())
            await third.expect("heartbeat_ack")
            assert await one.query(committed.schema_name, lambda: Pile.objects.get().is_online)

    run(go())


def test_both_of_two_connections_are_in_the_log_across_processes(committed, capfd, caplog):
    make_pile()

    async def go():
        async with running() as one, running() as other:
            older = await one.pile()
            newer = await other.pile()
            names = [f"127.0.0.1:{wire.writer.get_extra_info('sockname')[1]}" for wire in (older, newer)]
            await older.closed()
            await one.until(committed.schema_name, alarm_of_two)
            return names

    names = run(go())
    lines = [record.msg for record in caplog.records if "second_login" in str(record.msg)]
    assert [(line["older"], line["newer"], line["kept"]) for line in lines] == [(*names, "newer")]


# --- Floods -----------------------------------------------------------------------------------------------


def test_an_address_that_floods_has_to_wait(committed, settings):
    settings.YKC_LOGIN_BURST, settings.YKC_LOGINS_PER_MINUTE = 3, 60
    make_pile()

    async def go():
        async with running() as host:
            await host.pile()  # free: it was not connected
            for _ in range(3):
                wire = await host.dial()
                wire.send(login(STRANGER))
                assert (await wire.expect("login_ack")).result == 1
            for code in (STRANGER, CODE):
                wire = await host.dial()
                wire.send(login(code))
                await wire.closed()  # no answer: it would have to be looked up
            assert host.gateway.counters["logins_limited"] == 2
            assert host.gateway.counters["logins_refused"] == 3

    run(go())


def test_a_pile_that_logs_in_for_ever_uses_up_its_tokens(committed, settings):
    settings.YKC_LOGIN_BURST, settings.YKC_LOGINS_PER_MINUTE = 3, 1
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            for _ in range(3):
                await wire.login()
            wire.send(login())
            await wire.closed()

    run(go())


def test_tokens_come_back_and_the_table_stays_small():
    limit = LoginLimit(burst=2, per_minute=60)
    for _ in range(2):
        assert limit.allows("192.0.2.1", 100.0)
        limit.charge("192.0.2.1", 100.0)
    assert not limit.allows("192.0.2.1", 100.9)
    assert limit.allows("192.0.2.1", 101.0)
    assert limit.allows("192.0.2.2", 100.0)
    for number in range(ADDRESSES + 500):
        limit.charge(str(number), 103.0)
    assert len(limit) == ADDRESSES
    endless = LoginLimit(burst=0, per_minute=0)
    endless.charge("192.0.2.1", 1.0)
    assert endless.allows("192.0.2.1", 1.0)
    assert len(endless) == 0
