"""Commands to many piles at once: one CommandBatch, a PileCommand each, delivered in chunks by a task.

All rows are written before the first is delivered: what a worker that dies leaves is picked up by the next, and what
nobody picks up shows as expired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial

import structlog
from django.db import transaction

from apps.common.errors import InvalidInput
from apps.common.ids import Actor
from apps.common.queue import enqueue
from apps.common.time import now
from apps.piles import tasks
from apps.piles.commands import (
    COMMANDS,
    LEAST_POWER_PERCENT,
    Command,
    ReadRealtime,
    SetQr,
    SetWork,
    SyncTime,
    UpdateFirmware,
    from_payload,
)
from apps.piles.enums import CommandKind, CommandState, PileKind, PileState
from apps.piles.errors import NothingToSend, PowerCapTooLow
from apps.piles.gateway import deliver
from apps.piles.models import CommandBatch, Connector, Pile, PileCommand, UpdateServer
from apps.piles.selectors import FAILED, locked_piles, qr_prefixes
from apps.sites.models import Station

log = structlog.get_logger(__name__)

CHUNK = 100
QUEUED_FOR = timedelta(hours=1)
"""A command that no task delivered in so long has expired."""
WAITS_FOR = timedelta(minutes=10)
"""How long a command that may be repeated waits for a pile that is away."""
LEFT_BEHIND = timedelta(minutes=1)

Maker = Callable[[Sequence[Pile]], Mapping[int, list[Command]]]
MAKERS: dict[CommandKind, Maker] = {}
"""By kind: what says which commands each pile gets, where they differ from pile to pile. Higher apps add theirs."""


def every_gun(piles: Sequence[Pile]) -> dict[int, list[Command]]:
    """Return a forced refresh of each gun (0x12, answered by 0x13)."""
    commands: dict[int, list[Command]] = {pile.pk: [] for pile in piles}
    guns = Connector.objects.filter(pile_id__in=commands).order_by("code")
    for pile_id, number in guns.values_list("pile_id", "connector_no"):
        commands[pile_id].append(ReadRealtime(connector_no=number))
    return commands


def own_qr(piles: Sequence[Pile]) -> dict[int, list[Command]]:
    """Return the QR code of each pile's station or tenant; nothing for piles that take none, or without a prefix."""
    prefixes = qr_prefixes(piles=piles)
    return {
        pile.pk: [SetQr(prefix=prefixes[pile.pk])] for pile in piles if pile.takes_qr and prefixes[pile.pk]
    }


MAKERS[CommandKind.READ_REALTIME] = every_gun
MAKERS[CommandKind.SYNC_TIME] = lambda piles: {pile.pk: [SyncTime()] for pile in piles}
MAKERS[CommandKind.SET_QR] = own_qr


def firmware(
    piles: Iterable[Pile], *, server: UpdateServer, path: str, when_idle: bool, download_minutes: int
) -> dict[int, list[Command]]:
    """Return the update of each pile, with its own kind and rated power. Raises InvalidInput."""
    return {
        pile.pk: [
            UpdateFirmware(
                server_id=server.pk,
                host=server.host,
                port=server.port,
                path=path,
                for_ac=pile.kind == PileKind.AC,
                power_kw=int(pile.power_kw),
                when_idle=when_idle,
                download_minutes=download_minutes,
            )
        ]
        for pile in piles
    }


def chosen_piles(*, piles: Iterable[Pile] | None = None, station: Station | None = None) -> list[Pile]:
    """Return these piles, or those of a station, but for retired ones; with their stations, by code."""
    rows = Pile.objects.exclude(state=PileState.RETIRED).select_related("station").order_by("pile_code")
    if station is not None:
        rows = rows.filter(station=station)
    elif piles is not None:
        rows = rows.filter(pk__in=[pile.pk for pile in piles])
    return list(rows)


def send_bulk(
    *,
    command: Command | CommandKind,
    actor: Actor,
    reason: str = "",
    piles: Iterable[Pile] | None = None,
    station: Station | None = None,
) -> CommandBatch:
    """Send a command to these piles or to all of a station; a kind of MAKERS instead makes each pile's own.

    Returns the batch at once; a task delivers. Raises NothingToSend when no pile is left to send to.
    """
    chosen = chosen_piles(piles=piles, station=station)
    if isinstance(command, Command):
        return send_each(
            kind=command.kind,
            commands={pile.pk: [command] for pile in chosen},
            actor=actor,
            reason=reason,
            scope=scope_of(chosen, station),
        )
    return send_each(
        kind=command,
        commands=MAKERS[command](chosen),
        actor=actor,
        reason=reason,
        scope=scope_of(chosen, station),
    )


def scope_of(piles: Sequence[Pile], station: Station | None = None) -> str:
    """Return in words which piles a batch is for: the station, or the first codes and how many more."""
    if station is not None:
        return str(station)[:200]
    codes = ", ".join(pile.pile_code for pile in piles[:3])
    return f"{codes} +{len(piles) - 3}" if len(piles) > 3 else codes


