"""Staff pages: nobody gives themselves rights."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.utils import translation

from apps.accounts.models import User
from apps.accounts.permissions import words
from apps.backoffice.models import AuditEntry
from tests.staff import a_user, boss, signed_in

CLERK = ("accounts.view_user", "accounts.add_user", "accounts.change_user")


def test_a_new_member_of_staff_can_sign_in(tenant: Any, tenant_client: Any) -> None:
    form = {
        "username": "wang",
        "display_name": "王芳",
        "phone": "",
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
    }
    assert boss().post("/admin/accounts/user/add/", form).status_code == 302
    assert User.objects.get(username="wang").is_staff
    assert (
        tenant_client.post("/admin/login/", {"username": "wang", "password": "correct horse"}).status_code
        == 302
    )
    changes = AuditEntry.objects.get(action="accounts.user_added").changes
    assert changes["password1"] == ["…", "…"]
    assert "correct horse" not in str(changes)


def test_a_clerk_gives_nobody_rights(tenant: Any) -> None:
    user = a_user(*CLERK)
    right = Permission.objects.get(codename="view_order")
    form = {
        "username": user.username,
        "is_active": "on",
        "is_superuser": "on",
        "user_permissions": [right.pk],
    }
    assert signed_in(user).post(f"/admin/accounts/user/{user.pk}/change/", form).status_code == 302
    user = User.objects.get(pk=user.pk)
    assert not user.is_superuser
    assert not user.has_perm("orders.view_order")


def test_a_clerk_does_not_touch_a_superuser(tenant: Any) -> None:
    chief = a_user(superuser=True)
    client = signed_in(a_user(*CLERK))
    assert client.post(f"/admin/accounts/user/{chief.pk}/change/", {"username": "x"}).status_code == 403
    new = {"usable_password": "true", "password1": "other horse", "password2": "other horse"}
    assert client.post(f"/admin/accounts/user/{chief.pk}/password/", new).status_code == 403
    chief.refresh_from_db()
    assert chief.check_password("correct horse")


def test_permissions_are_named_in_chinese(tenant: Any) -> None:
    with translation.override("zh-hans"):
        names = {p.codename: words(p) for p in Permission.objects.filter(content_type__app_label="orders")}
    assert names["view_order"] == "充电订单: 查看"
    assert names["stop_order"] == "充电订单: 可停止充电"
