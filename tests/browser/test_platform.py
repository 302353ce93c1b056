"""The platform in a real browser: a tenant is opened while one watches, and one is visited and left again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, person, sign_in
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
GIVEN, OWN = "kai-tong-2026", "Zi-ji-gai-2027"
REASON = "浏览器测试：核对订单"


def test_a_tenant_is_opened_and_another_visited(browser: Browser, live_system: LiveSystem) -> None:
    port = live_system.site.port
    with person(browser, f"http://localhost:{port}") as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/tenancy/tenant/")
        page.get_by_role("link", name="开通租户").first.click()
        page.wait_for_url("**/tenantopening/add/")
        for name, value in (
            ("code", "third"),
            ("name", "第三运营商"),
            ("administrator", "boss"),
            ("password", GIVEN),
        ):
            page.fill(f"input[name={name}]", value)
        assert english(page) == []
        page.locator("button[name=_save]").first.click()
        page.wait_for_url("**/tenantopening/*/change/")
        page.get_by_text("租户已开通，查看详情").wait_for(timeout=60_000)
        assert english(page) == []
        page.get_by_text("租户已开通，查看详情").click()
        page.wait_for_url("**/tenancy/tenant/*/change/")
        assert "third.localhost" in words(page)
        assert watch.faults == []
    with person(browser, f"http://third.localhost:{port}") as (page, watch):
        page.goto("/admin/login/")
        page.fill("input[name=username]", "boss")
        page.fill("input[name=password]", GIVEN)
        page.click("button[type=submit]")
        page.wait_for_url("**/sign-in/password/")  # the platform knows the one it gave
        page.fill("input[name=password1]", OWN)
        page.fill("input[name=password2]", OWN)
        page.get_by_role("button", name="保存并登录").click()
        page.wait_for_url("**/admin/")
        assert "第三运营商" in words(page)
        assert watch.faults == []

    with person(browser, f"http://localhost:{port}") as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/tenancy/tenant/?q=demo")
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("link", name="进入租户后台").click()
        page.wait_for_url("**/supportsession/add/**")
        page.fill("input[name=reason]", REASON)
        page.locator("button[name=_save]").first.click()
        page.wait_for_url(f"http://demo.localhost:{port}/admin/")
        banner = page.locator(".bo-banner")
        assert REASON in banner.inner_text()
        page.goto(f"http://demo.localhost:{port}/admin/orders/order/")
        assert english(page) == []
        page.locator(".bo-banner button").click()
        page.get_by_text("支持访问已结束。").first.wait_for()
        page.goto(f"http://demo.localhost:{port}/admin/")
        page.wait_for_url("**/admin/login/**")
        assert [fault for fault in watch.faults if "left the host: http://demo.localhost" not in fault] == []
