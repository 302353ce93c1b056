"""WeChat and Alipay accounts of staff: scanned to sign in, once bound. An unbound one makes nobody staff."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from apps.accounts import providers
from apps.accounts.enums import Provider
from apps.accounts.errors import BoundToAnother, ProviderOff, StateInvalid
from apps.accounts.models import LoginIdentity, LoginProvider, User
from apps.common.time import now

STATE = "qr_state"
STATE_S = 300


@dataclass(frozen=True)
class Scanned:
    """Who came back from the provider's page, and what for."""

    provider: LoginProvider
    subject: str
    binds_for: int | None
    """Id of the person who is binding; None when somebody signs in."""
    next: str


def active() -> list[LoginProvider]:
    """Return by what staff can sign in here."""
    return list(LoginProvider.objects.filter(is_active=True))


def provider_of(name: str) -> LoginProvider:
    """Return the tenant's application at a provider. Raises ProviderOff."""
    found = LoginProvider.objects.filter(provider=name, is_active=True).first()
    if found is None:
        known = dict(Provider.choices)
        raise ProviderOff(provider=known.get(name, name[:16]))
    return found


def begin(
    request: HttpRequest, *, provider: str, back: str, binds_for: int | None = None, then: str = ""
) -> str:
    """Return the provider's page with the QR code. Its state is good once, for five minutes, in this session only.

    Raises ProviderOff.
    """
    found = provider_of(provider)
    state = secrets.token_urlsafe(24)
    request.session[STATE] = {
        "state": state,
        "provider": provider,
        "binds_for": binds_for,
        "next": then,
        "until": int(now().timestamp()) + STATE_S,
    }
    return providers.scan_page(found, back=back, state=state)


def come_back(request: HttpRequest, *, provider: str, state: str, code: str) -> Scanned:
    """Return who scanned. Calls the provider. Raises StateInvalid, ProviderOff, ProviderRefused."""
    kept = request.session.pop(STATE, None)
    if (
        not kept
        or not secrets.compare_digest(kept["state"].encode(), state.encode())
        or kept["provider"] != provider
        or kept["until"] < now().timestamp()
        or not 0 < len(code) <= 256
    ):
        raise StateInvalid
    found = provider_of(provider)
    return Scanned(found, providers.subject_of(found, code), kept["binds_for"], kept["next"])


def bind(user: User, scanned: Scanned) -> LoginIdentity:
    """Let an account at the provider stand for a person. Raises BoundToAnother, also when two do it at once."""
    words = {"provider": scanned.provider.provider, "app_id": scanned.provider.app_id}
    try:
        with transaction.atomic():
            made = LoginIdentity.objects.create(user=user, subject=scanned.subject, **words)
    except IntegrityError:
        same = LoginIdentity.objects.filter(user=user, subject=scanned.subject, **words).first()
        if same is None:
            raise BoundToAnother(provider=scanned.provider.get_provider_display()) from None
        return same
    return made


def unbind(user: User, provider: str) -> int:
    """Forget a person's accounts at a provider; return how many there were."""
    gone, _each = LoginIdentity.objects.filter(user=user, provider=provider).delete()
    return gone
