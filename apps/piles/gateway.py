"""The one way to ask something of a pile: a PileCommand row now, delivery after commit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import Q

from apps.common.ids import SYSTEM, Actor
from apps.common.schema import current_schema
from apps.common.time import now
from apps.piles import services
from apps.piles.commands import COMMANDS, Command, SetQr
from apps.piles.drivers import driver_for
from apps.piles.enums import CommandState
from apps.piles.models import Pile, PileCommand
from apps.piles.selectors import qr_prefixes

REPEATABLE = [str(kind) for kind, command in COMMANDS.items() if command.is_repeatable]
MAX_TRIES = 5
WAITING = [CommandState.PENDING.value, CommandState.SENT.value, CommandState.UNDELIVERED.value]
ON_THE_WAY = Q(state__in=[CommandState.PENDING, CommandState.SENT]) | Q(
    state=CommandState.UNDELIVERED, result__reason__in=["offline", "unreachable"]
)


def send(
    *, pile: Pile, command: Command, actor: Actor, reason: str = "", deadline: datetime | None = None
) -> PileCommand:
    """Record a command for a pile and deliver it after commit.

    The row says later what became of it: sent, done, refused, undelivered (the pile is not connected), or expired
    (no answer by `deadline`, or else within `command.timeout_s`). A command that may be repeated is sent again when
    the pile comes back before that.
    """
    row = PileCommand.objects.create(
        pile=pile,
        connector_no=getattr(command, "connector_no", ""),
        kind=command.kind,
        payload=command.payload(),
        deadline=deadline or now() + timedelta(seconds=command.timeout_s),
        reason=reason,
        tries=1,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
    )
    transaction.on_commit(partial(deliver, row, pile.protocol, pile.pile_code))
    return row


def deliver(row: PileCommand, protocol: str, pile_code: str) -> None:
    """Hand a committed command to the process that holds the pile, or note why that cannot be done."""
    schema = current_schema()
    message = {
        "type": "pile.command",
        "schema": schema,
        "pile_code": pile_code,
        "protocol": protocol,
        "command_id": row.pk,
        "kind": row.kind,
        "payload": row.payload,
        "tries": row.tries,
    }
    reason = driver_for(protocol).deliver(schema=schema, pile_code=pile_code, message=message)
    if reason:
        services.command_undelivered(command_id=row.pk, reason=reason, tries=row.tries)


def welcome(logins: Iterable[tuple[int, datetime]]) -> None:
    """Send piles that have logged in what they missed: (pile id, moment of the login) each.

    These are commands of before the login that may be repeated, whose deadline has not passed and that no newer
    command of their kind has overtaken; and the QR code for piles that take one, because they forget it when they
    lose power (YKC, 0xF0).
    """
    since = dict(logins)
    since = {pile_id: since[pile_id] for pile_id in _to_be_welcomed(since)}
    if not since:
        return
    with transaction.atomic():
        waiting = (
            PileCommand.objects.select_for_update(skip_locked=True, of=["self"])
            .select_related("pile")
            .filter(ON_THE_WAY, pile_id__in=since, kind__in=REPEATABLE, deadline__gt=now())
            .filter(tries__gt=0, tries__lt=MAX_TRIES)
            .exclude(kind=SetQr.kind, actor_kind=SYSTEM.kind)  # made anew below, with the prefix of now
            .order_by("id")
        )
        newest = {
            (row.pile_id, row.kind, row.connector_no): row
            for row in waiting
            if row.created_at < since[row.pile_id]
        }
        overtaken = _overtaken(list(newest.values()))
        has_qr = set()
        for row in newest.values():
            if row.pk in overtaken:
                continue
            row.state, row.tries, row.answered_at, row.result = CommandState.PENDING, row.tries + 1, None, {}
            row.save(update_fields=["state", "tries", "answered_at", "result", "updated_at"])
            transaction.on_commit(partial(deliver, row, row.pile.protocol, row.pile.pile_code))
            if row.kind == SetQr.kind:
                has_qr.add(row.pile_id)
        piles = Pile.objects.filter(pk__in=since, takes_qr=True).exclude(pk__in=has_qr)
        piles_with_stations = list(piles.select_related("station").order_by("pk"))
        prefixes = qr_prefixes(piles=piles_with_stations) if piles_with_stations else {}
        for pile in piles_with_stations:
            if prefixes[pile.pk]:
                send(pile=pile, command=SetQr(prefix=prefixes[pile.pk]), actor=SYSTEM)


def _to_be_welcomed(pile_ids: Iterable[int]) -> list[int]:
    """Which piles take a QR code or have a command that may still be sent: few, of the thousands that come back."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id FROM piles_pile pile
             WHERE id = ANY (string_to_array(%s, ',')::bigint[])
               AND (takes_qr OR EXISTS (
                     SELECT FROM piles_pilecommand command
                      WHERE command.pile_id = pile.id AND kind = ANY (%s) AND state = ANY (%s) AND deadline > %s))
            """,
            [",".join(map(str, pile_ids)), REPEATABLE, WAITING, now()],
        )
        return [pile_id for (pile_id,) in cursor.fetchall()]


def _overtaken(rows: list[PileCommand]) -> set[int]:
    """Which commands have a newer one of their kind, whatever became of that."""
    if not rows:
        return set()
    last = (
        PileCommand.objects.filter(
            pile_id__in={row.pile_id for row in rows}, kind__in={row.kind for row in rows}
        )
        .order_by("pile_id", "kind", "connector_no", "-id")
        .distinct("pile_id", "kind", "connector_no")
        .values_list("pk", flat=True)
    )
    return {row.pk for row in rows} - set(last)
