"""What happened to a pile, merged by time: its frames, commands, orders' events, alarms, and silences.

Pages go backwards in time by keyset: every entry has a place (time, rank of its source, its own number), no two the
same, and a page begins below the place where the one before ended.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import BinaryField, Func, IntegerField, Q, QuerySet, Value
from django.db.models.functions import Substr
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from apps.backoffice import shown
from apps.common.time import FIRST_DAY, LAST_DAY, SHANGHAI
from apps.orders.admin.rows import ORDER_TONES
from apps.orders.enums import OrderState
from apps.orders.models import OrderEvent
from apps.orders.wording import EVENTS, event_words
from apps.piles.command_pages import COMMAND_TONES
from apps.piles.enums import AlarmKind, CommandKind, CommandState
from apps.piles.models import Alarm, Pile, PileCommand, RawFrame
from ykc_server.masking import masked, secret_places, spec_of
from ykc_server.protocol import BY_KIND
from ykc_server.protocol.message import HEADER_SIZE

PAGE = 50
SILENCE = timedelta(seconds=60)
"""Frames further apart than this, of a pile all of whose frames are kept, show a gap (a heartbeat comes every 10 s)."""
EXPORT_FRAMES = 100_000
EXPORT_STEP = 500

KINDS: dict[str, Any] = {
    "frame": pgettext_lazy("timeline", "frames"),
    "command": pgettext_lazy("timeline", "commands"),
    "order": pgettext_lazy("timeline", "orders"),
    "alarm": pgettext_lazy("timeline", "alarms"),
}
KIND_WORDS = {
    "frame": pgettext_lazy("timeline", "frame"),
    "command": pgettext_lazy("timeline", "command"),
    "order": pgettext_lazy("timeline", "order"),
    "alarm": pgettext_lazy("timeline", "alarm"),
}
_HEX = re.compile(r"[0-9A-Fa-f]{4,}")
_TYPE = re.compile(r"0x([0-9A-Fa-f]{2})")


class Place(NamedTuple):
    """Where an entry stands: later first, then by source, then the higher number first."""

    at: datetime
    rank: int
    number: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.rank}~{self.number}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """Return the place that `str` wrote; None for anything else."""
        parts = text.split("~")
        try:
            at = _time(parts[0])
            return cls(at, int(parts[1]), int(parts[2])) if at else None
        except (ValueError, IndexError):
            return None

    @property
    def order(self) -> tuple[float, int, int]:
        """For sorting: the first on the page is the smallest."""
        return (-self.at.timestamp(), self.rank, -self.number)


@dataclass(frozen=True)
class Entry:
    """A line of the timeline. `title` and `text` are words, `label` its state, `frame` its bytes."""

    place: Place
    kind: str
    title: str
    text: str = ""
    label: Any = ""
    tone: str = "neutral"
    direction: str = ""
    frame: bytes = b""
    secret: bool = False
    connection: str = ""
    link: tuple[str, Any] = ("", "")
    gap: str = ""

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.place.at

    @property
    def clock(self) -> str:
        """The time of day in Shanghai, to the millisecond."""
        return f"{self.at.astimezone(SHANGHAI):%H:%M:%S.%f}"[:-3]

    @property
    def day(self) -> str:
        """The day in Shanghai."""
        return f"{self.at.astimezone(SHANGHAI):%Y-%m-%d}"

    @property
    def kind_words(self) -> str:
        """What sort of entry it is."""
        return str(KIND_WORDS[self.kind])

    @property
    def hex(self) -> str:
        """The bytes as hex digits in pairs."""
        return self.frame.hex(" ").upper()


@dataclass(frozen=True)
class Wanted:
    """What a page or an export asks for. No kinds means all; times may be open; `text` is searched in words and hex."""

    kinds: frozenset[str] = frozenset()
    direction: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def read(cls, asked: Mapping[str, Any]) -> Wanted:
        """Return what a query string asks for, without what cannot be read. Times without a zone are Shanghai's."""
        kinds = frozenset(asked.getlist("kind") if hasattr(asked, "getlist") else ()) & KINDS.keys()
        direction = asked.get("direction", "")
        return cls(
            kinds=kinds,
            direction=direction if direction in ("up", "down") else "",
            text=asked.get("q", "").strip()[:100],
            since=_time(asked.get("since", "")),
            until=_time(asked.get("until", "")),
        )

    def takes(self, kind: str) -> bool:
        """Whether entries of a kind are wanted; a direction is something that frames alone have."""
        return (not self.kinds or kind in self.kinds) and (not self.direction or kind == "frame")


