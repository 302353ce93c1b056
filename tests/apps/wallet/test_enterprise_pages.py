"""Pages of enterprises that pay: account and limits, bank transfers, statements; who may what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.backoffice.models import Approval, AuditEntry
from apps.common.time import business_day, now
from apps.customers.models import Enterprise, EnterpriseMember
from apps.files import exports
from apps.orders.admin.enterprises import EnterpriseChargeAdmin
from apps.orders.models import EnterpriseCharge
from apps.wallet.models import EnterpriseAccount
from tests import factories
from tests.staff import a_user, boss, form_of, signed_in

POST = {"_form_submitted": "True"}
READ = ("customers.view_enterprise", "wallet.view_enterpriseaccount", "orders.view_enterprisecharge")


def test_the_account_is_set_by_who_may(tenant: Any) -> None:
    enterprise = factories.an_enterprise()
    url = f"/admin/customers/enterprise/{enterprise.pk}/account/"
    words = {
        **POST,
        "account_kind": "postpaid",
        "credit_limit": "500.00",
        "monthly_limit": "",
        "member_monthly_limit": "80.50",
        "reason": "合同",
    }
    reader = signed_in(a_user("customers.view_enterprise", "customers.change_enterprise"))
    assert reader.post(url, words).status_code == 403
    setter = signed_in(a_user("customers.view_enterprise", "customers.set_enterprise_account"))
    assert setter.post(url, {**words, "account_kind": "prepaid"}).status_code == 200, (
        "no credit without post-paid"
    )
    setter.post(url, {**words, "reason": ""})
    enterprise.refresh_from_db()
    assert enterprise.account_kind == "none"
    setter.post(url, words)
    enterprise.refresh_from_db()
    assert (enterprise.account_kind, enterprise.credit_limit) == ("postpaid", Decimal("500.00"))
    assert (enterprise.monthly_limit, enterprise.member_monthly_limit) == (None, Decimal("80.50"))
    entry = AuditEntry.objects.get(action="customers.enterprise_account_set")
    assert (entry.reason, entry.changes["credit_limit"]) == ("合同", ["0.00", "500.00"])


def test_a_members_own_limit(tenant: Any) -> None:
    customer = factories.a_customer("0")
    factories.an_enterprise(customer, account_kind="prepaid", member_monthly_limit=Decimal("50.00"))
    member = EnterpriseMember.objects.get()
    page = f"/admin/customers/enterprisemember/{member.pk}/"
    sent = {**POST, "monthly_limit": "20.00", "reason": "出差"}
    keeper = signed_in(a_user("customers.view_enterprisemember", "customers.change_enterprisemember"))
    assert keeper.post(f"{page}limit/", sent).status_code == 403
    person = signed_in(a_user("customers.view_enterprisemember", "customers.set_enterprise_account"))
    assert "50.00" in person.get(f"{page}change/").content.decode()
    person.post(f"{page}limit/", {**sent, "reason": ""})
    member.refresh_from_db()
    assert member.monthly_limit is None, "not without a reason"
    person.post(f"{page}limit/", sent)
    member.refresh_from_db()
    assert member.monthly_limit == Decimal("20.00")
    entry = AuditEntry.objects.get(action="customers.enterprisemember_limit_set")
    assert (entry.reason, entry.changes) == ("出差", {"monthly_limit": [None, "20.00"]})
    assert 'value="20.00"' in person.get(f"{page}limit/").content.decode()
    person.post(f"{page}limit/", {**sent, "monthly_limit": ""})
    member.refresh_from_db()
    assert member.monthly_limit is None


def test_where_and_when_an_enterprise_pays_is_set_by_who_sets_its_account(tenant: Any) -> None:
    station = factories.a_station()
    enterprise = factories.an_enterprise(account_kind="postpaid", pay_hours="08:00-18:00")
    enterprise.stations.set([station])
    change = f"/admin/customers/enterprise/{enterprise.pk}/change/"
    may = ("customers.view_enterprise", "customers.change_enterprise", "sites.view_station")
    keeper = signed_in(a_user(*may, "customers.add_enterprise"))
    words = form_of(keeper, change)
    assert {"pay_hours", "stations"}.isdisjoint(words)
    assert "08:00-18:00" in keeper.get(change).content.decode()
    keeper.post(change, words | {"contact": "王芳", "pay_hours": "", "stations": []})
    enterprise.refresh_from_db()
    assert (enterprise.contact, enterprise.pay_hours) == ("王芳", "08:00-18:00")
    assert list(enterprise.stations.all()) == [station]
    keeper.post("/admin/customers/enterprise/add/", words | {"name": "新", "pay_hours": "00:00-24:00"})
    assert Enterprise.objects.get(name="新").pay_hours == ""
    setter = signed_in(a_user(*may, "customers.set_enterprise_account"))
    setter.post(change, form_of(setter, change) | {"pay_hours": "", "stations": []})
    enterprise.refresh_from_db()
    assert (enterprise.pay_hours, enterprise.stations.count()) == ("", 0)


def test_a_top_up_from_the_button_to_the_balance(tenant: Any) -> None:
    enterprise = factories.an_enterprise(account_kind="prepaid", name="顺风物流")
    asker = signed_in(a_user(*READ, "wallet.transfer_enterpriseaccount", display_name="王芳"))
    html = asker.get(f"/admin/customers/enterprise/{enterprise.pk}/change/").content.decode()
    account = EnterpriseAccount.objects.get(enterprise=enterprise)
    page = f"/admin/wallet/enterpriseaccount/{account.pk}/"
    assert f"{page}change/" in html
    sent = {**POST, "amount": "300.00", "number": "2026112900001", "reason": "11 月充值"}
    assert signed_in(a_user(*READ)).post(f"{page}deposit/", sent).status_code == 403
    for _ in range(2):
        asker.post(f"{page}deposit/", sent)
    approval = Approval.objects.get()
    assert (approval.operation, approval.state, approval.amount) == (
        "wallet.enterprise_deposit",
        "pending",
        Decimal("300.00"),
    )
    reviewer = signed_in(
        a_user(*READ, "backoffice.view_approval", "wallet.approve_enterpriseaccount", display_name="李强")
    )
    assert (
        "2026112900001" in reviewer.get(f"/admin/backoffice/approval/{approval.pk}/change/").content.decode()
    )
    reviewer.post(f"/admin/backoffice/approval/{approval.pk}/approve/", POST)
    account.refresh_from_db()
    assert account.principal == Decimal("300.00")
    html = asker.get(f"{page}change/").content.decode()
    assert "顺风物流" in html
    assert "2026112900001" in html
    statement = asker.get(f"{page}statement/").content.decode()
    assert "企业充值" in statement
    assert "300.00" in asker.get(f"{page}statement/", {"export": "1"}).content.decode()
    asker.post(f"{page}withdraw/", {**sent, "amount": "300.01", "number": "W1"})
    assert Approval.objects.count() == 1, "more than there is"
    asker.post(f"{page}withdraw/", {**sent, "amount": "100.00", "number": "W1"})
    reviewer.post(f"/admin/backoffice/approval/{Approval.objects.latest('id').pk}/approve/", POST)
    account.refresh_from_db()
    assert account.principal == Decimal("200.00")


def test_the_statement_of_a_month(tenant: Any) -> None:
    order = factories.an_enterprise_charge(name="顺风物流")
    own = factories.a_settled_order(customer=factories.a_customer("50.00"))
    other = factories.an_enterprise_charge(name="另一家")
    month = f"{business_day(order.settled_at):%Y-%m}"
    query = {"enterprise__id__exact": order.enterprise_id, "month": month}
    reader = signed_in(a_user(*READ))
    html = reader.get("/admin/orders/enterprisecharge/", query).content.decode()
    assert order.order_no in html
    assert own.order_no not in html
    assert other.order_no not in html
    assert "100.00" in html
    assert "88.00" in html
    narrow = signed_in(a_user("orders.view_enterprisecharge"))
    assert "88.00" not in narrow.get("/admin/orders/enterprisecharge/", query).content.decode()
    for text in ("2001-01", "x", "2026-13"):
        assert (
            order.order_no
            not in reader.get("/admin/orders/enterprisecharge/", {"month": text}).content.decode()
        )
    file = reader.get("/admin/orders/enterprisecharge/export/", query)
    assert file.content.decode().count(order.order_no) == 1
    assert own.order_no not in file.content.decode()
    page = exports.admin_of("orders.enterprisecharge")
    assert isinstance(page, EnterpriseChargeAdmin)
    rows, _ = exports.rows_of(page, f"month={month}", a_user(superuser=True))
    assert set(rows) == set(EnterpriseCharge.objects.all())
    assert len(rows) == 2


def test_what_an_enterprise_and_its_orders_show(tenant: Any) -> None:
    order = factories.an_enterprise_charge(name="顺风物流", monthly_limit=Decimal("60.00"))
    html = boss().get(f"/admin/customers/enterprise/{order.enterprise_id}/change/").content.decode()
    for words in ("88.00", "12.00", "48.00", "预付费"):
        assert words in html, words
    html = boss().get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert "已付：顺风物流 支付 12.00 元" in html
    html = boss().get("/admin/orders/order/", {"payer": "enterprise"}).content.decode()
    assert order.order_no in html
    assert "顺风物流" in html
    assert order.order_no not in boss().get("/admin/orders/order/", {"payer": "wallet"}).content.decode()
    export = boss().get("/admin/orders/order/export/").content.decode()
    assert "企业支付" in export
    assert Enterprise.objects.get().pays
    assert now() > order.settled_at
