"""Piles from a table: what each column means, what is wrong in which row, and taking the good rows.

A table is looked at first; nothing is kept of it but the file. What was good in the preview is looked at once more
when it is taken.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import IO, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.schema import current_schema
from apps.files import content, kinds
from apps.files.tables import TableUnreadable, read_table
from apps.piles import fleet
from apps.piles.enums import PileKind
from apps.piles.errors import SheetChanged, SheetUnreadable
from apps.piles.models import Pile
from apps.sites.models import Station
from apps.tenancy.selectors import routes

MOST_ROWS = 5_000
SHEET = kinds.register(
    kinds.Kind("pile-sheet", frozenset({content.XLSX, content.CSV}), 5 * kinds.MB, lifetime=kinds.DAY)
)

_KINDS = {
    "dc": PileKind.DC,
    "直流": PileKind.DC,
    "快充": PileKind.DC,
    "ac": PileKind.AC,
    "交流": PileKind.AC,
    "慢充": PileKind.AC,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its word in code, its title, how else it may be called, an example, and what it has to be."""

    name: str
    title: Any
    others: tuple[str, ...]
    example: str
    help: Any
    needed: bool = False


COLUMNS = (
    Column(
        "pile_code",
        gettext_lazy("pile code"),
        ("桩编码", "桩编号", "pile code", "pile_code"),
        "32010600000001",
        gettext_lazy("14 digits, as text"),
        needed=True,
    ),
    Column(
        "station",
        gettext_lazy("station number"),
        ("站点编号", "场站编号", "station number", "station", "station_no"),
        "SH0001",
        gettext_lazy("of a station that is there already"),
        needed=True,
    ),
    Column(
        "name",
        gettext_lazy("name"),
        ("名称", "桩名称", "name"),
        "1 号桩",
        gettext_lazy("50 characters at most"),
    ),
    Column(
        "kind",
        gettext_lazy("kind"),
        ("类型", "kind"),
        "直流",
        gettext_lazy("直流 / DC or 交流 / AC; empty: DC"),
    ),
    Column(
        "power_kw",
        gettext_lazy("power (kW)"),
        ("功率（kW）", "功率(kW)", "功率", "power (kW)", "power_kw", "power"),
        "120",
        gettext_lazy("of the whole pile"),
        needed=True,
    ),
    Column(
        "gun_count",
        gettext_lazy("number of guns"),
        ("枪数", "number of guns", "guns", "gun_count"),
        "2",
        gettext_lazy("1 to 99; empty: 1"),
    ),
    Column(
        "brand", gettext_lazy("brand"), ("品牌", "brand"), "特来电", gettext_lazy("50 characters at most")
    ),
    Column(
        "model",
        gettext_lazy("model"),
        ("型号", "model"),
        "TCDZ-DC0.7/120",
        gettext_lazy("50 characters at most"),
    ),
    Column(
        "serial_no",
        gettext_lazy("serial number"),
        ("出厂编号", "序列号", "serial number", "serial_no"),
        "A2026110001",
        gettext_lazy("50 characters at most"),
    ),
    Column(
        "produced_on",
        gettext_lazy("produced on"),
        ("生产日期", "produced on", "produced_on"),
        "2026-06-01",
        gettext_lazy("year-month-day"),
    ),
    Column(
        "pinned_sim_no",
        gettext_lazy("pinned SIM card"),
        ("绑定的 SIM 卡", "绑定 SIM 卡", "ICCID", "pinned SIM card", "pinned_sim_no"),
        "",
        gettext_lazy("20 digits; a login with another card is refused"),
    ),
)
NAMES = {column.name: column for column in COLUMNS}


@dataclass(slots=True)
class Row:
    """A row of the table: its number there (titles are 1), what it says, and what is wrong with it."""

    number: int
    words: dict[str, str]
    errors: list[str] = field(default_factory=list)
    pile: fleet.NewPile | None = None


@dataclass(slots=True)
class Preview:
    """All rows, and those that could be taken."""

    rows: list[Row]
    unknown: list[str]
    """Titles that mean nothing here; their columns are passed over."""

    @property
    def good(self) -> list[Row]:
        """Rows without errors."""
        return [row for row in self.rows if not row.errors]

    @property
    def bad(self) -> list[Row]:
        """Rows with errors."""
        return [row for row in self.rows if row.errors]


def look_at(file: IO[bytes], *, stations: Mapping[str, Station]) -> Preview:
    """Return what is in a table and what is wrong with each row; nothing is kept.

    `stations` are those that the person may put piles at, by number. Raises SheetUnreadable.
    """
    try:
        table = read_table(file, most_rows=MOST_ROWS)
    except TableUnreadable as error:
        raise SheetUnreadable(reason=str(error)) from error
    if not table:
        raise SheetUnreadable(reason=_("it is empty"))
    titles, unknown = _titles(table[0][1])
    lacking = [str(column.title) for column in COLUMNS if column.needed and column.name not in titles]
    if lacking:
        raise SheetUnreadable(
            reason=_("these columns are missing: %(names)s") % {"names": ", ".join(lacking)}
        )
    rows = [
        Row(number, {name: cells[place] if place < len(cells) else "" for name, place in titles.items()})
        for number, cells in table[1:]
    ]
    if not rows:
        raise SheetUnreadable(reason=_("there is no row below the titles"))
    for row in rows:
        _check(row, stations)
    _check_codes(rows)
    return Preview(rows, unknown)


def take(preview: Preview, *, actor: Actor, only_good: bool) -> list[Pile]:
    """Register the rows of a preview: all of them, or with `only_good` those without errors.

    Raises SheetChanged if one of them can no longer be taken (then none is), or if there are errors and `only_good`
    was not said.
    """
    if preview.bad and not only_good:
        raise SheetChanged
    try:
        return fleet.register([row.pile for row in preview.good if row.pile], actor=actor)
    except DomainError as error:  # registered by somebody else since they were looked at
        raise SheetChanged from error