@dataclass
class Timeline:
    """A page, newest first, and the place after which the next one begins (None at the end)."""

    entries: list[Entry] = field(default_factory=list)
    next: Place | None = None


def page(
    *, pile: Pile, wanted: Wanted, before: Place | None = None, limit: int = PAGE, show_secrets: bool = False
) -> Timeline:
    """Return `limit` entries of a pile below `before`, in one query per kind."""
    found = [list(source(pile, wanted, before, rank, limit + 1)) for rank, source in enumerate(_SOURCES)]
    entries = list(heapq.merge(*found, key=lambda entry: entry.place.order))
    more = len(entries) > limit
    entries = entries[:limit]
    if not show_secrets:
        entries = [replace(entry, frame=masked(entry.frame)) if entry.frame else entry for entry in entries]
    return Timeline(_with_gaps(pile, entries), entries[-1].place if more else None)


def _with_gaps(pile: Pile, entries: list[Entry]) -> list[Entry]:
    """Say at a frame how long nothing came before it, or that it is the first of a new connection."""
    frames = [number for number, entry in enumerate(entries) if entry.kind == "frame"]
    told = list(entries)
    for later, earlier in pairwise(frames):
        now, before = entries[later], entries[earlier]
        pause = now.at - before.at
        words = _("%(seconds)s s without a frame") % {"seconds": int(pause.total_seconds())}
        if now.connection != before.connection:
            told[later] = replace(now, gap=f"{_('new connection')}, {words}")
        elif pause > SILENCE and pile.frames_kept_until and now.at < pile.frames_kept_until:
            told[later] = replace(now, gap=words)
    return told


# --- Bytes ------------------------------------------------------------------------------------------------

VERDICTS = {
    "bad_crc": gettext_lazy("wrong CRC"),
    "bad_start": gettext_lazy("no frame"),
    "bad_length": gettext_lazy("wrong length"),
    "short_body": gettext_lazy("too short"),
    "unknown_type": gettext_lazy("unknown type"),
    "unknown_gun": gettext_lazy("unknown gun"),
    "encrypted": gettext_lazy("encrypted"),
    "foreign_pile": gettext_lazy("of another pile"),
    "before_login": gettext_lazy("before the login"),
}


def verdict_words(verdict: str) -> str:
    """Return what the gateway thought of a frame; a verdict without words as it is."""
    return str(VERDICTS.get(verdict, verdict))


# --- Export -----------------------------------------------------------------------------------------------


def export_lines(
    *, pile: Pile, wanted: Wanted, form: str, show_secrets: bool = False, limit: int = EXPORT_FRAMES
) -> Iterator[str]:
    """Yield the frames that are asked for, oldest first: "hex" lines for people, "jsonl" for programs and replay.

    A line of JSON: {"at", "pile_code", "direction": "up|down", "connection", "verdict", "type", "name", "hex",
    "masked": true where secrets were taken out}. Read in steps, so that no export is held in memory here.
    """
    rows = frames_of(pile, wanted).order_by("at", "number")
    last: RawFrame | None = None
    sent = 0
    while sent < limit:
        step = rows
        if last is not None:
            step = rows.filter(Q(at__gt=last.at) | Q(at=last.at, number__gt=last.number))
        found = list(step[: min(EXPORT_STEP, limit - sent)])
        for row in found:
            yield export_line(row, form, show_secrets=show_secrets)
        sent += len(found)
        if len(found) < EXPORT_STEP:
            return
        last = found[-1]


