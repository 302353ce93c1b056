"""Drivers sign in with a code sent to their phone. Nobody learns from an answer whether a number is known here."""

from __future__ import annotations

import secrets

import phonenumbers
import structlog
from django.conf import settings
from django.utils.crypto import salted_hmac

from apps.common.schema import current_schema
from apps.common.time import now
from apps.customers import limits
from apps.customers.captcha import captcha
from apps.customers.errors import (
    CaptchaNeeded,
    CodeWrong,
    CustomerBlocked,
    PhoneInvalid,
    TooManyCodes,
    TooManyFailures,
)
from apps.customers.limits import Window
from apps.customers.models import Customer, CustomerState
from apps.notifications.sms import send_code

log = structlog.get_logger(__name__)

SIGN_IN = "sign_in"
CODE_SECONDS = 5 * 60
CODE_TRIES = 5
FAILURES_PER_HOUR = 10
LOCK_SECONDS = 15 * 60
HOUR, DAY = 3600, 24 * 3600
CAPTCHA_AFTER_PHONE, CAPTCHA_AFTER_ADDRESS = 2, 10
"""Sends of an hour after which a puzzle has to be solved, where a provider for it is set."""


def normalize_phone(text: str) -> str:
    """Return a mobile number in E.164 form; without a country code it is China's. Raises PhoneInvalid."""
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        raise PhoneInvalid from None
    mobile = {phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE}
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) not in mobile:
        raise PhoneInvalid
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def request_code(*, phone: str, address: str, captcha_answer: str = "") -> None:
    """Send a sign-in code to a phone, known or not; an earlier code is void.

    At most one in 60 s, 5 an hour and 10 in 24 h to a phone, 20 an hour from an IP address, and the tenant's budget of
    24 h. Raises PhoneInvalid, CaptchaNeeded, TooManyCodes, and MessageNotSent, which counts as sent.
    """
    phone = normalize_phone(phone)
    at = now()
    hourly = Window("sms-phone-hour", phone, HOUR, 5)
    from_address = Window("sms-address", address, HOUR, 20)
    provider = captcha()
    if provider is not None:
        many = limits.count(hourly, at=at) >= CAPTCHA_AFTER_PHONE
        many = many or limits.count(from_address, at=at) >= CAPTCHA_AFTER_ADDRESS
        if many and not (captcha_answer and provider.verify(answer=captcha_answer, address=address)):
            raise CaptchaNeeded
    budget = Window("sms-tenant", "all", DAY, settings.SMS_DAILY_BUDGET)
    refusal = limits.take(
        [
            Window("sms-phone-minute", phone, 60, 1),
            hourly,
            Window("sms-phone-day", phone, DAY, 10),
            from_address,
            budget,
        ],
        at=at,
    )
    if refusal is not None:
        log_refusal = log.error if refusal.window is budget else log.info
        log_refusal("sms_code_refused", limit=refusal.window.name, phone=phone, address=address)
        raise TooManyCodes(retry_after_s=refusal.retry_after_s)
    code = f"{secrets.randbelow(10**6):06d}"
    limits.store_code(name=_name(phone), digest=_digest(phone, code), at=at, seconds=CODE_SECONDS)
    send_code(phone=phone, code=code)
    log.info("sms_code_sent", phone=phone)


def sign_in(*, phone: str, code: str, address: str) -> Customer:
    """Return the customer of a phone whose code is right, made on the first sign-in. A code works once.

    Ten failures within an hour, of one phone or from one IP address, lock it for 15 minutes. Raises PhoneInvalid,
    TooManyFailures, CodeWrong, CustomerBlocked.
    """
    phone = normalize_phone(phone)
    at = now()
    guards = [
        Window("login-phone", phone, HOUR, FAILURES_PER_HOUR),
        Window("login-address", address, HOUR, FAILURES_PER_HOUR),
    ]
    wait_s = max(limits.locked_for_s(guard, at=at) for guard in guards)
    if wait_s:
        raise TooManyFailures(retry_after_s=wait_s)
    if not limits.try_code(name=_name(phone), digest=_digest(phone, code), at=at, tries=CODE_TRIES):
        for guard in guards:
            limits.fail(guard, at=at, lock_s=LOCK_SECONDS)
        log.info("sign_in_failed", phone=phone, address=address)
        raise CodeWrong
    customer, is_new = Customer.objects.get_or_create(phone=phone)
    if customer.state == CustomerState.BLOCKED:
        raise CustomerBlocked
    customer.last_login_at = at
    customer.save(update_fields=["last_login_at", "updated_at"])
    log.info("signed_in", customer_id=customer.pk, is_new=is_new)
    return customer


def _name(phone: str) -> str:
    return f"{SIGN_IN}:{phone}"


def _digest(phone: str, code: str) -> str:
    # Bound to what it is for: a digest that was read from Redis is worth nothing elsewhere.
    value = f"{current_schema()}:{SIGN_IN}:{phone}:{code}"
    return salted_hmac("customers.sms_code", value, algorithm="sha256").hexdigest()
