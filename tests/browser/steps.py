"""What staff do on the pages of piles, for the journey and for the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.architecture.test_translations import THEME
from tests.browser.chromium import first_link

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PILES = "/admin/piles/pile/?is_online__exact=1"
CARD = "A1B2C3D4"


def words(page: Page) -> str:
    """The text of the whole page. A click returns when the next page has begun: it is read when it is whole."""
    page.wait_for_load_state()
    return page.locator("body").inner_text()


def english(page: Page) -> list[str]:
    """Strings of the theme that are still English on this page."""
    lines = {line.strip() for line in words(page).splitlines()}
    return sorted(lines & set(THEME))


def dialog(page: Page, address: str, menu: str = "") -> Locator:
    """Open a button's dialog, in a menu where it is in one."""
    if menu:
        page.locator("li[x-ref=actionDropdown]", has_text=menu).locator("> a").click()
    page.locator(f"a[hx-get$='/{address}/']").locator("visible=true").first.click()
    opened = page.locator("#dialog")
    opened.locator("form").wait_for()
    return opened


def send(opened: Locator, name: str, reason: str = "浏览器测试") -> None:
    """Give the reason and press the button."""
    opened.locator("input[name=reason]").fill(reason)
    opened.get_by_role("button", name=name).click()


def send_to_all(page: Page, action: str, reason: str) -> None:
    """Choose all piles of the list's first page, and an action; fill in the page that asks, and see the batch."""
    page.goto("/admin/piles/pile/")
    page.locator("#action-toggle").check()
    page.select_option("select[name=action]", action)
    page.locator("button[name=index]").first.click()
    page.locator("#bulk-command input[name=reason]").fill(reason)
    page.locator("#bulk-command button[type=submit]").click()
    page.wait_for_url("**/commandbatch/*/change/")


def add_card(page: Page) -> None:
    """Give the newest customer a card that may charge at piles that are offline."""
    customer = first_link(page, "/admin/customers/customer/").split("/")[-3]
    page.goto("/admin/customers/card/add/")
    page.evaluate(
        "id => document.querySelector('select[name=customer]').add(new Option('x', id, true, true))", customer
    )
    page.fill("input[name=logical_no]", "880000001")
    page.fill("input[name=physical_no]", CARD)
    page.locator("input[name=works_offline]").check(force=True)
    page.locator("[name=_save]").first.click()
    page.wait_for_url("**/customers/card/")
