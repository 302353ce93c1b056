"""Sign-ins at the same instant: one phone is one customer, one refresh token has one successor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

from django.db import connection, connections

from apps.common.errors import DomainError
from apps.customers import deletion, enterprises, services, sessions, signing
from apps.customers.errors import AccountKept, SessionOver
from apps.customers.models import Customer, CustomerIdentity, DriverSession
from apps.customers.signing import Account
from apps.orders import services as orders
from apps.orders.models import Order
from tests import factories
from tests.apps.miniapp.test_account import give_bonus

PHONE = "+8613900000001"


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do all works at the same time, each on a connection of its own; what each returned or raised."""
    gate = Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        connection.set_schema("t_alpha")
        try:
            gate.wait(10)
            return work()
        except DomainError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_wechat_and_alipay_of_one_phone_at_once(committed: Any) -> None:
    for number in range(5):
        phone = f"+861390000000{number}"
        accounts = [Account(name, "app", f"{name}{number}") for name in ("wechat", "alipay")]
        accounts += [accounts[0]]
        found = at_once(*(partial(signing.bind, account=one, phone=phone) for one in accounts))
        assert len({customer.pk for customer in found}) == 1, found
    assert Customer.objects.count() == 5
    assert CustomerIdentity.objects.count() == 10


def test_one_account_with_two_phones_at_once_belongs_to_one_of_them(committed: Any) -> None:
    account = Account("wechat", "app", "o1")
    phones = ["+8613900000001", "+8613900000002"]
    found = at_once(*(partial(signing.bind, account=account, phone=phone) for phone in phones))
    assert sorted(customer.phone for customer in found) == phones
    assert CustomerIdentity.objects.get().customer.phone in phones


def test_no_more_codes_are_tried_at_once_than_one_after_the_other(committed: Any) -> None:
    """A lock that counts after it looked would let all of them through."""
    customer = factories.a_customer("0")
    tries: list[Callable[[], Any]] = [
        partial(services.check_code, purpose="login", phone=PHONE, code="000000", address="10.0.0.1"),
        partial(enterprises.join, customer=customer, code="NOSUCHCODE"),
    ]
    for one in tries:
        names = Counter(type(error).__name__ for error in at_once(*[one] * 25))
        assert names.pop("TooManyFailures") >= 25 - services.FAILURES_PER_HOUR
        assert len(names) == 1
        assert set(names) <= {"CodeWrong", "InvitationUnknown"}


def test_one_refresh_token_used_twice_at_once(committed: Any) -> None:
    session = sessions.open_session(customer=Customer.objects.create(phone=PHONE))
    found = at_once(
        *(
            partial(sessions.refresh, number=session.number, generation=1, request_key=key)
            for key in ("mine", "a thief's")
        )
    )
    assert sorted(type(one).__name__ for one in found) == ["DriverSession", "SessionOver"]
    assert DriverSession.objects.get().ended_because == "reused"
    again = sessions.open_session(customer=Customer.objects.get())
    found = at_once(
        *([partial(sessions.refresh, number=again.number, generation=1, request_key="the same")] * 3)
    )
    assert [one.generation for one in found] == [2, 2, 2]
    assert not any(isinstance(one, SessionOver) for one in found)


def test_a_charge_does_not_begin_while_its_account_is_deleted(
    committed: Any, settings: Any, tmp_path: Any
) -> None:
    settings.SMS_LOG = tmp_path / "sms.log"
    for number in range(4):
        gun = factories.a_connector()
        customer = factories.a_customer("0", phone=f"+861390000000{number}")
        if number % 2:
            give_bonus(customer, "5.00")
        else:
            factories.a_paying_enterprise(customer)
        signing.send_present_code(customer=customer, address=f"10.0.0.{number}")
        code = settings.SMS_LOG.read_text().split()[-1]
        gone, order = at_once(
            partial(deletion.delete_account, customer=customer, code=code, address="10.0.0.1"),
            partial(
                orders.start_charge, customer=customer, connector_code=gun.code, request_key=f"k{number}"
            ),
        )
        customer.refresh_from_db()
        began = isinstance(order, Order)
        assert (customer.state == "deleted") is not began, (gone, order)
        assert isinstance(gone, AccountKept) is began
