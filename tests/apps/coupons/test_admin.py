"""Pages of coupons: templates with their figures, giving, making void; who may do what."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.backoffice.models import AuditEntry
from apps.backoffice.sites import tenant_site
from apps.common.time import now
from apps.coupons import services
from apps.coupons.models import Coupon, CouponTemplate
from apps.orders.settling import settle_record
from tests import factories
from tests.staff import a_user, boss, signed_in

pytestmark = pytest.mark.usefixtures("tenant")
LIST = "/admin/coupons/coupontemplate/"
FORM = {
    "name": "周末八折",
    "is_active": "on",
    "is_public": "on",
    "kind": "percent",
    "applies_to": "service",
    "spend": "10.00",
    "save_amount": "0",
    "percent_off": "20",
    "cap": "15.00",
    "station_share": "50",
    "weekdays": ["7", "6"],
    "from_time": "08:00",
    "until_time": "20:00",
    "days_valid": "30",
    "claim_from_0": "",
    "claim_from_1": "",
    "claim_until_0": "",
    "claim_until_1": "",
    "stock": "100",
    "per_customer": "2",
}


def test_a_template_is_made_and_shown_in_words():
    client = boss()
    answer = client.post(f"{LIST}add/", FORM)
    assert answer.status_code == 302
    template = CouponTemplate.objects.get()
    assert (template.weekdays, template.percent_off, template.cap) == (
        "67",
        Decimal("20.0000"),
        Decimal("15.00"),
    )
    page = client.get(f"{LIST}{template.pk}/change/").content.decode()
    assert "服务费满 10.00 元优惠 20%，最高减 15.00 元" in page
    assert "周六/周日 08:00–20:00" in page
    assert "0 / 100" in client.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"percent_off": "0"}, "percent_off"),
        ({"percent_off": "100.1"}, "percent_off"),
        ({"kind": "threshold"}, "save_amount"),
        ({"save_amount": "-1"}, "save_amount"),
        ({"save_amount": "1.005"}, "save_amount"),
        ({"spend": "abc"}, "spend"),
        ({"spend": "9" * 20}, "spend"),
        ({"until_time": ""}, "until_time"),
        ({"until_time": "08:00"}, "until_time"),
        ({"first_day": "2026-12-02", "last_day": "2026-12-01"}, "last_day"),
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": ["8"]}, "weekdays"),
        ({"station_share": "101"}, "station_share"),
        ({"per_customer": "0"}, "per_customer"),
        ({"stock": "-1"}, "stock"),
        ({"cap": "0"}, "cap"),
    ],
)
def test_what_is_wrong_is_marked(changes, field):
    answer = boss().post(f"{LIST}add/", {**FORM, **changes})
    assert answer.status_code == 200
    assert field in answer.context_data["adminform"].form.errors
    assert CouponTemplate.objects.count() == 0


def test_stock_is_never_below_what_is_claimed():
    template = factories.a_coupon_template(stock=5)
    for number in range(3):
        services.claim(customer=factories.a_customer("0"), template_id=template.pk, request_key=f"{number}")
    answer = boss().post(f"{LIST}{template.pk}/change/", {**FORM, "stock": "2"})
    assert "stock" in answer.context_data["adminform"].form.errors


def test_a_claim_while_a_template_is_being_saved_is_not_forgotten(rf):
    template = factories.a_coupon_template(stock=1)
    page = tenant_site.get_model_admin(CouponTemplate)
    request = rf.post("/", {**FORM, "stock": "1"})
    request.user = a_user(superuser=True)
    row = page.get_object(request, str(template.pk))
    services.claim(customer=factories.a_customer(), template_id=template.pk, request_key="1")
    form = page.get_form(request, row, change=True)(request.POST, instance=row)
    assert form.is_valid(), form.errors
    page.save_model(request, page.save_form(request, form, change=True), form, change=True)
    template.refresh_from_db()
    assert (template.name, template.claimed) == ("周末八折", 1)


def test_the_figures_of_a_template():
    customer = factories.a_customer()
    coupon = factories.a_coupon(customer)
    order = factories.a_charging_order(customer=customer)
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    (row,) = boss().get(LIST).context_data["cl"].result_list
    assert (row.used, row.cost) == (1, Decimal("4.00"))
    shown = boss().get(f"{LIST}{coupon.template_id}/change/").context_data
    assert [(count["label"], count["count"]) for count in shown["counts"]][:3] == [
        ("可用", 0),
        ("充电占用中", 0),
        ("已使用", 1),
    ]
    order_page = boss().get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert "平台承担 4.00 元，站点承担 0.00 元" in order_page


def give(client, template, **changes):
    form = {"_form_submitted": "on", "batch": "b1", "phones": "", "enterprise": "", **changes}
    return client.post(f"{LIST}{template.pk}/give/", form)


def test_giving_by_phones_and_to_an_enterprise():
    first, second = factories.a_customer("0"), factories.a_customer("0")
    template = factories.a_coupon_template(is_public=False)
    phones = f"{first.phone}\n13912345678, {first.phone}"
    assert give(boss(), template, phones=phones).headers["HX-Redirect"] == f"{LIST}{template.pk}/change/"
    assert list(Coupon.objects.values_list("customer", flat=True)) == [first.pk]
    give(boss(), template, phones=phones)  # the same form sent twice
    assert Coupon.objects.count() == 1
    enterprise = factories.an_enterprise(second)
    give(boss(), template, enterprise=str(enterprise.pk), batch="b2")
    assert Coupon.objects.get(customer=second).given_by
    assert AuditEntry.objects.filter(action="coupons.coupontemplate_given").count() == 3


@pytest.mark.parametrize(
    "changes",
    [{}, {"phones": "abc"}, {"phones": "13912345678"}, {"phones": "13912345678", "enterprise": "x"}],
)
def test_giving_to_nobody_is_refused(changes):
    template = factories.a_coupon_template()
    answer = give(boss(), template, **changes)
    assert answer.status_code == 200
    assert "HX-Redirect" not in answer.headers
    assert Coupon.objects.count() == 0


def test_a_coupon_is_made_void_with_a_reason():
    coupon = factories.a_coupon(factories.a_customer("0"))
    page = f"/admin/coupons/coupon/{coupon.pk}/void/"
    assert "HX-Redirect" not in boss().post(page, {"_form_submitted": "on", "reason": ""}).headers
    boss().post(page, {"_form_submitted": "on", "reason": "发错了"})
    coupon.refresh_from_db()
    assert (coupon.state, coupon.ended_why) == ("void", "发错了")
    entry = AuditEntry.objects.get(action="coupons.coupon_state_changed")
    assert (entry.reason, entry.changes["state"]) == ("发错了", ["available", "void"])


def test_deeds_need_their_own_permission():
    coupon = factories.a_coupon(factories.a_customer("0"))
    reader = signed_in(
        a_user("coupons.view_coupon", "coupons.view_coupontemplate", "coupons.change_coupontemplate")
    )
    assert give(reader, coupon.template, phones="13912345678").status_code == 403
    answer = reader.post(f"/admin/coupons/coupon/{coupon.pk}/void/", {"_form_submitted": "on", "reason": "x"})
    assert answer.status_code == 403
    coupon.refresh_from_db()
    assert coupon.state == "available"


def test_a_customers_page_shows_coupons():
    customer = factories.a_customer("0")
    factories.a_coupon(customer, name="新客券", at=now() - timedelta(days=1))
    assert "新客券" in boss().get(f"/admin/customers/customer/{customer.pk}/change/").content.decode()


def test_ticked_customers_are_given_a_coupon_each():
    chosen, other = [factories.a_customer("0") for _ in range(2)], factories.a_customer("0")
    template, client = factories.a_coupon_template(), boss()
    page = "/admin/customers/customer/"
    ticked = {"action": "give_coupons", "_selected_action": [customer.pk for customer in chosen]}
    asked = client.post(page, ticked)
    assert (asked.status_code, Coupon.objects.count()) == (200, 0)
    batch = asked.context_data["form"]["batch"].value()
    sent = {**ticked, "give": "1", "template": template.pk, "batch": batch}
    for _ in range(2):
        assert client.post(page, sent).status_code == 302
    assert sorted(Coupon.objects.values_list("customer", flat=True)) == [customer.pk for customer in chosen]
    assert not Coupon.objects.filter(customer=other).exists()
    reader = signed_in(a_user("customers.view_customer"))
    reader.post(page, {**sent, "batch": "another"})
    assert Coupon.objects.count() == 2
