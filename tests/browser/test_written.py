"""What only a browser shows where staff choose and write: the sum of an invoice's orders, pictures in a text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.browser.chromium import EXECUTABLE, dark_mode, first_link, person, sign_in
from tests.browser.steps import english, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def open_a_driver_with_orders(page: Page) -> None:
    """The page for invoices of one of the drivers who charged last and have something to invoice."""
    page.goto("/admin/orders/order/?state__exact=completed&source__exact=app")
    orders = [link.get_attribute("href") or "" for link in page.locator("#result_list tbody th a").all()[:20]]
    for order in orders:
        page.goto(order)
        driver = (
            page.locator("#content-main a[href*='/customers/customer/']").first.get_attribute("href") or ""
        )
        page.goto(driver.replace("/change/", "/invoice/"))
        if page.locator("input[name=orders]").count() > 1:
            return
    raise AssertionError("no driver of the demo has two orders to invoice")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_invoice_is_applied_for_on_a_phone(browser: Browser, base: str, dark: bool) -> None:
    with person(browser, base, phone=True, dark=dark) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        if dark:
            dark_mode(page)
        open_a_driver_with_orders(page)
        assert english(page) == []
        assert fits(page)
        boxes = page.locator("input[name=orders]")
        amounts = [float(box.get_attribute("data-amount") or "") for box in boxes.all()]
        page.get_by_label("全选本页").check()
        assert float(page.locator("[data-total]").inner_text()) == pytest.approx(sum(amounts), abs=0.001)
        page.get_by_label("全选本页").uncheck()
        boxes.first.check()
        assert page.locator("[data-count]").inner_text() == "1"
        page.locator("select[name=title]").select_option("new")
        page.locator("input[name=name]").fill("张三")
        page.locator("select[name=title_kind]").select_option("company")
        page.get_by_role("button", name="申请开票").click()
        assert "税号" in words(page)
        assert boxes.first.is_checked()
        assert fits(page)
        page.locator("select[name=title_kind]").select_option("personal")
        page.get_by_role("button", name="申请开票").click()
        page.wait_for_url("**/invoiceapplication/*/change/")
        assert f"{amounts[0]:.2f}" in words(page)
        assert watch.faults == []


def test_a_picture_is_placed_in_a_text(browser: Browser, base: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (900, 300), "teal").save(data, "PNG")
    with person(browser, base, phone=True) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        activity = first_link(page, "/admin/marketing/activity/")
        page.goto(activity)
        picture = {"name": "海报.png", "mimeType": "image/png", "buffer": data.getvalue()}
        page.locator("input[aria-label='插入图片']").set_input_files(picture)
        image = page.locator("trix-editor figure img[src^='/files/']")
        image.wait_for()
        image.click()
        page.locator("trix-editor textarea").first.fill("八折海报")
        page.keyboard.press("Enter")
        assert fits(page)
        page.locator("[name=_continue]").first.click()
        page.wait_for_load_state("networkidle")
        assert page.locator("trix-editor figcaption", has_text="八折海报").count() == 1
        shown = page.locator("trix-editor figure img").first
        assert shown.evaluate("image => image.naturalWidth") == 900
        page.locator("input[aria-label='插入图片']").set_input_files(
            {"name": "x.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"}
        )
        page.get_by_text("图片须为 JPEG、PNG 或 WebP").wait_for()
        assert english(page) == []
        assert watch.faults == []
