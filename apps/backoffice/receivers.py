"""Sign-ins and sign-outs of staff go to the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from apps.backoffice.audit import record
from apps.backoffice.people import client_address
from apps.common.ids import Actor


@receiver(user_logged_in, dispatch_uid="audit_logged_in")
def logged_in(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Somebody signed in to a back office."""
    actor = Actor("staff", str(user.pk), str(user))
    record(actor, "accounts.signed_in", user, address=client_address(request))


@receiver(user_logged_out, dispatch_uid="audit_logged_out")
def logged_out(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Somebody signed out; `user` is None when the session had ended before."""
    if user is not None:
        actor = Actor("staff", str(user.pk), str(user))
        record(actor, "accounts.signed_out", user, address=client_address(request))


@receiver(user_login_failed, dispatch_uid="audit_login_failed")
def login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """A wrong name or password; the name is kept as it was typed."""
    actor = Actor("staff", name=str(credentials.get("username", ""))[:100])
    record(actor, "accounts.sign_in_failed", None, address=client_address(request))
