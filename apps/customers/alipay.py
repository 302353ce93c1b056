"""Alipay's mini-program: who signs in, and the phone number that its app encrypts for us, template messages
(integrations.md, 1.2 and 9)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import structlog
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.core.cache import cache

from apps.accounts import providers
from apps.accounts.errors import ProviderRefused as Refused
from apps.customers.errors import ProviderBusy, ProviderRefused
from apps.customers.models import MiniProgram

log = structlog.get_logger(__name__)

BUSY = {"isp.unknow-error", "isv.app-call-limited", "20000", "40005"}
CODE_UNKNOWN = "isv.code-invalid"
NEVER_GIVEN = "CONNECTIONTEST0000"
"""A code that Alipay never gives: it answers that there is none, to whom it knows."""
SEND = "alipay.open.app.mini.templatemessage.send"
USER_ID = re.compile(r"2088[0-9]{12}")
"""The form of accounts that older apps get; newer ones get an open_id."""
LONGEST_PHONE = 8_000
KEPT_S = 24 * 3600


def account_of(mini: MiniProgram, code: str) -> str:
    """Return the open_id, or user_id of older apps, that a code of `my.getAuthCode` stands for. It works once.

    Raises ProviderRefused, ProviderBusy.
    """
    try:
        account = providers.alipay_account(mini, code)
    except Refused as error:
        raise _error(mini, error.reason) from error
    if not isinstance(account, str) or not 0 < len(account) <= 128:
        raise _error(mini, "malformed")
    return account


def phone_of(mini: MiniProgram, text: str, *, account: str) -> str:
    """Return the number in what `my.getPhoneNumber` gave the app: JSON, signed by Alipay, encrypted with our key.

    Nothing in it says whose account it belongs to or when it was made, so it counts for the first account that it
    comes with. Raises ProviderRefused.
    """
    try:
        if len(text) > LONGEST_PHONE:
            raise ValueError
        given = json.loads(text)
        content, signature = given["response"], given["sign"]
        if not isinstance(content, str) or not isinstance(signature, str):
            raise TypeError  # an object: Alipay's refusal, which is neither encrypted nor a number
        providers.verify(mini, f'"{content}"'.encode(), signature)
        answer = json.loads(_decrypted(mini, content))
        mobile = answer["mobile"] if answer["code"] == "10000" else None
    except Refused as error:
        raise _error(mini, error.reason) from error
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _error(mini, "phone_malformed") from None
    if not isinstance(mobile, str):
        raise _error(mini, "phone_refused")
    owner = hashlib.sha256(f"{mini.app_id}:{account}".encode()).hexdigest()
    mark = f"alipay-phone:{hashlib.sha256(content.encode()).hexdigest()}"
    if not cache.add(mark, owner, KEPT_S) and cache.get(mark) != owner:
        raise _error(mini, "phone_of_another")
    return mobile


def send_message(
    mini: MiniProgram, *, openid: str, template_id: str, page: str, fields: Mapping[str, str]
) -> None:
    """Send a template message to an account of this app that subscribed to it. Raises ProviderRefused, ProviderBusy."""
    words = {
        ("to_user_id" if USER_ID.fullmatch(openid) else "to_open_id"): openid,
        "user_template_id": template_id,
        "page": page,
        "data": json.dumps({name: {"value": value} for name, value in fields.items()}, ensure_ascii=False),
    }
    try:
        providers.alipay_call(mini, SEND, {"biz_content": json.dumps(words, ensure_ascii=False)})
    except Refused as error:
        raise _error(mini, error.reason) from error


def is_right(mini: MiniProgram) -> str:
    """Return "" when Alipay knows the app by its key, else what is wrong. One HTTP call."""
    try:
        providers.alipay_account(mini, NEVER_GIVEN)
    except Refused as error:
        return "" if error.reason == CODE_UNKNOWN else error.reason
    return "malformed"


def content_key(text: str) -> bytes:
    """Return the bytes of a key for encrypted contents (接口内容加密). Raises ValueError."""
    key = base64.b64decode("".join(text.split()), validate=True)
    if len(key) not in {16, 24, 32}:
        raise ValueError
    return key


def _decrypted(mini: MiniProgram, content: str) -> bytes:
    """AES-CBC with an IV of zeros and PKCS#7 padding. Raises ValueError."""
    key, data = content_key(mini.content_key), base64.b64decode(content, validate=True)
    reader = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor()
    padded = reader.update(data) + reader.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def _error(mini: MiniProgram, reason: str) -> ProviderBusy | ProviderRefused:
    away = reason in BUSY or reason.startswith("http_5") or reason.endswith(("Error", "Timeout"))
    log.warning("mini_program_refused", provider=mini.provider, app_id=mini.app_id, reason=reason)
    error: Any = (ProviderBusy if away else ProviderRefused)(provider=mini.get_provider_display())
    error.reason = reason
    return error  # type: ignore[no-any-return]
