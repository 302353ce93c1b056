"""Who is asking, and from where."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

from apps.common.ids import Actor


def staff_actor(request: HttpRequest) -> Actor:
    """Return the signed-in member of staff as an actor."""
    user = request.user
    return Actor("staff", str(user.pk or ""), str(user))


def client_address(request: HttpRequest | None) -> str | None:
    """Return the client's IP address, or None where there is none (a unix socket, a test without a connection).

    Behind our own TLS proxy it is the last hop of X-Forwarded-For: what stands before is the client's own word.
    """
    if request is None:
        return None
    found = request.META.get("REMOTE_ADDR") or ""
    if settings.SECURE_PROXY_SSL_HEADER:
        found = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", 1)[-1].strip() or found
    try:
        return str(ipaddress.ip_address(found))
    except ValueError:
        return None
