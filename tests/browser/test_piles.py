"""What staff do to piles, in a real browser: inspector, timeline, commands to one and to many, new devices, cards.

As in the journey, a page fails when it raises an error, writes one to the console, leaves its host, is answered with
an error, or shows the theme's English.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, dark_mode, first_link, person, sign_in
from tests.browser.steps import CARD, PILES, add_card, dialog, english, send, send_to_all, words
from tests.ykc_server.harness import login
from ykc_server.protocol.messages import Heartbeat

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
NEW_CODE = "32010699990001"


def test_a_frame_is_read_byte_by_byte(browser: Browser, base: str) -> None:
    frame = Heartbeat.make(pile_no="32010600000001", gun_no="02", gun_status=1, sequence=b"\1\2").encode()
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/piles/pile/inspector/")
        assert "报文解析" in words(page)
        page.fill("#hex", f"{frame.hex(' ')}\n{frame[:-1].hex()}00")
        page.get_by_role("button", name="解析").click()
        titles = page.locator("h2.bo-card-title").all_inner_texts()
        assert [title.split()[0] for title in titles] == ["0x03", "0x03"]
        assert "32010600000001" in words(page)
        labels = page.locator(".bo-frame-facts .bo-label").all_inner_texts()
        assert labels == ["校验正确", "正常", "校验错误", "有误"]
        assert english(page) == []
        page.fill("#code", "99999999999999")
        page.get_by_role("button", name="时间线").click()
        page.get_by_text("没有此编码的充电桩").wait_for()
        assert watch.faults == []


def test_a_pile_answers_while_its_timeline_is_watched(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        pile = first_link(page, PILES)
        page.goto(pile)
        code = page.locator("h1, .readonly").get_by_text(re.compile(r"^\d{14}$")).first.inner_text()
        page.goto(pile.replace("/change/", "/timeline/"))
        page.get_by_role("button", name="1 小时").click()
        page.get_by_text("从现在起留存全部报文。").wait_for()
        page.goto(pile)
        send(dialog(page, "refresh"), "刷新状态")
        page.get_by_text("已下发，应答见“桩指令”。").wait_for()
        page.goto(pile.replace("/change/", "/timeline/"))
        page.locator(".bo-entry-command").first.wait_for()
        page.locator(".bo-entry-frame a").filter(has_text=re.compile("0x12|0x13|读取|实时")).first.wait_for()
        assert code in words(page)
        assert english(page) == []
        with page.expect_download() as got:
            page.get_by_role("link", name="导出十六进制").click()
        assert code in got.value.suggested_filename
        page.locator(".bo-entry-frame a").first.click()
        page.get_by_text("校验正确").first.wait_for()
        assert watch.faults == []


def test_one_command_and_many(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto(first_link(page, PILES))
        opened = dialog(page, "work", menu="指令")
        opened.locator("input[name=max_power_percent]").fill("20")
        send(opened, "工作参数")
        opened.get_by_text("30").first.wait_for()  # not below 30 %
        opened.locator("input[name=max_power_percent]").fill("80")
        send(opened, "工作参数")
        page.get_by_text("已下发，应答见“桩指令”。").wait_for()
        page.goto("/admin/piles/pilecommand/?kind__exact=set_work")
        page.get_by_text("已完成").first.wait_for()
        assert english(page) == []
        page.goto(first_link(page, "/admin/piles/pilecommand/?kind__exact=set_work"))
        assert "max_power_percent" in words(page)

        send_to_all(
            page, "selected_sync_clock", "浏览器校时"
        )  # those of the fleet, and others that are offline
        page.get_by_text("未送达").first.wait_for()
        page.get_by_text("已完成").first.wait_for()
        assert english(page) == []
        first = page.url
        send(dialog(page, "retry"), "重试失败项", "再试一次")
        page.wait_for_url(lambda url: "commandbatch" in url and url != first)
        assert "再试一次" in words(page)
        page.goto("/admin/piles/commandbatch/")
        assert page.locator("#result_list tbody tr").count() >= 2
        assert watch.faults == []


def test_a_new_device_is_offered_and_approved(browser: Browser, base: str, live_system: LiveSystem) -> None:
    with socket.create_connection(("127.0.0.1", live_system.site.ykc_port), timeout=20) as line:
        line.sendall(login(NEW_CODE).encode())
        assert line.recv(100)[-3] == 1  # 0x02 with "no"
    with person(browser, f"http://localhost:{live_system.site.port}") as (page, watch):
        sign_in(page, "admin", PASSWORD)
        for _ in range(20):
            page.goto("/admin/tenancy/newcomer/")
            if NEW_CODE in words(page):
                break
            page.wait_for_timeout(500)
        page.get_by_text(NEW_CODE).first.click()
        opened = dialog(page, "offer")
        opened.locator("select[name=tenant]").select_option(index=1)
        opened.get_by_role("button", name="分配").click()
        page.wait_for_load_state()
        assert watch.faults == []
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        page.goto("/admin/piles/newdevice/")
        page.get_by_text(NEW_CODE).first.click()
        assert english(page) == []
        opened = dialog(page, "approve")
        opened.locator("select[name=station]").select_option(index=1)
        opened.get_by_role("button", name="批准").click()
        page.wait_for_url("**/piles/pile/*/change/")
        assert NEW_CODE in words(page)
        assert watch.faults == []


def test_cards_are_written_into_a_pile_and_deleted(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        customer = first_link(page, "/admin/customers/customer/")
        page.goto(customer)
        opened = dialog(page, "pin")
        opened.locator("input[name=pin]").fill("2580")
        send(opened, "设置桩上密码")
        page.get_by_text("桩上密码已设置。").wait_for()

        add_card(page)
        pile = first_link(page, PILES)
        page.goto(pile)
        send(dialog(page, "write-cards", menu="离线卡"), "写入离线卡")
        page.get_by_text("待写入：1，待删除：0。").wait_for()
        for _ in range(20):
            page.goto(f"/admin/piles/offlinecard/?q={CARD}")
            if "已写入" in page.locator("#result_list").inner_text():
                break
            page.wait_for_timeout(500)
        assert english(page) == []
        page.goto(pile)
        send(dialog(page, "ask-cards", menu="离线卡"), "核对离线卡")
        page.get_by_text("已下发，应答见“桩指令”。").wait_for()
        send(dialog(page, "clear-cards", menu="离线卡"), "清除离线卡")
        page.get_by_text("待写入：0，待删除：1。").wait_for()
        for _ in range(20):
            page.goto(f"/admin/piles/offlinecard/?q={CARD}")
            if page.locator("#result_list tbody tr").count() == 0:
                break
            page.wait_for_timeout(500)
        assert page.locator("#result_list tbody tr").count() == 0
        assert watch.faults == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_pages_of_piles_on_a_phone(browser: Browser, base: str, dark: bool) -> None:
    with person(browser, base, phone=True, dark=dark) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        if dark:
            dark_mode(page)
        pile = first_link(page, PILES)
        page.goto("/admin/piles/commandbatch/")
        batches = page.locator("#result_list tbody a")  # another journey may have sent some
        batch = batches.first.get_attribute("href") if batches.count() else None
        for path in (
            pile,
            pile.replace("/change/", "/timeline/"),
            "/admin/piles/pile/inspector/?hex=6822000000013201060000000101",
            "/admin/piles/pilecommand/",
            "/admin/piles/commandbatch/",
            *([batch] if batch else []),
            "/admin/piles/newdevice/",
            "/admin/piles/offlinecard/",
        ):
            page.goto(path)
            page.locator("#content").wait_for()
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, f"{path} is {over} pixels too wide"
        assert watch.faults == []
