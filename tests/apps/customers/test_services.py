from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.db import connection
from django_tenants.utils import schema_context

from apps.common import limits
from apps.common.phones import PhoneInvalid, normalize_phone
from apps.customers import signing
from apps.customers.errors import (
    CaptchaNeeded,
    CodeWrong,
    CustomerBlocked,
    TooManyFailures,
    VirtualOperator,
)
from apps.customers.models import Customer, CustomerState, DriverAppSettings
from apps.customers.services import request_code, sign_in
from apps.customers.signing import Account
from apps.notifications.errors import TooManyCodes
from tests.apps.notifications.test_services import an_sms_account

PHONE = "+8613800000001"
ADDRESS = "203.0.113.7"
START = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def sms_log(settings, tmp_path: Path) -> Path:
    settings.SMS_LOG = tmp_path / "sms.log"
    return settings.SMS_LOG


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def codes(sms_log: Path) -> list[str]:
    return [line.split()[1] for line in sms_log.read_text().splitlines()] if sms_log.exists() else []


def other_code(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def refused_for_s(phone: str = PHONE, address: str = ADDRESS) -> int:
    with pytest.raises(TooManyCodes) as caught:
        request_code(phone=phone, address=address)
    return caught.value.data["retry_after_s"]


@pytest.mark.parametrize("prefix", ["162", "165", "167", "170", "171"])
def test_newcomers_with_numbers_of_virtual_operators_are_refused_where_the_tenant_says_so(
    tenant, sms_log: Path, prefix: str
) -> None:
    known, stranger = (f"+86{prefix}1234567{number}" for number in range(2))
    customer = Customer.objects.create(phone=known)
    account = Account("wechat", "wx1", "o1")
    DriverAppSettings.objects.update(refuses_virtual_operators=True)
    for phone in (known, stranger):  # the answer to both is the same
        request_code(phone=phone, address=ADDRESS)
    first, second = codes(sms_log)
    assert sign_in(phone=known, code=first, address=ADDRESS) == customer
    with pytest.raises(VirtualOperator):
        sign_in(phone=stranger, code=second, address=ADDRESS)
    assert signing.bind(account=account, phone=known) == customer
    with pytest.raises(VirtualOperator):
        signing.bind(account=Account("wechat", "wx1", "o2"), phone=stranger)
    other = Customer.objects.create(phone=PHONE)
    for phone in (known, stranger):
        with pytest.raises(VirtualOperator):
            signing.send_new_code(customer=other, phone=phone, address=ADDRESS)
    assert len(codes(sms_log)) == 2
    assert set(Customer.objects.all()) == {customer, other}
    DriverAppSettings.objects.update(refuses_virtual_operators=False)
    assert signing.bind(account=Account("wechat", "wx1", "o2"), phone=stranger).phone == stranger


@pytest.mark.parametrize("text", ["13800000001", "138 0000 0001", "+86 138-0000-0001", "008613800000001"])
def test_phones_are_kept_in_one_form(text: str) -> None:
    assert normalize_phone(text) == PHONE


@pytest.mark.parametrize(
    "text", ["", "1380000000", "138000000011", "01062551234", "call me", "+8602164000000", "\x00", "1" * 300]
)
def test_what_is_no_mobile_number(text: str) -> None:
    with pytest.raises(PhoneInvalid):
        normalize_phone(text)


def test_first_sign_in_makes_the_customer(tenant, clock, sms_log: Path) -> None:
    request_code(phone="138 0000 0001", address=ADDRESS)
    (code,) = codes(sms_log)
    assert len(code) == 6
    assert code.isdigit()
    customer = sign_in(phone="13800000001", code=code, address=ADDRESS)
    assert (customer.phone, customer.last_login_at) == (PHONE, START)
    clock.shift(61)
    request_code(phone=PHONE, address=ADDRESS)
    assert sign_in(phone=PHONE, code=codes(sms_log)[1], address=ADDRESS) == customer
    assert Customer.objects.count() == 1


def test_a_code_works_once(tenant, clock, sms_log: Path) -> None:
    request_code(phone=PHONE, address=ADDRESS)
    sign_in(phone=PHONE, code=codes(sms_log)[0], address=ADDRESS)
    with pytest.raises(CodeWrong):
        sign_in(phone=PHONE, code=codes(sms_log)[0], address=ADDRESS)


def test_a_code_lives_five_minutes(tenant, clock, sms_log: Path) -> None:
    request_code(phone=PHONE, address=ADDRESS)
    clock.shift(299)
    request_code(phone="+8613800000002", address=ADDRESS)
    clock.shift(1)
    with pytest.raises(CodeWrong):
        sign_in(phone=PHONE, code=codes(sms_log)[0], address=ADDRESS)
    clock.shift(298)
    assert sign_in(phone="+8613800000002", code=codes(sms_log)[1], address=ADDRESS).phone == "+8613800000002"


def test_four_wrong_tries_leave_the_code_and_the_fifth_kills_it(tenant, clock, sms_log: Path) -> None:
    for tries, works in ((4, True), (5, False)):
        request_code(phone=PHONE, address=ADDRESS)
        code = codes(sms_log)[-1]
        for _ in range(tries):
            with pytest.raises(CodeWrong):
                sign_in(phone=PHONE, code=other_code(code), address=ADDRESS)
        if works:
            sign_in(phone=PHONE, code=code, address=ADDRESS)
        else:
            with pytest.raises(CodeWrong):
                sign_in(phone=PHONE, code=code, address=ADDRESS)
        clock.shift(3601)


def test_a_new_code_voids_the_one_before(tenant, clock, sms_log: Path) -> None:
    request_code(phone=PHONE, address=ADDRESS)
    clock.shift(60)
    request_code(phone=PHONE, address=ADDRESS)
    first, second = codes(sms_log)
    if first != second:
        with pytest.raises(CodeWrong):
            sign_in(phone=PHONE, code=first, address=ADDRESS)
    assert sign_in(phone=PHONE, code=second, address=ADDRESS).phone == PHONE


def test_a_code_is_for_its_phone_and_its_tenant(tenant, other_tenant, clock, sms_log: Path) -> None:
    request_code(phone=PHONE, address=ADDRESS)
    (code,) = codes(sms_log)
    with pytest.raises(CodeWrong):
        sign_in(phone="+8613800000002", code=code, address=ADDRESS)
    with schema_context(other_tenant.schema_name), pytest.raises(CodeWrong):
        sign_in(phone=PHONE, code=code, address=ADDRESS)
    assert sign_in(phone=PHONE, code=code, address=ADDRESS).phone == PHONE


def test_a_phone_gets_one_in_a_minute_five_an_hour_ten_a_day(tenant, clock, sms_log: Path) -> None:
    request_code(phone=PHONE, address="198.51.100.1")
    clock.shift(59)
    assert refused_for_s(address="198.51.100.2") == 1
    clock.shift(1)
    for number in range(2, 6):
        request_code(phone=PHONE, address=f"198.51.100.{number}")
        clock.shift(60)
    assert refused_for_s() == 3600 - 5 * 60
    clock.shift(3600 - 5 * 60)
    for number in range(6, 11):
        request_code(phone=PHONE, address=f"198.51.100.{number}")
        clock.shift(60 if number < 10 else 3600)
    assert len(codes(sms_log)) == 10
    assert refused_for_s() == int((START + timedelta(days=1) - datetime.now(UTC)).total_seconds())
    clock.move_to(START + timedelta(days=1))
    request_code(phone=PHONE, address=ADDRESS)
    assert len(codes(sms_log)) == 11


def test_an_address_gets_twenty_an_hour(tenant, clock, sms_log: Path) -> None:
    for number in range(20):
        request_code(phone=f"+86138000001{number:02d}", address=ADDRESS)
    assert refused_for_s(phone="+8613800000120") == 3600
    assert len(codes(sms_log)) == 20
    request_code(phone="+8613800000120", address="203.0.113.8")
    clock.shift(3600)
    request_code(phone="+8613800000121", address=ADDRESS)


def test_a_refused_send_counts_nowhere(tenant, clock) -> None:
    request_code(phone=PHONE, address=ADDRESS)
    for _ in range(30):
        refused_for_s()
    request_code(phone="+8613800000002", address=ADDRESS)


def test_a_tenants_budget_is_its_own(tenant, other_tenant, clock, settings) -> None:
    settings.SMS_DAILY_BUDGET = 0
    assert refused_for_s(phone="+8613800000001") == 86_400
    settings.SMS_DAILY_BUDGET = 2
    request_code(phone="+8613800000001", address=ADDRESS)
    clock.shift(100)
    request_code(phone="+8613800000002", address=ADDRESS)
    assert refused_for_s(phone="+8613800000003") == 86_300
    with schema_context(other_tenant.schema_name):
        request_code(phone="+8613800000003", address=ADDRESS)


def test_requests_at_the_same_instant_send_one_code(committed, sms_log: Path) -> None:
    schema = committed.schema_name

    def ask(_number: int) -> bool:
        with schema_context(schema):
            try:
                request_code(phone=PHONE, address=ADDRESS)
            except TooManyCodes:
                return False
            finally:
                connection.close()  # whose account sends it is read from the database
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(16))) == [False] * 15 + [True]
    assert len(codes(sms_log)) == 1


