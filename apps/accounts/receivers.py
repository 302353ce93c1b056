"""What sign-ins and sign-outs leave behind: a line in the sign-in log, and a session that can be ended."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts import sessions, signing
from apps.accounts.enums import Method, Outcome, SessionEnd
from apps.accounts.models import User


@receiver(user_logged_in, dispatch_uid="staff_signed_in")
def signed_in(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Somebody is signed in, by whatever way."""
    if request is not None and isinstance(user, User):
        sessions.started(request, user)
        method = getattr(request, "sign_in_method", Method.OTHER)
        signing.note(request, Outcome.SIGNED_IN, method=method, user=user)


@receiver(user_logged_out, dispatch_uid="staff_signed_out")
def signed_out(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Somebody signed out; Django flushes the session right after this."""
    if request is not None and isinstance(user, User):
        sessions.ended(request.session.session_key, SessionEnd.SIGNED_OUT)
        signing.note(request, Outcome.SIGNED_OUT, method=signing.first_factor(request), user=user)
