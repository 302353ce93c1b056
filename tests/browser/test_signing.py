"""A new member of staff in a real browser: first sign-in by keyboard, second factor, WeChat bound and scanned.

As in the journey, a page fails when it raises an error, writes one to the console, is answered with an error, shows
the theme's English, or has a serious fault of accessibility; only the scan leaves the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyotp
import pytest

from tests.browser.chromium import EXECUTABLE, person, sign_in
from tests.browser.steps import english, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
GIVEN, OWN = "Given-by-boss-1", "Mine-alone-22"


def faults(page: Page) -> list[str]:
    """What axe finds serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def test_a_new_member_of_staff_signs_in(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/accounts/user/add/")
        page.fill("input[name=username]", "xiaolin")
        page.fill("input[name=display_name]", "林晓")
        page.fill("input[name=password1]", GIVEN)
        page.fill("input[name=password2]", GIVEN)
        page.locator("[name=_save]").first.click()
        page.wait_for_url("**/user/**/change/")
        assert "角色" in words(page)
        assert page.locator("input[name=groups]").count() >= 6
        assert english(page) == []
        for address in ("/admin/accounts/signinpolicy/", "/admin/accounts/staffsession/"):
            page.goto(address)
            assert english(page) == []
        page.goto("/admin/auth/group/")
        assert "组" not in page.locator("body").inner_text().replace("组织", "").replace("分组", "")
        assert watch.faults == []

    with person(browser, base) as (page, watch):
        page.goto("/admin/login/")
        page.wait_for_function("document.activeElement.name === 'username'")
        page.keyboard.type("xiaolin")
        page.keyboard.press("Tab")
        page.keyboard.type(GIVEN)
        assert faults(page) == []
        page.focus("input[name=password]")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sign-in/password/")
        assert faults(page) == []
        page.fill("input[name=password1]", OWN)
        page.fill("input[name=password2]", OWN)
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/")

        page.goto("/admin/me/")
        assert faults(page) == []
        assert english(page) == []
        page.get_by_role("link", name="设置", exact=True).click()
        page.fill("input[name=current]", OWN)
        page.get_by_role("button", name="继续").click()
        secret = page.locator("#secret").inner_text().replace(" ", "")
        assert page.locator(".bo-qr svg").is_visible()
        assert faults(page) == []
        page.fill("input[name=code]", pyotp.TOTP(secret).now())
        page.get_by_role("button", name="设置", exact=True).click()
        page.locator("#recovery-codes li").first.wait_for()
        recovery = page.locator("#recovery-codes li").all_inner_texts()
        assert len(recovery) == 10
        page.get_by_role("link", name="我已妥善保存").click()
        page.wait_for_url("**/admin/me/")
        assert watch.faults == []

        # To the provider's page and back, which is another host.
        page.locator("form[action$='/bind/wechat/'] button").click()
        page.get_by_role("button", name="王五").click()
        page.wait_for_url("**/admin/me/")
        assert "现在可以用微信登录" in words(page)

    with person(browser, base, phone=True) as (page, _watch):
        page.goto("/admin/login/")
        page.get_by_role("button", name="微信扫码登录").click()
        page.get_by_role("button", name="王五").click()
        page.wait_for_url("**/sign-in/second/")
        assert faults(page) == []
        assert english(page) == []
        page.get_by_role("link", name="恢复码").click()
        page.fill("input[name=code]", recovery[0])
        page.get_by_role("button", name="确认").click()
        page.wait_for_url("**/admin/")
        page.goto("/admin/me/")
        assert page.locator("#my-sessions tbody tr").count() == 2
        page.get_by_role("button", name="退出其他所有设备").click()
        page.locator("#my-sessions tbody tr").nth(1).wait_for(state="detached")
        assert page.locator("#my-sessions tbody tr").count() == 1