def template(form: str) -> bytes:
    """Return an empty table with titles and an example, as "xlsx" (with a sheet that explains them) or "csv"."""
    from apps.files import sheets  # openpyxl is for those processes that meet a workbook

    file = io.BytesIO()
    titles = [f"{column.title}{' *' if column.needed else ''}" for column in COLUMNS]
    if form == "csv":
        table = sheets.sheet(file, form, title=_("piles"), titles=titles)
        table.write([column.example for column in COLUMNS])
        table.close()
        return file.getvalue()
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    first = book.active
    first.title = _("piles")
    first.append(titles)
    first.append([column.example for column in COLUMNS])
    for place, column in enumerate(COLUMNS, 1):
        first.cell(1, place).font = Font(bold=True)
        first.column_dimensions[first.cell(1, place).column_letter].width = max(14, len(column.example) + 4)
        for line in range(1, 501):
            first.cell(line, place).number_format = "@"  # as text: codes keep their zeros
    first.freeze_panes = "A2"
    notes = book.create_sheet(_("how to fill it in"))
    notes.append([_("column"), _("needed"), _("what it has to be")])
    for column in COLUMNS:
        notes.append([str(column.title), _("yes") if column.needed else "", str(column.help)])
    for letter, width in (("A", 22), ("B", 10), ("C", 60)):
        notes.column_dimensions[letter].width = width
    book.save(file)
    return file.getvalue()


def _titles(cells: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    known = {_plain(word): column.name for column in COLUMNS for word in (str(column.title), *column.others)}
    found: dict[str, int] = {}
    unknown = []
    for place, cell in enumerate(cells):
        name = known.get(_plain(cell))
        if name is None:
            unknown += [cell] if cell else []
        elif name in found:
            raise SheetUnreadable(reason=_("the column “%(name)s” is there twice") % {"name": cell})
        else:
            found[name] = place
    return found, unknown


def _plain(title: str) -> str:
    return re.sub(r"[\s*＊:：]", "", title).replace("（", "(").replace("）", ")").lower()


def _check(row: Row, stations: Mapping[str, Station]) -> None:
    words = row.words

    def value(name: str, read: Callable[[str], Any], empty: Any = None) -> Any:
        text = words.get(name, "")
        if not text:
            if NAMES[name].needed:
                row.errors.append(_("%(name)s is empty") % {"name": NAMES[name].title})
            return empty
        try:
            return read(text)
        except ValueError as error:
            row.errors.append(f"{NAMES[name].title}: {error}")
            return empty

    code = value("pile_code", _code, "")
    station = value("station", lambda text: _station(text, stations))
    kind = value("kind", _kind, PileKind.DC)
    power = value("power_kw", _power)
    guns = value("gun_count", _guns, 1)
    texts = {name: value(name, _short, "") for name in ("name", "brand", "model", "serial_no")}
    produced = value("produced_on", _day)
    sim = value("pinned_sim_no", _sim, "")
    if not row.errors:
        row.pile = fleet.NewPile(
            station, code, kind.value, power, guns, produced_on=produced, pinned_sim_no=sim, **texts
        )


def _check_codes(rows: Sequence[Row]) -> None:
    """Codes that are there twice, or registered already, here or with another tenant."""
    codes = [row.pile.pile_code for row in rows if row.pile]
    twice = {
        code for code, number in Counter(row.words.get("pile_code") for row in rows).items() if number > 1
    }
    known = set(Pile.objects.filter(pile_code__in=codes).values_list("pile_code", flat=True))
    owners = routes(fleet.ROUTE_KIND, codes)
    for row in rows:
        code = row.words.get("pile_code", "")
        if code and code in twice:
            row.errors.append(_("this pile code is in the table more than once"))
        elif code in known or owners.get(code, current_schema()) != current_schema():
            row.errors.append(_("this pile code is registered already"))
        if row.errors:
            row.pile = None


def _code(text: str) -> str:
    if not re.fullmatch(r"\d{14}", text, re.ASCII):
        hint = _("; format the column as text, so that zeros in front stay") if len(text) < 14 else ""
        raise ValueError(_("14 digits are needed") + hint)
    return text


def _station(text: str, stations: Mapping[str, Station]) -> Station:
    found = stations.get(text)
    if found is None:
        raise ValueError(_("there is no station %(number)s") % {"number": text})
    return found


def _kind(text: str) -> PileKind:
    found = _KINDS.get(text.lower())
    if found is None:
        raise ValueError(_("DC or AC is needed"))
    return found


def _power(text: str) -> Decimal:
    try:
        power = Decimal(text)
    except InvalidOperation:
        power = Decimal(0)
    if not power.is_finite() or not 0 < power < 10_000:
        raise ValueError(_("a number of kW is needed, above 0 and below 10000"))
    if power != power.quantize(Decimal("0.01")):
        raise ValueError(_("two decimals at most"))
    return power


def _guns(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d?", text, re.ASCII):
        raise ValueError(_("a number from 1 to 99 is needed"))
    return int(text)


def _short(text: str) -> str:
    if len(text) > 50:
        raise ValueError(_("50 characters at most"))
    return text


def _day(text: str) -> date:
    found = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text, re.ASCII)
    try:
        year, month, day = (int(part) for part in found.groups()) if found else (0, 0, 0)
        return date(year, month, day)
    except ValueError:
        raise ValueError(_("a day like 2026-06-01 is needed")) from None


def _sim(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{20}", text):
        raise ValueError(_("20 digits are needed"))
    return text.upper()
