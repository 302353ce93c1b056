"""Support visits: the platform's staff in a tenant's back office, for a reason and a time, seen by both sides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from apps.accounts import rules, support
from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.common.schema import schema_context
from apps.common.time import now
from apps.tenancy.enums import SupportEnd
from apps.tenancy.models import SupportSession, Tenant
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

REASON = "车主投诉，核对订单"
ADD = "/admin/tenancy/supportsession/add/"


@pytest.fixture
def helper(tenant: Tenant) -> Client:
    """A person of the platform who may visit; this thread's connection is in public."""
    connection.set_schema_to_public()
    permissions = ("add_supportsession", "view_supportsession", "view_tenant")
    user = a_user(*(f"tenancy.{one}" for one in permissions), display_name="王五")
    return signed_in(user, PLATFORM_HOST)


def ask(helper: Client, **changes: object) -> str:
    """Ask for a visit and return the address that it leads to."""
    words = {
        "tenant": Tenant.objects.get(code="alpha").pk,
        "role": "readonly",
        "minutes": 30,
        "reason": REASON,
    }
    answer = helper.post(ADD, {**words, **changes})
    assert answer.status_code == 302, answer.context_data["adminform"].form.errors
    return answer["Location"]


def visit(helper: Client, **changes: object) -> Client:
    """A client inside alpha's back office."""
    path = ask(helper, **changes).removeprefix("http://alpha.test")
    client = Client(headers={"host": "alpha.test", "accept-language": "zh-hans"})
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    return client


def deeds(schema: str) -> list[tuple[str, str, str]]:
    with schema_context(schema):
        entries = AuditEntry.objects.exclude(action__startswith="accounts.signed").order_by("id")
        return [(one.action, one.actor_name, one.reason) for one in entries]


def test_a_visit_from_the_reason_to_the_end(helper: Client) -> None:
    address = ask(helper)
    assert address.startswith("http://alpha.test/support/enter/")
    path = address.removeprefix("http://alpha.test")
    elsewhere = Client(headers={"host": "beta.test"})
    assert elsewhere.get(path).status_code == 403, "the ticket is good at one tenant"
    client = Client(headers={"host": "alpha.test", "accept-language": "zh-hans"})
    assert client.post(path).status_code == 405
    assert client.get(path).status_code == 302
    assert Client(headers={"host": "alpha.test"}).get(path).status_code == 403, "and once"

    page = client.get("/admin/").content.decode()
    assert f"平台支持访问：王五，以“只读”角色，至 {SupportSession.objects.get().ends_at:%H:%M}"[:20] in page
    assert REASON in page
    assert "/support/leave/" in page
    assert client.get("/admin/orders/order/").status_code == 200
    assert client.get("/admin/sites/station/add/").status_code == 403, "as the role, and no more"
    assert client.get("/admin/accounts/user/").status_code == 403

    assert client.get("/support/leave/").status_code == 405
    left = client.post("/support/leave/")
    assert "支持访问已结束。" in left.content.decode()
    assert client.get("/admin/").status_code == 302
    name = "平台支持 王五"
    assert deeds("t_alpha") == [
        ("accounts.support_entered", name, REASON),
        ("accounts.support_left", name, ""),
    ]
    assert deeds("public") == [
        ("tenancy.supportsession_added", "王五", REASON),
        ("accounts.support_entered", "王五", REASON),
        ("accounts.support_left", "王五", ""),
    ]
    assert SupportSession.objects.get().ended_by == SupportEnd.PERSON
    shown = helper.get("/admin/tenancy/supportsession/").content.decode()
    assert "已结束（访问人员）" in shown


def test_what_a_visitor_does_is_in_the_tenants_log(helper: Client) -> None:
    client = visit(helper, role="administrator")
    assert client.post("/admin/accounts/department/add/", {"name": "华东"}).status_code == 302
    assert ("accounts.department_added", "平台支持 王五", "") in deeds("t_alpha")