def export_line(row: RawFrame, form: str, *, show_secrets: bool) -> str:
    """Return one frame as a line of an export."""
    whole = bytes(row.frame)
    frame = whole if show_secrets else masked(whole)
    at = row.at.astimezone(SHANGHAI)
    if form == "hex":
        arrow = "<-" if row.is_down else "->"
        return f"{at.isoformat(timespec='milliseconds')} {arrow} {frame.hex(' ').upper()}\n"
    direction = "down" if row.is_down else "up"
    spec = spec_of(frame, direction)
    line: dict[str, Any] = {
        "at": at.isoformat(),
        "pile_code": row.pile_code,
        "direction": direction,
        "connection": row.connection_id,
        "verdict": row.verdict,
        "type": f"0x{frame[5]:02X}" if len(frame) >= HEADER_SIZE else "",
        "name": spec.name if spec else "",
        "hex": frame.hex().upper(),
    }
    if not show_secrets and secret_places(whole):
        line["masked"] = True
    return json.dumps(line, ensure_ascii=False) + "\n"


# --- Sources ----------------------------------------------------------------------------------------------


def _frames(pile: Pile, wanted: Wanted, before: Place | None, rank: int, limit: int) -> Iterator[Entry]:
    if not wanted.takes("frame"):
        return
    rows = _below(frames_of(pile, wanted), "at", "number", before, rank).order_by("-at", "-number")
    for row in rows[:limit]:
        yield frame_entry(row, rank)


def frames_of(pile: Pile, wanted: Wanted) -> QuerySet[RawFrame]:
    """Return the stored frames of a pile that are asked for, in no order."""
    rows = _between(RawFrame.objects.filter(pile_code=pile.pile_code), "at", wanted)
    if wanted.direction:
        rows = rows.filter(is_down=wanted.direction == "down")
    if wanted.text:
        rows = _saying(rows, wanted.text)
    return rows


def frame_entry(row: RawFrame, rank: int = 0) -> Entry:
    """Return a stored frame as a line."""
    frame = bytes(row.frame)
    direction = "down" if row.is_down else "up"
    spec = spec_of(frame, direction)
    kind = f"0x{frame[5]:02X}" if len(frame) >= HEADER_SIZE else "?"
    good = row.verdict in ("", "ok")
    return Entry(
        Place(row.at, rank, row.number),
        "frame",
        f"{kind} {spec.label or spec.name}" if spec else f"{kind} {_('unknown frame')}",
        label="" if good else shown.label(verdict_words(row.verdict), "danger"),
        tone="info" if row.is_down else "success",
        direction=direction,
        frame=frame,
        secret=bool(secret_places(frame)),
        connection=row.connection_id,
    )


def _commands(pile: Pile, wanted: Wanted, before: Place | None, rank: int, limit: int) -> Iterator[Entry]:
    if not wanted.takes("command"):
        return
    rows = _between(PileCommand.objects.filter(pile=pile), "created_at", wanted)
    if wanted.text:
        said = Q(actor_name__icontains=wanted.text) | Q(reason__icontains=wanted.text)
        rows = rows.filter(said | Q(kind__in=_named(CommandKind.choices, wanted.text)))
    for row in _below(rows, "created_at", "pk", before, rank).order_by("-created_at", "-pk")[:limit]:
        yield Entry(
            Place(row.created_at, rank, row.pk),
            "command",
            f"{row.get_kind_display()} {row.connector_no}".strip(),
            text=" · ".join(part for part in (row.actor_name, row.reason) if part),
            label=shown.state(row, COMMAND_TONES),
            tone=COMMAND_TONES.get(CommandState(row.state), "neutral"),
            link=("admin:piles_pilecommand_change", row.pk),
        )


def _events(pile: Pile, wanted: Wanted, before: Place | None, rank: int, limit: int) -> Iterator[Entry]:
    if not wanted.takes("order"):
        return
    rows = _between(OrderEvent.objects.filter(order__connector__pile=pile), "at", wanted)
    if wanted.text:
        said = Q(order__order_no__iexact=wanted.text) | Q(order__transaction_no=wanted.text)
        rows = rows.filter(said | Q(kind__in=_named(EVENTS.items(), wanted.text)))
    rows = _below(rows, "at", "pk", before, rank).select_related("order__connector")
    for row in rows.order_by("-at", "-pk")[:limit]:
        moved = row.from_state != row.to_state
        tone = ORDER_TONES[OrderState(row.to_state)]
        yield Entry(
            Place(row.at, rank, row.pk),
            "order",
            event_words(row.kind),
            text=f"{row.order.order_no} · {row.order.connector.connector_no}",
            label=shown.label(row.get_to_state_display(), tone) if moved else "",
            tone=tone,
            link=("admin:orders_order_change", row.order_id),
        )


