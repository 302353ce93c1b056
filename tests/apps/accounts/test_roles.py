"""Standard roles: what each may do, given to every tenant, and what a tenant changed stays."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.utils import translation
from django_tenants.utils import schema_context

from apps.accounts.errors import UnknownRole
from apps.accounts.models import StandardRole, User
from apps.accounts.permissions import grantable, meaningful, name_of, words
from apps.accounts.roles import ROLES, give_roles, roles_here
from apps.backoffice.models import AuditEntry
from apps.backoffice.sites import platform_site, tenant_site
from tests.staff import a_user, boss, signed_in

APPS = Path(__file__).parents[3] / "apps"
ADMINISTRATORS_ONLY = {
    "franchisees.open_accounts",
    "accounts.assign_roles",
    "accounts.reset_sign_in",
    "accounts.set_scope",
    "backoffice.loosen_approvalpolicy",
    "backoffice.set_approvalpolicy",
    "piles.view_frame_secrets",
    "wallet.switch_merchantaccount",
    "notifications.resend_message",
    "notifications.switch_mailaccount",
    "notifications.switch_smsaccount",
    "customers.test_miniprogram",
}


def role(code: str) -> Group:
    return Group.objects.get(standard__code=code)


def held(code: str) -> set[str]:
    return {name_of(one) for one in role(code).permissions.select_related("content_type")}


def permission(name: str) -> Permission:
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def results(**options: Any) -> dict[str, str]:
    return {one.code: one.result for one in give_roles(**options)}


def test_a_new_tenant_has_the_roles_in_chinese(tenant: Any) -> None:
    assert {group.standard.code: group.name for group in Group.objects.all()} == {  # type: ignore[attr-defined]
        "administrator": "管理员",
        "operations": "运营",
        "maintenance": "运维",
        "finance": "财务",
        "support": "客服",
        "franchisee": "加盟商",
        "readonly": "只读",
    }
    assert held("administrator") == {name_of(one) for one in grantable()}
    assert not AuditEntry.objects.filter(action__startswith="auth.group").exists()


def test_roles_hold_what_the_table_says(tenant: Any) -> None:
    assert "wallet.review_walletrefund" in held("finance")
    assert "wallet.change_merchantaccount" not in held("finance")
    assert {"piles.reboot_pile", "piles.inspect_frames"} <= held("maintenance")
    assert not [name for name in held("maintenance") if name.startswith(("wallet.", "customers."))]
    assert "orders.force_end_order" in held("operations")
    assert "orders.approve_abnormalorder" not in held("operations"), "who decides does not approve"
    assert "customers.view_phone" in held("support")
    for code in ("operations", "maintenance", "finance", "support", "readonly"):
        assert not [name for name in held(code) if name.startswith(("accounts.", "auth."))]
    assert {name.partition(".")[2].split("_")[0] for name in held("readonly")} == {"view"}
    assert "customers.view_phone" not in held("readonly")


def test_every_pattern_of_the_table_fits_something(tenant: Any) -> None:
    known = meaningful(tenant_site)
    for one in ROLES:
        if not one.in_tenants:
            continue
        for pattern in one.grants:
            if "tenancy" in pattern:
                continue
            fits = re.compile(re.escape(pattern.removeprefix("!")).replace(r"\*", ".*"))
            assert any(fits.fullmatch(name) for name in known), f"{one.code}: {pattern}"


def test_every_permission_of_a_button_is_somebodys(tenant: Any) -> None:
    customs = {
        f"{model._meta.app_label}.{codename}"
        for model in tenant_site._registry
        for model in apps.get_app_config(model._meta.app_label).get_models()
        for codename, _name in model._meta.permissions
    }
    assert customs <= held("administrator")
    others = set().union(*(held(one.code) for one in roles_here() if one.code != "administrator"))
    assert customs - others == ADMINISTRATORS_ONLY


def test_every_permission_that_code_asks_for_can_be_given() -> None:
    asked = set()
    for path in APPS.rglob("*.py"):
        text = path.read_text()
        app = path.relative_to(APPS).parts[0]
        asked |= {f"{app}.{code}" for code in re.findall(r'allowed\(request, "(\w+)"\)', text)}
        asked |= set(re.findall(r'has_perm\("(\w+\.\w+)"\)', text))
    of_platform = {name for name in asked if name.startswith("tenancy.")}
    assert of_platform <= meaningful(platform_site)
    assert asked - of_platform <= meaningful(tenant_site)
    assert len(asked) > 20


def test_every_permission_has_chinese_words(tenant: Any) -> None:
    with translation.override("zh-hans"):
        foreign = {words(one) for one in grantable() if re.search("[a-z]{3}", words(one))}
    assert foreign == set()


def test_what_a_tenant_changed_stays_until_reset(tenant: Any) -> None:
    support = role("support")
    support.name = "客服中心"
    support.save()
    support.permissions.remove(permission("orders.stop_order"))
    support.permissions.add(permission("orders.reconcile_energy"))
    assert set(results().values()) == {"unchanged"}
    assert "orders.stop_order" not in held("support")
    assert "orders.reconcile_energy" in held("support")

    assert results(reset=True)["support"] == "changed"
    assert "orders.stop_order" in held("support")
    assert "orders.reconcile_energy" not in held("support")
    assert role("support").name == "客服中心"
    assert AuditEntry.objects.get(action="auth.group_changed").changes == {
        "permissions": [["orders.reconcile_energy"], ["orders.stop_order"]]
    }


def test_a_new_version_adds_and_takes_only_its_own(tenant: Any) -> None:
    row = StandardRole.objects.get(code="support")
    row.given = [*(name for name in row.given if name != "orders.stop_order"), "orders.reconcile_energy"]
    row.save()
    role("support").permissions.remove(permission("orders.stop_order"))
    role("support").permissions.add(permission("orders.reconcile_energy"))
    outcome = next(one for one in give_roles() if one.code == "support")
    assert (outcome.result, outcome.added, outcome.taken) == (
        "changed",
        ["orders.stop_order"],
        ["orders.reconcile_energy"],
    )


def test_a_deleted_role_comes_back_only_by_reset(tenant: Any) -> None:
    role("finance").delete()
    assert results()["finance"] == "removed"
    assert results(reset=True)["finance"] == "created"
    assert "wallet.review_walletrefund" in held("finance")


def test_a_role_of_that_name_is_left_as_it_is(tenant: Any) -> None:
    StandardRole.objects.filter(code="finance").delete()
    role_of_theirs = Group.objects.get(name="财务")
    role_of_theirs.permissions.set([permission("wallet.view_wallet")])
    assert results()["finance"] == "adopted"
    assert held("finance") == {"wallet.view_wallet"}
    assert results()["finance"] == "unchanged"


def test_the_administrator_always_has_everything(tenant: Any) -> None:
    role("administrator").permissions.clear()
    assert results()["administrator"] == "changed"
    assert "accounts.assign_roles" in held("administrator")


def test_an_unknown_role_is_refused(tenant: Any) -> None:
    with pytest.raises(UnknownRole, match="chief"):
        give_roles(only=["chief"])


def test_the_command_says_what_it_does(tenant: Any, capsys: Any) -> None:
    role("support").permissions.remove(permission("orders.stop_order"))
    call_command("roles", "--tenant", "alpha", "--role", "support", "--reset", "--dry-run", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["dry_run"] is True
    [support] = report["schemas"]["t_alpha"]
    assert (support["result"], support["added"]) == ("changed", ["orders.stop_order"])
    assert "orders.stop_order" not in held("support"), "a dry run writes nothing"

    call_command("roles", "--tenant", "alpha", "--role", "support", "--reset")
    assert "t_alpha: support (客服) changed +orders.stop_order" in capsys.readouterr().out
    assert "orders.stop_order" in held("support")


@pytest.mark.parametrize("wrong", [("--tenant", "nobody"), ("--role", "chief")])
def test_the_command_refuses_what_it_does_not_know(tenant: Any, wrong: tuple[str, str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        call_command("roles", *wrong, "--json")
    assert stopped.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"] in {"tenancy.unknown_tenant", "accounts.unknown_role"}


def test_the_platform_has_roles_of_its_own(tenant: Any) -> None:
    with schema_context("public"):
        codes = ["administrator", "readonly", "tenants", "helpdesk"]
        assert results() == dict.fromkeys(codes, "unchanged"), "migrating gave them"
        Group.objects.all().delete()
        StandardRole.objects.all().delete()
        assert results() == dict.fromkeys(codes, "created")
        assert {"tenancy.run_tenant", "tenancy.add_tenantopening"} <= held("tenants")
        assert not {"tenancy.close_tenant", "tenancy.add_supportsession"} & held("tenants")
        assert "tenancy.add_supportsession" in held("helpdesk")
        assert "tenancy.run_tenant" not in held("helpdesk")
        assert "tenancy.view_tenant" in held("readonly")
        assert "accounts.assign_roles" in held("administrator")
        assert not [name for name in held("administrator") if name.startswith("orders.")]


# --- The pages ---


def test_a_person_with_a_role_may_what_it_holds(tenant: Any) -> None:
    user = a_user()
    user.groups.add(role("finance"))
    client = signed_in(user)
    assert client.get("/admin/wallet/wallet/").status_code == 200
    assert client.get("/admin/accounts/user/").status_code == 403


def staff_form(user: User, **changes: Any) -> dict[str, Any]:
    form = {
        "username": user.username,
        "is_active": "on" if user.is_active else "",
        "groups": [group.pk for group in user.groups.all()],
        "scope": user.scope,
    }
    return {key: value for key, value in {**form, **changes}.items() if value != ""}


MANAGER = ("accounts.view_user", "accounts.change_user", "accounts.assign_roles")


def test_nobody_gives_a_role_that_holds_more_than_they_have(tenant: Any) -> None:
    chief, other = a_user(*MANAGER, *held("support")), a_user()
    for user in (chief, other):
        page = f"/admin/accounts/user/{user.pk}/change/"
        answer = signed_in(chief).post(page, staff_form(user, groups=[role("finance").pk]))
        assert answer.status_code == 200
        assert "财务" in str(answer.context["errors"])
        assert not user.groups.exists()
    page = f"/admin/accounts/user/{other.pk}/change/"
    assert signed_in(chief).post(page, staff_form(other, groups=[role("support").pk])).status_code == 302
    assert list(other.groups.all()) == [role("support")]


def test_without_the_permission_roles_are_not_given(tenant: Any) -> None:
    clerk, other = a_user("accounts.view_user", "accounts.change_user", *held("support")), a_user()
    form = staff_form(other, groups=[role("support").pk])
    assert signed_in(clerk).post(f"/admin/accounts/user/{other.pk}/change/", form).status_code == 302
    assert not other.groups.exists()


@pytest.mark.parametrize("active", [True, False])
def test_nobody_changes_or_takes_over_an_account_that_has_more(tenant: Any, active: bool) -> None:
    other = a_user()
    other.groups.add(role("finance"))
    User.objects.filter(pk=other.pk).update(is_active=active)
    client = signed_in(a_user(*MANAGER))
    assert client.post(f"/admin/accounts/user/{other.pk}/change/", staff_form(other)).status_code == 403
    new = {"usable_password": "true", "password1": "other horse", "password2": "other horse"}
    assert client.post(f"/admin/accounts/user/{other.pk}/password/", new).status_code == 403
    other.refresh_from_db()
    assert other.check_password("correct horse")


@pytest.mark.parametrize("by_role", [True, False])
def test_the_last_administrator_stays(tenant: Any, by_role: bool) -> None:
    User.objects.update(is_active=False)
    chief = a_user(superuser=not by_role)
    if by_role:
        chief.groups.add(role("administrator"))
    page = f"/admin/accounts/user/{chief.pk}/change/"
    without = {"groups": ""} if by_role else {}
    for change in ({"is_active": "", "is_superuser": "" if by_role else "on"}, without):
        answer = signed_in(User.objects.get(pk=chief.pk)).post(page, staff_form(chief, **change), follow=True)
        assert "先让其他人成为管理员" in answer.content.decode()
        chief.refresh_from_db()
        assert chief.is_active
    other = a_user(superuser=True)
    assert signed_in(other).post(page, staff_form(chief, is_active="")).status_code == 302
    chief.refresh_from_db()
    assert not chief.is_active


def test_the_page_of_a_role_is_grouped_and_in_chinese(tenant: Any) -> None:
    text = boss().get(f"/admin/auth/group/{role('support').pk}/change/").content.decode()
    for wanted in ("<legend>充电订单</legend>", "可停止充电", "<legend>员工</legend>"):
        assert wanted in text, wanted
    shown = signed_in(a_user("auth.view_group")).get(f"/admin/auth/group/{role('support').pk}/change/")
    assert "可停止充电" in shown.content.decode()
    assert 'type="checkbox" name="permissions"' not in shown.content.decode()


def test_a_role_is_changed_box_by_box(tenant: Any) -> None:
    group = role("readonly")
    boxes = [*group.permissions.values_list("pk", flat=True), permission("orders.stop_order").pk]
    page = f"/admin/auth/group/{group.pk}/change/"
    assert boss().post(page, {"name": "查看", "permissions": boxes}).status_code == 302
    assert "orders.stop_order" in held("readonly")
    assert role("readonly").name == "查看"


def test_nobody_puts_into_a_role_what_they_lack(tenant: Any) -> None:
    chief = a_user(
        "auth.view_group", "auth.change_group", "auth.add_group", "orders.view_order", "orders.stop_order"
    )
    client = signed_in(chief)
    made = Group.objects.create(name="夜班")
    made.permissions.add(permission("orders.view_order"))
    page = f"/admin/auth/group/{made.pk}/change/"
    wanted = [permission(name).pk for name in ("orders.stop_order", "wallet.view_wallet")]
    assert "查看" in str(client.post(page, {"name": "夜班", "permissions": wanted}).context["errors"])
    assert client.post(page, {"name": "夜班", "permissions": wanted[:1]}).status_code == 302
    assert {name_of(one) for one in made.permissions.select_related("content_type")} == {"orders.stop_order"}
    # One that holds more is not changed at all.
    other = role("finance")
    assert client.post(f"/admin/auth/group/{other.pk}/change/", {"name": "x"}).status_code == 403


def test_the_administrators_role_keeps_its_permissions(tenant: Any) -> None:
    group = role("administrator")
    assert (
        boss().post(f"/admin/auth/group/{group.pk}/change/", {"name": "老板", "permissions": []}).status_code
        == 302
    )
    assert role("administrator").name == "老板"
    assert held("administrator") == {name_of(one) for one in grantable()}
    assert boss().post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 403


def test_only_a_role_that_nobody_has_is_deleted(tenant: Any) -> None:
    empty, used = Group.objects.create(name="空"), Group.objects.create(name="用")
    a_user().groups.add(used)
    assert boss().post(f"/admin/auth/group/{used.pk}/delete/", {"post": "yes"}).status_code == 403
    assert boss().post(f"/admin/auth/group/{empty.pk}/delete/", {"post": "yes"}).status_code == 302
    assert set(Group.objects.filter(name__in=["空", "用"])) == {used}


@pytest.mark.parametrize("rows", [1, 3])
def test_the_list_of_roles_asks_the_database_as_often_for_many(
    tenant: Any, rows: int, django_assert_num_queries: Any
) -> None:
    Group.objects.exclude(pk__in=list(Group.objects.values_list("pk", flat=True)[:rows])).delete()
    client = boss()
    client.get("/admin/auth/group/")
    with django_assert_num_queries(8):
        assert client.get("/admin/auth/group/").status_code == 200
