"""The puzzle between a program and our text messages. settings.CAPTCHA names the class that checks it; "" is off."""

from __future__ import annotations

from functools import cache
from typing import Protocol, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from apps.notifications import sms


class Captcha(Protocol):
    """What a provider must be able to do."""

    def verify(self, *, answer: str, address: str) -> bool:
        """Return whether the answer that the app sent solves the puzzle shown to that IP address."""


def captcha() -> Captcha | None:
    """Return the provider, or None where none is needed: messages that are only written into a file cost no money.

    Raises ImproperlyConfigured when settings.CAPTCHA names no class.
    """
    if not settings.CAPTCHA or sms.is_console():
        return None
    return _provider(settings.CAPTCHA)


@cache
def _provider(path: str) -> Captcha:
    try:
        return cast("Captcha", import_string(path)())
    except ImportError as error:
        raise ImproperlyConfigured(f"CAPTCHA is {path!r}, which cannot be imported: {error}.") from error
