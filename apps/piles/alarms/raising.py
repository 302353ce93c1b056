"""Raising and closing alarms: one statement each, since it happens in the middle of other work, thousands at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from apps.common.time import now
from apps.piles.alarms.models import Alarm
from apps.piles.alarms.rules import LEVELS
from apps.piles.enums import AlarmKind, AlarmLevel


def raise_alarm(
    *,
    kind: AlarmKind,
    pile_code: str = "",
    connector_no: str = "",
    subject: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """Open an alarm, or count it again, with its latest detail, when the same one is open."""
    raise_alarms(kind=kind, pile_codes=[pile_code], connector_no=connector_no, subject=subject, detail=detail)


def raise_alarms(
    *,
    kind: AlarmKind,
    pile_codes: Iterable[str],
    connector_no: str = "",
    subject: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """Do for each of several piles what `raise_alarm` does, in one statement. Other facts are sorted anew."""
    moment = now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO piles_alarm
                   (kind, level, pile_code, connector_no, subject, detail, count, created_at, updated_at)
            SELECT %s, %s, pile_code, %s, %s, %s::jsonb, 1, %s, %s
              FROM unnest(%s::text[]) AS pile_code ORDER BY pile_code
                ON CONFLICT (kind, pile_code, connector_no, subject) WHERE closed_at IS NULL
                DO UPDATE SET count = piles_alarm.count + 1, updated_at = excluded.updated_at,
                   detail = CASE excluded.detail WHEN '{}' THEN piles_alarm.detail ELSE excluded.detail END,
                   sorted_at = CASE WHEN excluded.detail IN ('{}', piles_alarm.detail) THEN piles_alarm.sorted_at END
            """,
            [
                str(kind),
                LEVELS.get(kind, AlarmLevel.IMPORTANT).value,
                connector_no,
                subject,
                json.dumps(detail or {}),
                moment,
                moment,
                list(set(pile_codes)),
            ],
        )


def close_alarm(*, kind: AlarmKind, pile_code: str = "", connector_no: str = "", subject: str = "") -> None:
    """Close the open alarm of this kind, pile and subject, if there is one: its cause has gone."""
    close_alarms(kind=kind, places=[(pile_code, connector_no, subject)])


def close_alarms(*, kind: AlarmKind, places: Iterable[tuple[str, str, str]]) -> None:
    """Close the open alarms of this kind at several places: pile, connector number, subject."""
    wanted = set(places)
    if not wanted:
        return
    open_ones = Alarm.objects.filter(kind=kind, pile_code__in={place[0] for place in wanted}, closed_at=None)
    rows = open_ones.values_list("pk", "pile_code", "connector_no", "subject")
    found = [pk for pk, *place in rows if tuple(place) in wanted]
    if found:
        with transaction.atomic():
            # Locked always in the same order: two of us would deadlock otherwise.
            list(open_ones.filter(pk__in=found).select_for_update().order_by("pk").values_list("pk"))
            open_ones.filter(pk__in=found).update(closed_at=now())
