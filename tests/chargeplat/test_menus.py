"""The sidebar: groups that fit the eye, and each list of the back office in exactly one place."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from django.urls import reverse

from apps.backoffice.sites import tenant_site
from chargeplat.menus import tenant_navigation
from tests.staff import a_user

INSIDE_ANOTHER_PAGE = {"piles.connector"}
"""Lists that are reached from another page and need no entry."""


def menu(user: Any) -> list[dict[str, Any]]:
    request = RequestFactory().get("/admin/")
    request.user = user
    return tenant_navigation(request)


def test_groups_are_short_and_each_list_has_one_entry(tenant: Any) -> None:
    groups = menu(a_user(superuser=True))
    sections = [section for section, _groups in groupby(group["section"] for group in groups)]
    assert sections == ["", "基础设施平台", "用户平台", "企业管理"]
    assert {group["title"]: len(group["items"]) for group in groups if len(group["items"]) > 8} == {}
    entries = [entry for group in groups for entry in group["items"]]
    for key in ("link", "title"):
        assert [
            value for value, times in Counter(str(one[key]) for one in entries).items() if times > 1
        ] == []
    links = {entry["link"] for entry in entries}
    missing = {
        model._meta.label_lower
        for model in tenant_site._registry
        if reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") not in links
    }
    assert missing == INSIDE_ANOTHER_PAGE


def test_a_person_sees_what_they_may_see(tenant: Any) -> None:
    assert [
        (group["section"], group["title"], [entry["title"] for entry in group["items"]])
        for group in menu(a_user("wallet.view_debt", "coupons.view_coupon"))
    ] == [
        ("", "运营", ["工作台", "下载中心"]),
        ("用户平台", "充值与退款", ["欠费"]),
        ("用户平台", "营销", ["优惠券"]),
    ]
    assert [group["title"] for group in menu(AnonymousUser())] == ["运营"]
