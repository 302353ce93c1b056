"""The picture between a program and our staff's passwords: characters to read, made here and shown to nobody else.

A puzzle is good once, for five minutes; a wrong answer uses it up. Whoever cannot read pictures signs in by phone and
code or by QR code, which ask for none.
"""

from __future__ import annotations

import base64
import io
import math
import secrets
from dataclasses import dataclass, field

from django.utils.crypto import salted_hmac
from PIL import Image, ImageDraw, ImageFont

from apps.common import limits
from apps.common.schema import current_schema
from apps.common.time import now

LETTERS = "234679ACDEFHJKMNPRTUVWXY"
"""Without those that are taken for one another."""
LENGTH = 5
GOOD_FOR_S = 300
SIZE = WIDTH, HEIGHT = 240, 72
_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Puzzle:
    """What is asked: the number that the form carries, and the characters of the picture."""

    token: str
    text: str = field(repr=False)

    @property
    def picture(self) -> str:
        """The picture as an address that holds it (PNG)."""
        file = io.BytesIO()
        _draw(self.text).save(file, "PNG")
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def new() -> Puzzle:
    """Make a puzzle and remember its answer."""
    puzzle = Puzzle(secrets.token_urlsafe(16), "".join(_random.choice(LETTERS) for _ in range(LENGTH)))
    limits.store_code(
        name=_name(puzzle.token), digest=_digest(puzzle.token, puzzle.text), at=now(), seconds=GOOD_FOR_S
    )
    return puzzle


def is_solved(*, token: str, answer: str) -> bool:
    """Return whether this is the answer; the puzzle is gone either way. Capital and small letters are the same."""
    text = "".join(answer.split()).upper()
    return limits.try_code(name=_name(token), digest=_digest(token, text), at=now(), tries=1)


def _name(token: str) -> str:
    return f"puzzle:{token[:64]}"


def _digest(token: str, text: str) -> str:
    return salted_hmac(
        "accounts.puzzle", f"{current_schema()}:{token}:{text}", algorithm="sha256"
    ).hexdigest()


def _draw(text: str) -> Image.Image:
    """Characters at other heights, sizes and angles each time, with lines across them and dots."""
    picture = Image.new("RGB", SIZE, "white")
    step = WIDTH // (len(text) + 1)
    for place, letter in enumerate(text):
        font = ImageFont.load_default(size=_random.randint(38, 48))
        tile = Image.new("L", (64, 64))
        ImageDraw.Draw(tile).text((32, 32), letter, fill=255, font=font, anchor="mm")
        tile = tile.rotate(_random.uniform(-28, 28), resample=Image.Resampling.BICUBIC)
        corner = (
            step * (place + 1) - 32 + _random.randint(-5, 5),
            (HEIGHT - 64) // 2 + _random.randint(-5, 5),
        )
        picture.paste(_ink(), corner, tile)
    pen = ImageDraw.Draw(picture)
    for _ in range(3):
        base, swing, length = _random.randint(15, 57), _random.randint(4, 14), _random.uniform(18, 40)
        wave = [(x, base + swing * math.sin(x / length)) for x in range(0, WIDTH + 4, 4)]
        pen.line(wave, fill=_ink(), width=2)
    for _ in range(160):
        pen.point((_random.randrange(WIDTH), _random.randrange(HEIGHT)), fill=_ink())
    return picture


def _ink() -> tuple[int, int, int]:
    """A dark colour."""
    return _random.randint(0, 110), _random.randint(0, 110), _random.randint(0, 110)
