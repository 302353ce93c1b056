"""Enterprises that pay: accounts of both kinds, limits, refunds, and never a hold beyond what there is."""

from datetime import datetime, time, timedelta
from decimal import Decimal

import pytest

from apps.backoffice import approvals
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.time import SHANGHAI, business_day, now
from apps.customers import enterprises
from apps.customers.models import Customer, CustomerState, EnterpriseMember
from apps.invoices.selectors import invoice_policy, invoiceable
from apps.orders import payers, quotes, refunds, services, settling
from apps.orders.balance import raise_holds
from apps.orders.errors import EnterpriseElsewhere
from apps.orders.ledger_check import differences
from apps.orders.limits import Limits
from apps.orders.models import Order
from apps.reports import rollups
from apps.wallet import enterprise_accounts
from apps.wallet.accounts import trial_balance
from apps.wallet.errors import EnterpriseShort
from apps.wallet.models import JournalEntry, Wallet
from apps.wallet.services import account_of, wallet_of
from tests import factories
from tests.apps.tenancy.test_packages import give

pytestmark = pytest.mark.usefixtures("tenant")
REVIEWER = Actor("staff", "2", "复核员")


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


def settle(order, energies):
    settling.settle_record(record_id=factories.a_record(order, energies).pk)
    order.refresh_from_db()
    return order


def refused(call, *args, **words):
    with pytest.raises(DomainError) as caught:
        call(*args, **words)
    return caught.value.code


def balance(enterprise):
    return Wallet.objects.get(enterprise=enterprise).principal


def test_a_prepaid_account_pays_and_the_driver_does_not():
    """10 kWh flat: 8.00 + 4.00; held are all 100.00, 88.00 of them are free again."""
    customer = factories.a_customer("30.00")
    enterprise = factories.a_paying_enterprise(customer)
    coupon = factories.a_coupon(customer)
    order = factories.a_charging_order(customer=customer)
    assert (order.payer, order.hold_amount) == ("enterprise", Decimal("100.00"))
    assert (balance(enterprise), wallet_of(customer=customer).available) == (
        Decimal("0.00"),
        Decimal("30.00"),
    )
    settle(order, {"flat": "10.0000"})
    assert (order.payable, order.paid_enterprise) == (Decimal("12.00"), Decimal("12.00"))
    assert (order.paid_principal, order.paid_bonus, order.debt, order.coupon_id) == (0, 0, 0, None)
    assert order.explanation[-1]["enterprise"] == "12.00"
    assert (balance(enterprise), wallet_of(customer=customer).available) == (
        Decimal("88.00"),
        Decimal("30.00"),
    )
    coupon.refresh_from_db()
    assert coupon.state == "available"


def test_the_driver_may_pay_instead_and_choose_so_for_good():
    customer = factories.a_customer("30.00")
    enterprise = factories.a_paying_enterprise(customer)
    order = settle(factories.a_charging_order(customer=customer, payer="wallet"), {"flat": "10.0000"})
    assert (order.payer, order.enterprise, order.paid_principal) == ("wallet", enterprise, Decimal("12.00"))
    enterprises.choose_payer(customer=customer, payer="wallet")
    assert factories.a_started_order(customer=customer).payer == "wallet"
    assert balance(enterprise) == Decimal("100.00")


def test_who_is_no_member_or_has_no_such_enterprise_pays_alone():
    stranger, member = factories.a_customer("30.00"), factories.a_customer("30.00")
    factories.an_enterprise(member)
    for customer in (stranger, member):
        assert factories.a_started_order(customer=customer).payer == "wallet"
        code = refused(factories.a_started_order, customer=customer, payer="enterprise")
        assert code == "orders.enterprise_does_not_pay"
    assert refused(enterprises.choose_payer, customer=stranger, payer="wallet") == "customers.no_member"


def test_a_postpaid_account_goes_down_to_its_limit_and_no_further():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(
        customer, "20.00", account_kind="postpaid", credit_limit=Decimal("50.00")
    )
    order = factories.a_charging_order(customer=customer)
    assert order.hold_amount == Decimal("70.00")
    assert refused(factories.a_started_order, customer=customer) == "wallet.enterprise_short"
    settle(order, {"flat": "30.0000"})  # 36.00
    assert balance(enterprise) == Decimal("-16.00")
    assert refused(factories.a_started_order, customer=customer, preset="34.01") == "wallet.enterprise_short"
    assert factories.a_started_order(customer=customer, preset="34.00").hold_amount == Decimal("34.00")


