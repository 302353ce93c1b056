"""Files of drivers: their pictures, and copies of their data. No member of staff opens either."""

from __future__ import annotations

from datetime import timedelta

from apps.files import content
from apps.files.kinds import MB, Kind, register

AVATAR = register(Kind("avatar", content.PICTURES, 5 * MB, opens=lambda _request, _file: False))
PERSONAL_DATA = register(
    Kind(
        "personal_data",
        frozenset({content.ZIP}),
        200 * MB,
        opens=lambda _request, _file: False,
        lifetime=timedelta(days=7),
    )
)
