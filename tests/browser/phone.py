"""A driver's phone with the mini-program's pages under /h5/, for the journey and for the pictures."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import segno
from axe_playwright_python.base import AXE_FILE_PATH
from PIL import Image

from tests.browser.chromium import EXECUTABLE, FLAGS, PHONE, Watch
from tests.browser.test_pages import AXE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.e2e.site import App


FRAMEWORK = ["uni-tabbar"]
"""Parts that axe does not look at: the framework's own bar of tabs, whose pictures have no text."""
STILL = """
() => !document.querySelector(".wd-button--active")
  && document.getAnimations().every((one) => !(one instanceof CSSTransition) || one.playState !== "running")
"""
"""Nothing is pressed and nothing fades: colours are what they will be."""
FRAMES = 60


@dataclass
class Phone:
    """A driver's page, and what went wrong in it."""

    page: Page
    watch: Watch

    def open(self, path: str = "") -> None:
        """Open a page of the app by its path."""
        self.page.goto(f"/h5/#/{path}")

    def tab(self, name: str) -> None:
        """Press a tab of the bar below."""
        self.page.locator(".uni-tabbar__item", has_text=name).click()

    def press(self, name: str) -> None:
        """Press a button of the page that is shown."""
        self.shown("uni-button:not(.is-disabled)", name).click()

    def shown(self, selector: str, text: str = "") -> Any:
        """The element that can be seen: pages below the top one stay in the document."""
        return self.page.locator(selector, has_text=text or None).locator("visible=true").first

    def field(self, label: str) -> Any:
        """The browser's own input in a field with this label."""
        return self.shown(f"input[aria-label='{label}'], textarea[aria-label='{label}']")

    def wait(self, text: str) -> None:
        """Wait until a text can be seen."""
        self.page.get_by_text(text).locator("visible=true").first.wait_for()

    def confirm(self) -> None:
        """Say yes to the question that is asked."""
        self.page.locator(".uni-modal__btn_primary").locator("visible=true").click()

    def looks_right(self) -> None:
        """No fault so far, nothing wider than the phone, and axe finds nothing serious."""
        self.page.wait_for_function(STILL)
        over = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, f"{self.page.url} is {over} pixels too wide"
        found = self.page.evaluate(AXE, FRAMEWORK)
        assert not found, f"{self.page.url}: {found}"
        assert not self.watch.faults, self.watch.faults


@contextmanager
def phone(browser: Browser, base: str, place: Any = None, *, camera: bool = False) -> Iterator[Phone]:
    """A phone somewhere, whose camera may be used or not: what is not granted is refused."""
    context = browser.new_context(
        base_url=base, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True,
        locale="zh-CN", timezone_id="Asia/Shanghai",
        geolocation={"latitude": place["latitude"], "longitude": place["longitude"]} if place else None,
    )  # fmt: skip
    context.grant_permissions([*(["geolocation"] if place else []), *(["camera"] if camera else [])])
    context.add_init_script(path=AXE_FILE_PATH)
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield Phone(page, Watch(page, urlsplit(base).netloc))
    context.close()


def film(path: Path, text: str) -> Path:
    """Write a film of a QR code on white ground, which the browser shows as what its camera sees."""
    drawn = io.BytesIO()
    segno.make(text, error="m").save(drawn, kind="png", scale=8, border=4)
    frame = Image.new("RGB", (640, 480), "white")
    code = Image.open(drawn)
    frame.paste(code, ((640 - code.width) // 2, (480 - code.height) // 2))
    picture = io.BytesIO()
    frame.save(picture, "JPEG", quality=90)
    path.write_bytes(picture.getvalue() * FRAMES)
    return path


@contextmanager
def filming(browser: Browser, picture: Path) -> Iterator[Browser]:
    """A browser whose camera sees a film."""
    started = browser.browser_type.launch(
        executable_path=str(EXECUTABLE),
        args=[
            *FLAGS,
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={picture}",
        ],
    )
    yield started
    started.close()


def sign_in(shown: Phone, app: App, number: str = "") -> None:
    """Sign in by the code of a text message, with a new number unless one is given; `app` is the same driver then."""
    number = number or f"139{secrets.randbelow(10**8):08d}"
    shown.tab("我的")
    shown.shown("uni-view", "登录").wait_for()
    shown.page.get_by_text("登录", exact=True).locator("visible=true").first.click()
    shown.field("手机号").fill(number)
    shown.press("获取验证码")
    shown.shown("uni-button.is-disabled", " s").wait_for()  # the pause before another: the code is sent
    shown.field("验证码").fill(app.site.code_for(f"+86{number}"))
    shown.press("登录")
    shown.wait("请先阅读并勾选同意")
    shown.looks_right()
    shown.page.get_by_role("checkbox").click()
    with shown.page.expect_request("**/api/v1/me") as asked:
        shown.press("登录")
    shown.wait(f"{number[:3]}****{number[-4:]}")
    app.session.headers["Authorization"] = asked.value.headers["authorization"]
    app.phone = f"+86{number}"


def top_up(shown: Phone, app: App, amount: str) -> None:
    """Pay a top-up with the channel that only pretends; the first time what is agreed to is asked."""
    shown.page.get_by_text("钱包", exact=True).locator("visible=true").first.click()
    shown.wait("赠送")
    shown.looks_right()
    shown.press("充值")
    shown.shown("uni-view[role=radio]", "沙箱").click()
    shown.shown("[role=button]", amount).click()
    shown.looks_right()
    shown.press("充值")
    if any(one["is_needed"] and one["kind"] == "recharge" for one in app.get("me/consents")["items"]):
        shown.wait("充值协议")
        assert all("409" in fault for fault in shown.watch.faults), shown.watch.faults
        shown.watch.faults.clear()
        shown.looks_right()
        shown.press("已阅读并同意")
    shown.wait("充值成功")
