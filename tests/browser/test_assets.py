"""What only a browser shows of stations and piles: the map, the editor of opening hours, tabs, a table's way in."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from openpyxl import Workbook

from tests.browser.chromium import EXECUTABLE, first_link, person, sign_in
from tests.browser.steps import PILES, english

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"


def a_table(station: str) -> bytes:
    book, file = Workbook(), io.BytesIO()
    book.active.append(["桩编码", "站点编号", "功率（kW）"])
    book.active.append(["32010677770001", station, 120])
    book.active.append(["3201067777", station, 120])
    book.save(file)
    return file.getvalue()


def tab(page: Page, name: str) -> None:
    page.locator("form nav a").get_by_text(name, exact=True).click()


def test_a_station_is_placed_on_the_map_and_piles_come_from_a_table(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        station = first_link(page, "/admin/sites/station/")
        page.goto(station)
        number = page.locator("input[name=station_no]").input_value()
        before = page.locator("input[name=latitude]").input_value()
        tab(page, "位置")
        page.locator("#bo-map .bo-map-pin").wait_for()
        page.locator("#bo-map").click(position={"x": 60, "y": 60})
        assert page.locator("input[name=latitude]").input_value() != before
        page.locator("input[name=latitude]").fill(before)
        tab(page, "基本信息")
        page.get_by_role("button", name="添加时段").click()
        hours = page.locator("input[data-opening-hours]")
        assert hours.input_value().count("-") >= 2
        page.get_by_role("button", name="全天").click()
        assert hours.input_value() == "00:00-24:00"
        page.locator("[name=_continue], [name=_save]").first.click()
        page.wait_for_load_state("networkidle")
        assert english(page) == []
        page.goto("/admin/piles/pile/import/")
        page.set_input_files(
            "input[name=file]", {"name": "t.xlsx", "mimeType": "", "buffer": a_table(number)}
        )
        page.get_by_role("button", name="上传并预览").click()
        page.get_by_text("请把该列设为文本格式").wait_for()
        page.get_by_role("button", name="仅登记无误的 1 行").click()
        page.get_by_text("已登记 1 台充电桩。").wait_for()
        assert watch.faults == []


def test_the_pages_of_assets_fit_a_phone(browser: Browser, base: str) -> None:
    with person(browser, base, phone=True) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        station, pile = first_link(page, "/admin/sites/station/"), first_link(page, PILES)
        paths = [station, *(station.replace("/change/", f"/{one}/") for one in ("pictures", "qr-codes"))]
        tabs = ("live", "commands", "alarms", "orders", "firmware", "qr-codes")
        paths += [pile, *(pile.replace("/change/", f"/{one}/") for one in tabs)]
        paths += [f"/admin/piles/pile/{one}/" for one in ("batch", "import")]
        for path in paths:
            page.goto(path)
            page.locator("#content").wait_for()
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, f"{path} is {over} pixels too wide"
            assert english(page) == [], path
        assert watch.faults == []
