"""A new driver with a phone's browser: the mini-program's pages under /h5/, from the first sign-in to the last refund.

The camera is the browser's own pretence: it films a QR code that this test draws. A page fails the journey when it
raises an error, writes one to the console, asks another host for anything, is answered with an error, or has a serious
or critical finding of axe that is not the framework's own.
"""

from __future__ import annotations

import io
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests import oracle
from tests.browser.chromium import EXECUTABLE
from tests.browser.phone import Phone, film, filming, phone, sign_in, top_up
from tests.e2e.drive import SPEED, TOP_UP, a_pile, a_station, check_bill, prices, ready_gun, settled
from tests.e2e.money import Office, today
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
LOADED = """
() => performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
  .map((one) => [new URL(one.name).pathname, one.encodedBodySize])
"""
LARGEST_FIRST_PAGE = 400_000
"""Bytes, compressed."""
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
        top_up(shown, app, TOP_UP.partition(".")[0])
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
        news(shown, app, order)
        give_back(shown, app, order)


def news(shown: Phone, app: App, order: Any) -> None:
    """Find the news of the charge, read them, and come back to the bill."""
    wait_for(
        "news of the bill",
        lambda: "charge_ended" in [one["kind"] for one in app.get("messages")["items"]],
        30,
    )
    shown.open("pkg-user/messages")
    shown.wait("账单已出")
    shown.wait("未读")
    shown.looks_right()
    shown.shown("[role=link]", "账单已出").click()
    shown.wait(order["order_no"])
    shown.open("pkg-user/messages")
    shown.press("全部已读")
    shown.shown(".chip.charging").wait_for(state="detached")
    assert app.get("messages/unread")["unread"] == 0
    shown.open(f"pages/charge/done?order={order['order_no']}")


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


def test_what_belongs_to_a_driver(browser: Browser, base: str, app: App, tmp_path: Path) -> None:
    """Vehicles, an enterprise, a picture; the city and the month that lists are narrowed by."""
    plate = f"苏A{secrets.randbelow(10**5):05d}"
    picture = tmp_path / "me.png"
    Image.new("RGB", (96, 96), "green").save(picture)
    with phone(browser, base, a_station(app)) as shown:
        shown.open()
        city(shown, app)
        sign_in(shown, app)
        shown.shown("[role=link]", "我的车辆").click()
        shown.wait("还没有车辆")
        shown.press("添加车辆")
        shown.field("车牌号").fill("苏A1")
        shown.press("保存")
        shown.wait("车牌号不对")
        shown.looks_right()
        shown.field("车牌号").fill(plate)
        shown.shown("[role=switch]", "设为默认").click()
        shown.press("保存")
        shown.wait(f"{plate[:2]}·{plate[2:]}")
        shown.looks_right()
        (vehicle,) = app.get("vehicles")["items"]
        assert (vehicle["plate"], vehicle["is_default"]) == (plate, True)
        shown.press("删除")
        shown.confirm()
        shown.wait("还没有车辆")
        assert app.get("vehicles")["items"] == []

        shown.open("pkg-user/account")
        with shown.page.expect_file_chooser() as chosen:
            shown.shown("[role=button]", "头像").click()
        shown.field("昵称").fill("还在写")
        chosen.value.set_files(picture)
        shown.wait("已保存")
        shown.looks_right()
        assert app.get("me")["avatar"]
        # The phone shows the page anew after its camera or its pictures: what is being written stays.
        with shown.page.expect_response("**/api/v1/me/deletion"):
            shown.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        shown.press("保存")
        wait_for("the name", lambda: app.get("me")["nickname"] == "还在写", 10)

        join_and_leave(shown, app)

        shown.open("pages/orders/index")
        shown.shown("[role=button]", "全部月份").click()
        month = today()[:7]
        shown.wait(month)
        shown.looks_right()
        with shown.page.expect_request(re.compile(rf"/api/v1/orders\?.*month={month}")):
            shown.shown("[role=button]", month).click()
        shown.shown("[role=button]", f"{month} ▾").wait_for()
        shown.wait("还没有充电订单")
        assert not shown.watch.faults


