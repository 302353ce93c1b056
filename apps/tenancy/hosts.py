"""A short memory of which tenant a host belongs to, so that a request costs no query for it.

One per process. What this process saves is seen at once (`forget`), everything else within `LIFETIME_S`.
"""

from __future__ import annotations

import copy
from time import monotonic
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from apps.tenancy.models import Tenant

LIFETIME_S = 5.0
_known: dict[str, tuple[float, Tenant]] = {}


def recall(key: str) -> Tenant | None:
    """Return a copy of the tenant remembered for `key`, or None."""
    found = _known.get(key)
    return copy.copy(found[1]) if found and found[0] > monotonic() else None


def remember(key: str, tenant: Tenant) -> None:
    """Keep a tenant for `LIFETIME_S`. What an open transaction has read is not kept: it may be rolled back."""
    if not connection.in_atomic_block:
        _known[key] = monotonic() + LIFETIME_S, copy.copy(tenant)


def forget() -> None:
    """Forget everything: a tenant or a host has changed."""
    _known.clear()
