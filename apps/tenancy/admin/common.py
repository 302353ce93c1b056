"""What the pages of tenants share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from apps.backoffice.admin import BackofficeAdmin
from apps.common.errors import DomainError


class AddedByService:
    """A page whose `save_form` has a service add the row: nothing is left to save."""

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """It is saved already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside it."""


class DeedAdmin(BackofficeAdmin):
    """A page whose buttons call a service: deed and audit entry are one transaction, a refusal is a message."""

    def do(
        self,
        request: HttpRequest,
        obj: Model,
        word: str,
        service: Callable[[], dict[str, Any]],
        *,
        reason: str = "",
        done: Any = "",
    ) -> HttpResponse:
        """Call `service`, which returns what changed, and note it as `word`; lead back to the object's page."""
        try:
            with transaction.atomic():
                self.audit(request, word, obj, changes=service(), reason=reason)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, obj)
        return self.back_to(request, obj, done)
