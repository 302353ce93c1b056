"""Pictures: whether one can be shown, and a small one for lists."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO

from PIL import Image, ImageOps

from apps.files.errors import PictureBroken

MAX_PIXELS = 40_000_000
"""More is no photo but a bomb: one of 40 megapixels needs 160 MB while it is opened."""

THUMBNAIL_PX = 480


@dataclass(frozen=True)
class Picture:
    """A picture's size as it is shown, and the bytes of a small one (WebP, without position or other metadata)."""

    width: int
    height: int
    thumbnail: bytes


def read_picture(file: IO[bytes]) -> Picture:
    """Decode a JPEG, PNG or WebP picture to its end. Raises PictureBroken."""
    file.seek(0)
    try:
        with Image.open(file, formats=["JPEG", "PNG", "WEBP"]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureBroken
            image.load()
            turned = ImageOps.exif_transpose(image)
            width, height = turned.size
            small = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
            small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise PictureBroken from error
    finally:
        file.seek(0)
    written = io.BytesIO()
    small.save(written, "WEBP", quality=80)
    return Picture(width, height, written.getvalue())
