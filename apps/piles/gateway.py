"""The one way to ask something of a pile: a PileCommand row now, delivery after commit."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from django.db import transaction

from apps.common.ids import Actor
from apps.common.schema import current_schema
from apps.common.time import now
from apps.piles import services
from apps.piles.commands import Command
from apps.piles.drivers import driver_for
from apps.piles.models import Pile, PileCommand


def send(*, pile: Pile, command: Command, actor: Actor) -> PileCommand:
    """Record a command for a pile and deliver it after commit.

    The row says later what became of it: sent, done, refused, undelivered (the pile is not connected), or expired
    (no answer within `command.timeout_s`).
    """
    row = PileCommand.objects.create(
        pile=pile,
        connector_no=getattr(command, "connector_no", ""),
        kind=command.kind,
        payload=command.payload(),
        deadline=now() + timedelta(seconds=command.timeout_s),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
    )
    transaction.on_commit(partial(_deliver, row, pile.protocol, pile.pile_code))
    return row


def _deliver(row: PileCommand, protocol: str, pile_code: str) -> None:
    schema = current_schema()
    message = {
        "type": "pile.command",
        "schema": schema,
        "pile_code": pile_code,
        "protocol": protocol,
        "command_id": row.pk,
        "kind": row.kind,
        "payload": row.payload,
    }
    reason = driver_for(protocol).deliver(schema=schema, pile_code=pile_code, message=message)
    if reason:
        services.command_undelivered(command_id=row.pk, reason=reason)
