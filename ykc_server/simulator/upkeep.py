"""What a simulated pile answers to orders that start and stop nothing: balance, cards, locks, parameters, update."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ykc_server.protocol import Message
from ykc_server.protocol.codes import (
    BalanceResult,
    CardPresence,
    ClearFailure,
    ExecuteMode,
    LockCommand,
    OneIsSuccess,
    PileModel,
    SyncFailure,
    UpdateResult,
    WorkSwitch,
)
from ykc_server.protocol.messages import (
    BalanceUpdate,
    BalanceUpdateAck,
    GroundLockControl,
    GroundLockControlAck,
    GroundLockStatus,
    OfflineCardClear,
    OfflineCardClearAck,
    OfflineCardQuery,
    OfflineCardQueryAck,
    OfflineCardSync,
    OfflineCardSyncAck,
    QrPrefixSet,
    QrPrefixSetAck,
    Reboot,
    RebootAck,
    Update,
    UpdateAck,
    WorkParams,
    WorkParamsAck,
)

if TYPE_CHECKING:
    from ykc_server.simulator.pile import SimulatedPile

CARD_PLACES = 200


def balance_update(pile: SimulatedPile, order: BalanceUpdate, now: datetime) -> list[Message]:
    """A new balance for the charge that runs; with a card number, only if that card pays for it."""
    gun = pile.guns.get(order.gun_no.hex())
    result = BalanceResult.OK
    if order.pile_no != pile.raw_pile_no:
        result = BalanceResult.WRONG_PILE_NO
    elif (
        gun is None
        or gun.session is None
        or order.physical_card_no not in (bytes(8), gun.session.request.physical_card_no)
    ):
        result = BalanceResult.WRONG_CARD
    else:
        gun.session.request.account_balance = order.balance
    return [
        BalanceUpdateAck(
            pile_no=pile.raw_pile_no, physical_card_no=order.physical_card_no, result=int(result)
        )
    ]


def card_sync(pile: SimulatedPile, order: OfflineCardSync, now: datetime) -> list[Message]:
    """All cards or, without room, none."""
    cards = {card["physical_card_no"]: card["logical_card_no"] for card in order.value("cards")}
    room = len(pile.offline_cards.keys() | cards.keys()) <= CARD_PLACES
    if room:
        pile.offline_cards |= cards
        pile.changes += 1
    return [
        OfflineCardSyncAck(
            pile_no=pile.raw_pile_no, result=_success(room), fail_reason=0 if room else SyncFailure.NO_SPACE
        )
    ]


def card_clear(pile: SimulatedPile, order: OfflineCardClear, now: datetime) -> list[Message]:
    """A card that was not there is a failure."""
    results = []
    for card in order.value("cards"):
        known = pile.offline_cards.pop(card, None) is not None
        reason = ClearFailure.NONE if known else ClearFailure.BAD_FORMAT
        results.append({"physical_card_no": card, "result": _success(known), "fail_reason": reason})
    pile.changes += 1
    return [OfflineCardClearAck.make(pile_no=pile.pile_no, results=results)]


def card_query(pile: SimulatedPile, order: OfflineCardQuery, now: datetime) -> list[Message]:
    """Which of the cards are there."""
    results = [
        {
            "physical_card_no": card,
            "result": CardPresence.PRESENT if card in pile.offline_cards else CardPresence.ABSENT,
        }
        for card in order.value("cards")
    ]
    return [OfflineCardQueryAck.make(pile_no=pile.pile_no, results=results)]


def work_params(pile: SimulatedPile, order: WorkParams, now: datetime) -> list[Message]:
    """A locked pile starts nothing; the power limit holds from now on, for charges that run too."""
    good = 30 <= order.max_power_percent <= 100 and isinstance(order.value("disable"), WorkSwitch)
    if good:
        pile.is_locked = order.disable == WorkSwitch.LOCKED
        pile.max_power_percent = order.max_power_percent
        for gun in pile.guns.values():
            if gun.session:
                gun.session.limit_w = gun.power_w * order.max_power_percent // 100
    return [WorkParamsAck(pile_no=pile.raw_pile_no, result=_success(good))]


def ground_lock(pile: SimulatedPile, order: GroundLockControl, now: datetime) -> list[Message]:
    """The answer, and the lock's new state."""
    gun = pile.guns.get(f"{order.gun_no:02}")
    good = gun is not None and isinstance(order.value("command"), LockCommand)
    answer = GroundLockControlAck(
        pile_no=pile.raw_pile_no, gun_no=order.gun_no, result=_success(good), reserved=bytes(4)
    )
    if gun is None or not good:
        return [answer]
    return [
        answer,
        GroundLockStatus(
            pile_no=pile.raw_pile_no,
            gun_no=order.gun_no,
            lock_status=order.command,
            space_status=0xFF if gun.plugged else 0x00,
            battery_percent=90,
            alarm=0,
            reserved=bytes(4),
        ),
    ]


def reboot(pile: SimulatedPile, order: Reboot, now: datetime) -> list[Message]:
    """Now, which ends charges, or when the last one has ended."""
    good = isinstance(order.value("mode"), ExecuteMode)
    if good:
        pile.reboot(now, when_idle=order.mode == ExecuteMode.WHEN_IDLE)
    return [RebootAck(pile_no=pile.raw_pile_no, result=_success(good))]


def update(pile: SimulatedPile, order: Update, now: datetime) -> list[Message]:
    """A program for this kind of pile is taken at once; the file's name becomes the version at the next login."""
    result = UpdateResult.OK
    if order.pile_no != pile.raw_pile_no:
        result = UpdateResult.WRONG_PILE_NO
    elif order.pile_model != (PileModel.AC if pile.is_ac else PileModel.DC):
        result = UpdateResult.WRONG_MODEL
    elif not order.value("server"):
        result = UpdateResult.DOWNLOAD_TIMEOUT
    else:
        pile.software_version = PurePosixPath(order.value("path")).stem[:8]
        pile.reboot(now, when_idle=order.mode != ExecuteMode.NOW)
    return [UpdateAck(pile_no=pile.raw_pile_no, result=int(result))]


def qr_prefix(pile: SimulatedPile, order: QrPrefixSet, now: datetime) -> list[Message]:
    """Kept until the pile restarts. 01 is what a real pile was seen to answer."""
    pile.qr_prefix = order.value("prefix")
    return [QrPrefixSetAck(pile_no=pile.raw_pile_no, result=1)]


def _success(good: bool) -> int:
    return int(OneIsSuccess.SUCCESS if good else OneIsSuccess.FAIL)


ANSWERS: dict[type[Message], Callable[[SimulatedPile, Any, datetime], list[Message]]] = {
    BalanceUpdate: balance_update,
    OfflineCardSync: card_sync,
    OfflineCardClear: card_clear,
    OfflineCardQuery: card_query,
    WorkParams: work_params,
    GroundLockControl: ground_lock,
    Reboot: reboot,
    Update: update,
    QrPrefixSet: qr_prefix,
}
