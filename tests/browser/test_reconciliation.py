"""The reconciliation centre in a real browser: a day is reconciled, its differences resolved, a large one by two.

As in the journey, a page fails when it raises an error, writes one to the console, leaves its host, is answered with
an error, or shows the theme's English.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, first_link, person, sign_in
from tests.browser.steps import dialog, english, send, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
DAYS = "/admin/wallet/channelday/"
OPEN = "/admin/wallet/channeldifference/?state__exact=open"


def difference_of(page: Page, amount: str) -> str:
    """The address of the open difference of this amount."""
    page.goto(OPEN)
    row = page.locator("#result_list tbody tr", has_text=amount)
    return row.locator("a").first.get_attribute("href") or ""


def test_a_day_is_reconciled_and_its_differences_resolved(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        assert page.locator(f"a[href='{DAYS}']").count() > 0
        page.goto(DAYS)
        assert english(page) == []

        page.goto(first_link(page, f"{DAYS}?open=1"))
        shown = words(page)
        for title in ("账单收款", "我方收款", "账单退款", "仅渠道有", "66.00", "128.00"):
            assert title in shown, title
        assert english(page) == []
        day = page.url
        opened = dialog(page, "again")
        opened.get_by_role("button", name="对账").click()
        page.get_by_text("2 项差异待处理").wait_for()

        page.goto(difference_of(page, "66.00"))
        shown = words(page)
        for title in ("我方单号", "渠道", "差额（元）", "+66.00"):
            assert title in shown, title
        opened = dialog(page, "resolve")
        opened.get_by_role("button", name="处理").click()
        opened.locator("#dialog-form .errors").wait_for()  # the answer brings new fields: fill those
        send(opened, "处理", "场地方误付，已在商户平台退回")
        page.get_by_text("差异已处理。").wait_for()
        assert "场地方误付" in words(page)
        assert page.locator("a[hx-get$='/resolve/']").count() == 0
        assert english(page) == []

        page.goto(difference_of(page, "128.00"))
        send(dialog(page, "resolve"), "处理", "银行已确认为他人误付")
        page.get_by_text("须由另一人复核").wait_for()
        page.goto(OPEN)
        shown = words(page)
        assert "128.00" in shown  # until a second person agrees
        assert "66.00" not in shown
        assert watch.faults == []

    with person(browser, base) as (page, watch):
        sign_in(page, "reviewer", PASSWORD)
        page.goto(first_link(page, "/admin/backoffice/approval/?operation=wallet.resolve_difference"))
        assert "128.00" in words(page)
        opened = dialog(page, "approve")
        opened.get_by_role("button", name="批准并执行").click()
        page.get_by_text("已批准并执行。").wait_for()
        page.goto(day)
        shown = words(page)
        assert "已处理" in shown
        page.goto(OPEN)
        assert "66.00" not in words(page)
        assert "128.00" not in words(page)
        page.goto("/admin/orders/energyday/")
        page.goto(first_link(page, "/admin/orders/energyday/"))
        assert english(page) == []
        page.goto(first_link(page, "/admin/wallet/channelbillrow/"))
        assert english(page) == []
        assert watch.faults == []
