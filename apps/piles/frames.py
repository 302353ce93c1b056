"""Keeping all raw frames of a pile for a set time."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.db import transaction

from apps.common.schema import current_schema
from apps.piles.drivers import driver_for
from apps.piles.models import Pile


def keep_frames(*, pile: Pile, until: datetime | None) -> None:
    """Have every frame from and to a pile kept until a moment (None: no longer), also on its present connection.

    The gateway process that holds the pile is told after commit; one that is not reached learns it at the next login.
    """
    pile.frames_kept_until = until
    pile.save(update_fields=["frames_kept_until", "updated_at"])
    message = {
        "type": "pile.frames",
        "schema": current_schema(),
        "pile_code": pile.pile_code,
        "until": until.timestamp() if until else 0.0,
    }
    transaction.on_commit(
        partial(
            driver_for(pile.protocol).deliver,
            schema=current_schema(),
            pile_code=pile.pile_code,
            message=message,
        )
    )
