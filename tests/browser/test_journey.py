"""One working day of staff in a real browser, against a system in processes of its own.

A page fails the journey when it raises an error, writes one to the console, asks another host for anything, is
answered with an error, or shows the theme's English.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, dark_mode, first_link, person, sign_in
from tests.browser.steps import english, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.live.system import LiveSystem

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
GREEN = "rgb(5, 122, 85)"


def test_a_day_at_the_desk(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        page.goto("/admin/login/")
        assert "登录" in words(page)
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", "wrong")
        page.click("button[type=submit]")
        page.get_by_text("用户名与密码不匹配").wait_for()
        sign_in(page, "admin", PASSWORD)

        assert page.locator("#header, header, #main").first.is_visible()
        for title in ("今日电量", "今日营收", "今日订单", "枪在线率", "充电枪状态", "待处理", "今日各站"):
            assert title in words(page), title
        page.locator("#days-chart svg").wait_for()
        page.get_by_text("查看数据表").first.click()
        rows = page.locator("section:has(#days-chart) tbody tr")
        assert rows.count() == 14
        assert english(page) == []

        page.goto("/admin/sites/station/")
        assert "当前电价（元/度）" in words(page)
        assert page.locator("#result_list tbody tr").count() == 4
        assert english(page) == []
        page.goto(first_link(page, "/admin/sites/station/"))
        assert "今日电价" in words(page)
        page.get_by_role("link", name="位置").or_(page.get_by_text("位置", exact=True)).first.click()
        page.locator("input[name=latitude]").wait_for(state="visible")

        page.goto(first_link(page, "/admin/orders/order/?state__exact=completed"))
        shown = words(page)
        for title in ("过程", "资金", "分时计费", "账务流水", "交易记录", "已完成", "收到交易记录"):
            assert title in shown, title
        bill = page.locator("table:has(tfoot)")
        cells = bill.locator("tfoot td").all_inner_texts()
        electricity, service, total = (cell for cell in cells[3:6])
        assert re.fullmatch(r"\d+\.\d\d", total)
        fen = [int(amount.replace(".", "")) for amount in (electricity, service, total)]
        assert fen[0] + fen[1] == fen[2]
        page.locator("details.bo-details summary").last.click()
        assert page.locator("pre.bo-raw").last.is_visible()
        assert english(page) == []

        page.goto("/admin/piles/connector/")
        assert page.locator(".bo-gun").count() > 10
        before = page.locator("#bo-refreshed").inner_text()
        page.wait_for_function(
            "before => document.querySelector('#bo-refreshed').innerText !== before", arg=before
        )

        page.goto("/admin/wallet/journalentry/")
        page.get_by_text("过滤器", exact=False).first.click()
        page.get_by_role("button", name="应用筛选").wait_for()
        assert english(page) == []
        assert watch.faults == []


def test_a_new_price_is_painted_and_assigned(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/pricing/pricetemplate/new/")
        page.fill("input[name=name]", "浏览器电价")
        for place, rate_class in enumerate(("sharp", "peak", "flat", "valley")):
            page.fill(f"input[name={rate_class}_electricity]", f"{1.5 - place * 0.3:.5f}")
            page.fill(f"input[name={rate_class}_service]", "0.4")
        assert page.locator("tr[data-class=sharp] [data-total]").inner_text() == "1.90"
        page.get_by_role("radio", name="尖").click()
        page.select_option("#bo-from", label="10:00")
        page.select_option("#bo-to", label="12:30")
        page.get_by_role("button", name="设置时段").click()
        page.get_by_role("radio", name="峰").click()
        cells = page.locator("#bo-paint button")
        start, end = cells.nth(30).bounding_box(), cells.nth(33).bounding_box()
        assert start
        assert end
        page.mouse.move(start["x"] + 3, start["y"] + 10)
        page.mouse.down()
        page.mouse.move(end["x"] + 3, end["y"] + 10, steps=12)
        page.mouse.up()
        slots = page.locator("input[name=slots]").input_value()
        assert slots[20:25] == "00000"
        assert slots[30:34] == "1111"
        assert len(slots) == 48
        page.get_by_role("button", name="保存为新版本").click()
        page.wait_for_url("**/pricetemplate/*/change/")
        assert "浏览器电价 v1 已保存" in words(page)
        assert "10:00–12:30" in words(page)

        page.locator("a[hx-get$='/assign/']").click()
        dialog = page.locator("#dialog")
        dialog.wait_for()
        dialog.get_by_role("button", name="分配").click()
        dialog.get_by_text("请选择充电站，或填写一个桩编码。").wait_for()
        dialog.locator("select[name=station]").select_option(index=1)
        dialog.locator("input[name=reason]").fill("尖峰时段调整")
        dialog.get_by_role("button", name="分配").click()
        page.get_by_text("超过单人可操作的幅度，待另一人批准").wait_for()
        assert watch.faults == []

    with person(browser, base) as (page, watch):
        sign_in(page, "reviewer", PASSWORD)
        page.goto(first_link(page, "/admin/backoffice/approval/?operation=pricing.assign"))
        assert "尖峰时段调整" in words(page)
        assert page.locator(".bo-diff ins").count() > 4
        page.locator("a[hx-get$='/approve/']").first.click()
        page.locator("#dialog").get_by_role("button", name="批准并执行").click()
        page.locator("a[hx-get$='/approve/']").first.wait_for(state="detached")
        assert "已执行" in words(page)

        page.goto("/admin/backoffice/auditentry/")
        assert "电价方案: 新增版本" in words(page)
        assert "复核申请: 已批准" in words(page)
        assert watch.faults == []


def test_a_price_task_is_scheduled_and_a_filter_kept(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/pricing/holiday/new/")
        page.fill("textarea[name=lines]", "2099-10-01~2099-10-03 国庆节 休\n坏行 x\n")
        page.get_by_role("button", name="预览").click()
        page.get_by_text("3 天正确，1 行有误").first.wait_for()
        page.get_by_label("只录入正确的行").check()
        page.get_by_role("button", name="录入").click()
        page.get_by_text("已录入 3 天").wait_for()

        page.goto(first_link(page, "/admin/pricing/pricetemplate/?q=杭州"))
        assert "账单试算" in words(page)
        page.fill("input[name=kwh]", "50")
        page.get_by_role("button", name="试算").click()
        page.wait_for_url("**kwh=50**")
        assert "50.0000" in words(page)
        page.get_by_role("link", name="与 v1 对比").click()
        page.get_by_text("单个时段最大变动").first.wait_for()
        assert english(page) == []

        page.goto("/admin/pricing/pricetask/new/")
        page.fill("input[name=name]", "周末电价")
        page.select_option("select[name=version]", index=1)
        page.select_option("select[name=days]", "rest_days")
        page.fill(
            "input[name=ends_at]",
            page.evaluate("new Date(Date.now() + 30 * 864e5).toISOString().slice(0, 16)"),
        )
        page.fill("input[name=reason]", "周末促销")
        page.locator("input[name=stations]").first.check()
        page.get_by_role("button", name="预览").click()
        page.get_by_text("最大变动幅度").first.wait_for()
        page.locator("button[name=save]").click()
        page.wait_for_url("**/pricetask/*/change/")
        for title in ("生效时段", "适用范围", "各桩结果", "周末及法定节假日"):
            assert title in words(page), title
        assert english(page) == []

        page.goto("/admin/orders/order/?state__exact=completed")
        page.locator("a[hx-get*='/save-filter/']").locator("visible=true").first.click()
        dialog = page.locator("#dialog")
        dialog.locator("input[name=name]").fill("已完成订单")
        dialog.get_by_role("button", name="保存").click()
        chip = page.locator(".bo-chip", has_text="已完成订单")
        chip.wait_for()
        assert chip.get_attribute("aria-current") == "true"
        page.get_by_role("button", name="删除筛选“已完成订单”").click()
        page.get_by_text("“已完成订单”已删除").wait_for()
        assert watch.faults == []


def test_a_refund_is_reviewed_and_paid(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto(first_link(page, "/admin/wallet/walletrefund/?state__exact=applied"))
        shown = words(page)
        for title in ("待审核", "退款明细", "过程", "账务流水", "已申请，款项已冻结", "150.00"):
            assert title in shown, title
        assert english(page) == []
        page.locator("a[hx-get$='/reject/']").click()
        dialog = page.locator("#dialog")
        dialog.get_by_role("button", name="驳回").click()
        assert dialog.is_visible()  # without a reason it stays
        page.keyboard.press("Escape")
        page.reload()
        page.locator("a[hx-get$='/approve/']").click()
        page.locator("#dialog").get_by_role("button", name="批准").click()
        page.get_by_text("退款已进入打款。").wait_for()
        for _ in range(30):
            if "渠道已打款" in words(page):
                break
            page.wait_for_timeout(1_000)
            page.reload()
        assert "渠道已打款" in words(page)
        assert page.locator("a[hx-get$='/approve/']").count() == 0

        page.goto("/admin/wallet/debt/?debt=open")
        assert "欠费时长" in words(page)
        assert english(page) == []
        page.goto(first_link(page, "/admin/orders/orderrefund/?state__exact=applied"))
        page.locator("a[hx-get$='/approve/']").click()
        page.locator("#dialog").get_by_role("button", name="批准").click()
        page.get_by_text("款项已退回付款方。").wait_for()
        assert "退款去向" in words(page)
        assert watch.faults == []


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(browser: Browser, base: str, dark: bool) -> None:
    with person(browser, base, phone=True, dark=dark) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        if dark:
            dark_mode(page)
        order = first_link(page, "/admin/orders/order/?state__exact=completed")
        for path in (
            "/admin/",
            "/admin/orders/order/",
            order,
            "/admin/piles/connector/",
            "/admin/sites/station/",
            first_link(page, "/admin/wallet/walletrefund/"),
        ):
            page.goto(path)
            page.locator("#content").wait_for()
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, f"{path} is {over} pixels too wide"
            assert page.evaluate("document.documentElement.classList.contains('dark')") is dark
        assert watch.faults == []


def test_the_platform_sees_tenants_and_no_business(browser: Browser, live_system: LiveSystem) -> None:
    with person(browser, f"http://localhost:{live_system.site.port}") as (page, watch):
        sign_in(page, "admin", PASSWORD)
        shown = words(page)
        assert "demo.localhost" in shown
        assert "second.localhost" in shown
        assert "充电订单" not in shown
        assert english(page) == []
        assert watch.faults == []
