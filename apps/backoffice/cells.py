"""How values are written for spreadsheets: never as a formula, and long numbers never rounded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.backoffice import shown

FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONG_NUMBER = 11
"""Spreadsheets round numbers longer than this."""


def cell(value: Any) -> str:
    """Return a value for a CSV file: times to the second, texts that a spreadsheet would calculate or round quoted."""
    if isinstance(value, datetime):
        return shown.moment(value)
    text = "" if value is None else str(value)
    if isinstance(value, str):
        if text.startswith(FORMULA):
            return f"'{text}"
        if len(text) > LONG_NUMBER and text.isdigit():
            return f"\t{text}"
    return text