def test_what_goes_beyond_the_hold_is_paid_and_blocks_until_money_comes():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer, "10.00")
    order = settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})  # 12.00
    assert (order.debt, balance(enterprise)) == (Decimal("0.00"), Decimal("-2.00"))
    assert refused(factories.a_started_order, customer=customer) == "wallet.enterprise_short"
    factories.fund(enterprise, "5.00")
    assert factories.a_started_order(customer=customer).hold_amount == Decimal("3.00")


def test_a_drivers_debt_is_no_matter_of_the_enterprise():
    customer = factories.a_customer("10.00")
    settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    assert wallet_of(customer=customer).debt == Decimal("2.00")
    factories.a_paying_enterprise(customer)
    assert factories.a_started_order(customer=customer).payer == "enterprise"


def test_limits_of_member_and_enterprise_cut_the_hold():
    first, second = factories.a_customer("0"), factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(
        first, "500.00", monthly_limit=Decimal("60.00"), member_monthly_limit=Decimal("40.00")
    )
    enterprises.add_members(enterprise=enterprise, phones=[second.phone], actor=factories.SYSTEM)
    assert refused(factories.a_started_order, customer=first, preset="40.01") == "orders.enterprise_limit"
    order = factories.a_charging_order(customer=first)
    assert order.hold_amount == Decimal("40.00")
    assert factories.a_started_order(customer=second).hold_amount == Decimal("20.00"), (
        "what running ones hold counts"
    )
    settle(order, {"flat": "10.0000"})  # 12.00
    member = EnterpriseMember.objects.select_related("enterprise").get(phone=first.phone)
    quota = payers.quota_of(member=member, customer=first, at=now())
    assert (quota.limit, quota.used, quota.left) == (Decimal("40.00"), Decimal("12.00"), Decimal("28.00"))
    EnterpriseMember.objects.filter(pk=member.pk).update(monthly_limit=Decimal("12.00"))
    assert refused(factories.a_started_order, customer=first) == "orders.enterprise_limit"
    assert factories.top_up(first, "5.00")
    assert factories.a_started_order(customer=first, payer="wallet").hold_amount == Decimal("5.00")


def test_a_new_month_begins_anew():
    customer = factories.a_customer("0")
    factories.a_paying_enterprise(customer, "500.00", member_monthly_limit=Decimal("12.00"))
    order = settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    member = EnterpriseMember.objects.select_related("enterprise").get(phone=customer.phone)
    assert payers.quota_of(member=member, customer=customer, at=order.created_at).left == Decimal("0.00")
    first = order.created_at.astimezone(SHANGHAI).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    next_month = (first + timedelta(days=32)).replace(day=1)
    assert payers.quota_of(member=member, customer=customer, at=next_month).left == Decimal("12.00")
    Order.objects.filter(pk=order.pk).update(created_at=first - timedelta(microseconds=1))
    assert payers.quota_of(member=member, customer=customer, at=first).left == Decimal("12.00")


def test_a_charge_counts_for_the_month_in_which_it_began():
    """The order of a card's charge at a pile that was offline is made when the record comes, perhaps a month later."""
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer, "500.00")
    order = settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    this_month = order.created_at.astimezone(SHANGHAI).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    before, after = this_month - timedelta(hours=1), this_month + timedelta(hours=1)

    def used():
        return [payers.used_this_month(enterprise=enterprise, at=at) for at in (before, after)]

    orders = Order.objects.filter(pk=order.pk)
    orders.update(created_at=after, started_at=before)
    assert used() == [Decimal("0.00"), Decimal("12.00")], "a limit that was looked at counts where it was"
    orders.update(source="offline_card")
    assert used() == [Decimal("12.00"), Decimal("0.00")]
    orders.update(created_at=before, started_at=after)
    assert used() == [Decimal("12.00"), Decimal("0.00")], "the pile's clock was ahead"
    orders.update(created_at=after, started_at=None)
    assert used() == [Decimal("0.00"), Decimal("12.00")]


def test_neither_a_new_account_nor_a_new_number_begins_a_new_month():
    first = factories.a_customer("0", phone="+8613900000001")
    enterprise = factories.a_paying_enterprise(first, "500.00", member_monthly_limit=Decimal("40.00"))

    def used(customer):
        member = EnterpriseMember.objects.select_related("enterprise").get(phone=customer.phone)
        return payers.quota_of(member=member, customer=customer, at=now()).used

    settle(factories.a_charging_order(customer=first), {"flat": "10.0000"})  # 12.00
    Customer.objects.filter(pk=first.pk).update(phone=f"-{first.pk}", state=CustomerState.DELETED)
    second = factories.a_customer("0", phone="+8613900000001")
    assert used(second) == Decimal("12.00")
    assert refused(factories.a_started_order, customer=second, preset="28.01") == "orders.enterprise_limit"
    settle(factories.a_charging_order(customer=second), {"flat": "5.0000"})  # 6.00
    assert used(second) == Decimal("18.00")
    second.phone = "+8613900000002"
    second.save()
    enterprises.add_members(enterprise=enterprise, phones=[second.phone], actor=factories.SYSTEM)
    assert used(second) == Decimal("6.00")


