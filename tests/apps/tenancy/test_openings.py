"""A tenant is opened in the background: asked for on a page, with what it begins with, and after a worker died."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.tenancy import openings
from apps.tenancy.enums import OpeningState, OpeningStep
from apps.tenancy.models import Package, Tenant, TenantOpening
from tests.apps.tenancy.test_open import opened  # noqa: F401 - a fixture
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

PASSWORD = "kai-tong-2026"


def form(**changes: object) -> dict[str, object]:
    words: dict[str, object] = {
        "code": "gamma",
        "name": "丙充电",
        "hostname": "gamma.test",
        "administrator": "boss",
        "administrator_name": "李四",
        "administrator_phone": "13800000001",
        "password": PASSWORD,
    }
    return {**words, **changes}


def add(client: Client, **changes: object) -> Any:
    return client.post("/admin/tenancy/tenantopening/add/", form(**changes))


@pytest.mark.usefixtures("opened")
def test_from_the_form_to_the_first_sign_in(opened: list[str]) -> None:  # noqa: F811
    """With real commits, since progress is written outside the transaction that opens."""
    opened.append("gamma")
    connection.set_schema_to_public()
    client = boss(PLATFORM_HOST)
    package, until = Package.objects.get(code="standard"), business_day(now()) + timedelta(days=365)
    answer = add(client, package=package.pk, expires_on=until.isoformat())
    opening = TenantOpening.objects.get()
    assert (answer.status_code, answer["Location"]) == (
        302,
        f"/admin/tenancy/tenantopening/{opening.pk}/change/",
    )
    # Tasks of tests run at once.
    assert (opening.state, opening.step, opening.attempt) == (OpeningState.DONE, OpeningStep.DONE, 1)
    assert (opening.password_hash, opening.error) == ("", "")
    assert opening.heartbeat_at is not None, "its steps were written while it went on"
    made = Tenant.objects.get(code="gamma")
    assert (opening.tenant, made.package, made.expires_on) == (made, package, until)
    page = client.get(f"/admin/tenancy/tenantopening/{opening.pk}/change/").content.decode()
    assert "every 1s" not in page
    assert f"/admin/tenancy/tenant/{made.pk}/change/" in page
    assert PASSWORD not in str(list(AuditEntry.objects.values()))
    # The first administrator may do everything, at once.
    at_gamma = Client(headers={"host": "gamma.test"})
    answer = at_gamma.post("/admin/login/", {"username": "boss", "password": PASSWORD, "next": "/admin/"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/sign-in/password/"), "a new one first"
    with schema_context("t_gamma"):
        user = User.objects.get()
        assert (user.display_name, user.phone, user.is_superuser) == ("李四", "13800000001", False)
        assert user.has_perm("sites.add_station")
    # A second message for the same opening finds nothing to do.
    openings.run_opening(opening.pk)
    opening.refresh_from_db()
    assert opening.attempt == 1


def waiting(**fields: Any) -> TenantOpening:
    words = form(**fields)
    words["password_hash"] = words.pop("password")
    return TenantOpening.objects.create(**words)


def test_what_a_dead_worker_left_is_taken_up_and_given_up_in_the_end(tenant: Tenant) -> None:
    connection.set_schema_to_public()
    opening = waiting(code="alpha", state=OpeningState.RUNNING, attempt=1, heartbeat_at=now())
    assert openings.find_openings() == 0, "its worker spoke a moment ago"
    openings.run_opening(opening.pk)
    opening.refresh_from_db()
    assert (opening.state, opening.attempt) == (OpeningState.RUNNING, 1)
    stale = now() - openings.LOST_AFTER - timedelta(seconds=1)
    TenantOpening.objects.update(heartbeat_at=stale)
    assert openings.find_openings() == 1
    opening.refresh_from_db()
    assert (opening.state, opening.attempt) == (OpeningState.FAILED, 2)
    assert opening.error == "代码 alpha 属于另一租户。" or "alpha" in opening.error
    TenantOpening.objects.update(state=OpeningState.RUNNING, attempt=3, heartbeat_at=stale)
    assert openings.find_openings() == 1
    opening.refresh_from_db()
    assert (opening.state, opening.error) == (OpeningState.FAILED, "the worker died several times")
    assert openings.find_openings() == 0


def test_what_cannot_be_opened_is_said_in_the_form(tenant: Tenant) -> None:
    connection.set_schema_to_public()
    client = boss(PLATFORM_HOST)
    waiting(code="delta")
    for changes in (
        {"code": "alpha"},
        {"code": "Gamma"},
        {"hostname": "alpha.test"},
        {"hostname": "a b"},
        {"name": " "},
        {"administrator": "a:b"},
        {"password": "12345678"},
        {"expires_on": "2020-01-01"},
    ):
        answer = add(client, **changes)
        assert answer.status_code == 200, changes
        assert answer.context_data["adminform"].form.errors, changes
    assert add(client, code="delta").status_code == 302
    assert TenantOpening.objects.count() == 1
    assert "正在开通中" in client.get("/admin/tenancy/tenantopening/").content.decode()


def test_trying_again(tenant: Tenant) -> None:
    connection.set_schema_to_public()
    opening = waiting(state=OpeningState.FAILED, attempt=3, error="x")
    client = boss(PLATFORM_HOST)
    page = f"/admin/tenancy/tenantopening/{opening.pk}"
    assert f"{page}/retry/" in client.get(f"{page}/change/").content.decode()
    client.post(f"{page}/retry/", {"_form_submitted": "on"})
    opening.refresh_from_db()
    # The task waits for the commit, which does not come in this test.
    assert (opening.state, opening.attempt, opening.error) == (OpeningState.WAITING, 0, "")
    assert f"{page}/retry/" not in client.get(f"{page}/change/").content.decode()
    assert "every 1s" in client.get(f"{page}/change/").content.decode()
    with pytest.raises(DomainError), transaction.atomic():
        openings.retry(opening=opening)
    reader = signed_in(a_user("tenancy.view_tenantopening"), PLATFORM_HOST)
    assert reader.post(f"{page}/retry/", {"_form_submitted": "on"}).status_code == 403
    assert reader.get("/admin/tenancy/tenantopening/add/").status_code == 403
