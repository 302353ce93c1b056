"""Sheets of QR codes to print and stick on guns: A4, one label a gun, the code drawn as vectors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import segno
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.piles.errors import TooManyLabels
from apps.piles.models import Connector
from apps.piles.selectors import qr_prefixes

MOST_LABELS = 1_000
FONT = "STSong-Light"
"""A CID font of Adobe's Asian set: every viewer has its glyphs or a substitute, the file holds none."""


class Layout(models.TextChoices):
    """How many labels go on a sheet."""

    LARGE = "large", _("6 to a sheet (90 mm)")
    MEDIUM = "medium", _("12 to a sheet (60 mm)")
    SMALL = "small", _("24 to a sheet (45 mm)")


GRIDS = {Layout.LARGE: (2, 3), Layout.MEDIUM: (3, 4), Layout.SMALL: (4, 6)}


@dataclass(frozen=True, slots=True)
class Label:
    """What is on one label. `text` is in the code, the rest is for people."""

    text: str
    station: str
    pile: str
    gun_code: str
    connector_no: str


def labels_of(guns: Sequence[Connector], *, fallback: str) -> list[Label]:
    """Return the labels of guns (with pile and station): the station's prefix, else the tenant's, else `fallback`,
    then the gun's code, as the piles themselves show it."""
    piles = {gun.pile_id: gun.pile for gun in guns}
    prefixes = qr_prefixes(piles=piles.values())
    return [
        Label(
            text=f"{prefixes[gun.pile_id] or fallback}{gun.code}",
            station=str(gun.pile.station),
            pile=str(gun.pile),
            gun_code=gun.code,
            connector_no=gun.connector_no,
        )
        for gun in guns
    ]


def svg(text: str) -> str:
    """Return a code as inline SVG."""
    return str(segno.make(text, error="m", micro=False).svg_inline(scale=4, border=2, light="white"))


def pdf(labels: Sequence[Label], *, layout: Layout, title: str) -> bytes:
    """Return the sheets. Raises TooManyLabels."""
    if len(labels) > MOST_LABELS:
        raise TooManyLabels(limit=MOST_LABELS)
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    columns, rows = GRIDS[layout]
    margin = 24.0
    width, height = (A4[0] - 2 * margin) / columns, (A4[1] - 2 * margin) / rows
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=True)
    canvas.setTitle(title)
    canvas.setCreator("chargeplat")
    for number, label in enumerate(labels):
        place = number % (columns * rows)
        if number and place == 0:
            canvas.showPage()
        x = margin + place % columns * width
        y = A4[1] - margin - (place // columns + 1) * height
        _draw(canvas, label, x=x, y=y, width=width, height=height)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def _draw(canvas: Any, label: Label, *, x: float, y: float, width: float, height: float) -> None:
    canvas.setStrokeGray(0.8)
    canvas.setDash(2, 3)  # where to cut
    canvas.rect(x, y, width, height)
    canvas.setDash()
    size = min(width, height) / 22
    text = [
        (label.station, size),
        (f"{label.pile}  {label.connector_no}", size),
        (label.gun_code, size * 1.5),
    ]
    room = sum(line * 1.45 for _words, line in text) + size
    side = min(width - 2 * size, height - room - size)
    _draw_code(canvas, label.text, x=x + (width - side) / 2, y=y + height - side - size * 0.6, side=side)
    canvas.setFillGray(0)
    below = y + room - size * 0.4
    for words, line in text:
        below -= line * 1.35
        canvas.setFont(FONT, _fitting(words, line, width - size))
        canvas.drawCentredString(x + width / 2, below, words)


def _draw_code(canvas: Any, text: str, *, x: float, y: float, side: float) -> None:
    """Runs of dark modules as rectangles, on a white ground with the quiet zone of four modules."""
    matrix = list(segno.make(text, error="m", micro=False).matrix_iter(border=4))
    unit = side / len(matrix)
    canvas.setFillGray(0)
    for line, row in enumerate(matrix):
        start = None
        for place, dark in enumerate([*row, 0]):
            if dark and start is None:
                start = place
            elif not dark and start is not None:
                top = y + side - (line + 1) * unit
                canvas.rect(x + start * unit, top, (place - start) * unit, unit, stroke=0, fill=1)
                start = None


def _fitting(words: str, size: float, room: float) -> float:
    from reportlab.pdfbase import pdfmetrics

    width = pdfmetrics.stringWidth(words, FONT, size)
    return size if width <= room else size * room / width
