"""How values are written for spreadsheets: never as a formula, and long numbers never rounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from django.http import HttpResponse

from apps.backoffice import shown
from apps.common.time import now

EXPORT_ROWS = 50_000
"""So many rows a page gives away at once."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Chinese spreadsheets calculate what begins with a full-width sign too."""

LONG_NUMBER = 11
"""Spreadsheets round numbers longer than this."""


def cell(value: Any) -> str:
    """Return a value for a CSV file: times to the second, texts that a spreadsheet would calculate or round quoted."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shown.moment(value)
    text = str(value)
    if isinstance(value, int | float | Decimal | date):
        return text
    if text.startswith(FORMULA):  # also the name of a row, or a text that is translated now
        return f"'{text}"
    if len(text) > LONG_NUMBER and text.isdigit():
        return f"\t{text}"
    return text


def csv_file(name: Any, titles: Iterable[Any], rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """Return rows as a CSV file to download (UTF-8 with a byte order mark, which spreadsheets need)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([str(title) for title in titles])
    writer.writerows([cell(value) for value in row] for row in rows)
    file = f"{name}-{now():%Y%m%d-%H%M%S}.csv"
    return HttpResponse(
        "\ufeff" + text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file)}"},
    )
