"""Drivers sign in with a code sent to their phone. Nobody learns from an answer whether a number is known here."""

from __future__ import annotations

import structlog
from django.db import transaction

from apps.common import limits
from apps.common.limits import Window
from apps.common.phones import normalize_phone
from apps.common.time import now
from apps.customers import app_settings
from apps.customers.captcha import captcha
from apps.customers.errors import CaptchaNeeded, CodeWrong, CustomerBlocked, TooManyFailures
from apps.customers.models import Customer, CustomerState
from apps.notifications import codes

log = structlog.get_logger(__name__)

SIGN_IN = "sign_in"
FAILURES_PER_HOUR = 10
LOCK_SECONDS = 15 * 60
HOUR = 3600
CAPTCHA_AFTER_PHONE, CAPTCHA_AFTER_ADDRESS = 2, 10
"""Sends of an hour after which a puzzle has to be solved, where a provider for it is set."""


def request_code(*, phone: str, address: str, captcha_answer: str = "") -> None:
    """Send a sign-in code to a phone, known or not; an earlier code is void.

    At most one in 60 s, 5 an hour and 10 in 24 h to a phone, 20 an hour from an IP address, and the tenant's budget of
    24 h. A number that the tenant takes no newcomers with gets its code, too: to say no here would tell of each such
    number whether it is known. Raises PhoneInvalid, CaptchaNeeded, TooManyCodes, and MessageNotSent, which counts as
    sent.
    """
    phone = normalize_phone(phone)
    at = now()
    provider = captcha()
    if provider is not None:
        many = limits.count(codes.hourly(phone), at=at) >= CAPTCHA_AFTER_PHONE
        many = many or limits.count(codes.from_address(address), at=at) >= CAPTCHA_AFTER_ADDRESS
        if many and not (captcha_answer and provider.verify(answer=captcha_answer, address=address)):
            raise CaptchaNeeded
    codes.send(purpose=SIGN_IN, phone=phone, address=address)


def sign_in(*, phone: str, code: str, address: str) -> Customer:
    """Return the customer of a phone whose code is right, made on the first sign-in. A code works once.

    Ten failures within an hour, of one phone or from one IP address, lock it for 15 minutes. Raises PhoneInvalid,
    TooManyFailures, CodeWrong, VirtualOperator (of newcomers), CustomerBlocked.
    """
    phone = normalize_phone(phone)
    check_code(purpose=SIGN_IN, phone=phone, code=code, address=address)
    with transaction.atomic():
        customer, is_new = Customer.objects.get_or_create(phone=phone)
        if is_new:
            app_settings.check_number(phone)
    if customer.state == CustomerState.BLOCKED:
        raise CustomerBlocked
    customer.last_login_at = now()
    customer.save(update_fields=["last_login_at", "updated_at"])
    log.info("signed_in", customer_id=customer.pk, is_new=is_new)
    return customer


def check_code(*, purpose: str, phone: str, code: str, address: str) -> None:
    """Use a code up that was sent to a phone (E.164) for a purpose.

    Ten failures within an hour, of one phone or from one IP address, lock it for 15 minutes. Raises TooManyFailures,
    CodeWrong.
    """
    at = now()
    guards = [
        Window("login-phone", phone, HOUR, FAILURES_PER_HOUR),
        Window("login-address", address, HOUR, FAILURES_PER_HOUR),
    ]
    with limits.trying(guards, at=at) as wait_s:
        if wait_s:
            raise TooManyFailures(retry_after_s=wait_s)
        if codes.is_right(purpose=purpose, phone=phone, code=code):
            return
        for guard in guards:
            limits.fail(guard, at=at, lock_s=LOCK_SECONDS)
    log.info("sign_in_failed", phone=phone, address=address, purpose=purpose)
    raise CodeWrong