def test_stations_and_hours_of_the_enterprise():
    customer = factories.a_customer("0")
    here, there = factories.a_connector(), factories.a_connector()
    enterprise = factories.a_paying_enterprise(customer)
    enterprise.stations.set([there.pile.station])
    assert (
        refused(factories.a_started_order, customer=customer, connector=here) == "orders.enterprise_elsewhere"
    )
    assert factories.a_started_order(customer=customer, connector=there, preset="10.00").payer == "enterprise"
    enterprise.stations.clear()
    enterprise.pay_hours = "07:00-22:00"
    enterprise.save()
    night = datetime.combine(business_day(now()), time(23, 30), SHANGHAI)
    with pytest.raises(DomainError, match="07:00-22:00"):
        payers.check_place(enterprise=enterprise, station_id=here.pile.station_id, at=night)
    noon = night.replace(hour=12)
    payers.check_place(enterprise=enterprise, station_id=here.pile.station_id, at=noon)
    words = {"customer": customer, "connector_code": here.code, "preset_amount": Decimal("5.00")}
    assert refused(services.start_charge, **words, request_key="night", at=night) == "orders.enterprise_hours"
    assert services.start_charge(**words, request_key="noon", at=noon).payer == "enterprise"


def test_a_chosen_coupon_needs_the_own_wallet():
    customer = factories.a_customer("30.00")
    factories.a_paying_enterprise(customer)
    coupon = factories.a_coupon(customer)
    assert refused(factories.a_started_order, customer=customer, coupon=coupon.pk) == "orders.own_coupon_only"
    assert factories.a_started_order(customer=customer, coupon=coupon.pk, payer="wallet").coupon == coupon


def test_a_repeated_start_is_the_first_and_no_other():
    customer = factories.a_customer("30.00")
    factories.a_paying_enterprise(customer)
    connector = factories.a_connector()
    order = factories.a_started_order(customer=customer, connector=connector, key="k")
    for payer in (None, "enterprise"):
        words = {"customer": customer, "connector": connector, "key": "k", "payer": payer}
        assert factories.a_started_order(**words) == order
    assert refused(factories.a_started_order, **words | {"payer": "wallet"}) == "idempotency.key_reused"


def test_a_top_up_of_the_driver_raises_no_hold_of_the_enterprise():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer, "500.00")
    order = factories.a_charging_order(customer=customer)
    held = order.hold_amount
    assert raise_holds(recharge_no=factories.top_up(customer, "50.00")) == 0
    order.refresh_from_db()
    assert (order.hold_amount, balance(enterprise)) == (held, Decimal("500.00") - held)


def test_a_failed_start_gives_the_hold_back():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer)
    order = factories.a_started_order(customer=customer)
    factories.accept_start(order, accepted=False, reason="fault")
    assert (Order.objects.get().state, balance(enterprise)) == ("failed", Decimal("100.00"))
    order.refresh_from_db()
    settle(order, {"flat": "10.0000"})
    assert (order.paid_enterprise, balance(enterprise)) == (Decimal("12.00"), Decimal("88.00")), (
        "a late record"
    )


def test_a_refund_goes_back_to_the_enterprise_while_others_charge():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer)
    order = settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    factories.a_charging_order(customer=customer, preset="5.00")
    asked = refunds.apply(
        order_no=order.order_no,
        electricity=Decimal("8.00"),
        service=Decimal("1.00"),
        reason="x",
        applied_by=factories.ASKER,
        request_key="r",
    )
    done = refunds.approve(refund_no=asked.refund_no, reviewer=REVIEWER)
    assert (done.enterprise, done.principal, done.bonus, done.debt) == (Decimal("9.00"), 0, 0, 0)
    assert balance(enterprise) == Decimal("92.00")
    member = EnterpriseMember.objects.select_related("enterprise").get(phone=customer.phone)
    assert payers.quota_of(member=member, customer=customer, at=now()).used == Decimal("8.00")
    assert wallet_of(customer=customer).principal == 0
    assert not customer.inbox.filter(kind="order_refunded").exists()


