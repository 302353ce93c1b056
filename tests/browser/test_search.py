"""The command search by keyboard: Ctrl + K, words, arrows, Enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, person, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
MARKED = "#command-results-list li.active"


def search(page: Page, words: str) -> None:
    page.goto("/admin/")
    page.keyboard.press("Control+k")
    page.wait_for_function("document.activeElement.id === 'search-input-command'")
    page.keyboard.type(words)
    page.keyboard.press("Shift")  # Chinese comes in without a key; the search listens to keys


def test_the_search_is_used_without_a_mouse(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)

        search(page, "试算")
        page.locator(MARKED).wait_for()
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/wallet/account/trial-balance/")

        search(page, "充电站")
        page.locator(MARKED).wait_for()
        links = page.locator("#command-results-list a")
        assert links.count() > 1
        second = links.nth(1).get_attribute("href")
        page.keyboard.press("ArrowDown")
        page.locator(f"{MARKED} a[href='{second}']").wait_for()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{second}")

        search(page, "试算")
        page.keyboard.press("Enter")  # before the results are there
        page.wait_for_url("**/admin/wallet/account/trial-balance/")

        search(page, "没有这样的东西")
        page.locator("#command-results-note").wait_for(state="attached")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")  # empties the field
        page.wait_for_function("document.getElementById('search-input-command').value === ''")
        assert page.url.endswith("/admin/")
        assert watch.faults == []
