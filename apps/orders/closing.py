"""The nightly work on the books: all checks, their result kept, and yesterday closed when nothing was found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import structlog

from apps.common.ids import SYSTEM, Actor
from apps.common.time import business_day, now
from apps.orders import ledger_check
from apps.wallet import books
from apps.wallet.errors import BooksInUse
from apps.wallet.models import DayClosing, LedgerCheck

log = structlog.get_logger(__name__)

KEPT_DIFFERENCES = 200
"""So many are kept with a check for the page; `manage.py check_ledger` prints more."""


def check_books(*, asked_by: Actor = SYSTEM) -> LedgerCheck:
    """Run every check of the ledger and keep what it found: the newest check is the alarm on the overview."""
    started_at = now()
    found = ledger_check.differences()
    check = LedgerCheck.objects.create(
        started_at=started_at,
        finished_at=now(),
        differences=len(found),
        found=[
            {"check": item.check, "subject": item.subject, "figures": item.figures}
            for item in found[:KEPT_DIFFERENCES]
        ],
        totals=ledger_check.totals(),
        asked_by=str(asked_by)[:100],
    )
    if found:
        log.error("ledger_differs", differences=len(found), first=found[0].check, subject=found[0].subject)
    return check


def close_books(
    *,
    actor: Actor = SYSTEM,
    until: date | None = None,
    progress: Callable[[DayClosing], None] | None = None,
) -> tuple[LedgerCheck, list[DayClosing]]:
    """Check, and if nothing is found close every open business day up to `until` (default: the last that is over).

    Returns the check and the days that were closed. Raises what `books.close_days` raises.
    """
    check = check_books(asked_by=actor)
    if check.differences:
        return check, []
    return check, books.close_days(until=until or books.closable_until(), actor=actor, progress=progress)


def close_books_nightly() -> None:
    """Do it once a night, however often it is asked: again only while days are open or something is wrong."""
    last = LedgerCheck.objects.first()
    done = last is not None and business_day(last.started_at) == business_day(now()) and not last.differences
    if done and not books.days_to_close(until=books.closable_until()):
        return
    try:
        close_books()
    except BooksInUse:
        log.warning("days_stay_open", reason="history is being written")
