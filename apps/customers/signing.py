"""Who a driver is, by WeChat, Alipay or phone: one phone number is one customer, whichever way they come.

An account at a provider counts for nothing until a phone number was proved together with it: there is no customer
without one. Who only wants to look around needs no account.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.db import IntegrityError, transaction

from apps.backoffice.audit import record
from apps.common.ids import Actor
from apps.common.phones import normalize_phone
from apps.common.time import now
from apps.customers import alipay, app_settings, services, sessions, wechat
from apps.customers.errors import PhoneSame, PhoneTaken, ProviderRefused
from apps.customers.mini_programs import of_provider
from apps.customers.models import (
    Customer,
    CustomerIdentity,
    DriverSession,
    DriverSessionEnd,
    IdentityProvider,
    MiniProgram,
)
from apps.notifications import codes

log = structlog.get_logger(__name__)

PRESENT_PHONE, NEW_PHONE = "present_phone", "new_phone"
"""Purposes of codes: a code for one is worth nothing for the other, nor for signing in."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody at a provider, as the provider told us."""

    provider: str
    app_id: str
    openid: str


def account_of(*, provider: str, code: str) -> Account:
    """Return whose account a code of the provider's app stands for. Calls the provider; not inside a transaction.

    Raises SignInOff, ProviderRefused, ProviderBusy.
    """
    mini = of_provider(provider)
    client = alipay if provider == IdentityProvider.ALIPAY else wechat
    return Account(provider, mini.app_id, client.account_of(mini, code))


def phone_of(*, account: Account, proof: str) -> str:
    """Return the phone number (E.164) that the provider confirms: WeChat's button code, Alipay's encrypted answer.

    Calls WeChat; not inside a transaction. Raises SignInOff, ProviderRefused, ProviderBusy, PhoneInvalid.
    """
    mini = _mini_of(account)
    if account.provider == IdentityProvider.ALIPAY:
        return normalize_phone(alipay.phone_of(mini, proof, account=account.openid))
    return normalize_phone(wechat.phone_of(mini, proof))


def customer_of(account: Account) -> Customer | None:
    """Return the customer that an account was bound to before, None for nobody. Raises CustomerBlocked."""
    found = (
        CustomerIdentity.objects.select_related("customer")
        .filter(provider=account.provider, app_id=account.app_id, openid=account.openid)
        .first()
    )
    if found is None:
        return None
    sessions.check_state(found.customer)
    moment = now()
    CustomerIdentity.objects.filter(pk=found.pk).update(last_login_at=moment, updated_at=moment)
    Customer.objects.filter(pk=found.customer_id).update(last_login_at=moment, updated_at=moment)
    return found.customer


def bind(*, account: Account, phone: str) -> Customer:
    """Return the customer of a phone number (E.164) that was proved together with an account, made if there is none.

    The account is that customer's from now on, also where it was another's: both were proved by whoever holds them
    now. Raises VirtualOperator (of newcomers), CustomerBlocked.
    """
    moment = now()
    with transaction.atomic():
        customer, is_new = Customer.objects.get_or_create(phone=phone)
        if is_new:
            app_settings.check_number(phone)
        sessions.check_state(customer)
        identity, _created = CustomerIdentity.objects.select_for_update().get_or_create(
            provider=account.provider,
            app_id=account.app_id,
            openid=account.openid,
            defaults={"customer": customer, "last_login_at": moment},
        )
        if identity.customer_id != customer.pk:
            log.info("identity_moved", identity_id=identity.pk, customer_id=customer.pk)
        identity.customer = customer
        identity.last_login_at = moment
        identity.save(update_fields=["customer", "last_login_at", "updated_at"])
        customer.last_login_at = moment
        customer.save(update_fields=["last_login_at", "updated_at"])
    log.info("identity_bound", provider=account.provider, customer_id=customer.pk, is_new=is_new)
    return customer


def send_present_code(*, customer: Customer, address: str) -> None:
    """Send the code that proves who changes the number to the present one. Raises TooManyCodes, MessageNotSent."""
    codes.send(purpose=PRESENT_PHONE, phone=customer.phone, address=address)


def send_new_code(*, customer: Customer, phone: str, address: str) -> None:
    """Send a code to the number that a driver wants to have.

    The answer does not tell whether somebody has it. Raises PhoneInvalid, PhoneSame, VirtualOperator, TooManyCodes,
    MessageNotSent.
    """
    number = normalize_phone(phone)
    if number == customer.phone:
        raise PhoneSame
    app_settings.check_number(number)
    codes.send(purpose=NEW_PHONE, phone=number, address=address)


def change_phone(
    *, session: DriverSession, phone: str, present_code: str, new_code: str, address: str
) -> Customer:
    """Give a driver another number, proved by a code to each of the two; other devices are signed out.

    Membership of an enterprise goes by number and does not come along. Raises PhoneInvalid, PhoneSame,
    TooManyFailures, CodeWrong, PhoneTaken.
    """
    customer, number = session.customer, normalize_phone(phone)
    if number == customer.phone:
        raise PhoneSame
    services.check_code(purpose=PRESENT_PHONE, phone=customer.phone, code=present_code, address=address)
    services.check_code(purpose=NEW_PHONE, phone=number, code=new_code, address=address)
    try:
        with transaction.atomic():
            locked = Customer.objects.select_for_update().get(pk=customer.pk)
            sessions.check_state(locked)
            before, locked.phone = locked.masked_phone, number
            locked.save(update_fields=["phone", "updated_at"])
            sessions.end_others(customer=locked, but=session, because=DriverSessionEnd.PHONE_CHANGED)
            record(
                Actor("customer", str(locked.pk), str(locked)),
                "customers.customer_phone_changed",
                locked,
                changes={"phone": [before, locked.masked_phone]},
                address=address,
            )
    except IntegrityError:
        if Customer.objects.filter(phone=number).exists():
            raise PhoneTaken from None
        raise
    log.info("phone_changed", customer_id=customer.pk)
    return locked


def _mini_of(account: Account) -> MiniProgram:
    mini = of_provider(account.provider)
    if mini.app_id != account.app_id:  # the tenant changed its app meanwhile
        raise ProviderRefused(provider=mini.get_provider_display())
    return mini
