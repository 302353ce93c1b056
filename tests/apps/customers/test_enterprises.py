"""Enterprises: members by phone, one active enterprise each, and their pages."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.backoffice.models import AuditEntry
from apps.common.ids import SYSTEM
from apps.common.time import SHANGHAI
from apps.customers.enterprises import add_members, enterprise_of, remove_members
from apps.customers.models import Customer, Enterprise, EnterpriseMember
from tests import factories
from tests.staff import a_user, boss, signed_in

pytestmark = pytest.mark.usefixtures("tenant")


def test_members_by_phone_also_before_they_register():
    enterprise = factories.an_enterprise()
    done = add_members(
        enterprise=enterprise, phones=["13912345678", "+86 139 1234 5678", "139", "13900000001"], actor=SYSTEM
    )
    assert (done.added, done.known, done.elsewhere, done.wrong) == (2, 0, [], ["139"])
    customer = Customer.objects.create(phone="+8613912345678")
    assert enterprise_of(customer=customer) == enterprise
    again = add_members(enterprise=enterprise, phones=["13912345678"], actor=SYSTEM)
    assert (again.added, again.known) == (0, 1)
    Enterprise.objects.update(is_active=False)
    assert enterprise_of(customer=customer) is None


def test_one_active_enterprise_each():
    customer = factories.a_customer("0")
    first, second = factories.an_enterprise(customer), factories.an_enterprise()
    assert add_members(enterprise=second, phones=[customer.phone], actor=SYSTEM).elsewhere == [customer.phone]
    with pytest.raises(IntegrityError), transaction.atomic():
        EnterpriseMember.objects.create(enterprise=second, phone=customer.phone)
    assert remove_members(enterprise=first, member_ids=[first.members.get().pk]) == 1
    assert enterprise_of(customer=customer) is None
    assert add_members(enterprise=second, phones=[customer.phone], actor=SYSTEM).added == 1
    assert enterprise_of(customer=customer) == second
    assert add_members(enterprise=first, phones=[customer.phone], actor=SYSTEM).elsewhere == [customer.phone]


def test_the_pages():
    client = boss()
    form = {
        "name": "顺风物流",
        "is_active": "on",
        "percent_off": "12.5",
        "applies_to": "all",
        "station_share": "0",
    }
    assert client.post("/admin/customers/enterprise/add/", form).status_code == 302
    enterprise = Enterprise.objects.get()
    assert enterprise.percent_off == Decimal("12.5000")
    page = f"/admin/customers/enterprise/{enterprise.pk}/"
    client.post(f"{page}add-members/", {"_form_submitted": "on", "phones": "13912345678\n13900000001 x"})
    assert enterprise.members.count() == 2
    assert "以下不是手机号：x" in client.get(f"{page}change/").content.decode()
    member = enterprise.members.first()
    reader = signed_in(a_user("customers.view_enterprisemember", "customers.view_enterprise"))
    assert reader.post(f"{page}add-members/", {"_form_submitted": "on", "phones": "1"}).status_code == 403
    invitation = f"{page}invitation/"
    client.post(invitation, {"_form_submitted": "on", "what": "new"})
    enterprise.refresh_from_db()
    code = enterprise.invitation_code
    assert len(code) == 8
    assert f"{code[:4]}-{code[4:]}" in client.get(f"{page}change/").content.decode()
    assert code[:4] not in reader.get(f"{page}change/").content.decode()
    assert reader.post(invitation, {"_form_submitted": "on", "what": "none"}).status_code == 403
    client.post(invitation, {"_form_submitted": "on", "what": "none"})
    enterprise.refresh_from_db()
    assert enterprise.invitation_code == ""
    end = f"/admin/customers/enterprisemember/{member.pk}/end/"
    assert reader.post(end, {"_form_submitted": "on"}).status_code == 403
    assert "139****5678" in reader.get("/admin/customers/enterprisemember/").content.decode()
    client.post(end, {"_form_submitted": "on"})
    member.refresh_from_db()
    assert not member.is_active
    assert member.removed_at is not None
    assert (
        f"{member.removed_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
        in reader.get(f"/admin/customers/enterprisemember/{member.pk}/change/").content.decode()
    )
    actions = AuditEntry.objects.values_list("action", flat=True)
    assert {
        "customers.enterprise_members_added",
        "customers.enterprise_invitation_changed",
        "customers.enterprisemember_ended",
    } <= set(actions)


@pytest.mark.parametrize("percent", ["-1", "100.0001", "abc", "", "NaN"])
def test_a_percentage_is_between_nothing_and_all(percent):
    form = {"name": "x", "is_active": "on", "percent_off": percent, "applies_to": "all", "station_share": "0"}
    answer = boss().post("/admin/customers/enterprise/add/", form)
    assert "percent_off" in answer.context_data["adminform"].form.errors
    assert Enterprise.objects.count() == 0
