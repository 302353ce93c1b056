"""What pages share of rows that one person asks for and another decides (`common.models.Reviewed`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from apps.backoffice import approvals
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.people import staff_actor
from apps.common.errors import DomainError
from apps.common.models import Reviewed


class ReviewAdmin(ReadOnlyAdmin):
    """A list of applications with the buttons of their review.

    `operation`: whose rule says when the applicant may not decide; `review_permission`: who may at all. A button is
    there for those who may press it now, so the applicant sees none and the page says why (`waits_for_another`).
    """

    operation: ClassVar[str] = ""
    number: ClassVar[str] = "refund_no"
    """Field by which the services name a row."""
    review_permission: ClassVar[str] = ""

    def decide(  # noqa: PLR0917 - the buttons differ in just these
        self,
        request: HttpRequest,
        object_id: str,
        decide: Callable[..., Any],
        deed: str,
        reason: str,
        message: Any,
    ) -> HttpResponse:
        """Let a service decide (`number`, `reviewer`, `reason`), write the audit log and go back to the page."""
        row = self.row(request, object_id)
        try:
            with transaction.atomic():
                number = {self.number: getattr(row, self.number)}
                decided = decide(**number, reviewer=staff_actor(request), reason=reason)
                changes = {"state": [row.state, decided.state], "amount": [None, decided.amount]}
                self.audit(request, deed, decided, changes=changes, reason=reason)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, message)

    def reviewable(self, request: HttpRequest, object_id: Any, waiting: Q) -> bool:
        """Return whether this person may decide: any at all, or this one, when it is among the `waiting`."""
        if not self.allowed(request, self.review_permission):
            return False
        if object_id is None:
            return True
        row = self.model.objects.filter(waiting, pk=object_id).first()
        return row is not None and not self.is_own(request, row)

    def is_own(self, request: HttpRequest, row: Reviewed) -> bool:
        """Return whether this person asked for it and the tenant's rule wants another to decide."""
        amount = getattr(row, "amount", None)
        return not approvals.may_review(self.operation, row.applicant, staff_actor(request), amount)
