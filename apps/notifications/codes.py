"""Codes of six digits that are sent to a phone: how many, how long they live, and whether one is right.

Codes are kept in Redis as a digest that is bound to tenant, purpose and phone.
"""

from __future__ import annotations

import secrets

import structlog
from django.conf import settings
from django.utils.crypto import salted_hmac

from apps.common import limits
from apps.common.limits import Window
from apps.common.schema import current_schema
from apps.common.time import now
from apps.notifications.errors import TooManyCodes
from apps.notifications.sms import send_code

log = structlog.get_logger(__name__)

CODE_SECONDS = 5 * 60
CODE_TRIES = 5
HOUR, DAY = 3600, 24 * 3600


def hourly(phone: str) -> Window:
    """Codes to a phone within an hour."""
    return Window("sms-phone-hour", phone, HOUR, 5)


def from_address(address: str) -> Window:
    """Codes that an IP address asked for within an hour."""
    return Window("sms-address", address, HOUR, 20)


def send(*, purpose: str, phone: str, address: str, really: bool = True) -> None:
    """Send a code to a phone (E.164); an earlier one for the same purpose is void.

    At most one in 60 s, 5 an hour and 10 in 24 h to a phone, 20 an hour from an IP address, and the tenant's budget of
    24 h (integrations.md, 1.4). With `really` false everything but the sending happens, so that the answer for a
    number that nobody has is the same. Raises TooManyCodes, and MessageNotSent, which counts as sent.
    """
    at = now()
    budget = Window("sms-tenant", "all", DAY, settings.SMS_DAILY_BUDGET)
    refusal = limits.take(
        [
            Window("sms-phone-minute", phone, 60, 1),
            hourly(phone),
            Window("sms-phone-day", phone, DAY, 10),
            from_address(address),
            *([budget] if really else []),
        ],
        at=at,
    )
    if refusal is not None:
        log_refusal = log.error if refusal.window is budget else log.info
        log_refusal("sms_code_refused", limit=refusal.window.name, phone=phone, address=address)
        raise TooManyCodes(retry_after_s=refusal.retry_after_s)
    if not really:
        return
    code = f"{secrets.randbelow(10**6):06d}"
    digest = _digest(purpose, phone, code)
    limits.store_code(name=f"{purpose}:{phone}", digest=digest, at=at, seconds=CODE_SECONDS)
    send_code(phone=phone, code=code)
    log.info("sms_code_sent", phone=phone, purpose=purpose)


def is_right(*, purpose: str, phone: str, code: str) -> bool:
    """Return whether this is the living code, which is then used up. The fifth wrong try kills it."""
    digest = _digest(purpose, phone, code)
    return limits.try_code(name=f"{purpose}:{phone}", digest=digest, at=now(), tries=CODE_TRIES)


def _digest(purpose: str, phone: str, code: str) -> str:
    # Bound to what it is for: a digest that was read from Redis is worth nothing elsewhere.
    value = f"{current_schema()}:{purpose}:{phone}:{code}"
    return salted_hmac("notifications.sms_code", value, algorithm="sha256").hexdigest()
