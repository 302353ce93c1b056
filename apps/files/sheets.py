"""Tables as files, row by row: xlsx and csv of any length in little memory, with no cell that calculates."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, Protocol

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell
from openpyxl.styles import Font

from apps.backoffice.cells import cell
from apps.common.time import SHANGHAI
from apps.files.enums import ExportFormat

XLSX_ROWS = 1_048_575
"""So many rows a sheet has beside its titles (Excel's limit is 2^20)."""

MOMENT_FORMAT, DAY_FORMAT = "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"
LONGEST_NUMBER = 15
"""Spreadsheets keep so many digits of a number."""

_LONGEST_TEXT = 32_767
_FORBIDDEN_IN_TITLES = str.maketrans(dict.fromkeys("[]:*?/\\", " "))


class Sheet(Protocol):
    """A table that is being written."""

    def write(self, values: Iterable[Any]) -> None:
        """Add a row."""

    def close(self) -> None:
        """Write what is left; the file is complete."""


def sheet(file: IO[bytes], form: str, *, title: str, titles: Iterable[Any]) -> Sheet:
    """Begin a table in `file` with a row of titles."""
    kind = XlsxSheet if form == ExportFormat.XLSX else CsvSheet
    return kind(file, title, [str(one) for one in titles])


class CsvSheet:
    """UTF-8 with a byte order mark, which spreadsheets need."""

    def __init__(self, file: IO[bytes], title: str, titles: list[str]) -> None:
        self._text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=False)
        self._writer = csv.writer(self._text)
        self._writer.writerow([cell(one) for one in titles])

    def write(self, values: Iterable[Any]) -> None:
        """Add a row."""
        self._writer.writerow([cell(value) for value in values])

    def close(self) -> None:
        """Write what is left. The file stays open, at its end."""
        self._text.flush()
        self._text.detach()


class XlsxSheet:
    """Numbers are numbers, times are times of Asia/Shanghai, texts are texts, also those that begin with "="."""

    def __init__(self, file: IO[bytes], title: str, titles: list[str]) -> None:
        self._file = file
        self._book = Workbook(write_only=True)
        name = ILLEGAL_CHARACTERS_RE.sub("", title).translate(_FORBIDDEN_IN_TITLES).strip(" '")[:31]
        self._sheet = self._book.create_sheet(name or "1")
        self._sheet.freeze_panes = "A2"
        for number, one in enumerate(titles):
            width = sum(2 if ord(sign) > 0x2E80 else 1 for sign in one) + 4
            self._sheet.column_dimensions[_letters(number)].width = max(14, min(width, 40))
        self._sheet.append([self._text(one, bold=True) for one in titles])

    def write(self, values: Iterable[Any]) -> None:
        """Add a row."""
        self._sheet.append([self._cell(value) for value in values])

    def close(self) -> None:
        """Write what is left. The file stays open."""
        self._book.save(self._file)

    def _cell(self, value: Any) -> Any:
        if value is None or value == "":
            return None
        if isinstance(value, datetime):
            return self._formatted(value.astimezone(SHANGHAI).replace(tzinfo=None), MOMENT_FORMAT)
        if isinstance(value, date):
            return self._formatted(value, DAY_FORMAT)
        if isinstance(value, Decimal) and value.is_finite():
            places = max(0, -int(value.as_tuple().exponent))
            if len(value.as_tuple().digits) <= LONGEST_NUMBER:
                return self._formatted(value, f"0.{'0' * places}" if places else "0")
        if isinstance(value, int) and not isinstance(value, bool) and len(str(abs(value))) <= LONGEST_NUMBER:
            return value
        return self._text(value)

    def _formatted(self, value: Any, number_format: str) -> WriteOnlyCell:
        made = WriteOnlyCell(self._sheet, value=value)
        made.number_format = number_format
        return made

    def _text(self, value: Any, *, bold: bool = False) -> WriteOnlyCell:
        text = ILLEGAL_CHARACTERS_RE.sub("", str(value))[:_LONGEST_TEXT]
        made = WriteOnlyCell(self._sheet, value=text)
        made.data_type = "s"  # by itself it would take "=1" for a formula
        if bold:
            made.font = Font(bold=True)
        return made


def _letters(number: int) -> str:
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(65 + rest) + text
    return text
