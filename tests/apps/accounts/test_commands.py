"""`manage.py let_in`, and roles that a new version adds to."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts import locks
from apps.accounts.models import StandardRole, User
from apps.accounts.roles import renew_roles
from apps.backoffice.models import AuditEntry
from tests.staff import a_user, signed_in


def let_in(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("let_in", *arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_somebody_is_let_in(tenant: Any) -> None:
    user = a_user(totp_secret="JBSWY3DPEHPK3PXP", totp_since="2026-11-01T00:00Z")
    client = signed_in(user)
    for _ in range(10):
        locks.failed(locks.by_name(user.username))
    expected = {"username": user.username, "locked": True, "second_factor": True, "sessions": 1}
    asked = (user.username, "--tenant", "alpha")
    assert let_in(*asked, "--dry-run") == {"dry_run": True, **expected}
    assert let_in(*asked) == {"dry_run": False, **expected}
    assert client.get("/admin/").status_code == 302
    assert not locks.wait_s(*locks.of(user))
    assert User.objects.get(pk=user.pk).totp_secret == ""
    assert AuditEntry.objects.get(action="accounts.user_second_factor_taken").actor_kind == "command"
    for wrong in (("nobody", "--tenant", "alpha"), (user.username, "--tenant", "nowhere")):
        with pytest.raises(SystemExit) as left:
            let_in(*wrong)
        assert left.value.code == 2


def test_a_new_version_adds_to_the_roles_of_a_tenant(tenant: Any) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert renew_roles() == []
    assert len(asked.captured_queries) <= 2, "nothing is new: one question"
    # As if "orders.stop_order" had come with this version: the tenant has no trace of it yet.
    new = Permission.objects.get(codename="stop_order")
    group = Group.objects.get(standard__code="support")
    row = StandardRole.objects.get(code="support")
    group.permissions.remove(new)
    row.given = [name for name in row.given if name != "orders.stop_order"]
    row.save()
    assert {one.code: one.added for one in renew_roles() if one.added} == {"support": ["orders.stop_order"]}
    assert new in group.permissions.all()