@pytest.mark.parametrize("same", ["phone", "address"])
def test_ten_failures_of_an_hour_lock_for_a_quarter(tenant, clock, sms_log: Path, same: str) -> None:
    def target(number: int) -> dict[str, str]:
        return {
            "phone": PHONE if same == "phone" else f"+861380000010{number}",
            "address": ADDRESS if same == "address" else f"198.51.100.{number}",
        }

    for number in range(10):
        with pytest.raises(CodeWrong):
            sign_in(code="000000", **target(number % 10))
        clock.shift(6)
    request_code(phone=PHONE, address=ADDRESS)
    with pytest.raises(TooManyFailures) as caught:
        sign_in(phone=PHONE, code=codes(sms_log)[0], address=ADDRESS)
    assert caught.value.data["retry_after_s"] == 900 - 6
    request_code(phone="+8613800000099", address="192.0.2.1")
    sign_in(phone="+8613800000099", code=codes(sms_log)[1], address="192.0.2.1")
    clock.shift(894)
    request_code(phone=PHONE, address=ADDRESS)
    assert sign_in(phone=PHONE, code=codes(sms_log)[2], address=ADDRESS).phone == PHONE


def test_nine_failures_and_one_an_hour_later_do_not_lock(tenant, clock, sms_log: Path) -> None:
    for _ in range(9):
        with pytest.raises(CodeWrong):
            sign_in(phone=PHONE, code="000000", address=ADDRESS)
    clock.shift(3600)
    with pytest.raises(CodeWrong):
        sign_in(phone=PHONE, code="000000", address=ADDRESS)
    request_code(phone=PHONE, address=ADDRESS)
    assert sign_in(phone=PHONE, code=codes(sms_log)[0], address=ADDRESS).phone == PHONE