def test_the_driver_gets_no_invoice_for_what_the_enterprise_paid():
    customer = factories.a_customer("30.00")
    factories.a_paying_enterprise(customer)
    settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    own = settle(factories.a_charging_order(customer=customer, payer="wallet"), {"flat": "10.0000"})
    assert list(invoiceable(customer=customer, policy=invoice_policy())) == [own]


def test_reports_and_books_agree():
    customer = factories.a_customer("30.00")
    factories.a_paying_enterprise(customer)
    order = settle(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    settle(factories.a_charging_order(customer=customer, payer="wallet"), {"flat": "5.0000"})
    asked = refunds.apply(
        order_no=order.order_no,
        electricity=None,
        service=None,
        reason="x",
        applied_by=factories.ASKER,
        request_key="r",
    )
    refunds.approve(refund_no=asked.refund_no, reviewer=REVIEWER)
    days = sorted(set(JournalEntry.objects.values_list("business_day", flat=True)))
    for day in days:
        rollups.roll_day(day)
    assert rollups.differences(first=days[0], last=days[-1]) == []
    found = trial_balance(first=days[0], last=days[-1])
    assert found.is_balanced
    closing = {line.kind.value: line.sums.closing for line in found.lines}
    assert closing["enterprise_balance"] == Decimal("-100.00")
    assert closing["manual_transfer"] == Decimal("100.00")


def test_a_quote_says_who_would_pay_and_why_not():
    customer = factories.a_customer("30.00")
    connector = factories.a_connector()
    enterprise = factories.a_paying_enterprise(customer, member_monthly_limit=Decimal("40.00"))
    factories.a_coupon(customer)
    short = {"customer": customer, "codes": [connector.code], "limits": Limits(minutes=5)}
    found = quotes.quote(**short)
    assert (found.payer, found.hold, found.can_pay, found.coupon) == (
        "enterprise",
        Decimal("40.00"),
        True,
        None,
    )
    assert found.payment.from_enterprise == found.discounts.payable.total > 0
    own = quotes.quote(**short, payer="wallet")
    assert (own.payer, own.hold, own.can_pay) == ("wallet", Decimal("30.00"), True)
    assert own.coupon is not None
    assert own.offer is not None
    assert (own.offer.name, own.offer.left) == (enterprise.name, Decimal("40.00"))
    enterprise.stations.set([factories.a_station()])
    found = quotes.quote(**short)
    assert not found.can_pay
    assert found.problem == str(EnterpriseElsewhere())


def test_an_account_that_was_deleted_meanwhile_starts_nothing():
    """What a start read of the driver before it locked the wallet may be old: a deleted account starts nothing."""
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer)
    connector = factories.a_connector()
    for state in (CustomerState.DELETED, CustomerState.BLOCKED):
        Customer.objects.filter(pk=customer.pk).update(state=state)
        assert customer.state == CustomerState.ACTIVE
        words = {"customer": customer, "connector": connector}
        assert refused(factories.a_started_order, **words) == "orders.blocked"
    assert (Order.objects.count(), balance(enterprise)) == (0, Decimal("100.00"))


def test_without_the_feature_the_wallet_pays(tenant):
    customer = factories.a_customer("30.00")
    enterprise = factories.a_paying_enterprise(customer)
    connector = factories.a_connector()
    running = factories.a_charging_order(customer=customer, preset="20.00")
    give(tenant)
    words = {"customer": customer, "connector": connector}
    assert refused(factories.a_started_order, **words, payer="enterprise") == "orders.enterprise_does_not_pay"
    order = factories.a_started_order(**words)
    assert (order.payer, order.enterprise) == ("wallet", enterprise), "the discount from before stays good"
    assert quotes.quote(customer=customer, codes=[factories.a_connector().code]).offer is None
    chosen = {"customer": customer, "payer": "enterprise"}
    assert refused(enterprises.choose_payer, **chosen) == "tenancy.feature_missing"
    settle(running, {"flat": "10.0000"})
    assert balance(enterprise) == Decimal("88.00"), "what was begun goes on"
    account, booking = account_of(enterprise=enterprise), {"actor": factories.ASKER, "reason": "x"}
    more = {"account": account, "amount": Decimal("1.00"), "number": "N1", **booking}
    assert refused(enterprise_accounts.request_deposit, **more) == "tenancy.feature_missing"
    back = enterprise_accounts.request_withdrawal(
        account=account, amount=Decimal("88.00"), number="W1", **booking
    )
    assert approvals.approve(back.pk, REVIEWER).state == "executed"
    assert balance(enterprise) == 0


