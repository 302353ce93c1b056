"""What the car's battery and the charger said and measured, kept with the order."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from apps.common.ids import Actor
from apps.common.time import now
from apps.orders.models import Order, OrderCurve, OrderEvent
from apps.orders.moves import note
from apps.orders.selectors import curve_from_telemetry
from apps.piles.enums import AlarmKind
from apps.piles.reports import BatteryReport, BatteryReportKind
from apps.piles.services import raise_alarm

CURVES_MISSING_SINCE = timedelta(days=14)
CURVES_AT_ONCE = 2_000

log = structlog.get_logger(__name__)

EVENTS_OF_A_KIND = 5
"""Piles repeat what they say; one that says something else each time must not fill the order."""


def battery_reported(reports: list[BatteryReport]) -> None:
    """Keep each report with the order of its transaction number; reports without an order are passed over.

    May be called again with the same reports. Raises OperationalError and InterfaceError only.
    """
    for report in reports:
        try:
            _keep(report)
        except (OperationalError, InterfaceError):
            raise  # the database is away: all are told again later
        except Exception:
            log.exception("battery_report_not_kept", pile_code=report.pile_code, kind=report.kind)


@transaction.atomic
def _keep(report: BatteryReport) -> None:
    code = f"{report.pile_code}{report.connector_no}"
    order = (
        Order.objects.select_for_update(of=["self"])
        .filter(
            Q(transaction_no=report.transaction_no, connector__code=code)
            | Q(
                pk__in=Order.objects.filter(
                    legs__transaction_no=report.transaction_no, legs__connector__code=code
                ).values("pk")
            )
        )
        .first()
    )
    if order is None:
        return
    data = _data(report)
    told = OrderEvent.objects.filter(order=order, kind=report.kind).values_list("data", flat=True)
    if data in told or len(told) >= EVENTS_OF_A_KIND:
        return
    note(order, report.kind, Actor("pile", report.pile_code, report.pile_code), report.reported_at, **data)
    order.vin = order.vin or report.vin
    if report.words:
        order.abort_words += [
            entry
            for text, state in report.words
            if (entry := {"by": report.kind, "text": text, "state": state}) not in order.abort_words
        ]
    order.save(update_fields=["vin", "abort_words", "updated_at"])
    if report.is_fault:
        raise_alarm(
            kind=AlarmKind.BATTERY,
            pile_code=report.pile_code,
            connector_no=report.connector_no,
            subject=order.order_no,
            detail={"by": report.kind, "words": [list(words) for words in report.words]},
        )


def _data(report: BatteryReport) -> dict[str, object]:
    data: dict[str, object] = dict(report.facts)
    if report.vin:
        data["vin"] = report.vin
    if report.kind not in (BatteryReportKind.HANDSHAKE, BatteryReportKind.CONFIG, BatteryReportKind.END):
        data["words"] = [list(words) for words in report.words]
    return data


def store_curve(*, order_no: str) -> OrderCurve | None:
    """Thin an order's telemetry into its stored curve, anew when there is one; None when there is no such order."""
    order = Order.objects.filter(order_no=order_no).first()
    if order is None:
        return None
    stored, _ = OrderCurve.objects.update_or_create(
        order=order, defaults={"points": curve_from_telemetry(order)}
    )
    return stored


def store_missing_curves(*, at: datetime | None = None) -> int:
    """Store the curves of orders settled lately that have none: nobody heard of their settlement."""
    since = (at or now()) - CURVES_MISSING_SINCE
    missing = Order.objects.filter(settled_at__gte=since, curve__isnull=True).order_by("id")
    numbers = list(missing.values_list("order_no", flat=True)[:CURVES_AT_ONCE])
    for order_no in numbers:
        store_curve(order_no=order_no)
    return len(numbers)
