"""Balance, cards, ground lock, parameters, reboot, update, QR codes and charging over two guns."""

from decimal import Decimal

import pytest

from tests.ykc_server.simulator.platform import (
    CAR,
    PILE_NO,
    TRANSACTION_NO,
    Platform,
    charging,
    online,
    only,
    start,
)
from ykc_server.protocol.codes import GunRole, StartFailure, StopReason
from ykc_server.protocol.messages import (
    BalanceUpdate,
    GroundLockControl,
    Login,
    OfflineCardClear,
    OfflineCardQuery,
    OfflineCardSync,
    ParallelRemoteStart,
    ParallelRemoteStartAck,
    QrPrefixSet,
    Realtime,
    Reboot,
    RemoteStartAck,
    TransactionRecord,
    Update,
    WorkParams,
)
from ykc_server.simulator import Faults, SimulatedPile

CARD = "00000000D14B0A54"
TWO_GUNS = {"01": 60_000, "02": 60_000}


def balance(amount="1.00", card="0", pile_no=PILE_NO, gun_no="01"):
    return BalanceUpdate.make(pile_no=pile_no, gun_no=gun_no, physical_card_no=card, balance=amount)


@pytest.mark.parametrize("card", ["0", CARD])
def test_a_new_balance_holds_for_the_charge_that_runs(card):
    platform = charging("50.00")
    [answer] = platform.say(balance("1.00", card))
    assert (answer.spec.name, answer.result) == ("balance_update_ack", 0)
    [record] = only(platform.wait(minutes=3), TransactionRecord)
    assert (record.value("total_amount"), record.stop_reason) == (Decimal("1.0000"), StopReason.AMOUNT_LIMIT)


@pytest.mark.parametrize(
    ("order", "result"),
    [(balance(pile_no="1"), 1), (balance(card="1"), 2), (balance(gun_no="02"), 2)],
)
def test_a_balance_that_is_not_for_this_charge(order, result):
    platform = charging("50.00")
    [answer] = platform.say(order)
    assert answer.result == result
    assert platform.pile.guns["01"].session.request.account_balance == 5000


def cards(*numbers):
    return [{"logical_card_no": f"{n}", "physical_card_no": f"{n:016}"} for n in numbers]


def test_offline_cards_are_stored_found_and_removed():
    platform = online()
    [stored] = platform.say(OfflineCardSync.make(pile_no=PILE_NO, cards=cards(1, 2)))
    assert (stored.result, stored.fail_reason) == (1, 0)
    ask = OfflineCardQuery.make(pile_no=PILE_NO, cards=["1", "3"])
    [found] = platform.say(ask)
    assert [item["result"] for item in found.value("results")] == [1, 0]
    [cleared] = platform.say(OfflineCardClear.make(pile_no=PILE_NO, cards=["1", "3"]))
    assert [(item["physical_card_no"], item["result"]) for item in cleared.value("results")] == [
        ("0000000000000001", 1),
        ("0000000000000003", 0),
    ]
    [found] = platform.say(ask)
    assert [item["result"] for item in found.value("results")] == [0, 0]


def test_offline_cards_survive_a_power_cut_and_have_limited_room():
    platform = online()
    for first in range(0, 195, 15):
        platform.say(OfflineCardSync.make(pile_no=PILE_NO, cards=cards(*range(first, first + 15))))
    [answer] = platform.say(OfflineCardSync.make(pile_no=PILE_NO, cards=cards(*range(195, 201))))
    assert (answer.result, answer.fail_reason, len(platform.pile.offline_cards)) == (0, 2, 195)
    again = SimulatedPile(PILE_NO)
    again.load_state(platform.pile.to_state(platform.now))
    assert again.offline_cards == platform.pile.offline_cards


def params(percent=100, disable=0):
    return WorkParams.make(pile_no=PILE_NO, disable=disable, max_power_percent=percent)


def test_a_locked_pile_starts_nothing():
    platform = online()
    platform.pile.plug("01", platform.now, CAR)
    assert platform.say(params(disable=1))[-1].result == 1
    [ack] = platform.say(start())
    assert (ack.result, ack.fail_reason) == (0, StartFailure.DEVICE_FAULT)
    platform.say(params())
    assert only(platform.say(start()), RemoteStartAck)[0].result == 1


def test_less_power_at_once_and_in_later_charges():
    platform = charging()
    assert platform.say(params(50))[0].result == 1
    last = only(platform.wait(minutes=1), Realtime)[-1]
    assert last.value("energy_kwh") == Decimal("0.5000")
    assert platform.say(params(29))[0].result == 0
    assert platform.say(params(101))[0].result == 0
    assert platform.pile.max_power_percent == 50


def lock(command, gun_no=1):
    return GroundLockControl.make(pile_no=PILE_NO, gun_no=gun_no, command=command, reserved="0")


def test_the_ground_lock_answers_and_shows_its_state():
    platform = online()
    order = lock("raise")
    order_frame = order.encode(b"\x97\xcf")
    platform.heard.clear()
    platform.pile.receive(order_frame, platform.now)
    platform.listen()
    answer, status = platform.heard
    assert (answer.spec.name, answer.result, answer.sequence) == (
        "ground_lock_control_ack",
        1,
        b"\x97\xcf",
    )
    assert (status.spec.name, status.lock_status, status.space_status) == ("ground_lock_status", 0x55, 0)
    assert status.sequence != b"\x97\xcf"
    [refused] = platform.say(lock("lower", gun_no=3))
    assert refused.result == 0
    [refused] = platform.say(lock(0x11))
    assert refused.result == 0


