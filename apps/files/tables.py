"""Tables that people bring, xlsx or csv, as rows of texts. A file is a stranger's word: it is bounded first."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any

from django.utils.translation import gettext as _

from apps.files import content

MOST_UNPACKED = 60_000_000
"""Bytes of a workbook's parts together: one of a few kB may unpack to gigabytes."""

MOST_COLUMNS = 60
LONGEST_CELL = 1_000


class TableUnreadable(Exception):
    """A file is no table that can be read; the text says why, for people."""


def read_table(file: IO[bytes], *, most_rows: int) -> list[tuple[int, list[str]]]:
    """Return the rows of the first sheet that are not empty, titles among them: number in the sheet, trimmed texts.

    Dates are yyyy-mm-dd, whole numbers have no decimals. Raises TableUnreadable, also for more than `most_rows` rows
    below the titles.
    """
    kind = content.media_type(file)
    if kind == content.XLSX:
        rows = _xlsx_rows(file)
    elif kind == content.CSV:
        rows = _csv_rows(file)
    else:
        raise TableUnreadable(_("an Excel workbook (xlsx) or a CSV file is needed"))
    found: list[tuple[int, list[str]]] = []
    for number, row in enumerate(rows, 1):
        cells = [_text(cell) for cell in row[:MOST_COLUMNS]]
        if not any(cells):
            continue
        if len(found) > most_rows:
            raise TableUnreadable(_("it has more than %(most)s rows; split it") % {"most": most_rows})
        found.append((number, cells))
    return found


def _xlsx_rows(file: IO[bytes]) -> Iterator[list[Any]]:
    from openpyxl import load_workbook  # for those processes that meet a workbook

    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_UNPACKED:
                raise TableUnreadable(_("it is too large when it is unpacked"))
        book = load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write wrong ones
        for row in sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS):
            yield list(row)
    except TableUnreadable:
        raise
    except Exception as error:  # openpyxl raises whatever a broken part makes it raise
        raise TableUnreadable(_("the workbook is damaged; save it anew as xlsx")) from error


def _csv_rows(file: IO[bytes]) -> Iterable[list[Any]]:
    file.seek(0)
    raw = file.read()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        try:
            return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        except csv.Error as error:
            raise TableUnreadable(_("the CSV file is damaged")) from error
    raise TableUnreadable(_("its text is neither UTF-8 nor GB18030"))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    # Our own files put a tab or an apostrophe before what a spreadsheet would round or calculate.
    return str(value).strip().removeprefix("'").strip()[:LONGEST_CELL]
