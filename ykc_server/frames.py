"""Which frames there are and what the platform does with each: docs/supported-frames.md, made from the code.

Names, tables and lengths come from the protocol's registry; what is done with a pile's frame is said by the handler
that is registered for it, what is sent by this list.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from ykc_server.handlers import GATE, HOT, SLOW
from ykc_server.protocol import BY_NAME, Direction
from ykc_server.protocol.message import Spec

SINCE = {
    **dict.fromkeys((0xA1, 0xA2, 0xA3, 0xA4), "V1.6"),
    0x3D: "V1.7",
    **dict.fromkeys((0x85, 0xF0, 0xF1), "extension"),
}
SINCE_BY_NAME = {"transaction_record_five_prices": "extension"}
FIRST = "V1.5"

SENT = {
    "login_ack": "Answers every login: accepted or refused.",
    "heartbeat_ack": "Answers every heartbeat at once.",
    "billing_verify_ack": "Tells the pile whether its prices are those in force.",
    "billing_request_ack": "Gives the prices in force.",
    "read_realtime": "Asks a gun for its state: after a login, and when staff refresh a station.",
    "start_request_ack": "Accepts a start at the pile, or says why not.",
    "remote_start": "A driver or staff starts a charge.",
    "remote_stop": "A charge is to end, or a start is given up.",
    "transaction_record_ack": "Confirms a record, only after it was stored and committed.",
    "balance_update": "Tells a pile what can be spent after a top-up in mid-charge.",
    "offline_card_sync": "Gives a pile cards that may charge while it has no line.",
    "offline_card_clear": "Takes such cards back.",
    "offline_card_query": "Asks which cards a pile holds.",
    "work_params": "Locks or unlocks a pile, or limits its power.",
    "time_sync": "Sets the pile's clock, after a login and on schedule.",
    "billing_set": "New prices with up to four classes.",
    "billing_set_five_prices": "New prices for piles that know a fifth class, deep valley.",
    "ground_lock_control": "Raises or lowers the ground lock of a space.",
    "reboot": "Restarts a pile, at once or when it is idle.",
    "update": "Has a pile fetch its program from an update server.",
    "parallel_start_request_ack": "Accepts or refuses a charge over several guns that began at the pile.",
    "parallel_remote_start": "Starts one charge over several guns.",
    "qr_prefix_set": "Gives a pile the text in front of its QR codes.",
}

HEAD = """\
# Supported frames

Every frame of 云快充 (YKC) V1.5, V1.6 and the known part of V1.7 that is decoded and encoded, in both directions.
`body` is the length in bytes that is declared; *n* stands for items of a list. Bytes behind it, which some makes of
pile send, are kept and passed over. A frame type that is not here is counted and not answered.

`manage.py ykc decode HEX` shows any of them field by field, `manage.py ykc encode NAME` makes one.
This page is made by `make frames`.

| code | name | 名称 | direction | body | since | what the platform does |
|---|---|---|---|---|---|---|
"""


def markdown() -> str:
    """Return the page."""
    specs = sorted((cls.spec for cls in BY_NAME.values()), key=lambda spec: (spec.kind, spec.body_size))
    return HEAD + "".join(f"| {' | '.join(_row(spec))} |\n" for spec in specs)


def _row(spec: Spec) -> Iterator[str]:
    is_up = spec.direction is Direction.UP
    yield f"0x{spec.kind:02X}"
    yield f"`{spec.name}`"
    yield spec.label
    yield "pile → platform" if is_up else "platform → pile"
    yield f"{spec.body_size} + {spec.tail.item_size} *n*" if spec.tail else str(spec.body_size)
    yield SINCE_BY_NAME.get(spec.name) or SINCE.get(spec.kind, FIRST)
    yield (_handled(spec.kind) if is_up else SENT[spec.name]).replace("|", "/")


def _handled(kind: int) -> str:
    """Return what the handler says of itself, in its first sentence."""
    handler = HOT[kind] or SLOW[kind] or GATE[kind]
    if handler is None:
        return "Counted and not answered."
    return (inspect.getdoc(handler) or "").split("\n\n")[0].replace("\n", " ")
