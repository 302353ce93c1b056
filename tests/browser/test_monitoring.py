"""The gun wall in a real browser: live by its socket, filtered by chips, buttons that ask, and without its socket."""

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
# What a chip says, and how many guns are shown.
SHOWN = """chip => [
  parseInt(chip.querySelector("b").innerText),
  [...document.querySelectorAll("article.bo-gun")].filter((gun) => gun.offsetParent).length,
]"""
NO_SOCKETS = """
WebSocket = class extends EventTarget {
  constructor() { super(); setTimeout(() => this.onclose({ code: 1006 }), 50); }
  close() {}
};
"""


def test_the_gun_wall_lives(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/piles/connector/wall/")
        page.locator("a.bo-gun").first.click()
        page.locator("#bo-live[data-state=live]").wait_for()
        assert "实时更新中" in words(page)
        assert english(page) == []
        cards = page.locator("article.bo-gun")
        total = int(page.locator("[data-show=all] b").inner_text())
        assert cards.count() == total > 0
        # A chip shows the guns of one state, and what comes in later stays filtered.
        for chip in page.locator("button[data-show]").all():
            chip.click()
            # Both read at one moment: guns change their states meanwhile.
            number, seen = chip.evaluate(SHOWN)
            assert seen == number
        page.locator("[data-show=all]").click()
        reboot = page.locator("[data-do=restart_alt]").first
        reboot.click()
        page.locator("#dialog").get_by_text("重启").first.wait_for()
        page.keyboard.press("Escape")
        # The clock goes on: the socket says something every few seconds.
        before = page.locator("#bo-refreshed").inner_text()
        page.wait_for_function(
            "before => document.getElementById('bo-refreshed').textContent !== before",
            arg=before,
            timeout=20_000,
        )
        assert watch.faults == []

        # A network that lets no sockets through: the page asks instead.
        page.add_init_script(NO_SOCKETS)
        page.reload()
        page.locator("#bo-live[data-state=polling]").wait_for()
        before = page.locator("#bo-refreshed").inner_text()
        page.wait_for_function(
            "before => document.getElementById('bo-refreshed').textContent !== before",
            arg=before,
            timeout=20_000,
        )
        assert cards.count() == total
        assert "每几秒刷新" in words(page)

        # The menu counts alarms; the list leads to one, which is acknowledged in a dialog.
        page.goto("/admin/piles/alarm/?open=all")
        assert english(page) == []
        if page.locator("#result_list tbody tr").count():
            page.locator("#result_list tbody th a").first.click()
            assert re.search("告警|确认|处理记录", words(page))
        for path in ("alarmrule/add/", "notificationrule/add/"):
            page.goto(f"/admin/piles/{path}")
            assert english(page) == []
        for path in ("smsaccount/add/", "mailaccount/add/", "robot/add/", "message/"):
            page.goto(f"/admin/notifications/{path}")
            assert english(page) == []
        assert watch.faults == []
