"""What a file is, by what is in it. Names and declared types are the sender's own word and decide nothing."""

from __future__ import annotations

import codecs
import unicodedata
import zipfile
from typing import IO

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
PDF, CSV = "application/pdf", "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ZIP = "application/zip"
OFD = "application/ofd"
PICTURES = frozenset({JPEG, PNG, WEBP})
EXTENSIONS = {
    JPEG: "jpg",
    PNG: "png",
    WEBP: "webp",
    PDF: "pdf",
    CSV: "csv",
    XLSX: "xlsx",
    ZIP: "zip",
    OFD: "ofd",
}
"""Every type that is known here; nothing else is ever stored, and neither HTML nor SVG is among them.

Archives are only stored where we wrote them ourselves: by its content none is told from another file in disguise.
"""

_HEAD = 4096
_XLSX_PARTS = {"[Content_Types].xml", "xl/workbook.xml"}
_OFD_ROOT = "OFD.xml"


def media_type(file: IO[bytes]) -> str:
    """Return the type of a file's content, "" for one that is not known here. Leaves the file at its start."""
    file.seek(0)
    head = file.read(_HEAD)
    try:
        if head.startswith(b"\xff\xd8\xff"):
            return JPEG
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return PNG
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return WEBP
        if head.startswith(b"%PDF-"):
            return PDF
        if head.startswith(b"PK\x03\x04"):
            return _archive_type(file)
        return CSV if _is_table_text(head) else ""
    finally:
        file.seek(0)


def _archive_type(file: IO[bytes]) -> str:
    """A workbook without macros, or an invoice's page in OFD (GB/T 33190: OFD.xml at the root names the documents)."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return ""
    if names >= _XLSX_PARTS and not any(name.lower().endswith("vbaproject.bin") for name in names):
        return XLSX
    documents = any(name.startswith("Doc_") for name in names)
    return OFD if _OFD_ROOT in names and documents else ""


def _is_table_text(head: bytes) -> bool:
    """Text in UTF-8 or GB18030 that no browser would take for a page."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)  # the last character may be cut
        except UnicodeDecodeError:
            continue
        plain = all(unicodedata.category(sign) != "Cc" or sign in "\t\r\n" for sign in text)
        return bool(text.strip()) and plain and not text.lstrip().startswith("<")
    return False