def test_a_quote_does_not_tell_what_the_enterprise_has():
    customer = factories.a_customer("30.00")
    enterprise = factories.a_paying_enterprise(customer, "5.00")
    words = {"customer": customer, "codes": [factories.a_connector().code], "at": now()}
    poor = quotes.quote(**words), quotes.quote(**words, limits=Limits(minutes=30))
    assert (poor[0].can_pay, poor[0].own_hold, poor[0].own_available) == (True, None, None)
    assert poor[1].payment.from_enterprise == poor[1].bill.total > Decimal("5.00")
    short = quotes.quote(**words, preset_amount=Decimal("5.01"))
    assert (short.can_pay, short.problem) == (False, str(EnterpriseShort()))
    assert quotes.quote(**words, preset_amount=Decimal("5.00")).can_pay
    factories.fund(enterprise, "500.00")
    assert (quotes.quote(**words), quotes.quote(**words, limits=Limits(minutes=30))) == poor
    assert quotes.quote(**words, preset_amount=Decimal("5.01")).can_pay
    enterprise.member_monthly_limit = Decimal("5.00")
    enterprise.save()
    assert "5.00" in quotes.quote(**words, preset_amount=Decimal("5.01")).problem, "limits are told"


# --- Money in and out -------------------------------------------------------------------------------------


def test_a_transfer_is_booked_once_by_two_people():
    enterprise = factories.a_paying_enterprise(balance="0")
    account = account_of(enterprise=enterprise)
    words = {"account": account, "actor": factories.ASKER, "reason": "对公转账"}
    asked = enterprise_accounts.request_deposit(amount=Decimal("80.00"), number="N1", **words)
    assert asked.state == "pending"
    assert balance(enterprise) == 0
    assert refused(approvals.approve, asked.pk, factories.ASKER) == "approvals.same_person"
    for _ in range(2):
        assert approvals.approve(asked.pk, REVIEWER).state == "executed"
    assert balance(enterprise) == Decimal("80.00")
    again = {"amount": Decimal("80.00"), "number": " N1 ", **words}
    assert refused(enterprise_accounts.request_deposit, **again) == "wallet.transfer_booked"
    other = {"amount": Decimal("80.01"), "number": "W1", **words}
    assert refused(enterprise_accounts.request_withdrawal, **other) == "wallet.not_in_account"
    for amount in ("0.00", "-1.00", "0.001", "NaN", "100000000.01"):
        bad = {"amount": Decimal(amount), "number": "N2", **words}
        assert refused(enterprise_accounts.request_deposit, **bad) == "wallet.amount"
    taken = enterprise_accounts.request_withdrawal(amount=Decimal("30.00"), number="W1", **words)
    assert approvals.approve(taken.pk, REVIEWER).state == "executed"
    assert balance(enterprise) == Decimal("50.00")


def test_a_withdrawal_that_a_charge_overtook_fails():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer)
    taken = enterprise_accounts.request_withdrawal(
        account=account_of(enterprise=enterprise),
        amount=Decimal("100.00"),
        number="W1",
        actor=factories.ASKER,
        reason="退款",
    )
    factories.a_started_order(customer=customer, preset="1.00")
    assert approvals.approve(taken.pk, REVIEWER).state == "failed"
    assert balance(enterprise) == Decimal("99.00")


def test_one_transfer_is_one_enterprises_money():
    """What was booked for the wrong enterprise is withdrawn there under its number; then another may have it."""
    wrong, right = factories.a_paying_enterprise(balance="0"), factories.a_paying_enterprise(balance="0")
    factories.fund(wrong, "80.00", "N1")
    words = {"number": "N1", "actor": factories.ASKER, "reason": "更正"}
    deposit = {"account": account_of(enterprise=right), "amount": Decimal("80.00"), **words}
    with pytest.raises(DomainError, match=wrong.name) as caught:
        enterprise_accounts.request_deposit(**deposit)
    assert caught.value.code == "wallet.transfer_elsewhere"
    back = {"account": account_of(enterprise=wrong), "amount": Decimal("80.00"), **words}
    asked = enterprise_accounts.request_withdrawal(**back)
    assert approvals.approve(asked.pk, REVIEWER).state == "executed"
    asked = enterprise_accounts.request_deposit(**deposit)
    assert approvals.approve(asked.pk, REVIEWER).state == "executed"
    assert (balance(wrong), balance(right)) == (Decimal("0.00"), Decimal("80.00"))