def city(shown: Phone, app: App) -> None:
    """Look at the stations of one city only, then on the map, and at all again."""
    found = app.get("cities")["items"]
    shown.shown("[role=button]", "全部城市").click()
    shown.wait("选择城市")
    shown.looks_right()
    shown.shown(".sheet [role=button]", found[0]["city"]).click()
    shown.shown("[role=button]", f"{found[0]['city']} ▾").wait_for()
    name = app.get("stations", city=found[0]["city"])["items"][0]["name"]
    shown.wait(name)
    shown.shown("[role=button]", f"{found[0]['city']} ▾").click()
    shown.shown(".sheet [role=button]", "全部城市").click()
    shown.shown("[role=button]", "全部城市 ▾").wait_for()
    shown.shown("[role=link]", "地图").click()
    shown.shown(".dot").wait_for()
    shown.looks_right()
    shown.shown("[role=button][aria-label=缩小]").click()
    shown.shown(".dot").click()
    shown.shown("[data-test=picked]").wait_for()
    shown.looks_right()
    shown.shown("[data-test=picked]").click()
    shown.wait("分时电价")
    shown.open("pages/index/index")


def join_and_leave(shown: Phone, app: App) -> None:
    """Join an enterprise by the code that its page in the back office shows, and leave it again."""
    office = Office(app.site)
    listed = office.page("/admin/customers/enterprise/")
    found = re.search(r"/admin/customers/enterprise/(\d+)/change/", listed)
    assert found, "the demo has no enterprise"
    office.send(f"/admin/customers/enterprise/{found[1]}/invitation/", _form_submitted="on", what="new")
    code = re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", office.page(found[0]))
    assert code, "the enterprise's page shows no code"
    shown.open("pkg-user/enterprise")
    shown.wait("未加入企业")
    shown.field("企业邀请码").fill(code[0])
    shown.press("加入企业")
    shown.wait("生效中")
    shown.looks_right()
    joined = app.get("enterprise")["membership"]
    shown.wait(joined["name"])
    shown.press("退出企业")
    shown.confirm()
    shown.wait("未加入企业")
    assert app.get("enterprise")["membership"] is None


def a_banner(office: Office, title: str) -> None:
    """Write an activity that is a banner, give it a cover, and publish it."""
    pages = "/admin/marketing/activity"
    words = {
        "title": title,
        "text": "<p>充值有礼</p>",
        "is_banner": "on",
        "banner_link": "recharge",
        "position": "1",
    }
    for side, day in (("starts_at", "2026-01-01"), ("ends_at", "2099-01-01")):
        words |= {f"{side}_0": day, f"{side}_1": "00:00:00"}
    office.send(f"{pages}/add/", **words)
    found = re.search(rf"{pages}/(\d+)/change/", office.page(f"{pages}/?q={title}"))
    assert found, f"{title} is not in the list"
    drawn = io.BytesIO()
    Image.new("RGB", (1600, 900), "#0a7d50").save(drawn, "JPEG")
    office.send(f"{pages}/{found[1]}/cover/", files={"file": ("banner.jpg", drawn.getvalue(), "image/jpeg")})
    office.send(f"{pages}/{found[1]}/publish/", _form_submitted="on")


def test_the_first_page_is_small(browser: Browser, base: str, app: App) -> None:
    """All that a phone loads before the stations are there, compressed, with a banner above them."""
    a_banner(Office(app.site), "充值活动")
    with phone(browser, base, a_station(app)) as shown:
        shown.open()
        shown.wait(a_station(app)["name"])
        shown.shown("[role=link][aria-label=充值活动]").wait_for()
        shown.page.wait_for_load_state("networkidle")
        loaded = shown.page.evaluate(LOADED)
        assert any(name.endswith(".js") for name, _size in loaded)
        assert any(name.endswith("/thumbnail/") for name, _size in loaded)
        assert sum(size for _name, size in loaded) <= LARGEST_FIRST_PAGE, loaded
        shown.looks_right()
        shown.shown("[role=link][aria-label=充值活动]").click()
        shown.page.wait_for_url("**/pages/login/index")


def test_whose_session_has_ended_sees_what_is_for_everybody(browser: Browser, base: str, app: App) -> None:
    station = a_station(app)
    with phone(browser, base, station) as shown:
        shown.open()
        sign_in(shown, app)
        app.post("auth/logout")
        shown.open("pages/index/index")
        shown.page.reload()
        shown.wait(station["name"])
        shown.open("pages/charge/live?order=C1")
        shown.wait("登录后查看")
        assert not shown.page.locator(".warn").is_visible(), "nothing is tried again"
        shown.press("登录")
        shown.page.wait_for_url("**/pages/login/index")


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
