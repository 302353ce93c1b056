"""Refunds in words for people: the steps of a refund, and what stands in the way. English here, translated shown."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

EVENTS = {
    "applied": _("Applied for, money frozen"),
    "approved": _("Approved"),
    "rejected": _("Rejected"),
    "cancelled": _("Withdrawn by the driver, money back in the wallet"),
    "by_hand": _("Put on the list of transfers by hand"),
    "begun": _("Being paid"),
    "part_paid": _("Paid by the channel"),
    "part_refused": _("Refused by the channel"),
    "part_abnormal": _("Not accepted by the driver's account: act at the provider"),
    "part_short": _("The merchant account is short: tried again until it is topped up"),
    "transferred": _("Transferred by hand"),
    "returned": _("Back in review"),
    "returned_for_debt": _("Back in review: the driver owes money"),
    "done": _("Finished"),
}
PROBLEMS = {
    "closed": _("The channel closed it without paying."),
    "abnormal": _(
        "The driver's account did not accept the money. Finish it at the provider, or transfer it by hand."
    ),
}


def refund_event_words(kind: str) -> str:
    """Return a step of a refund in words."""
    return str(EVENTS.get(kind, kind))


def problem_words(problem: str) -> str:
    """Return what the channel said, in words where it is one of ours, else as it said it."""
    return str(PROBLEMS.get(problem, problem))


def event_detail(data: dict[str, Any]) -> str:
    """Return amount, number and words of an event, as one line."""
    parts = []
    if "amount" in data:
        parts.append(gettext("%(amount)s yuan") % {"amount": data["amount"]})
    if data.get("number"):
        parts.append(str(data["number"]))
    words = data.get("words") or data.get("reason")
    if words:
        parts.append(problem_words(str(words)))
    return " · ".join(parts)
