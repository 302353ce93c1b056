"""Text messages through the provider that settings.SMS_PROVIDER names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Protocol, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

PROVIDERS = {"console": "apps.notifications.channels.console.ConsoleSms"}


class SmsProvider(Protocol):
    """What a provider must be able to do."""

    def send(self, *, phone: str, template: str, params: Mapping[str, str]) -> None:
        """Hand over one message. `phone` is in E.164 form, `template` our name of it. Raises MessageNotSent."""


def send_code(*, phone: str, code: str) -> None:
    """Send a sign-in code to a phone (E.164). Raises MessageNotSent, or ImproperlyConfigured."""
    provider(settings.SMS_PROVIDER).send(phone=phone, template="code", params={"code": code})


@cache
def provider(name: str) -> SmsProvider:
    """Return the provider of a name; raises ImproperlyConfigured for a name that nobody answers to."""
    if name not in PROVIDERS:
        raise ImproperlyConfigured(
            f"SMS_PROVIDER is {name!r}, which is none of the text message providers: {', '.join(PROVIDERS)}."
        )
    return cast("SmsProvider", import_string(PROVIDERS[name])())
