"""What signing in leaves behind and nobody needs any more."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from apps.accounts import sessions
from apps.accounts.models import SignInRecord, StaffSession
from apps.common.time import now

BATCH = 5_000
SESSION_DAYS = 90


def purge() -> dict[str, int]:
    """Delete old lines of the log (settings.SIGN_IN_LOG_DAYS), sessions over for 90 days, and Django's own sessions
    that nobody can use; return how many of each. In batches: no long transaction."""
    moment = now()
    logged = SignInRecord.objects.filter(at__lt=moment - timedelta(days=settings.SIGN_IN_LOG_DAYS))
    over = sessions.with_state(StaffSession.objects.filter(seen_at__lt=moment - timedelta(days=SESSION_DAYS)))
    return {
        "sign_ins": _delete(logged),
        "sessions": _delete(over.filter(lives=False)),
        "django_sessions": _delete(Session.objects.filter(expire_date__lt=moment)),
    }


def _delete(rows: QuerySet) -> int:
    count = 0
    while True:
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not keys:
            return count
        rows.filter(pk__in=keys).delete()
        count += len(keys)
