"""A new driver with a phone's browser: the mini-program's pages under /h5/, from the first sign-in to the last refund.

The camera is the browser's own pretence: it films a QR code that this test draws. A page fails the journey when it
raises an error, writes one to the console, asks another host for anything, is answered with an error, or has a serious
or critical finding of axe that is not the framework's own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests import oracle
from tests.browser.chromium import EXECUTABLE
from tests.browser.phone import Phone, film, filming, phone, sign_in, top_up
from tests.e2e.drive import SPEED, TOP_UP, a_pile, a_station, check_bill, prices, ready_gun, settled
from tests.e2e.money import Office
from tests.e2e.site import App, OnePile, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.live.system import LiveSystem

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
COUNTED = """
(least) => [...document.querySelectorAll(".figures .center")].some(
  (one) => one.innerText.includes("已充电量") && parseFloat(one.innerText) >= least)
"""
PRESET = "50"
SOME_KWH = 0.5


@pytest.fixture
def app(live_system: LiveSystem, built: Path) -> App:
    """The driver API from outside, to hold against what the pages say."""
    return App(live_system.site)


def charge(shown: Phone, app: App, gun: str) -> str:
    """Start at the gun that is shown, watch, and stop; returns the order's number."""
    shown.wait(gun)
    shown.shown("[role=button]", f"{PRESET} 元").click()
    shown.wait(f"启动时冻结 {PRESET}.00 元（可用 {TOP_UP} 元）")
    shown.shown("[role=button]", "怎么算出来的").click()
    shown.looks_right()
    shown.press("启动充电")
    shown.page.wait_for_url("**/pages/charge/live?order=*")
    order_no = shown.page.url.rpartition("order=")[2]
    assert app.get("me")["live_order_no"] == order_no
    shown.shown(".hole", "充电中").wait_for()
    shown.looks_right()
    # The app is closed and opened again: the charge is found.
    shown.open("pages/index/index")
    shown.page.reload()
    shown.shown("[role=button]", "充电中 ·").click()
    shown.page.wait_for_url(f"**/pages/charge/live?order={order_no}")
    shown.page.wait_for_function(COUNTED, arg=SOME_KWH, timeout=60_000)
    shown.press("停止充电")
    shown.wait("确定停止充电吗")
    shown.confirm()
    shown.page.wait_for_url("**/pages/charge/done?order=*", timeout=60_000)
    return order_no


def test_a_new_driver_charges(browser: Browser, base: str, app: App, tmp_path: Path) -> None:
    station = a_station(app)
    code = a_pile(app.site, station["station_no"])
    gun = f"{code}01"
    seen = film(tmp_path / "gun.mjpeg", f"https://charge.example.com/gun/{gun}")
    with (
        OnePile(app.site, code, speed=SPEED) as pile,
        filming(browser, seen) as camera,
        phone(camera, base, station, camera=True) as shown,
    ):
        ready_gun(app, gun)
        shown.open()
        shown.wait(station["name"])
        shown.looks_right()
        sign_in(shown, app)
        top_up(shown, TOP_UP.partition(".")[0])
        assert app.get("wallet")["available"] == TOP_UP

        shown.open("pages/index/index")
        shown.page.get_by_text(station["name"]).locator("visible=true").first.click()
        shown.wait("分时电价")
        shown.wait(gun)
        shown.looks_right()
        shown.open("pages/charge/scan")
        shown.looks_right()
        shown.press("扫一扫")
        shown.page.wait_for_url(f"**/pages/charge/start?gun={gun}")
        order_no = charge(shown, app, gun)

        order = settled(app, order_no)
        check_bill(order, pile, prices(app, station["station_no"]))
        paid = shown.shown("[data-test=payable]")
        paid.wait_for()
        assert paid.inner_text().startswith(order["payable"])
        for line in order["lines"]:
            shown.wait(line["total"])
        shown.looks_right()
        give_back(shown, app, order)


