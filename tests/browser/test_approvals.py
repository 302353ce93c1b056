"""An abnormal order is decided by two people in a real browser: one asks, the other approves, the order is billed.

As in the journey, a page fails when it raises an error, writes one to the console, leaves its host, is answered with
an error, or shows the theme's English.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, first_link, person, sign_in
from tests.browser.steps import dialog, english, send, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
QUEUE = "/admin/orders/abnormalorder/"


def test_two_people_close_an_abnormal_order(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.get_by_role("link", name="异常订单").first.click()
        page.wait_for_url(f"**{QUEUE}")
        shown = words(page)
        for title in ("异常原因", "冻结（元）", "建议金额（元）", "稽核发现"):
            assert title in shown, title
        assert english(page) == []
        desk = first_link(page, QUEUE)
        page.goto(desk)
        shown = words(page)
        for title in ("数据对照", "稽核发现", "充电中上报", "电表止码减起码", "我方账单（建议）", "过程"):
            assert title in shown, title
        assert english(page) == []
        order_no = page.locator("#content-main a[href*='/orders/order/']").first.inner_text()

        opened = dialog(page, "adjust")
        for field in opened.locator("input[type=text], input[type=number]").all():
            if field.get_attribute("name") != "reason":
                field.fill("0")
        opened.locator("input[name=flat]").fill("2.5")
        send(opened, "提交申请", "现场抄表 2.5 度")
        page.get_by_text("申请已提交，待另一人批准。").wait_for()
        assert "现场抄表 2.5 度" in words(page)
        # Who asked finds no button to approve it.
        page.goto(first_link(page, "/admin/backoffice/approval/?operation=orders.adjust"))
        assert "这是您发起的申请，须由另一人批准。" in words(page)
        assert page.locator("a[hx-get$='/approve/']").count() == 0
        assert english(page) == []
        assert watch.faults == []

    with person(browser, base) as (page, watch):
        sign_in(page, "reviewer", PASSWORD)
        assert "待我复核" in words(page)
        page.goto(first_link(page, "/admin/backoffice/approval/?whose=mine"))
        assert "异常订单调整电量结算" in words(page)
        assert page.locator(".bo-diff ins", has_text="2.5000").count() == 1
        opened = dialog(page, "approve")
        opened.get_by_role("button", name="批准并执行").click()
        page.get_by_text("已批准并执行。").wait_for()
        link = page.locator("#content-main a[href*='/orders/order/']").first
        assert link.inner_text() == order_no
        page.goto(link.get_attribute("href") or "")
        shown = words(page)
        for part in ("已完成", "人工调整电量", "管理员 申请", "复核员 批准", "现场抄表 2.5 度", "2.5000"):
            assert part in shown, part
        page.goto("/admin/backoffice/auditentry/")
        assert "复核申请" in words(page)
        page.goto(first_link(page, "/admin/backoffice/auditentry/"))
        assert english(page) == []
        assert watch.faults == []
