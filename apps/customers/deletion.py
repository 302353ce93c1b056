"""Deleting an account (注销): who somebody was is forgotten, orders and books stay as the law asks.

Personal Information Protection Law, article 47; e-commerce law, article 31 (records of trade: three years at least).
Other apps say what stands against it (settings.CUSTOMER_CLOSE_GUARDS) and do their part (settings.CUSTOMER_CLOSERS).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from apps.backoffice.audit import record
from apps.common.ids import Actor
from apps.customers import services, sessions
from apps.customers.errors import AccountKept
from apps.customers.kinds import AVATAR, PERSONAL_DATA
from apps.customers.models import (
    AppLanguage,
    CardState,
    Consent,
    Customer,
    CustomerState,
    DataExport,
    DataExportState,
    DriverSession,
    DriverSessionEnd,
)
from apps.customers.signing import PRESENT_PHONE
from apps.files import services as files
from apps.files.models import StoredFile

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reason:
    """What stands against deleting an account: a stable code, and a sentence that says what to do."""

    code: str
    text: Any


def reasons_to_keep(customer: Customer) -> list[Reason]:
    """Return what stands against deleting an account, in the order in which to clear it up.

    Inside a transaction the wallet stays locked until its end.
    """
    found: list[Reason] = []
    for path in settings.CUSTOMER_CLOSE_GUARDS:
        guard = cast("Callable[[Customer], Iterable[tuple[str, Any]]]", import_string(path))
        found += [Reason(code, text) for code, text in guard(customer)]
    return found


def standing_against(customer: Customer) -> list[Reason]:
    """Return what stands against deleting an account now, for its owner to read."""
    with transaction.atomic():
        return reasons_to_keep(customer)


def delete_account(*, customer: Customer, code: str, address: str) -> None:
    """Forget who a customer was: number, name, picture, accounts, cars, devices. The number can register anew.

    `code` was sent to the present number. Orders, ledger and consents stay, under a customer without a name; bonus
    money is given up; charging cards are frozen; an enterprise's list of members is the enterprise's. Raises
    AccountKept, TooManyFailures, CodeWrong.
    """
    _refuse(standing_against(customer))
    services.check_code(purpose=PRESENT_PHONE, phone=customer.phone, code=code, address=address)
    with transaction.atomic():
        # Not against rows that refer to it: a start holds the wallet when it writes its order.
        locked = Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=customer.pk)
        sessions.check_state(locked)
        _refuse(reasons_to_keep(locked))
        for path in settings.CUSTOMER_CLOSERS:
            cast("Callable[[Customer], None]", import_string(path))(locked)
        unwanted = _files_of(locked)
        _forget(locked)
        record(
            Actor("customer", str(locked.pk), str(locked)),
            "customers.customer_deleted",
            locked,
            address=address,
        )
        transaction.on_commit(partial(_discard, unwanted))
    log.info("account_deleted", customer_id=customer.pk)


def _refuse(reasons: list[Reason]) -> None:
    if reasons:
        raise AccountKept(
            reasons=" ".join(one.code for one in reasons), why=" ".join(str(one.text) for one in reasons)
        )


def _forget(customer: Customer) -> None:
    customer.identities.all().delete()
    customer.vehicles.all().delete()
    customer.inbox.all().delete()
    customer.cards.update(state=CardState.FROZEN)
    sessions.end_others(customer=customer, but=None, because=DriverSessionEnd.DELETED)
    DriverSession.objects.filter(customer=customer).update(agent="", address=None)
    Consent.objects.filter(customer=customer).update(agent="", address=None)
    DataExport.objects.filter(customer=customer).update(state=DataExportState.FAILED, file=None)
    customer.phone = f"-{customer.pk}"
    customer.nickname = customer.pin = ""
    customer.language, customer.elder_mode, customer.avatar = AppLanguage.UNSET, None, None
    customer.last_login_at = None
    customer.state = CustomerState.DELETED
    customer.save()


def _files_of(customer: Customer) -> list[int]:
    own = [AVATAR.name, PERSONAL_DATA.name]
    rows = StoredFile.objects.filter(owner_kind="customer", owner_id=str(customer.pk), kind__in=own)
    return list(rows.values_list("pk", flat=True))


def _discard(ids: list[int]) -> None:
    for file in StoredFile.objects.filter(pk__in=ids):
        files.discard(file)
