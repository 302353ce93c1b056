"""Commands to many piles: who gets what, chunks, what is retried, and how power is split."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import InvalidInput
from apps.common.ids import Actor
from apps.common.time import now
from apps.piles import bulk, services
from apps.piles.commands import Reboot, SetWork, SyncTime, UpdateFirmware
from apps.piles.enums import CommandKind, CommandState, ConnectorState, PileState
from apps.piles.errors import NothingToSend, PowerCapTooLow
from apps.piles.models import Pile, PileCommand, UpdateServer
from apps.piles.selectors import batch_progress
from apps.pricing.enums import PushState
from apps.pricing.models import PricePush
from tests import factories

STAFF = Actor("staff", "7", "王芳")
inside = pytest.mark.usefixtures("tenant")


def kept(batch):
    return [
        (row.pile.pile_code, row.connector_no, row.payload)
        for row in batch.commands.select_related("pile").order_by("id")
    ]


@inside
def test_a_station_without_its_retired_piles():
    station = factories.a_station()
    first, second = (factories.a_pile(station=station, pile_code=f"3201060000{n}") for n in (1001, 1002))
    factories.a_pile()
    services.set_state(pile=second, state=PileState.RETIRED)
    batch = bulk.send_bulk(command=Reboot(when_idle=False), station=station, actor=STAFF, reason="升级后")
    assert kept(batch) == [(first.pile_code, "", {"when_idle": False})]
    assert (batch.kind, batch.total, batch.scope, batch.reason) == ("reboot", 1, station.name, "升级后")
    row = batch.commands.get()
    assert (row.actor_kind, row.actor_id, row.actor_name, row.reason) == ("staff", "7", "王芳", "升级后")
    services.set_state(pile=first, state=PileState.RETIRED)
    with pytest.raises(NothingToSend):
        bulk.send_bulk(command=Reboot(), station=station, actor=STAFF)


@inside
def test_every_gun_is_asked():
    pile = factories.a_pile(guns=3)
    batch = bulk.send_bulk(command=CommandKind.READ_REALTIME, piles=[pile], actor=STAFF)
    assert [number for _, number, _ in kept(batch)] == ["01", "02", "03"]
    assert batch.total == 1


@inside
def test_chunks_are_delivered_once_and_each_has_its_time(monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(bulk, "CHUNK", 2)
    piles = [factories.a_pile() for _ in range(5)]
    with django_capture_on_commit_callbacks(execute=True):
        batch = bulk.send_bulk(command=Reboot(), piles=piles, actor=STAFF)
        assert batch_progress(batches=[batch])[batch.pk]["open"] == 5
    # The task ran as the batch was committed; no gateway is there.
    assert batch_progress(batches=[batch]) == {batch.pk: {"total": 5, "done": 0, "failed": 5, "open": 0}}
    row = batch.commands.first()
    assert (row.state, row.result, row.tries) == ("undelivered", {"reason": "offline"}, 1)
    assert row.deadline - row.created_at < timedelta(minutes=1)
    assert bulk.deliver_batch(batch_id=batch.pk) == 0


@inside
def test_what_a_dead_worker_left_is_delivered_a_minute_later():
    batch = bulk.send_bulk(command=SyncTime(), piles=[factories.a_pile()], actor=STAFF)
    assert bulk.deliver_left_behind() == 0
    PileCommand.objects.update(created_at=now() - timedelta(minutes=2))
    assert bulk.deliver_left_behind() == 1
    row = batch.commands.get()
    assert row.tries == 1
    assert timedelta(minutes=9) < row.deadline - now() <= timedelta(minutes=10)


@inside
def test_only_what_failed_is_sent_again_and_only_where_it_is_safe():
    one, two = factories.a_pile(guns=2), factories.a_pile()
    batch = bulk.send_bulk(command=CommandKind.READ_REALTIME, piles=[one, two], actor=STAFF)
    with pytest.raises(NothingToSend):
        bulk.retry_failed(batch=batch, actor=STAFF)
    batch.commands.filter(connector_no="02").update(state=CommandState.EXPIRED)
    batch.commands.filter(connector_no="01").update(state=CommandState.DONE)
    again = bulk.retry_failed(batch=batch, actor=STAFF, reason="再试")
    assert kept(again) == [(one.pile_code, "02", {"connector_no": "02"})]
    reboot = bulk.send_bulk(command=Reboot(), piles=[one], actor=STAFF)
    reboot.commands.update(state=CommandState.EXPIRED)
    assert not bulk.can_retry(batch=reboot)
    with pytest.raises(NothingToSend):
        bulk.retry_failed(batch=reboot, actor=STAFF)


@inside
def test_prices_in_force_go_to_idle_piles_and_wait_for_others():
    station = factories.a_station()
    idle, busy = factories.a_pile(station=station), factories.a_pile(station=station)
    factories.put_online(busy, ConnectorState.CHARGING)
    no_price = factories.a_pile(priced=False)
    batch = bulk.send_bulk(command=CommandKind.SET_BILLING_MODEL, piles=[idle, busy, no_price], actor=STAFF)
    assert [code for code, _, _ in kept(batch)] == [idle.pile_code]
    pushes = dict(PricePush.objects.values_list("pile_id", "state"))
    assert pushes == {idle.pk: PushState.SENT, busy.pk: PushState.PENDING}
    payload = batch.commands.get().payload
    assert payload["push_id"] == PricePush.objects.get(pile=idle).pk
    assert payload["tariff"] == factories.TARIFF.to_json()


@inside
def test_the_firmware_command_knows_its_pile_and_no_password():
    ac = factories.a_pile()
    Pile.objects.filter(pk=ac.pk).update(kind="ac", power_kw=Decimal("7.00"))
    ac.refresh_from_db()
    server = UpdateServer.objects.create(name="F", host="10.0.0.9", port=21, username="u-9", password="s-9")
    made = bulk.firmware([ac], server=server, path="/a.bin", when_idle=True, download_minutes=5)
    assert made == {
        ac.pk: [
            UpdateFirmware(
                server_id=server.pk,
                host="10.0.0.9",
                port=21,
                path="/a.bin",
                for_ac=True,
                power_kw=7,
                when_idle=True,
                download_minutes=5,
            )
        ]
    }
    batch = bulk.send_each(kind=CommandKind.UPDATE, commands=made, actor=STAFF, scope="x")
    assert "u-9" not in str(kept(batch))
    assert "s-9" not in str(kept(batch))


# --- Power ------------------------------------------------------------------------------------------------


def test_power_is_split_alike_and_the_rest_goes_to_the_largest():
    ratings = {1: Decimal(120), 2: Decimal(60), 3: Decimal(7)}
    assert bulk.split_power(kw=Decimal(187), ratings=ratings) == {1: 100, 2: 100, 3: 100}
    assert bulk.split_power(kw=Decimal(1000), ratings=ratings) == {1: 100, 2: 100, 3: 100}
    # Half of all is 93.5: with 94 kW one more percent of the 60 kW pile's … the 7 kW pile's fits, 1.2 kW does not.
    assert bulk.split_power(kw=Decimal(94), ratings=ratings) == {1: 50, 2: 50, 3: 51}
    assert bulk.split_power(kw=Decimal("56.1"), ratings=ratings) == {1: 30, 2: 30, 3: 30}
    with pytest.raises(PowerCapTooLow) as caught:
        bulk.split_power(kw=Decimal(56), ratings=ratings)
    assert caught.value.data == {"least": "56.1"}


powers = st.decimals(min_value=1, max_value=720, places=2)


@given(
    ratings=st.dictionaries(st.integers(1, 99), powers, min_size=1, max_size=30),
    share=st.decimals(min_value=30, max_value=110, places=3),
)
def test_the_cap_holds_and_no_percent_is_wasted(ratings, share):
    kw = sum(ratings.values()) * share / 100
    shares = bulk.split_power(kw=kw, ratings=ratings)
    given_kw = sum(ratings[pile] * percent for pile, percent in shares.items()) / 100
    assert given_kw <= kw
    assert shares.keys() == ratings.keys()
    assert all(30 <= percent <= 100 for percent in shares.values())
    assert max(shares.values()) - min(shares.values()) <= 1
    rest = kw - given_kw
    assert all(percent == 100 or ratings[pile] / 100 > rest for pile, percent in shares.items()) or (
        max(shares.values()) > min(shares.values())
    )


@inside
def test_a_stations_cap_is_sent_to_each_pile_and_unlocks_none():
    station = factories.a_station()
    locked, other, asked = (factories.a_pile(station=station) for _ in range(3))
    for pile, is_locked, state in (
        (locked, True, CommandState.DONE),
        (other, True, CommandState.DONE),
        (other, False, CommandState.DONE),
        (asked, True, CommandState.REFUSED),
    ):
        batch = bulk.send_bulk(command=SetWork(is_locked=is_locked), piles=[pile], actor=STAFF)
        batch.commands.update(state=state)
    batch = bulk.set_power_cap(station=station, kw=Decimal(180), actor=STAFF, reason="夏季限电")
    assert [(row.pile_id, row.payload) for row in batch.commands.order_by("pile_id")] == [
        (locked.pk, {"is_locked": True, "max_power_percent": 50}),
        (other.pk, {"is_locked": False, "max_power_percent": 50}),
        (asked.pk, {"is_locked": False, "max_power_percent": 50}),
    ]
    with pytest.raises(PowerCapTooLow):
        bulk.set_power_cap(station=station, kw=Decimal(100), actor=STAFF)
    with pytest.raises(InvalidInput):
        bulk.set_power_cap(station=station, kw=Decimal(0), actor=STAFF)


@pytest.mark.parametrize("percent", [29, 101])
def test_power_below_30_or_above_100_percent_is_refused(percent):
    with pytest.raises(InvalidInput):
        SetWork(is_locked=False, max_power_percent=percent)


@pytest.mark.parametrize(
    "wrong", [{"host": "a" * 17}, {"host": ""}, {"path": "固件.bin"}, {"port": 70_000}, {"power_kw": -1}]
)
def test_an_update_that_no_frame_can_hold_is_refused(wrong):
    right = {"server_id": 1, "host": "h", "port": 21, "path": "/p", "for_ac": False, "power_kw": 60}
    with pytest.raises(InvalidInput):
        UpdateFirmware(**right | wrong)
