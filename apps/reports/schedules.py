"""Finance reports that are mailed by themselves: built outside of any transaction, handed over inside one."""

from __future__ import annotations

import tempfile
from datetime import date, datetime, timedelta
from typing import IO, Any, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from apps.backoffice import scope
from apps.common.errors import DomainError
from apps.common.ids import SYSTEM
from apps.common.time import business_day, day_bounds, now
from apps.files import content, exports, kinds
from apps.files import services as files
from apps.files.enums import ExportFormat
from apps.files.models import StoredFile
from apps.franchisees.selectors import franchisee_of
from apps.notifications import services as messages
from apps.notifications.enums import Medium
from apps.reports import finance
from apps.reports.enums import Group, Period, Rhythm
from apps.reports.finance import Question, Sums
from apps.reports.models import ReportSchedule, RolledPeriod
from apps.reports.rollups import FINAL_AFTER

log = structlog.get_logger(__name__)

VIEW = "reports.view_financereport"
FILE = kinds.register(
    kinds.Kind(
        "report",
        frozenset({content.XLSX}),
        100 * kinds.MB,
        opens=lambda _request, _file: False,  # it goes out by mail, and to nobody else
        lifetime=timedelta(days=30),
    )
)


class NotAllowedAnyMore(DomainError):
    """The owner may no longer see reports."""

    code = "reports.owner_may_not"
    message = gettext_lazy("Its owner may not see finance reports any more. Somebody else has to set it up.")


class ReportBroken(DomainError):
    """Something went wrong that nobody thought of; the log has the whole of it."""

    code = "reports.broken"
    message = gettext_lazy(
        "The report could not be made (%(kind)s). It is tried again every hour; tell whoever runs the system."
    )


def last_days(rhythm: str, today: date) -> tuple[date, date]:
    """Return the days that a report of today is about: yesterday, last week from Monday, or last month."""
    if rhythm == Rhythm.WEEKLY:
        monday = today - timedelta(days=today.weekday())
        return monday - timedelta(days=7), monday - timedelta(days=1)
    if rhythm == Rhythm.MONTHLY:
        last = today.replace(day=1) - timedelta(days=1)
        return last.replace(day=1), last
    return today - timedelta(days=1), today - timedelta(days=1)


def send_due(*, at: datetime | None = None) -> int:
    """Mail every report whose days are over, summed up and not mailed yet. Returns how many went out.

    One that cannot be made says why on its page and keeps no other from going.
    """
    moment = at or now()
    count = 0
    for schedule in ReportSchedule.objects.filter(is_active=True).select_related("owner").order_by("id"):
        first, last = last_days(schedule.rhythm, business_day(moment))
        if schedule.sent_through is not None and schedule.sent_through >= last:
            continue
        if schedule.created_at >= day_bounds(last)[1] or not _is_summed_up(last):
            continue
        try:
            count += send(schedule, first=first, last=last, at=moment)
        except DomainError as error:
            log.warning("report_not_sent", schedule=schedule.pk, error=error.code)
            _note(schedule, error)
        except Exception as error:
            log.exception("report_failed", schedule=schedule.pk)
            _note(schedule, ReportBroken(kind=type(error).__name__))
    return count


def _note(schedule: ReportSchedule, error: DomainError) -> None:
    """Keep why a report did not go out where staff see it: in the list and on its page, until it goes out."""
    with translation.override(settings.LANGUAGE_CODE):
        ReportSchedule.objects.filter(pk=schedule.pk).update(error=str(error)[:200])