def give_back(shown: Phone, app: App, order: Any) -> None:
    """Find the bill among the orders, ask for the rest of the wallet, have it approved, and see it paid."""
    rest = oracle.yuan(oracle.to_int(TOP_UP, 2) - oracle.to_int(order["payable"], 2))
    shown.press("完成")
    shown.tab("订单")
    shown.wait(order["payable"])
    shown.looks_right()
    shown.shown("[role=link]", order["connector_code"]).click()
    shown.wait(order["order_no"])
    shown.looks_right()
    invoice(shown, app, order)
    shown.open("pkg-wallet/statement")
    shown.wait(f"-{order['payable']}")
    shown.looks_right()
    shown.open("pkg-wallet/refund")
    shown.wait(rest)
    shown.field("退款原因").fill("不再使用")
    shown.press("申请退款")
    shown.wait(f"申请退款 {rest} 元")
    shown.confirm()
    shown.wait("撤回申请")
    shown.looks_right()
    assert app.get("wallet")["available"] == "0.00"
    (refund,) = app.get("wallet/refunds")["items"]
    assert refund["amount"] == rest
    Office(app.site).approve("wallet/walletrefund", refund["refund_no"])
    wait_for(
        "payment of the refund",
        lambda: app.get(f"wallet/refunds/{refund['refund_no']}")["state"] == "done",
        60,
    )
    shown.page.reload()
    shown.shown(".chip.done").wait_for()
    assert shown.watch.faults == []


def invoice(shown: Phone, app: App, order: Any) -> None:
    """Ask for an invoice of an order with a new title, and withdraw it: a refund may follow."""
    shown.open("pkg-invoice/title")
    shown.shown("[role=radio]", "个人").click()
    shown.field("抬头名称").fill("王小电")
    shown.looks_right()
    shown.press("保存")
    shown.page.wait_for_url(lambda url: "pkg-invoice/title" not in url)
    shown.open("pkg-invoice/apply")
    shown.shown("[role=checkbox]", order["station_name"]).click()
    shown.shown("[data-test=sum]", order["payable"]).wait_for()
    shown.looks_right()
    shown.press("申请开票")
    shown.page.wait_for_url("**/pkg-invoice/detail?no=*")
    shown.wait(order["order_no"])
    shown.looks_right()
    (asked,) = app.get("invoices")["items"]
    assert (asked["amount"], asked["title"], asked["state"]) == (order["payable"], "王小电", "applied")
    shown.press("撤销申请")
    shown.confirm()
    shown.shown(".chip.cancelled").wait_for()
    shown.open("pkg-invoice/index")
    shown.wait("王小电")
    shown.looks_right()


def test_a_driver_writes_to_the_operator(browser: Browser, base: str, app: App, tmp_path: Path) -> None:
    picture = tmp_path / "gun.png"
    Image.new("RGB", (64, 48), "green").save(picture)
    with phone(browser, base, a_station(app)) as shown:
        shown.open()
        sign_in(shown, app)
        shown.shown("[role=link]", "意见反馈").click()
        shown.wait("还没有反馈")
        shown.press("写反馈")
        shown.shown("[role=radio]", "设备故障").click()
        shown.field("请描述问题、地点和时间").fill("2 号枪插不进去")
        with shown.page.expect_file_chooser() as chosen:
            shown.shown("[role=button]", "+ 照片").click()
        chosen.value.set_files(picture)
        shown.shown(".photos uni-image").wait_for()
        shown.looks_right()
        shown.press("提交")
        shown.page.wait_for_url("**/pkg-feedback/detail?no=*")
        shown.wait("2 号枪插不进去")
        shown.looks_right()
        (written,) = app.get("feedback")["items"]
        (entry,) = app.get(f"feedback/{written['feedback_no']}")["entries"]
        assert (entry["text"], len(entry["photos"])) == ("2 号枪插不进去", 1)
        shown.field("补充说明").fill("还是不行")
        shown.press("提交")
        shown.shown(".card .break", "还是不行").wait_for()
        assert len(app.get(f"feedback/{written['feedback_no']}")["entries"]) == 2
        shown.open("pkg-promo/activities")
        shown.shown(".card").wait_for()
        shown.looks_right()


def test_without_camera_the_number_is_typed(browser: Browser, base: str, app: App) -> None:
    station = a_station(app)
    code = a_pile(app.site, station["station_no"])
    with OnePile(app.site, code, speed=SPEED), phone(browser, base) as shown:
        ready_gun(app, f"{code}01")
        shown.open()
        shown.wait("没有获得定位权限")
        shown.looks_right()
        shown.tab("扫码")
        shown.press("扫一扫")
        shown.wait("打不开摄像头")
        number = shown.field("16 位枪编号")
        number.fill("123")
        shown.press("下一步")
        shown.wait("枪编号不对")
        shown.looks_right()
        number.fill(f"{code}01")
        shown.press("下一步")
        shown.wait(f"{code}01")
        shown.press("登录后充电")
        shown.page.wait_for_url("**/pages/login/index")
        shown.looks_right()


