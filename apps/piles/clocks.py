"""Setting clocks of piles once a day (YKC V1.6, 7.1), spread over the day; sooner those known to be wrong."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Coalesce, Greatest

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.piles import gateway
from apps.piles.commands import SyncTime
from apps.piles.enums import PileState
from apps.piles.models import Pile
from apps.piles.services import CLOCK_FLAG_S

EVERY = timedelta(days=1)
AGAIN_AFTER = timedelta(hours=1)
RUNS_A_DAY = 144
"""The task runs every ten minutes. A login sets the clock too: after an outage all would be due in the same minute."""
FEWEST = 20


def sync_clocks(*, at: datetime | None = None) -> int:
    """Send the time to online piles whose clock was set a day ago, the longest ago first. Returns to how many.

    One that was measured to be off by more than CLOCK_FLAG_S is due after an hour.
    """
    moment = at or now()
    online = Pile.objects.filter(is_online=True, state=PileState.IN_SERVICE).annotate(
        set_at=Greatest("last_login_at", Coalesce("clock_synced_at", "last_login_at"))
    )
    wrong = Q(clock_offset_s__gt=CLOCK_FLAG_S) | Q(clock_offset_s__lt=-CLOCK_FLAG_S)
    due = online.filter(
        Q(set_at=None) | Q(set_at__lte=moment - EVERY) | (wrong & Q(set_at__lte=moment - AGAIN_AFTER))
    )
    share = max(FEWEST, 2 * online.count() // RUNS_A_DAY)
    piles = list(due.order_by(F("set_at").asc(nulls_first=True), "pk")[:share])
    for pile in piles:
        Pile.objects.filter(pk=pile.pk).update(clock_synced_at=moment)
        gateway.send(pile=pile, command=SyncTime(), actor=SYSTEM)
    return len(piles)
