"""What waits for a person at customers."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from apps.backoffice import todo
from apps.backoffice.todo import Todo
from apps.customers.feedback.models import Feedback, FeedbackState
from apps.customers.feedback.services import VIEW

todo.add(
    Todo(
        _("Feedback to answer"),
        VIEW,
        "admin:customers_feedback_changelist",
        lambda _request: Feedback.objects.filter(state=FeedbackState.OPEN),
        "state__exact=open",
        of_station="station",
    )
)