def test_a_visit_ends_with_its_time(helper: Client) -> None:
    client, other = visit(helper), visit(helper, tenant=Tenant.objects.get(code="alpha").pk)
    # The second of the same person ended the first, and its account goes on.
    assert other.get("/admin/orders/order/").status_code == 200
    assert client.get("/admin/").status_code == 302
    assert set(SupportSession.objects.values_list("ended_by", flat=True)) == {"", SupportEnd.NEXT}
    SupportSession.objects.update(ends_at=now() - timedelta(seconds=1))
    assert other.get("/admin/orders/order/").status_code == 302
    assert SupportSession.objects.order_by("-id").first().ended_by == SupportEnd.TIME
    with schema_context("t_alpha"):
        assert not User.objects.get(username__startswith="support:").is_active

    third = visit(helper)
    SupportSession.objects.update(ends_at=now() - timedelta(seconds=1))
    connection.set_schema_to_public()
    assert support.leave_late() == 1
    assert support.leave_late() == 0
    assert third.get("/admin/").status_code == 302
    assert deeds("t_alpha")[-1][:2] == ("accounts.support_left", "system")


def test_the_platform_ends_a_visit(helper: Client) -> None:
    client = visit(helper)
    row = SupportSession.objects.get()
    page = f"/admin/tenancy/supportsession/{row.pk}/end/"
    reader = signed_in(a_user("tenancy.view_supportsession"), PLATFORM_HOST)
    assert reader.post(page, {"_form_submitted": "on"}).status_code == 403
    assert helper.post(page, {"_form_submitted": "on"}).status_code == 200
    assert client.get("/admin/").status_code == 302
    row.refresh_from_db()
    assert row.ended_by == SupportEnd.PLATFORM
    assert deeds("public")[-1][0] == deeds("t_alpha")[-1][0] == "accounts.support_left"


def test_a_ticket_is_good_for_a_minute(helper: Client) -> None:
    path = ask(helper).removeprefix("http://alpha.test")
    SupportSession.objects.update(started_at=now() - timedelta(seconds=61))
    answer = Client(headers={"host": "alpha.test"}).get(path)
    assert (answer.status_code, "已过期" in answer.content.decode()) == (403, True)
    with schema_context("t_alpha"):
        assert not User.objects.filter(username__startswith="support:").exists()


def test_who_may_not_enter(helper: Client) -> None:
    reader = signed_in(a_user("tenancy.view_supportsession"), PLATFORM_HOST)
    assert reader.get(ADD).status_code == 403
    alpha = Tenant.objects.get(code="alpha")
    words = {"tenant": alpha.pk, "role": "readonly", "minutes": 30, "reason": REASON}
    for wrong in (
        {"reason": ""},
        {"minutes": 10_000},
        {"role": "helpdesk"},
        {"role": "nobody"},
        {"tenant": Tenant.objects.get(schema_name="public").pk},
    ):
        assert helper.post(ADD, {**words, **wrong}).status_code == 200, wrong
    Tenant.objects.filter(pk=alpha.pk).update(state="suspended")
    assert helper.post(ADD, words).status_code == 200
    assert not SupportSession.objects.exists()
    Tenant.objects.filter(pk=alpha.pk).update(state="active")
    # A role that the tenant has deleted.
    path = ask(helper, role="maintenance").removeprefix("http://alpha.test")
    with schema_context("t_alpha"):
        Group.objects.get(standard__code="maintenance").delete()
    assert Client(headers={"host": "alpha.test"}).get(path).status_code == 409


def test_a_visitor_is_no_staff_of_the_tenant(helper: Client) -> None:
    client = visit(helper, role="administrator")
    with schema_context("t_alpha"):
        user = User.objects.get(username__startswith="support:")
        assert user not in rules.administrators()
        assert not user.has_usable_password()
        own = boss()
        assert own.get(f"/admin/accounts/user/{user.pk}/change/").status_code == 302
        assert "support:" not in own.get("/admin/accounts/user/").content.decode()
        # Nobody makes such an account by hand.
        new = {
            "usable_password": "true",
            "password1": "a long correct one",
            "password2": "a long correct one",
        }
        own.post("/admin/accounts/user/add/", {"username": "support:1", **new})
        assert User.objects.filter(username__startswith="support:").count() == 1
    # A session of the account without a visit is none.
    with schema_context("t_alpha"):
        session = client.session
        del session[support.KEY]
        session.save()
    assert client.get("/admin/").status_code == 302


def test_others_pay_no_query_for_visitors(tenant: Any, django_assert_max_num_queries: Any) -> None:
    client = boss()
    client.get("/admin/")
    with django_assert_max_num_queries(60) as asked:
        client.get("/admin/")
    assert not [query for query in asked.captured_queries if "supportsession" in query["sql"]]
