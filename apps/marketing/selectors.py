"""Reads of activities."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from apps.common.time import now
from apps.marketing.enums import ActivityState
from apps.marketing.errors import ActivityNotFound
from apps.marketing.models import Activity
from apps.tenancy import features

FEATURE = "marketing"


def in_state(state: ActivityState, at: datetime) -> Q:
    """Return the condition for `Activity.state_at`."""
    over = Q(ends_at__lte=at)
    match state:
        case ActivityState.OVER:
            return over
        case ActivityState.DRAFT:
            return ~over & Q(is_published=False)
        case ActivityState.COMING:
            return ~over & Q(is_published=True, starts_at__gt=at)
        case ActivityState.RUNNING:
            return ~over & Q(is_published=True, starts_at__lte=at)


def running(*, at: datetime | None = None) -> QuerySet[Activity]:
    """Return the activities that drivers see now."""
    offered = Activity.objects.all() if features.has(FEATURE) else Activity.objects.none()
    return offered.filter(in_state(ActivityState.RUNNING, at or now())).select_related("cover")


def banners(*, at: datetime | None = None) -> QuerySet[Activity]:
    """Return those for the top of the app, with a cover, in their order."""
    return running(at=at).filter(is_banner=True, cover__isnull=False).order_by("position", "-id")


def running_activity(*, activity_id: int, at: datetime | None = None) -> Activity:
    """Return one that drivers see now. Raises ActivityNotFound."""
    found = running(at=at).filter(pk=activity_id).first()
    if found is None:
        raise ActivityNotFound
    return found