def _raised(pile: Pile, wanted: Wanted, before: Place | None, rank: int, limit: int) -> Iterator[Entry]:
    yield from _alarms(
        "created_at", gettext_lazy("alarm raised"), "danger", pile, wanted, before, rank, limit
    )


def _closed(pile: Pile, wanted: Wanted, before: Place | None, rank: int, limit: int) -> Iterator[Entry]:
    yield from _alarms(
        "closed_at", gettext_lazy("alarm closed"), "success", pile, wanted, before, rank, limit
    )


def _alarms(  # noqa: PLR0917 - what every source takes, and two words
    when: str,
    words: Any,
    tone: str,
    pile: Pile,
    wanted: Wanted,
    before: Place | None,
    rank: int,
    limit: int,
) -> Iterator[Entry]:
    if not wanted.takes("alarm"):
        return
    rows = Alarm.objects.filter(pile_code=pile.pile_code, **{f"{when}__isnull": False})
    rows = _between(rows, when, wanted)
    if wanted.text:
        said = Q(subject__icontains=wanted.text) | Q(kind__in=_named(AlarmKind.choices, wanted.text))
        rows = rows.filter(said)
    for row in _below(rows, when, "pk", before, rank).order_by(f"-{when}", "-pk")[:limit]:
        yield Entry(
            Place(getattr(row, when), rank, row.pk),
            "alarm",
            row.get_kind_display(),
            text=" · ".join(part for part in (row.connector_no, row.subject) if part),
            label=shown.label(words, tone),
            tone=tone,
            link=("admin:piles_alarm_change", row.pk),
        )


_SOURCES: Sequence[Callable[[Pile, Wanted, Place | None, int, int], Iterator[Entry]]] = (
    _frames,
    _commands,
    _events,
    _raised,
    _closed,
)


def _between(rows: QuerySet[Any], when: str, wanted: Wanted) -> QuerySet[Any]:
    if wanted.since:
        rows = rows.filter(**{f"{when}__gte": wanted.since})
    return rows.filter(**{f"{when}__lt": wanted.until}) if wanted.until else rows


def _below(rows: QuerySet[Any], when: str, number: str, before: Place | None, rank: int) -> QuerySet[Any]:
    """Return the rows that come after a place, in the order of `Place.order`."""
    if before is None:
        return rows
    rows = rows.filter(**{f"{when}__lte": before.at})
    if rank > before.rank:
        return rows
    later_on_page = Q(**{f"{when}__lt": before.at})
    if rank == before.rank:
        later_on_page |= Q(**{when: before.at, f"{number}__lt": before.number})
    return rows.filter(later_on_page)


def _saying(rows: QuerySet[RawFrame], text: str) -> QuerySet[RawFrame]:
    """Keep frames of a type, by its number or name, or with these bytes in them."""
    found = _TYPE.fullmatch(text)
    types = {int(found[1], 16)} if found else types_named(text)
    said = Q()
    if types:
        rows = rows.annotate(type_byte=Substr("frame", 6, 1, output_field=BinaryField()))
        said |= Q(type_byte__in=[bytes([number]) for number in sorted(types)])
    digits = "".join(text.split())
    if _HEX.fullmatch(digits) and len(digits) % 2 == 0:
        where = Func(
            Value(bytes.fromhex(digits), output_field=BinaryField()),
            "frame",
            function="position",
            arg_joiner=" IN ",
            output_field=IntegerField(),
        )
        rows = rows.annotate(found_at=where)
        said |= Q(found_at__gt=0)
    return rows.filter(said) if said else rows.none()


def types_named(text: str) -> set[int]:
    """Return the types of frames whose name or label has `text` in it."""
    low = text.lower()
    return {
        kind
        for kind, messages in BY_KIND.items()
        for message in messages
        if low in message.spec.name or low in message.spec.label.lower()
    }


def _named(choices: Any, text: str) -> list[str]:
    """Return the values whose words have `text` in them."""
    low = text.lower()
    return [value for value, words in choices if low in value or low in str(words).lower()]


def _time(text: str) -> datetime | None:
    """Return the time that a text names; None for none, or one so far off that another zone has none like it."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or not FIRST_DAY <= moment.date() <= LAST_DAY:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)
