"""Inspector and timeline: merged, paged, filtered, masked, exported; pages with their permissions."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.backoffice.models import AuditEntry
from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.orders.enums import RecordState
from apps.piles import gateway, partitions
from apps.piles.commands import SyncTime
from apps.piles.enums import AlarmKind
from apps.piles.models import Pile, RawFrame
from apps.piles.services import raise_alarm
from tests import factories
from tests.apps.orders.test_quarantine import undecodable
from tests.staff import a_user, signed_in
from ykc_server import timeline
from ykc_server.hexlines import frames_in, split_frames
from ykc_server.inspector import build
from ykc_server.masking import masked
from ykc_server.protocol import BY_NAME, check_frame, decode
from ykc_server.protocol.crc import crc16
from ykc_server.timeline import Place, Wanted

READER = ("piles.inspect_frames", "piles.view_pile")
HEARTBEAT = build("heartbeat", {"pile_no": "32010600213533", "gun_no": "01", "gun_status": 0})
PASSWORD = "swordfish"


@pytest.fixture
def pile(tenant: Any) -> Pile:
    partitions.ensure_partitions(
        at=now() - timedelta(days=1)
    )  # on the first of a month, just now is last month
    return factories.a_pile()


def keep(
    pile: Pile, frame: bytes, *, ago: float, number: int = 1, down: bool = False, **words: Any
) -> RawFrame:
    return RawFrame.objects.create(
        at=words.pop("at", None) or now() - timedelta(seconds=ago),
        pile_code=pile.pile_code,
        number=number,
        connection_id=words.pop("connection_id", "a"),
        is_down=down,
        verdict=words.pop("verdict", "ok"),
        frame=frame,
    )


def login_with_password() -> bytes:
    """A frame 0x31, all zeros but for its password."""
    spec = next(message.spec for message in BY_NAME.values() if message.spec.kind == 0x31)
    body = bytearray(spec.body_size)
    place = 0
    for field in spec.fixed.values():
        if field.secret:
            body[place : place + len(PASSWORD)] = PASSWORD.encode()
        place += field.size
    head = bytes([0, 0, 0, 0x31]) + bytes(body)
    return bytes([0x68, len(head)]) + head + crc16(head).to_bytes(2, "little")


# --- Bytes out of text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (HEARTBEAT.hex(), 1),
        (HEARTBEAT.hex(" ").upper() + "\n" + HEARTBEAT.hex(), 2),
        (f"2026-11-23 14:05:09.123 INFO pile 32010600000068 got {HEARTBEAT.hex()} ok", 1),
        (f"2026-11-23 14:05:09 -> {HEARTBEAT.hex(' ')}\nnothing here\n<- {HEARTBEAT.hex(' ')}", 2),
        ("0x" + " 0x".join(f"{byte:02x}" for byte in HEARTBEAT), 1),
        ("hello world", 0),
        ("", 0),
    ],
)
def test_frames_are_found_in_what_people_paste(text: str, count: int) -> None:
    assert frames_in(text) == [HEARTBEAT] * count


def test_broken_bytes_are_cut_where_a_frame_may_begin_and_none_is_lost() -> None:
    data = b"\x01\x02" + HEARTBEAT + HEARTBEAT[:9]
    assert split_frames(data) == [b"\x01\x02", HEARTBEAT, HEARTBEAT[:9]]


# --- Secrets ----------------------------------------------------------------------------------------------


def test_secrets_become_zeros_under_a_good_crc() -> None:
    frame = login_with_password()
    hidden = masked(frame)
    assert PASSWORD.encode() in frame
    assert PASSWORD.encode() not in hidden
    assert (len(hidden), check_frame(hidden)) == (len(frame), "ok")
    assert masked(HEARTBEAT) == HEARTBEAT
    cut = frame[:-20]
    assert len(masked(cut)) == len(cut)
    torn = frame[: frame.index(PASSWORD.encode()) + 4]
    assert b"swor" in torn
    assert b"swor" not in masked(torn)


# --- The merged page --------------------------------------------------------------------------------------


def busy(pile: Pile) -> None:
    """Frames, a command, an order and an alarm, close together."""
    order = factories.a_charging_order(connector=pile.connectors.get())
    gateway.send(pile=order.connector.pile, command=SyncTime(), actor=SYSTEM)
    raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=pile.pile_code, connector_no="01")
    at = now()
    for number in range(7):
        keep(pile, HEARTBEAT, ago=0, at=at, number=number, down=number % 2 == 1)


def test_pages_follow_one_another_without_loss_or_repetition(pile: Pile) -> None:
    busy(pile)
    whole = timeline.page(pile=pile, wanted=Wanted(), limit=100)
    assert whole.next is None
    assert {entry.kind for entry in whole.entries} == {"frame", "command", "order", "alarm"}
    places, before = [], None
    while True:
        part = timeline.page(pile=pile, wanted=Wanted(), before=before, limit=3)
        places += [entry.place for entry in part.entries]
        before = part.next
        if before is None:
            break
        assert Place.read(str(before)) == before
    assert places == [entry.place for entry in whole.entries]
    assert places == sorted(places, key=lambda place: place.order)


def test_filters_choose(pile: Pile) -> None:
    busy(pile)
    keep(pile, login_with_password(), ago=7_200, number=50)

    def titles(**asked: Any) -> list[str]:
        return [entry.title for entry in timeline.page(pile=pile, wanted=Wanted(**asked)).entries]

    assert len(titles(kinds=frozenset({"frame"}))) == 8
    assert len(titles(direction="down")) == 3
    assert [title[:4] for title in titles(text="0x31")] == ["0x31"]
    assert len(titles(text="heartbeat")) == 7
    assert len(titles(text="32010600213533")) == 7  # as bytes
    assert titles(text="no such thing") == []
    assert titles(until=now() - timedelta(days=1)) == []
    assert len(titles(since=now() - timedelta(hours=1), kinds=frozenset({"frame"}))) == 7


def test_a_new_connection_and_a_silence_are_told(pile: Pile) -> None:
    pile.frames_kept_until = now() + timedelta(hours=1)
    pile.save()
    at = now()
    for number, (ago, peer) in enumerate(((400, "a"), (100, "a"), (90, "b"))):
        keep(pile, HEARTBEAT, ago=0, at=at - timedelta(seconds=ago), number=number, connection_id=peer)
    found = timeline.page(pile=pile, wanted=Wanted(kinds=frozenset({"frame"}))).entries
    assert [bool(entry.gap) for entry in found] == [True, True, False]
    assert "10" in found[0].gap
    assert "300" in found[1].gap


def test_an_export_is_in_order_masked_and_decodes_again(pile: Pile, monkeypatch: Any) -> None:
    monkeypatch.setattr(timeline, "EXPORT_STEP", 2)
    for number in range(5):
        keep(pile, HEARTBEAT, ago=10 - number, number=number, down=number == 4)
    keep(pile, login_with_password(), ago=1, number=9)
    lines = [json.loads(line) for line in timeline.export_lines(pile=pile, wanted=Wanted(), form="jsonl")]
    assert [line["direction"] for line in lines] == ["up"] * 4 + ["down", "up"]
    assert [line.get("masked", False) for line in lines] == [False] * 5 + [True]
    assert PASSWORD.encode().hex().upper() not in str(lines)
    assert decode(bytes.fromhex(lines[0]["hex"])).spec.name == "heartbeat"
    shown = list(timeline.export_lines(pile=pile, wanted=Wanted(), form="hex", show_secrets=True))
    assert len(shown) == 6
    assert PASSWORD.encode().hex(" ").upper() in shown[-1]
    assert frames_in("".join(shown))[0] == HEARTBEAT


# --- Pages ------------------------------------------------------------------------------------------------


def of(pile: Pile, page: str = "") -> str:
    return f"/admin/piles/pile/{pile.pk}/timeline/{page}"


INSPECTOR = "/admin/piles/pile/inspector/"


def test_pages_need_their_permission(pile: Pile) -> None:
    stranger, reader = signed_in(a_user("piles.view_pile")), signed_in(a_user(*READER))
    for page in (INSPECTOR, of(pile), of(pile, "export/")):
        assert stranger.get(page).status_code == 403, page
        assert reader.get(page).status_code == 200, page
    assert reader.post(of(pile, "keep/"), {"hours": "1"}).status_code == 403
    assert INSPECTOR in reader.get(INSPECTOR).content.decode()
    assert f'href="{INSPECTOR}"' not in stranger.get("/admin/piles/pile/").content.decode()
    assert of(pile) not in stranger.get(f"/admin/piles/pile/{pile.pk}/change/").content.decode()
    assert of(pile) in reader.get(f"/admin/piles/pile/{pile.pk}/change/").content.decode()


def test_the_inspector_shows_good_broken_and_no_frames(pile: Pile) -> None:
    client = signed_in(a_user(*READER))
    text = client.post(INSPECTOR, {"hex": HEARTBEAT.hex()}).content.decode()
    assert "心跳" in text
    assert "gun_status" in text
    bad = HEARTBEAT[:-2] + b"\0\0"
    text = client.post(INSPECTOR, {"hex": bad.hex()}).content.decode()
    assert HEARTBEAT[-2:].hex().upper() in text
    assert client.post(INSPECTOR, {"hex": HEARTBEAT[:7].hex()}).status_code == 200
    assert client.get(INSPECTOR, {"hex": "6804"}).status_code == 200
    assert client.post(INSPECTOR, {"hex": "zz"}).status_code == 200


def test_a_stored_frame_has_an_address_and_hides_its_secrets(pile: Pile) -> None:
    row = keep(pile, login_with_password(), ago=1, number=3)
    other = factories.a_pile()
    address = f"{INSPECTOR}?pile={pile.pk}&frame={quote(str(Place(row.at, 0, 3)))}"
    raw = PASSWORD.encode().hex(" ").upper()
    for permissions, seen in ((READER, False), ((*READER, "piles.view_frame_secrets"), True)):
        client = signed_in(a_user(*permissions))
        text = client.get(address).content.decode()
        assert "0x31" in text
        assert (PASSWORD in text, raw in text) == (seen, seen)
        assert (raw in client.get(of(pile)).content.decode()) is seen
    assert client.get(address.replace(f"pile={pile.pk}", f"pile={other.pk}")).status_code == 404
    assert client.get(f"{INSPECTOR}?code={pile.pile_code}").headers["Location"] == of(pile)


def test_the_live_tail_is_silent_until_something_happens(pile: Pile) -> None:
    keep(pile, HEARTBEAT, ago=3)
    client = signed_in(a_user(*READER))
    seen = client.get(of(pile)).context["seen"]
    assert client.get(of(pile), {"part": "1", "seen": seen}).status_code == 204
    keep(pile, HEARTBEAT, ago=2, number=2)
    answer = client.get(of(pile), {"part": "1", "seen": seen})
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "9999-12-31T23:59", "²"]
)
def test_times_near_the_ends_of_the_calendar_are_none(pile: Pile, moment: str) -> None:
    keep(pile, HEARTBEAT, ago=3)
    client = signed_in(a_user(*READER))
    everything = len(client.get(of(pile)).context["found"].entries)
    for name in ("since", "until"):
        assert len(client.get(of(pile), {name: moment}).context["found"].entries) == everything
    for place in (f"{moment}~1~1", f"{moment}~²~1", f"2026-01-01T00:00+08:00~1~{'9' * 5000}"):
        assert client.get(of(pile), {"before": place}).context["before"] is None
        assert client.get(INSPECTOR, {"pile": pile.pk, "frame": place}).status_code == 404


def test_keeping_frames_is_set_stopped_and_audited(pile: Pile) -> None:
    client = signed_in(a_user(*READER, "piles.change_pile"))
    assert client.get(of(pile, "keep/")).status_code == 405
    for hours, on in (("24", True), ("0", False)):
        assert client.post(of(pile, "keep/"), {"hours": hours}).headers["Location"] == of(pile)
        pile.refresh_from_db()
        assert (pile.frames_kept_until is not None) is on
    assert client.post(of(pile, "keep/"), {"hours": "999"}).status_code == 400
    assert AuditEntry.objects.filter(action="piles.pile_frames_kept").count() == 2


def test_the_export_streams_and_is_audited(pile: Pile) -> None:
    keep(pile, HEARTBEAT, ago=1)
    client = signed_in(a_user(*READER))
    answer = client.get(of(pile, "export/"), {"form": "jsonl", "direction": "up"})
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert [json.loads(line)["hex"] for line in lines] == [HEARTBEAT.hex().upper()]
    assert AuditEntry.objects.filter(action="piles.pile_frames_exported").count() == 1


def test_the_timeline_asks_the_same_for_few_and_for_many(pile: Pile) -> None:
    client = signed_in(a_user(*READER))
    busy(pile)
    counts = []
    for number in range(100, 140, 20):
        with CaptureQueriesContext(connection) as asked:
            assert client.get(of(pile)).status_code == 200
        counts.append(len([query for query in asked.captured_queries if "SELECT" in query["sql"]]))
        for more in range(20):
            keep(pile, HEARTBEAT, ago=1, number=number + more)
    assert counts[0] == counts[1]


def test_undecodable_records_show_their_bytes_with_names(pile: Pile) -> None:
    record = undecodable(pile.pile_code)
    assert record.state == RecordState.QUARANTINED
    client = signed_in(a_user("orders.view_transactionrecord"))
    text = client.get(f"/admin/orders/transactionrecord/{record.pk}/change/").content.decode()
    assert "交易流水号" in text
    assert "transaction_no" in text
