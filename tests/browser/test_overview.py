"""The overview in a real browser: its tree, what renews itself, the search by keyboard, and the wall display."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, person, sign_in
from tests.browser.steps import english, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
STATION = "张江科学城超级充电站"


def test_a_place_is_chosen_and_the_wall_hangs(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        page.clock.install()
        sign_in(page, "admin", PASSWORD)
        tree = page.locator("#bo-tree")
        row = tree.locator("li", has=page.locator(f"a:text-is('{STATION}')")).last
        row.locator("button.bo-twist").press("Enter")
        row.get_by_role("link", name=re.compile("^31011500000001")).wait_for()
        assert row.locator(".bo-tree-guns a").count() == 12
        row.locator("button.bo-twist").press("Enter")
        assert not row.locator(".bo-tree-guns a").first.is_visible()

        tree.get_by_role("searchbox").fill("3101150000000302")
        page.clock.run_for(400)
        tree.locator("#bo-tree-found").get_by_role("link", name=re.compile("^02 ")).last.click()
        page.wait_for_url("**/admin/?at=gun:*")
        where = page.locator(".bo-where b")
        assert where.inner_text() == "3101150000000302"
        tree.locator("[aria-current]").wait_for()
        page.goto("/admin/")
        assert where.inner_text() == "3101150000000302"
        page.evaluate("document.getElementById('overview-now').dataset.old = ''")
        page.clock.fast_forward(21_000)
        page.locator("#overview-now:not([data-old])").wait_for()
        page.get_by_role("link", name="查看全部充电站").click()
        page.wait_for_url(re.compile(r"at=$"))
        assert "当前仅看" not in words(page)
        page.locator("#hours-chart svg").wait_for()
        assert english(page) == []

        page.keyboard.press("Control+k")
        page.locator("#search-input-command").fill("试算")
        page.keyboard.press("End")  # the search listens to keys
        page.clock.run_for(600)
        result = page.locator("#command-results-list a").first
        result.wait_for()
        assert result.get_attribute("href") == "/admin/wallet/account/trial-balance/"
        page.goto("/admin/wallet/account/trial-balance/")
        group = page.locator(".bo-nav-group", has_text="营销")
        group.press("Enter")
        page.get_by_role("link", name="优惠券模板").wait_for()

        page.set_viewport_size({"width": 1920, "height": 1080})
        page.goto("/admin/display/")
        page.locator("#days svg").wait_for()
        for side in ("Width", "Height"):
            assert page.evaluate(f"document.documentElement.scroll{side} - window.inner{side}") <= 0
        assert page.locator("a, button, input").count() == 0
        with page.expect_response("**/display/data/**") as answer:
            page.clock.fast_forward(6_000)
        assert answer.value.ok
        assert watch.faults == []
        page.route("**/display/data/**", lambda route: route.abort())
        page.clock.fast_forward(6_000)
        page.get_by_text("连接断开").wait_for()
        assert page.locator("#tiles b").first.inner_text() != ""