def reboot(mode):
    return Reboot.make(pile_no=PILE_NO, mode=mode)


def test_a_reboot_now_ends_charges_and_cuts_the_line():
    platform = charging()
    platform.wait(minutes=1)
    heard = platform.say(reboot("now"))
    assert heard[-1].spec.name == "reboot_ack"
    assert heard[-1].result == 1
    assert platform.pile.wants_close
    platform.pile.disconnected(platform.now)
    platform.log_in(prices=False)
    [record] = only(platform.wait(seconds=5), TransactionRecord)
    assert (record.value("total_kwh"), record.stop_reason) == (Decimal("1.0000"), StopReason.POWER_LOST)


def test_a_reboot_waits_for_the_last_charge():
    platform = charging()
    [answer] = platform.say(reboot("when_idle"))
    assert answer.result == 1
    platform.wait(minutes=1)
    assert not platform.pile.wants_close
    platform.pile.press_stop("01", platform.now)
    assert platform.pile.wants_close


def test_an_order_to_reboot_that_means_nothing():
    platform = online()
    [answer] = platform.say(reboot(7))
    assert (answer.result, platform.pile.wants_close) == (0, False)


def update(**changes):
    fields = {
        "pile_no": PILE_NO,
        "pile_model": "dc",
        "pile_power": 60,
        "server": "10.0.0.1",
        "port": 21,
        "username": "u",
        "password": "p",
        "path": "/fw/SIM-2.0.bin",
        "mode": "now",
        "download_timeout": 5,
    }
    return Update.make(**fields | changes)


def test_an_update_shows_at_the_next_login():
    platform = online()
    [answer] = platform.say(update())
    assert (answer.spec.name, answer.result, platform.pile.wants_close) == ("update_ack", 0, True)
    platform.pile.disconnected(platform.now)
    platform.connect()
    assert only(platform.heard, Login)[0].value("software_version") == "SIM-2.0"


@pytest.mark.parametrize(
    ("changes", "result"), [({"pile_no": "1"}, 1), ({"pile_model": "ac"}, 2), ({"server": ""}, 3)]
)
def test_an_update_that_fails(changes, result):
    platform = online()
    [answer] = platform.say(update(**changes))
    assert (answer.result, platform.pile.wants_close) == (result, False)
    assert platform.pile.software_version == "SIM-1.0"


def test_the_qr_prefix_is_forgotten_at_a_reboot():
    platform = online()
    [answer] = platform.say(QrPrefixSet.make(pile_no=PILE_NO, qr_format=0, prefix="https://a.cn/"))
    assert (answer.spec.name, platform.pile.qr_prefix) == ("qr_prefix_set_ack", "https://a.cn/")
    platform.say(reboot("now"))
    assert platform.pile.qr_prefix == ""


def test_faults_hold_for_these_orders_too():
    platform = online(faults=Faults(unanswered=frozenset({0x52, 0x92})))
    assert platform.say(params(50)) == platform.say(reboot("now")) == []
    assert (platform.pile.max_power_percent, platform.pile.wants_close) == (100, False)


def parallel(gun_no, counter, seq="260302095000"):
    return ParallelRemoteStart.make(
        transaction_no=PILE_NO + gun_no + "260302095000" + counter,
        pile_no=PILE_NO,
        gun_no=gun_no,
        logical_card_no="0",
        physical_card_no=CARD,
        account_balance="50.00",
        parallel_seq=seq,
    )


def two_guns(*plugged):
    platform = Platform(SimulatedPile(PILE_NO, guns=TWO_GUNS)).log_in()
    for gun_no in plugged:
        platform.pile.plug(gun_no, platform.now, CAR)
    platform.listen()
    return platform


def test_two_guns_charge_together():
    platform = two_guns("01", "02")
    assert platform.say(parallel("01", "0001")) == []
    heard = platform.say(parallel("02", "0002"))
    assert [(m.value("gun_no"), m.result, m.value("gun_role")) for m in heard] == [
        ("01", 1, GunRole.MAIN),
        ("02", 1, GunRole.AUXILIARY),
    ]
    assert {m.value("parallel_seq") for m in heard} == {"260302095000"}
    platform.wait(minutes=1)
    for gun in platform.pile.guns.values():
        assert gun.session.request.transaction_no[7] == int(gun.gun_no)
        platform.pile.press_stop(gun.gun_no, platform.now)
    assert len(only(platform.wait(seconds=5), TransactionRecord)) == 2


def test_one_gun_that_cannot_keeps_both_from_charging():
    platform = two_guns("01")
    platform.say(parallel("01", "0001"))
    heard = platform.say(parallel("02", "0002"))
    assert [(m.result, m.fail_reason) for m in heard] == [(0, StartFailure.NOT_PLUGGED_IN)] * 2
    assert all(gun.session is None for gun in platform.pile.guns.values())


def test_a_second_gun_that_is_never_asked_for_ends_the_wait():
    platform = two_guns("01", "02")
    platform.say(parallel("01", "0001"))
    assert only(platform.wait(seconds=9), ParallelRemoteStartAck) == []
    [refused] = only(platform.wait(seconds=1), ParallelRemoteStartAck)
    assert (refused.result, refused.fail_reason) == (0, StartFailure.DEVICE_FAULT)
    assert platform.pile.guns["01"].session is None
    assert only(platform.say(start(transaction_no=TRANSACTION_NO)), RemoteStartAck)[0].result == 1
