"""A driver's feedback where the account is deleted, or its data copied (settings.CUSTOMER_*)."""

from __future__ import annotations

from typing import Any

from apps.customers.feedback.models import SEEN_BY_DRIVERS, Feedback, FeedbackEntry, FeedbackState
from apps.customers.models import Customer


def forget_writer(customer: Customer) -> None:
    """Close what is open, and take the driver's name from what was written."""
    Feedback.objects.filter(customer=customer).update(state=FeedbackState.CLOSED)
    entries = FeedbackEntry.objects.filter(feedback__customer=customer, actor_kind="customer")
    entries.update(actor_name="")


def data_of(customer: Customer) -> dict[str, list[dict[str, Any]]]:
    """Return what a driver wrote and was answered."""
    entries = FeedbackEntry.objects.filter(feedback__customer=customer, kind__in=SEEN_BY_DRIVERS)
    rows = entries.order_by("id").values("feedback__feedback_no", "feedback__kind", "kind", "at", "text")
    return {"feedback": list(rows)}
