"""Debian's Chromium under Playwright, and a page that keeps what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXECUTABLE = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(EXECUTABLE), args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page should not do: raise an error, write one to the console, ask another host, get a server error."""

    def __init__(self, page: Page, host: str) -> None:
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", lambda request: self._request(request.url, host))
        page.on("websocket", lambda line: self._request(line.url, host))
        page.on("response", lambda answer: self._answer(answer.status, answer.url))

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _request(self, url: str, host: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != host:
            self.faults.append(f"left the host: {url}")

    def _answer(self, status: int, url: str) -> None:
        if status >= 400:
            self.faults.append(f"{status}: {url}")


@contextmanager
def person(
    browser: Browser, base: str, *, phone: bool = False, dark: bool = False
) -> Iterator[tuple[Page, Watch]]:
    """A page of a person in China, and its watch."""
    context = browser.new_context(
        base_url=base,
        viewport=PHONE if phone else WIDE,
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
        has_touch=phone,
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
        color_scheme="dark" if dark else "light",
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page, Watch(page, urlsplit(base).netloc)
    context.close()


def sign_in(page: Page, name: str, password: str) -> None:
    """Through the form, as people do."""
    page.goto("/admin/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")


def dark_mode(page: Page) -> None:
    """Choose the theme that the switch would: it is kept in the browser."""
    page.evaluate("localStorage.setItem('adminTheme', JSON.stringify('dark'))")


def first_link(page: Page, path: str) -> str:
    """Return the address of the first row of a list."""
    page.goto(path)
    return page.locator("#result_list tbody a").first.get_attribute("href") or ""
