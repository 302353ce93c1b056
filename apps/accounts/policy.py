"""How staff of the current schema's back office sign in."""

from __future__ import annotations

from django.core.cache import cache

from apps.accounts.models import SignInPolicy

KEY = "accounts.sign_in_policy"
KNOWN_FOR_S = 60


def current() -> SignInPolicy:
    """Return the policy; every process knows a change within a minute, the one that made it at once."""
    found = cache.get(KEY)
    if not isinstance(found, SignInPolicy):
        found = SignInPolicy.objects.first() or SignInPolicy()
        cache.set(KEY, found, KNOWN_FOR_S)
    return found


def forget() -> None:
    """Look it up anew: it was changed."""
    cache.delete(KEY)
