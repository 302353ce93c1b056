"""Starts at a simulated pile: a card, an account or a car's VIN, one gun or all of them, online or by its own list.

    tap_card(pile, "01", card, now)    type_account(pile, "01", phone, pin, now)    know_car(pile, "01", now)
    tap_card_for_all(pile, card, now)

What the platform decides comes with 32 or A2; a refusal stays at the gun as `refused`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ykc_server.protocol import Message
from ykc_server.protocol.codes import GunRole, OneIsSuccess, StartMode, StartType, YesNo
from ykc_server.protocol.fields import CHINA
from ykc_server.protocol.messages import (
    ParallelStartRequest,
    ParallelStartRequestAck,
    RemoteStart,
    StartRequest,
    StartRequestAck,
)
from ykc_server.simulator.parts import Asked

if TYPE_CHECKING:
    from ykc_server.simulator.pile import SimulatedPile

MODES = {StartType.CARD: StartMode.CARD, StartType.VIN: StartMode.VIN, StartType.ACCOUNT: StartMode.APP}
WITHOUT_LIMIT = 0xFFFF_FFFF
"""Balance of a charge that the pile allows by its own list: nobody told it one."""


def tap_card(pile: SimulatedPile, gun_no: str, card_no: str, now: datetime, *, pin: str = "") -> None:
    """Hold a card (chip number, hex) to the reader: the platform is asked, or without a line the pile's own list."""
    if pile.is_online:
        _ask(pile, gun_no, StartType.CARD, account=card_no, pin=pin)
        return
    card = bytes.fromhex(card_no.zfill(16))
    gun = pile.guns[gun_no]
    if card.hex().upper() not in pile.offline_cards or gun.session or not gun.plugged or pile.billing is None:
        return
    number = f"{pile.raw_pile_no.hex()}{gun_no}{pile.clock(now).astimezone(CHINA):%y%m%d%H%M%S}"
    order = RemoteStart.make(
        transaction_no=f"{number}{pile.random.randrange(10**4):04d}",
        pile_no=pile.raw_pile_no.hex(),
        gun_no=gun_no,
        logical_card_no=pile.offline_cards[card.hex().upper()],
        physical_card_no=card.hex(),
        account_balance="0.00",
    )
    order.account_balance = WITHOUT_LIMIT
    pile.start_own(order, StartMode.OFFLINE_CARD, now)


def type_account(pile: SimulatedPile, gun_no: str, account: str, pin: str, now: datetime) -> None:
    """Type an account (digits of a phone number) and its PIN."""
    _ask(pile, gun_no, StartType.ACCOUNT, account=account, pin=pin)


def know_car(pile: SimulatedPile, gun_no: str, now: datetime) -> None:
    """Ask for the car at the gun by its VIN; nothing happens without a car."""
    car = pile.guns[gun_no].car
    if car is not None:
        _ask(pile, gun_no, StartType.VIN, vin=car.vin)


def tap_card_for_all(pile: SimulatedPile, card_no: str, now: datetime) -> None:
    """Hold a card to the reader for one car at all guns; the first gun is the main one."""
    sequence = f"{pile.clock(now).astimezone(CHINA):%y%m%d%H%M%S}"
    for gun_no in sorted(pile.guns):
        role = GunRole.MAIN if gun_no == min(pile.guns) else GunRole.AUXILIARY
        _ask(pile, gun_no, StartType.CARD, account=card_no, gun_role=role, parallel_seq=sequence)


def _ask(
    pile: SimulatedPile,
    gun_no: str,
    start_type: StartType,
    *,
    account: str = "0",
    pin: str = "",
    vin: str = "",
    **parallel: Any,
) -> None:
    kind = ParallelStartRequest if parallel else StartRequest
    request = kind.make(
        pile_no=pile.raw_pile_no.hex(),
        gun_no=gun_no,
        start_type=start_type,
        need_password=YesNo.YES if pin else YesNo.NO,
        account_or_card=account.zfill(16),
        password=hashlib.md5(pin.encode(), usedforsecurity=False).hexdigest()[8:24] if pin else "",
        vin=vin,
        **parallel,
    )
    pile.guns[gun_no].refused = None
    pile.asked[gun_no] = Asked(request, MODES[start_type])
    pile.say(request)


def decided(pile: SimulatedPile, ack: StartRequestAck, now: datetime) -> None:
    """Take on what the platform allowed, unless the gun took on something else meanwhile."""
    asked = pile.asked.get(ack.gun_no.hex())
    if asked is None or ack.pile_no != pile.raw_pile_no or isinstance(asked.request, ParallelStartRequest):
        return
    _take(pile, [(asked, ack)], now)


def parallel_decided(pile: SimulatedPile, ack: ParallelStartRequestAck, now: datetime) -> None:
    """Wait for the answers of all guns; the charge begins only when all were accepted (YKC V1.6)."""
    group = [
        asked
        for asked in pile.asked.values()
        if isinstance(asked.request, ParallelStartRequest) and asked.request.parallel_seq == ack.parallel_seq
    ]
    for asked in group:
        if asked.request.gun_no == ack.gun_no:
            asked.told = ack
    told = [(asked, asked.told) for asked in group if asked.told is not None]
    if group and len(told) == len(group):
        _take(pile, told, now)


def _take(pile: SimulatedPile, told: list[tuple[Asked, StartRequestAck]], now: datetime) -> None:
    allowed = all(
        ack.auth_result == OneIsSuccess.SUCCESS and pile.guns[ack.gun_no.hex()].session is None
        for _, ack in told
    )
    for asked, ack in told:
        gun_no = ack.gun_no.hex()
        del pile.asked[gun_no]
        if not allowed:
            pile.guns[gun_no].refused = ack.fail_reason
            continue
        card = asked.request.account_or_card if asked.mode is StartMode.CARD else bytes(8)
        order = RemoteStart(
            transaction_no=ack.transaction_no,
            pile_no=ack.pile_no,
            gun_no=ack.gun_no,
            logical_card_no=ack.logical_card_no,
            physical_card_no=card,
            account_balance=ack.account_balance,
        )
        pile.start_own(order, asked.mode, now)


DECISIONS: dict[type[Message], Callable[[SimulatedPile, Any, datetime], None]] = {
    StartRequestAck: decided,
    ParallelStartRequestAck: parallel_decided,
}
