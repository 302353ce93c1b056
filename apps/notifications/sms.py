"""Text messages: by the tenant's account that is in use, else by the provider that settings.SMS_PROVIDER names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from apps.common.schema import in_public
from apps.notifications.channels.aliyun import AliyunSms
from apps.notifications.channels.base import NotConfigured, SendError
from apps.notifications.channels.console import ConsoleSms
from apps.notifications.channels.tencent import TencentSms
from apps.notifications.errors import MessageNotSent
from apps.notifications.models import SmsAccount

log = structlog.get_logger(__name__)

LONGEST_VALUE = 20
"""Providers refuse long values, and a text message is short anyhow."""


@dataclass(frozen=True)
class Template:
    """A text that a provider has to approve: what it is for, and the names of its values, in their order."""

    title: Any
    params: tuple[str, ...]


TEMPLATES: dict[str, Template] = {
    "code": Template(_("sign-in code"), ("code",)),
    "alarm": Template(_("alarm"), ("level", "kind", "place", "time")),
}


class SmsProvider(Protocol):
    """What a provider must be able to do."""

    def send(self, *, phone: str, template: str, params: Mapping[str, str], out_id: str = "") -> str:
        """Hand over one message and return the provider's number of it. `phone` is in E.164 form, `template` our name
        of it. Raises SendError."""

    def check(self) -> None:
        """See that the account would work, without sending anything. Raises SendError."""


def send_code(*, phone: str, code: str) -> None:
    """Send a sign-in code to a phone (E.164). Raises MessageNotSent, or ImproperlyConfigured.

    Codes are in no log. Call it outside of a transaction: the provider may take seconds.
    """
    try:
        send(phone=phone, template="code", params={"code": code})
    except SendError as error:
        log.warning("sms_not_sent", phone=phone, template="code", error_code=error.code)
        raise MessageNotSent from error


def send(*, phone: str, template: str, params: Mapping[str, str], out_id: str = "") -> str:
    """Send one text message and return the provider's number of it. Raises SendError.

    `params` are the values of TEMPLATES[template]; values too long for a text message are cut.
    """
    values = {name: cut(params[name]) for name in TEMPLATES[template].params}
    return provider().send(phone=phone, template=template, params=values, out_id=out_id)


def cut(value: str) -> str:
    """Return a value as long as templates take it, on one line."""
    text = " ".join(value.split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def provider() -> SmsProvider:
    """Return who sends here now. Raises NotConfigured, and ImproperlyConfigured for a deployment without a provider."""
    account = _account_in_use()
    if account is not None:
        return provider_of(account)
    if settings.SMS_PROVIDER != "console":
        raise ImproperlyConfigured(
            f"SMS_PROVIDER is {settings.SMS_PROVIDER!r}, which is none of the deployment's text message providers: "
            "console. Accounts with Aliyun and Tencent are the tenants' own (back office: SMS accounts)."
        )
    return ConsoleSms()


def is_console() -> bool:
    """Return whether messages are only written into a file here, so that they cost nothing."""
    account = _account_in_use()
    return (account.provider if account else settings.SMS_PROVIDER) == "console"


def _account_in_use() -> SmsAccount | None:
    return None if in_public() else SmsAccount.objects.filter(is_active=True).first()


def provider_of(account: SmsAccount) -> SmsProvider:
    """Return the client of an account. Raises NotConfigured with the field that is missing."""
    if account.provider == "console":
        return ConsoleSms()
    needed = ["access_key_id", "access_key_secret", "sign_name"]
    if account.provider == "tencent":
        needed.append("app_id")
    for name in needed:
        if not getattr(account, name):
            raise NotConfigured(name)
    templates = _Templates(account.templates)
    if account.provider == "aliyun":
        return AliyunSms(
            access_key_id=account.access_key_id,
            access_key_secret=account.access_key_secret,
            sign_name=account.sign_name,
            templates=templates,
            url=settings.SMS_ALIYUN_URL,
            timeout=settings.MESSAGE_TIMEOUT_S,
        )
    return TencentSms(
        access_key_id=account.access_key_id,
        access_key_secret=account.access_key_secret,
        app_id=account.app_id,
        sign_name=account.sign_name,
        templates=templates,
        region=account.region,
        url=settings.SMS_TENCENT_URL,
        timeout=settings.MESSAGE_TIMEOUT_S,
    )


class _Templates(dict[str, str]):
    """Codes by our names; a template without a code cannot be sent."""

    def __missing__(self, name: str) -> str:
        raise NotConfigured(f"template_{name}")
