"""What a file is, by its bytes; pictures; sheets. No database."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from openpyxl import load_workbook
from PIL import Image

from apps.files import content, sheets
from apps.files.errors import PictureBroken
from apps.files.pictures import MAX_PIXELS, read_picture


def a_photo(form: str = "JPEG", size: tuple[int, int] = (800, 600), **options: object) -> io.BytesIO:
    data = io.BytesIO()
    Image.new("RGB", size, "teal").save(data, form, **options)
    return data


def a_zip(*names: str) -> io.BytesIO:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return data


WORKBOOK = ("[Content_Types].xml", "xl/workbook.xml")


@pytest.mark.parametrize(
    ("file", "found"),
    [
        (a_photo("JPEG"), content.JPEG),
        (a_photo("PNG"), content.PNG),
        (a_photo("WEBP"), content.WEBP),
        (io.BytesIO(b"%PDF-1.7\n..."), content.PDF),
        (a_zip(*WORKBOOK), content.XLSX),
        (io.BytesIO("桩号,名称\n1,甲\n".encode()), content.CSV),
        (io.BytesIO("桩号,名称\n1,甲\n".encode("gb18030")), content.CSV),
        (io.BytesIO("\ufeffa\u3000b,c\u200b\n".encode()), content.CSV),
        (io.BytesIO(b"a,b\x07\n"), ""),
        (io.BytesIO(("甲" * 4000).encode()), content.CSV),
        (a_zip(*WORKBOOK, "xl/vbaProject.bin"), ""),
        (a_zip("classes.dex"), ""),
        (io.BytesIO(b"PK\x03\x04 and nothing"), ""),
        (io.BytesIO(b""), ""),
        (io.BytesIO(b"GIF89a\x01\x00\x01\x00"), ""),
        (io.BytesIO(b"MZ\x90\x00\x03"), ""),
        (io.BytesIO(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), ""),
        (io.BytesIO(b"\n  <!doctype html><script>alert(1)</script>"), ""),
    ],
)
def test_a_file_is_what_is_in_it(file: io.BytesIO, found: str) -> None:
    file.seek(3)
    assert content.media_type(file) == found
    assert file.tell() == 0


@pytest.mark.parametrize(("form", "size"), [("JPEG", (800, 600)), ("PNG", (30, 20)), ("WEBP", (481, 100))])
def test_a_picture_has_a_small_one(form: str, size: tuple[int, int]) -> None:
    found = read_picture(a_photo(form, size))
    assert (found.width, found.height) == size
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        assert small.format == "WEBP"
        assert max(small.size) == min(max(size), 480)
        assert abs(small.width * size[1] - small.height * size[0]) <= max(size)


def test_a_picture_is_turned_as_its_camera_was_and_loses_its_place() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    exif[0x010F] = "maker"
    found = read_picture(a_photo("JPEG", (80, 60), exif=exif))
    assert (found.width, found.height) == (60, 80)
    with Image.open(io.BytesIO(found.thumbnail)) as small:
        assert dict(small.getexif()) == {}


def test_transparency_stays() -> None:
    data = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(data, "PNG")
    with Image.open(io.BytesIO(read_picture(data).thumbnail)) as small:
        assert small.convert("RGBA").getpixel((5, 5))[3] == 0


def broken_pictures() -> list[io.BytesIO]:
    whole = a_photo("JPEG").getvalue()
    bomb = io.BytesIO()
    Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)).save(bomb, "PNG")
    giant = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(giant, "PNG")
    return [io.BytesIO(whole[: len(whole) // 2]), io.BytesIO(b"\xff\xd8\xff" + b"x" * 100), bomb, giant]


@pytest.mark.parametrize("number", range(4))
def test_a_broken_picture_and_a_bomb_are_refused(number: int) -> None:
    with pytest.raises(PictureBroken):
        read_picture(broken_pictures()[number])


HOSTILE = [
    '=HYPERLINK("http://evil","x")',
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(1)",
]
ROW = [
    Decimal("12.30"),
    Decimal("-3.00"),
    7,
    True,
    None,
    "",
    "32010600000001",
    datetime(2026, 11, 23, 16, 30, 5, tzinfo=UTC),
    date(2026, 11, 24),
    Decimal("12345678901234567.89"),
    "a\x00b\x07c",
]


def written(form: str, *rows: list[object], title: str = "订单") -> io.BytesIO:
    file = io.BytesIO()
    table = sheets.sheet(file, form, title=title, titles=[f"t{n}" for n in range(len(rows[0]))])
    for row in rows:
        table.write(row)
    table.close()
    file.seek(0)
    return file


def test_a_workbook_has_numbers_times_and_texts() -> None:
    book = load_workbook(written("xlsx", ROW))
    (sheet,) = book.worksheets
    assert (sheet.title, sheet.freeze_panes) == ("订单", "A2")
    titles, cells = sheet.iter_rows()
    assert [cell.value for cell in titles] == [f"t{n}" for n in range(len(ROW))]
    assert [cell.value for cell in cells] == [
        12.3,
        -3,
        7,
        "True",
        None,
        None,
        "32010600000001",
        datetime(2026, 11, 24, 0, 30, 5),  # noqa: DTZ001 - a sheet knows no zones: Shanghai's clock
        datetime(2026, 11, 24),  # noqa: DTZ001
        "12345678901234567.89",
        "abc",
    ]
    assert [cells[0].number_format, cells[7].number_format, cells[8].number_format] == [
        "0.00",
        "yyyy-mm-dd hh:mm:ss",
        "yyyy-mm-dd",
    ]


def test_no_cell_of_a_workbook_calculates() -> None:
    file = written("xlsx", HOSTILE, title="='[x]'!A1")
    with zipfile.ZipFile(file) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml
    assert "<f " not in xml
    cells = next(iter(load_workbook(file).worksheets[0].iter_rows(min_row=2)))
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value.strip() for cell in cells] == [text.strip() for text in HOSTILE]


def test_no_cell_of_a_csv_file_calculates() -> None:
    file = written("csv", HOSTILE)
    assert file.getvalue().startswith(b"\xef\xbb\xbf")
    _titles, cells = csv.reader(io.StringIO(file.getvalue().decode("utf-8-sig"), newline=""))
    assert cells == [f"'{text}" for text in HOSTILE]


def test_a_csv_file_keeps_numbers_and_times() -> None:
    _titles, cells = csv.reader(io.StringIO(written("csv", ROW).getvalue().decode("utf-8-sig"), newline=""))
    assert cells[:9] == [
        "12.30",
        "-3.00",
        "7",
        "True",
        "",
        "",
        "\t32010600000001",
        "2026-11-24 00:30:05",
        "2026-11-24",
    ]
