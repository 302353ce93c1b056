"""Starts at the pile, charges over several guns, and offline cards, in domain words and back."""

from __future__ import annotations

from apps.piles.commands import ClearCards, Command, QueryCards, SetBalance, StartParallel, SyncCards
from apps.piles.reports import PileStartAnswer, PileStartRequest, StartAnswer
from ykc_server.protocol import Message
from ykc_server.protocol import messages as wire
from ykc_server.protocol.codes import AuthFailure, GunRole, OneIsSuccess, StartType, YesNo
from ykc_server.protocol.identity import card_candidates, vin_candidates
from ykc_server.translate.reports import START_REASONS

KINDS = {StartType.CARD: "card", StartType.ACCOUNT: "account", StartType.VIN: "vin"}
REFUSALS = {
    "none": AuthFailure.NONE,
    "no_account": AuthFailure.NO_ACCOUNT,
    "frozen": AuthFailure.ACCOUNT_FROZEN,
    "balance_low": AuthFailure.BALANCE_LOW,
    "card_unsettled": AuthFailure.CARD_UNSETTLED,
    "pile_disabled": AuthFailure.PILE_DISABLED,
    "not_allowed": AuthFailure.NOT_ALLOWED_HERE,
    "wrong_password": AuthFailure.WRONG_PASSWORD,
    "capacity": AuthFailure.STATION_CAPACITY,
    "vin_unknown": AuthFailure.VIN_UNKNOWN,
    "pile_unsettled": AuthFailure.PILE_UNSETTLED,
    "no_cards": AuthFailure.NO_CARDS_HERE,
}
NO_CARD = "0" * 16


def start_request(m: wire.StartRequest) -> PileStartRequest:
    """0x31 or 0xA1 in domain words (YKC V1.6, 0x31)."""
    kind = KINDS.get(m.start_type, "other")  # type: ignore[call-overload]
    shown = m.value("account_or_card")
    if kind == "card":
        numbers = card_candidates(shown)
    elif kind == "vin":
        numbers = vin_candidates(m.value("vin"))
    else:
        numbers = (shown,)
    password = m.password.decode("ascii", "replace").strip("\0 ")
    is_parallel = isinstance(m, wire.ParallelStartRequest)
    return PileStartRequest(
        pile_code=m.value("pile_no"),
        connector_no=m.value("gun_no"),
        kind=kind,
        numbers=numbers,
        wants_password=m.need_password == YesNo.YES,
        password=password if password.strip("0") else "",
        parallel_seq=m.value("parallel_seq") if is_parallel else "",
        is_main=not is_parallel or m.gun_role == GunRole.MAIN,  # type: ignore[attr-defined]
    )


def start_request_ack(answer: PileStartAnswer, m: wire.StartRequest) -> Message:
    """0x32 or 0xA2 to a request."""
    values = {
        "transaction_no": answer.transaction_no,
        "pile_no": answer.pile_code,
        "gun_no": answer.connector_no,
        "logical_card_no": answer.logical_card_no,
        "account_balance": answer.balance,
        "auth_result": OneIsSuccess.SUCCESS if answer.accepted else OneIsSuccess.FAIL,
        "fail_reason": REFUSALS[answer.reason],
    }
    if isinstance(m, wire.ParallelStartRequest):
        return wire.ParallelStartRequestAck.make(**values, parallel_seq=m.value("parallel_seq"))
    return wire.StartRequestAck.make(**values)


def parallel_start_answer(m: wire.ParallelRemoteStartAck) -> StartAnswer:
    """0xA3 in domain words."""
    return StartAnswer(
        pile_code=m.value("pile_no"),
        connector_no=m.value("gun_no"),
        transaction_no=m.value("transaction_no"),
        accepted=m.result == OneIsSuccess.SUCCESS,
        reason=START_REASONS.get(m.value("fail_reason"), "other"),
        is_parallel=True,
        frame=m.encode(),
    )


def start_command(command: Command, pile_code: str) -> Message | None:
    """Return the frame of a command of this area, None for any other."""
    match command:
        case StartParallel():
            return wire.ParallelRemoteStart.make(
                transaction_no=command.transaction_no,
                pile_no=pile_code,
                gun_no=command.connector_no,
                logical_card_no=command.logical_card_no,
                physical_card_no=command.physical_card_no,
                account_balance=command.balance,
                parallel_seq=command.parallel_seq,
            )
        case SetBalance():
            # Card number zero: for whoever charges at the gun.
            return wire.BalanceUpdate.make(
                pile_no=pile_code,
                gun_no=command.connector_no,
                physical_card_no=NO_CARD,
                balance=command.balance,
            )
        case SyncCards():
            cards = [
                {"logical_card_no": logical, "physical_card_no": physical}
                for logical, physical in command.cards
            ]
            return wire.OfflineCardSync.make(pile_no=pile_code, cards=cards)
        case ClearCards():
            return wire.OfflineCardClear.make(pile_no=pile_code, cards=command.physical_nos)
        case QueryCards():
            return wire.OfflineCardQuery.make(pile_no=pile_code, cards=command.physical_nos)
    return None
