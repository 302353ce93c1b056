"""The books in a real browser: the journal page by page, a trial balance that proves itself, statements."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, person, sign_in
from tests.browser.test_journey import PASSWORD, english, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]


def numbers(page: Page, row: str) -> list[Decimal]:
    """The amounts of a table's row."""
    return [Decimal(text) for text in page.locator(f"{row} .bo-num").all_inner_texts()]


def service_revenue(page: Page) -> Decimal:
    """What the trial balance says of the service fee at its end; revenue stands in credit."""
    row = page.locator("#trial-balance tbody tr", has_text="服务费").first
    return -Decimal(row.locator(".bo-num").last.inner_text())


def test_the_journal_is_walked_and_filtered(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/wallet/journalentry/")
        links = "#result_list tbody a[href*='/wallet/journalentry/']"
        first = page.locator(links).first.get_attribute("href")
        assert page.locator("#result_list tbody tr").count() == 30
        pager = page.locator("nav.bo-pager")
        assert pager.get_by_role("link", name="较新").count() == 0
        pager.get_by_role("link", name="较早").click()
        page.wait_for_url("**older=*")
        assert page.locator(links).first.get_attribute("href") != first
        page.locator("nav.bo-pager").get_by_role("link", name="较新").click()
        page.wait_for_url("**newer=*")
        newest = page.locator("nav.bo-pager").get_by_role("link", name="最新")
        newest.click()
        page.wait_for_url(re.compile(r"/journalentry/\?$"))
        page.goto("/admin/wallet/journalentry/?kind__exact=recharge&account=channel_clearing")
        kinds = page.locator("#result_list td.field-kind").all_inner_texts()
        assert kinds
        assert set(kinds) == {"充值"}
        with page.expect_download() as download:
            page.locator("a[href*='/journalentry/export/']").click()
        assert download.value.suggested_filename.endswith(".csv")
        assert english(page) == []
        assert watch.faults == []


def test_a_trial_balance_proves_itself_and_leads_to_statements(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/")
        page.goto(
            page.locator("a", has_text="试算平衡表").first.get_attribute("href") or ""
        )  # its group is folded
        page.fill("input[name=from]", "2020-01-01")
        page.get_by_role("button", name="查看").click()
        page.wait_for_url("**from=2020-01-01*")
        page.locator("#trial-balance tfoot").get_by_text("平衡", exact=True).wait_for()
        opening, debits, credits_, closing = numbers(page, "#trial-balance tfoot")
        assert opening == closing == 0
        assert debits == credits_ > 0
        for title in ("资产", "负债", "收入"):
            assert title in words(page)
        balance_url, end = page.url, service_revenue(page)
        page.locator("#trial-balance tbody tr", has_text="服务费").first.locator("a").click()
        page.wait_for_url("**/statement/")
        page.locator("#statement").wait_for()
        shown = -Decimal(page.locator("#statement tbody tr").first.locator(".bo-num").last.inner_text())
        assert english(page) == []
        page.goto(balance_url)
        assert end <= shown <= service_revenue(page)  # charges go on being settled meanwhile

        page.goto("/admin/wallet/account/chart/")
        assert page.locator("#chart .bo-group").count() == 4
        page.goto("/admin/wallet/wallet/")
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("link", name="明细账").click()
        page.wait_for_url("**/statement/")
        page.goto("/admin/wallet/dayclosing/")
        assert "已日结至" in words(page)
        page.locator("a[hx-get$='/check-and-close/']").click()
        page.locator("#dialog").get_by_text("无差异时").wait_for()
        assert english(page) == []
        assert watch.faults == []


SIDEWAYS = """() => {
    let box = document.querySelector("#result_list");
    while (box && !["auto", "scroll"].includes(getComputedStyle(box).overflowX)) box = box.parentElement;
    return box ? box.scrollWidth - box.clientWidth : 0;
}"""


def test_wide_lists_fit_a_desktop(browser: Browser, base: str) -> None:
    """1440 pixels, the sidebar open: nobody decides on what stands outside of the picture."""
    over = {}
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        for path in (
            "wallet/debt/",
            "wallet/walletrefund/",
            "wallet/walletrefundpart/",
            "wallet/recharge/",
            "wallet/channelday/",
            "wallet/channeldifference/",
            "orders/abnormalorder/",
            "orders/energyday/",
            "orders/energydifference/",
            "orders/orderrefund/",
            "backoffice/approval/",
        ):
            page.goto(f"/admin/{path}")
            page.locator("#content").wait_for()
            over[path] = page.evaluate(SIDEWAYS)
        assert {path: pixels for path, pixels in over.items() if pixels > 0} == {}
        assert watch.faults == []
