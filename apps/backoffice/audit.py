"""The audit log: who did what to what, with the values before and after, chained by hash.

Each entry's hash is taken over its own words and the hash before it, so an entry that was changed, taken out or put in
between breaks every hash behind it. A database trigger refuses updates and deletes; the chain shows what a person with
the database's own password did all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from apps.backoffice.models import AuditEntry
from apps.common.ids import Actor
from apps.common.schema import current_schema
from apps.common.time import now

_HASHED = (
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "changes",
    "reason",
    "previous_hash",
)


@dataclass(frozen=True)
class Break:
    """A place where the chain does not hold: the entry's id and what is wrong with it (`hash` or `link`)."""

    entry_id: int
    kind: str


def record(
    actor: Actor,
    action: str,
    obj: Model | None,
    *,
    changes: Mapping[str, Any] | None = None,
    reason: str = "",
    address: str | None = None,
) -> AuditEntry:
    """Write one deed behind the last one, in the caller's transaction (or one of its own).

    `action` is a stable word such as `orders.stop_requested`; `changes` maps a field to [before, after]; `address` is
    the client's IP address. Writers wait for one another until they commit, so call it as the last thing of a use
    case, behind every row lock.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"audit:{current_schema()}"])
        last = AuditEntry.objects.order_by("-id").values_list("hash", flat=True).first()
        entry = AuditEntry(
            at=now(),
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name[:100],
            address=address or None,
            action=action,
            object_kind=obj._meta.label_lower if obj is not None else "",
            object_id=str(obj.pk) if obj is not None else "",
            object_name=str(obj)[:200] if obj is not None else "",
            changes=plain(dict(changes or {})),
            reason=reason[:200],
            previous_hash=last or "",
        )
        entry.hash = entry_hash(entry)
        entry.save(force_insert=True)
    return entry


def is_recorded(action: str, obj: Model) -> bool:
    """Whether this was written down of this object before. Under a lock of it the answer holds until the commit."""
    of_it = AuditEntry.objects.filter(object_kind=obj._meta.label_lower, object_id=str(obj.pk))
    return of_it.filter(action=action).exists()


def entry_hash(entry: AuditEntry) -> str:
    """Return the SHA-256 (hex) over an entry's words and the hash before it."""
    words = {name: getattr(entry, name) for name in _HASHED}
    words["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(words, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def verify_chain() -> list[Break]:
    """Walk the whole log of this schema, oldest first, and return every place where it does not hold."""
    breaks: list[Break] = []
    previous = ""
    for entry in AuditEntry.objects.order_by("id").iterator(chunk_size=2000):
        if entry.previous_hash != previous:
            breaks.append(Break(entry.pk, "link"))
        if entry.hash != entry_hash(entry):
            breaks.append(Break(entry.pk, "hash"))
        previous = entry.hash
    return breaks


def plain(value: Any) -> Any:
    """Return `value` as JSON keeps it, so that a hash of it stays the same after a round trip."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
