"""The one error type that services raise on purpose. Every other exception is a defect."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _


class DomainError(Exception):
    """A rule said no. `code` is stable and for programs, `message` is for people, `data` for both.

    Subclasses set `code`, `message` (may hold %(name)s of `data`) and `status` (HTTP status at the API border).
    """

    code = "error"
    message: Any = _("Something went wrong.")
    status = 400

    def __init__(self, **data: Any) -> None:
        self.data = data
        super().__init__(self.code)

    def __str__(self) -> str:
        text = str(self.message)
        return text % self.data if self.data and "%(" in text else text


class NotFound(DomainError):
    code = "not_found"
    message = _("Not found.")
    status = 404


class InvalidInput(DomainError):
    code = "invalid"
    message = _("Some fields are not right: %(fields)s")
    status = 400


class RetryableError(Exception):
    """Raised inside tasks: the same call may succeed later."""
