"""The demo's company: made once, its top-up booked by two people, whatever was interrupted."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.backoffice.models import Approval
from apps.common.ids import SYSTEM, Actor
from apps.common.time import now
from apps.customers.models import Enterprise
from apps.reports.demo import fleet
from apps.wallet.enterprise_accounts import request_deposit
from apps.wallet.models import EnterpriseAccount
from apps.wallet.services import account_of
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")

ASKER, APPROVER = Actor("staff", "1", "复核员"), Actor("staff", "2", "管理员")


def test_a_top_up_that_was_asked_for_is_approved_by_the_next_run_and_booked_once() -> None:
    drivers = {fleet.SPENT: factories.a_customer("0"), 3: factories.a_customer("0")}
    fleet.seed_fleet(drivers, SYSTEM)
    account = account_of(enterprise=Enterprise.objects.get())
    request_deposit(account=account, amount=fleet.TOP_UP, number=fleet.NUMBER, actor=ASKER, reason="x")
    for _ in range(2):
        fleet.book_top_up(ASKER, APPROVER)
    approval = Approval.objects.get()
    assert (approval.state, approval.decided_by_name) == ("executed", "管理员")
    assert EnterpriseAccount.objects.get().principal == fleet.TOP_UP


def test_what_staff_changed_of_the_company_stays() -> None:
    drivers = {fleet.SPENT: factories.a_customer("0"), 3: factories.a_customer("0")}
    fleet.seed_fleet(drivers, SYSTEM)
    fleet.book_top_up(ASKER, APPROVER)
    enterprise = Enterprise.objects.get()
    assert (enterprise.pays, enterprise.members.count()) == (True, 2)
    Enterprise.objects.update(account_kind="none")
    enterprise.members.update(is_active=False, monthly_limit=None)
    fleet.seed_fleet(drivers, SYSTEM)
    enterprise.refresh_from_db()
    assert enterprise.pays is False
    assert not enterprise.members.exclude(is_active=False, monthly_limit=None).exists()


def test_a_limit_that_is_used_up_leaves_the_driver_to_pay() -> None:
    spent, other = factories.a_customer("0"), factories.a_customer("0")
    fleet.seed_fleet({fleet.SPENT: spent, 3: other}, SYSTEM)
    place = factories.a_connector()
    station_id = place.pile.station_id

    def pays(driver, amount: str | None) -> bool:
        wanted = None if amount is None else Decimal(amount)
        return fleet.pays(customer=driver, station_id=station_id, amount=wanted, at=now())

    assert [pays(spent, amount) for amount in ("30.00", "30.01", None)] == [True, False, True]
    factories.a_settled_order("60.0000", customer=spent, connector=place)  # 24.00 of service: 3.60 off
    assert [pays(spent, amount) for amount in ("1.00", None)] == [False, False]
    assert pays(other, "60.01")
    assert not pays(factories.a_customer("0"), "1.00")
