"""What pages show of orders and records: labels, curves, and the lines of their tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.backoffice import shown
from apps.common.money import ZERO
from apps.orders.enums import OrderState, RecordState, Verdict
from apps.orders.models import BillLine, Order, OrderEvent, TransactionRecord
from apps.orders.selectors import curve_of
from apps.orders.wording import decision_words, event_words, failure_words, quarantine_words
from apps.pricing.bar import CLASS_NAMES
from apps.pricing.tariff import RateClass
from apps.wallet.enums import AccountKind
from apps.wallet.models import JournalEntry

ORDER_TONES = {
    OrderState.PENDING: "neutral",
    OrderState.STARTING: "info",
    OrderState.CHARGING: "info",
    OrderState.STOPPING: "warning",
    OrderState.SETTLING: "warning",
    OrderState.COMPLETED: "success",
    OrderState.FAILED: "neutral",
    OrderState.ABNORMAL: "danger",
}
VERDICT_TONES = {Verdict.OK: "success", Verdict.FLAGGED: "warning", Verdict.HELD: "danger"}
RECORD_TONES = {
    RecordState.STORED: "info",
    RecordState.SETTLED: "success",
    RecordState.HELD: "warning",
    RecordState.QUARANTINED: "danger",
}


def curve_panel(order: Order) -> dict[str, Any] | None:
    """Return a charge's curve for chart and table; None while nothing is known of it."""
    points = curve_of(order)
    if not points:
        return None
    names = [
        _("power (kW)"),
        _("SOC (%)"),
        _("voltage (V)"),
        _("current (A)"),
        _("energy (kWh)"),
        _("temperature (°C)"),
    ]
    start = order.charging_at or order.started_at or order.created_at
    return {
        "chart": {
            "names": [str(name) for name in names],
            "minutes": [round(point[0] / 60, 1) for point in points],
            "series": [[point[place] for point in points] for place in range(1, len(names) + 1)],
        },
        "names": names,
        "rows": [{"at": start + timedelta(seconds=point[0]), "values": point[1:]} for point in points],
    }


def event_row(event: OrderEvent, *, driver: str = "") -> dict[str, Any]:
    """Return an event as a line of the timeline; what the driver did under the name `driver`, where one is given."""
    actor = driver if driver and event.actor_kind == "customer" else event.actor_name
    moved = event.from_state != event.to_state
    reason = event.data.get("reason", "")
    if event.kind == "start_failed" and reason:
        why = failure_words(reason)
    elif event.kind == "started_outside_hours":
        why = reason
    else:
        why = decision_words(event.data)
    return {
        "at": event.at,
        "words": event_words(event.kind),
        "actor": actor if event.actor_kind not in ("system", "") else "",
        "to": event.get_to_state_display() if moved else "",  # type: ignore[attr-defined]
        "tone": ORDER_TONES[OrderState(event.to_state)],
        "reason": why,
    }


def newest_lines(orders: QuerySet[Order], person: Any, *, most: int) -> list[dict[str, Any]]:
    """Return the newest orders as lines of a table, drivers named as the person may see them."""
    rows = orders.select_related("station", "customer", "connector").order_by("-id")[:most]
    return [
        {
            "order": order,
            "customer": order.customer.name_for(person),
            "label": shown.state(order, ORDER_TONES),
        }
        for order in rows
    ]


def line_row(line: BillLine) -> dict[str, Any]:
    """Return a bill line with its class in words and its sum."""
    rate_class = RateClass(line.rate_class)
    return {
        "line": line,
        "rate_class": rate_class.value,
        "name": CLASS_NAMES[rate_class],
        "total": line.electricity_fee + line.service_fee,
    }


_PURSES = {
    AccountKind.CUSTOMER_PRINCIPAL: "principal",
    AccountKind.CUSTOMER_BONUS: "bonus",
    AccountKind.HELD_PRINCIPAL: "held",
    AccountKind.HELD_BONUS: "held",
    AccountKind.CUSTOMER_DEBT: "debt",
    AccountKind.ENTERPRISE_BALANCE: "principal",
    AccountKind.ENTERPRISE_HELD: "held",
}


def payment_rows(entries: Iterable[JournalEntry]) -> list[dict[str, Any]]:
    """Return what each entry did to the payer's wallet, yuan: free principal and bonus, what is held, the debt.

    More money of the customer is positive, as it is in their own statement; more debt is negative.
    """
    rows = []
    for entry in entries:
        row: dict[str, Any] = {"entry": entry, **dict.fromkeys(("principal", "bonus", "held", "debt"), ZERO)}
        for posting in entry.postings.all():
            purse = _PURSES.get(AccountKind(posting.account.kind))
            if purse is not None:
                row[purse] -= posting.amount
        rows.append(row)
    return rows


def record_row(record: TransactionRecord) -> dict[str, Any]:
    """Return a record with its bytes in hexadecimal, its facts and its reason in words."""
    return {
        "record": record,
        "label": shown.state(record, RECORD_TONES),
        "hex": bytes(record.body).hex(" ", 1).upper(),
        "report": report_rows(record),
        "periods": period_rows(record),
        "reason": quarantine_words(record.reason) if record.reason else "",
    }


_TIMES = frozenset({"start_time", "end_time", "transaction_time"})
REPORT_NAMES = {
    "start_time": _("started at"),
    "end_time": _("ended at"),
    "transaction_time": _("transaction time"),
    "meter_start": _("meter at the start (kWh)"),
    "meter_end": _("meter at the end (kWh)"),
    "total_energy_kwh": _("energy (kWh)"),
    "total_loss_energy_kwh": _("energy with losses (kWh)"),
    "total_amount": _("pile's amount (yuan)"),
    "vin": _("VIN"),
    "start_mode": _("way of starting"),
    "stop_code": _("pile's stop code"),
    "physical_card_no": _("card number"),
}


def report_rows(record: TransactionRecord) -> list[tuple[Any, str]]:
    """Return the facts of a decoded record with their names in words."""
    report = record.report or {}
    rows = []
    for name, title in REPORT_NAMES.items():
        value = report.get(name)
        if name in _TIMES and value:
            value = shown.moment(datetime.fromisoformat(value))
        rows.append((title, shown.EMPTY if value in (None, "") else str(value)))
    return rows if report else []


def period_rows(record: TransactionRecord) -> list[dict[str, Any]]:
    """Return a decoded record's rate classes."""
    return [
        {"rate_class": name, "name": CLASS_NAMES[RateClass(name)], **period}
        for name, period in ((record.report or {}).get("periods") or {}).items()
    ]