def send_each(
    *, kind: CommandKind, commands: Mapping[int, list[Command]], actor: Actor, scope: str, reason: str = ""
) -> CommandBatch:
    """Send each pile its own commands of one kind: {pile id: commands}. Raises NothingToSend."""
    wanted = {pile_id: some for pile_id, some in commands.items() if some}
    if not wanted:
        raise NothingToSend
    with transaction.atomic():
        batch = CommandBatch.objects.create(
            kind=kind,
            reason=reason,
            scope=scope[:200],
            total=len(wanted),
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name,
        )
        deadline = now() + QUEUED_FOR
        PileCommand.objects.bulk_create(
            (
                PileCommand(
                    pile_id=pile_id,
                    batch=batch,
                    connector_no=getattr(command, "connector_no", ""),
                    kind=kind,
                    payload=command.payload(),
                    deadline=deadline,
                    reason=reason,
                    actor_kind=actor.kind,
                    actor_id=actor.id,
                    actor_name=actor.name,
                )
                for pile_id, some in wanted.items()
                for command in some
            ),
            batch_size=1_000,
        )
        transaction.on_commit(
            partial(enqueue, tasks.deliver_batch, batch.pk)
        )  # `deliver_left_behind` finds it, too
    log.info("batch_made", batch=batch.pk, kind=kind.value, piles=batch.total, actor=str(actor))
    return batch


def deliver_batch(*, batch_id: int) -> int:
    """Deliver a batch's commands that nobody delivered yet, chunk by chunk. Returns how many."""
    delivered = 0
    while count := _deliver_chunk(batch_id):
        delivered += count
        log.info("batch_chunk_delivered", batch=batch_id, delivered=delivered)
    return delivered


def _deliver_chunk(batch_id: int) -> int:
    moment = now()
    with transaction.atomic():
        rows = list(
            PileCommand.objects.select_for_update(skip_locked=True, of=["self"])
            .select_related("pile")
            .filter(batch_id=batch_id, state=CommandState.PENDING, tries=0, deadline__gt=moment)
            .order_by("id")[:CHUNK]
        )
        for row in rows:
            command = from_payload(row.kind, row.payload)
            waits = WAITS_FOR if command.is_repeatable else timedelta(seconds=command.timeout_s)
            row.tries, row.deadline = 1, moment + waits
            transaction.on_commit(partial(deliver, row, row.pile.protocol, row.pile.pile_code))
        PileCommand.objects.bulk_update(rows, ["tries", "deadline"])
    return len(rows)


def deliver_left_behind() -> int:
    """Deliver what a worker that died, or a broker that was away, left of batches. Returns how many commands."""
    waiting = PileCommand.objects.filter(
        state=CommandState.PENDING, tries=0, deadline__gt=now(), created_at__lt=now() - LEFT_BEHIND
    )
    ids = list(waiting.exclude(batch=None).order_by().values_list("batch_id", flat=True).distinct()[:20])
    return sum(deliver_batch(batch_id=batch_id) for batch_id in ids)


def can_retry(*, batch: CommandBatch) -> bool:
    """Whether the batch has failed commands that do no harm when they are sent again."""
    return COMMANDS[batch.kind].is_repeatable and batch.commands.filter(state__in=FAILED).exists()


def retry_failed(*, batch: CommandBatch, actor: Actor, reason: str = "") -> CommandBatch:
    """Send a batch's failed commands again, as a new batch; prices are those in force now.

    Raises NothingToSend when there are none, or when the kind must not be repeated.
    """
    if not can_retry(batch=batch):
        raise NothingToSend
    failed = batch.commands.filter(state__in=FAILED).exclude(pile__state=PileState.RETIRED).order_by("id")
    commands: Mapping[int, list[Command]]
    kind = CommandKind(batch.kind)
    if kind == CommandKind.SET_BILLING_MODEL:
        commands = MAKERS[kind](chosen_piles(piles=[row.pile for row in failed.select_related("pile")]))
    else:
        again: dict[int, list[Command]] = {}
        for row in failed:
            again.setdefault(row.pile_id, []).append(from_payload(row.kind, row.payload))
        commands = again
    return send_each(kind=kind, commands=commands, actor=actor, scope=batch.scope, reason=reason)


# --- Power ------------------------------------------------------------------------------------------------


def split_power(*, kw: Decimal, ratings: Mapping[int, Decimal]) -> dict[int, int]:
    """Return {pile id: percent of its rated power, 30 to 100} so that all together stay within `kw`.

    Every pile gets the same share; whole percents that are left go to the largest piles first, which wastes least.
    Raises PowerCapTooLow when even 30 percent of all is more (YKC V1.6, 0x52 goes no lower).
    """
    total = sum(ratings.values(), Decimal(0))
    least = total * LEAST_POWER_PERCENT / 100
    if kw < least:
        raise PowerCapTooLow(least=f"{least.normalize():f}")
    if not total:
        return dict.fromkeys(ratings, 100)
    percent = min(100, int(kw * 100 / total))
    shares = dict.fromkeys(ratings, percent)
    left = kw - total * percent / 100
    for pile_id, rating in sorted(ratings.items(), key=lambda item: (-item[1], item[0])):
        if shares[pile_id] < 100 and rating / 100 <= left:
            shares[pile_id] += 1
            left -= rating / 100
    return shares


def set_power_cap(*, station: Station, kw: Decimal, actor: Actor, reason: str = "") -> CommandBatch:
    """Limit what all piles of a station give together to `kw`. A pile that staff have locked stays locked.

    Raises PowerCapTooLow, NothingToSend.
    """
    if kw <= 0:
        raise InvalidInput(fields=f"kw: more than 0, not {kw}")
    piles = chosen_piles(station=station)
    if not piles:
        raise NothingToSend
    shares = split_power(kw=kw, ratings={pile.pk: pile.power_kw for pile in piles})
    locked = locked_piles(pile_ids=shares)
    commands: dict[int, list[Command]] = {
        pile_id: [SetWork(is_locked=pile_id in locked, max_power_percent=percent)]
        for pile_id, percent in shares.items()
    }
    return send_each(
        kind=CommandKind.SET_WORK, commands=commands, actor=actor, scope=str(station), reason=reason
    )