def test_without_network_and_with_large_type(browser: Browser, base: str, app: App) -> None:
    with phone(browser, base, a_station(app)) as shown:
        shown.open("pages/me/index")
        shown.shown("[role=link]", "设置").click()
        shown.wait("大字模式")
        shown.page.wait_for_load_state("networkidle")
        shown.page.context.set_offline(True)
        shown.wait("当前没有网络")
        shown.page.context.set_offline(False)
        shown.shown("[role=alert]", "当前没有网络").wait_for(state="detached")
        shown.shown("[role=switch]", "大字模式").click()
        shown.wait("已开启")
        shown.looks_right()
        shown.page.reload()
        shown.shown(".elder").wait_for()
        for path in ("pages/index/index", "pages/charge/scan", "pages/login/index"):
            shown.open(path)
            shown.shown(".elder").wait_for()
            shown.looks_right()
        shown.open("pkg-user/settings")
        shown.shown("[role=radio]", "English").click()
        shown.wait("Large type")
        shown.open("pages/charge/scan")
        shown.wait("No camera? Type the gun's number")
        shown.looks_right()


def publish(office: Office, title: str, changes: str = "") -> None:
    """Write terms of use in the back office, and publish them."""
    pages = "/admin/customers/agreement"
    office.send(
        f"{pages}/add/", kind="terms", title=title, changes=changes, body="<h2>一</h2><p>充电先插枪。</p>"
    )
    found = re.search(rf"{pages}/(\d+)/change/", office.page(f"{pages}/?q={title}"))
    assert found, f"{title} is not in the list"
    office.send(f"{pages}/{found[1]}/publish/", _form_submitted="on", reason="端到端测试")


def terms(app: App) -> Any:
    """How the driver stands to the terms of use."""
    return next(one for one in app.get("me/consents")["items"] if one["kind"] == "terms")


def test_the_account_of_a_driver(browser: Browser, base: str, app: App) -> None:
    office = Office(app.site)
    publish(office, "用户协议甲")
    with phone(browser, base, a_station(app)) as shown:
        shown.open("pages/login/index")
        shown.shown("[role=link]", "用户协议甲").click()
        shown.wait("充电先插枪")
        shown.looks_right()
        shown.open("pages/index/index")
        sign_in(shown, app)
        assert not terms(app)["is_needed"]
        told = app.get("app")
        shown.shown("[role=link]", "关于我们").click()
        shown.wait(told["name"])
        shown.looks_right()
        publish(office, "用户协议乙", "充电后请挪车")
        shown.open("pages/me/index")
        shown.page.reload()
        shown.wait("协议有更新")
        shown.looks_right()
        shown.shown("[role=link]", "协议有更新").click()
        shown.wait("充电后请挪车")
        shown.looks_right()
        shown.press("已阅读并同意")
        shown.shown("[role=link]", "关于我们").wait_for()
        assert not terms(app)["is_needed"]
        shown.open("pkg-user/devices")
        shown.wait("当前设备")
        shown.looks_right()
        shown.open("pkg-user/account")
        shown.field("昵称").fill("小电")
        shown.press("保存")
        shown.wait("已保存")
        assert app.get("me")["nickname"] == "小电"
        shown.shown("[role=button]", "注销账号").click()
        shown.wait("永久删除")
        shown.looks_right()

        # A token that is no good any more is renewed, and nobody notices.
        shown.page.evaluate("localStorage.setItem('chargeplat.token', 'old')")
        shown.open("pages/me/index")
        shown.page.reload()
        shown.wait("小电")
        assert shown.page.evaluate("localStorage.getItem('chargeplat.token')") != "old"
        assert all("401" in fault for fault in shown.watch.faults)
        shown.watch.faults.clear()
        shown.open("pkg-user/settings")
        shown.press("退出登录")
        shown.page.wait_for_url("**/h5/#/")
        shown.tab("我的")
        shown.shown("[role=button]", "登录").wait_for()
        assert shown.page.evaluate("localStorage.getItem('chargeplat.refresh')") is None
        assert not shown.watch.faults
