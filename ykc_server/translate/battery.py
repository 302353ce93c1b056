"""What a charger passes on of its talk with the battery, in domain words."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from apps.common.time import now
from apps.piles.reports import BatteryReport, BatteryReportKind
from ykc_server.protocol.codes import Verdict
from ykc_server.protocol.messages import BmsMessage, magnitude
from ykc_server.protocol.words import Word, field_words, word
from ykc_server.session import Gun

KINDS = {
    0x15: BatteryReportKind.HANDSHAKE,
    0x17: BatteryReportKind.CONFIG,
    0x19: BatteryReportKind.END,
    0x1B: BatteryReportKind.TALK_ERROR,
    0x1D: BatteryReportKind.BATTERY_ABORT,
    0x21: BatteryReportKind.CHARGER_ABORT,
}
FACTS = {
    0x15: ("battery_type", "rated_capacity", "rated_voltage", "manufacturer", "charge_count"),
    0x17: ("max_cell_voltage", "nominal_energy", "max_total_voltage", "max_temp", "soc", "battery_voltage"),
    0x19: (
        "end_soc",
        "min_cell_voltage",
        "max_cell_voltage",
        "min_battery_temp",
        "max_battery_temp",
        "charge_minutes",
        "output_energy",
    ),
}
WORDY = {0x1B: ("error_bits",)} | dict.fromkeys((0x1D, 0x21), ("abort_reason", "abort_fault", "abort_error"))
FAULTY = ("abort_fault", "abort_error")
VIN_LENGTH = 17


def battery_report(gun: Gun, m: BmsMessage) -> BatteryReport:
    """0x15, 0x17, 0x19, 0x1B, 0x1D or 0x21 in domain words."""
    kind = m.spec.kind
    facts = {name: _plain(m.value(name)) for name in FACTS.get(kind, ())}
    if kind == 0x15:
        facts["made"] = _made(m)
    if kind == 0x17:
        facts["max_current"] = str(magnitude(m, "max_current"))
    return BatteryReport(
        pile_code=gun.session.pile_code,
        connector_no=gun.connector_no,
        transaction_no=m.value("transaction_no"),
        kind=KINDS[kind],
        vin=_vin(m.value("vin")) if kind == 0x15 else "",
        facts={name: text for name, text in facts.items() if text},
        words=tuple((told.text, told.state) for name in WORDY.get(kind, ()) for told in _told(m, name)),
        is_fault=any(
            value is Verdict.YES
            for name in FAULTY
            if name in m.spec.fields
            for value in m.parts(name).values()
        ),
        reported_at=now(),
    )


def _told(m: BmsMessage, name: str) -> list[Word]:
    return field_words(m.spec.fields[name], getattr(m, name))


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return word(value) if isinstance(value, IntEnum) else str(value).strip()


def _made(m: Any) -> str:
    """The day of making as YYYY-MM-DD; "" where the battery does not tell."""
    month, day = m.made_month, m.made_day
    return f"{m.value('made_year')}-{month:02d}-{day:02d}" if 1 <= month <= 12 and 1 <= day <= 31 else ""


def _vin(text: str) -> str:
    """A VIN, or "" for what cannot be one: zeros, FF, a part of it."""
    told = text.strip().upper()
    whole = len(told) == VIN_LENGTH and told.isascii() and told.isalnum() and len(set(told)) > 1
    return told if whole else ""
