"""Who is asking, and from where."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.admin.filters import AllValuesFieldListFilter
from django.http import HttpRequest
from django.utils.translation import pgettext_lazy

from apps.common.ids import Actor

KINDS = {
    "staff": pgettext_lazy("actor", "staff"),
    "customer": pgettext_lazy("actor", "driver"),
    "pile": pgettext_lazy("actor", "pile"),
    "command": pgettext_lazy("actor", "command line"),
    "system": pgettext_lazy("actor", "system"),
}
"""Kinds of actors in words."""


class ActorKindFilter(AllValuesFieldListFilter):
    """Who did it or asked for it, by kind."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """In words."""
        for one in super().choices(changelist):
            yield {**one, "display": KINDS.get(one["display"], one["display"])}


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