def test_a_blocked_customer_does_not_get_in(tenant, clock, sms_log: Path) -> None:
    Customer.objects.create(phone=PHONE, state=CustomerState.BLOCKED)
    request_code(phone=PHONE, address=ADDRESS)
    with pytest.raises(CustomerBlocked):
        sign_in(phone=PHONE, code=codes(sms_log)[0], address=ADDRESS)
    assert Customer.objects.get().last_login_at is None


def test_redis_holds_no_code_in_clear(tenant, clock, sms_log: Path) -> None:
    request_code(phone=PHONE, address=ADDRESS)
    client = limits._client()
    (key,) = client.keys("*:code:*")
    assert key == f"chargeplat:sign-in:{tenant.schema_name}:code:sign_in:{PHONE}"
    assert codes(sms_log)[0] not in str(client.hget(key, "digest"))
    assert 0 < client.ttl(key) <= 300


class Riddle:
    """A captcha with one right answer."""

    def verify(self, *, answer: str, address: str) -> bool:
        return answer == f"four, said {address}"


def test_captcha_after_the_second_send(tenant, clock, settings, world) -> None:
    settings.CAPTCHA = f"{__name__}.Riddle"
    an_sms_account(world)
    for _ in range(2):
        request_code(phone=PHONE, address=ADDRESS)
        clock.shift(60)
    for answer in ("", "five"):
        with pytest.raises(CaptchaNeeded):
            request_code(phone=PHONE, address=ADDRESS, captcha_answer=answer)
    request_code(phone=PHONE, address=ADDRESS, captcha_answer=f"four, said {ADDRESS}")
    assert len(world["aliyun-sms"].messages) == 3


def test_the_console_provider_needs_no_captcha(tenant, clock, settings, sms_log: Path) -> None:
    settings.CAPTCHA = f"{__name__}.Riddle"
    for _ in range(4):
        request_code(phone=PHONE, address=ADDRESS)
        clock.shift(60)
    assert len(codes(sms_log)) == 4