def send(schedule: ReportSchedule, *, first: date, last: date, at: datetime, again: bool = False) -> bool:
    """Mail the report of these days, once however many workers try, or once more because somebody asked (`again`).

    Raises NotAllowedAnyMore.
    """
    person: Any = schedule.owner
    if not person.is_active or not person.is_staff or not person.has_perm(VIEW):
        raise NotAllowedAnyMore
    seen = scope.stations_of(person)
    if schedule.station_id is not None:
        own = frozenset({schedule.station_id})
        seen = own if seen is None else own & seen
    question = Question(first, last, Group(schedule.group), seen, franchisee=franchisee_of(person))
    with translation.override(settings.LANGUAGE_CODE):
        file, total = _build(schedule, question)
        sent = _hand_over(schedule, question, file, total, at, again=again)
    if not sent:
        files.discard(file)
    return sent


def switch(schedule: ReportSchedule) -> bool:
    """Take a schedule into use or out of it; what was missed is not made up for. Returns which it is now."""
    with transaction.atomic():
        row = ReportSchedule.objects.select_for_update().get(pk=schedule.pk)
        row.is_active = not row.is_active
        if row.is_active:
            row.sent_through = last_days(row.rhythm, business_day(now()))[1]
        row.error = ""
        row.save(update_fields=["is_active", "sent_through", "error", "updated_at"])
    return row.is_active


def _is_summed_up(day: date) -> bool:
    done = RolledPeriod.objects.filter(period=Period.DAY, day=day)
    return done.filter(rolled_at__gte=day_bounds(day)[1] + FINAL_AFTER).exists()


def _build(schedule: ReportSchedule, question: Question) -> tuple[StoredFile, Sums]:
    from apps.reports.admin import Answer

    page = exports.admin_of("reports.financereport")
    assert page is not None
    answer = Answer(question)
    with tempfile.TemporaryFile() as file:
        table = cast("IO[bytes]", file)
        owner = schedule.owner
        exports.write_rows(page, answer, table, ExportFormat.XLSX, lambda _count: True, person=owner)
        name = f"{schedule.name}-{question.first}-{question.last}.xlsx"
        stored = files.store(kind=FILE, file=table, name=name, owner=SYSTEM, media_type=content.XLSX)
    return stored, answer.rows()[-1].sums


def _hand_over(
    schedule: ReportSchedule, question: Question, file: StoredFile, total: Sums, at: datetime, *, again: bool
) -> bool:
    """Write one message for each recipient; False when another worker was quicker."""
    days = str(question.first) if question.first == question.last else f"{question.first} – {question.last}"
    with transaction.atomic():
        row = ReportSchedule.objects.select_for_update().get(pk=schedule.pk)
        if not again and row.sent_through is not None and row.sent_through >= question.last:
            return False
        for number, address in enumerate(schedule.addresses):
            messages.post(
                medium=Medium.MAIL,
                to=address,
                subject=f"{schedule.name} {days}",
                text=_text(question, total, days),
                files=[file],
                source=f"{_('Reports by mail')}: {schedule.name}",
                key=None if again else f"report:{schedule.pk}:{question.last}:{number}",
            )
        row.sent_through = question.last if not again else row.sent_through
        row.sent_at, row.error = at, ""
        row.save(update_fields=["sent_through", "sent_at", "error", "updated_at"])
    log.info("report_sent", schedule=schedule.pk, days=days, recipients=len(schedule.addresses))
    return True


def _text(question: Question, total: Sums, days: str) -> str:
    _rolled_at, missing = finance.state_of(question)
    lines = [
        days,
        "",
        f"{_('orders')}: {total.orders:,}",
        f"{_('energy (kWh)')}: {total.energy_kwh:,.2f}",
        f"{_('electricity fee')}: {total.electricity_fee:,.2f}",
        f"{_('service fee')}: {total.service_fee:,.2f}",
        f"{_('discounts')}: {total.discounts:,.2f}",
        f"{pgettext('report', 'refunds')}: {total.refunded:,.2f}",
        f"{pgettext('report', 'due')}: {total.due:,.2f}",
        f"{pgettext('report', 'settled')}: {total.settled:,.2f}",
    ]
    if missing:
        lines += ["", _("%(count)s of these days are not summed up.") % {"count": len(missing)}]
    return "\n".join(lines)
