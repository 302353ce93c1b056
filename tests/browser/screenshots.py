"""Pictures of the back office for the manual, taken from a running `make run`.

    python -m tests.browser.screenshots --base http://demo.localhost:8000 --out docs/screenshots

None may be larger than 200 KB.
"""

from __future__ import annotations

import argparse
import base64
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.browser.chromium import WIDE, chromium, dark_mode, first_link, person, sign_in
from tests.browser.steps import PILES, add_card, dialog, send, send_to_all
from ykc_server.protocol.messages import Heartbeat

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIMIT = 200_000
PILE_PICTURES = ("bulk-command", "inspector", "timeline", "timeline-phone", "offline-cards")
FRAME = Heartbeat.make(pile_no="32010600000001", gun_no="01", gun_status=0, sequence=bytes(2)).encode().hex()


def compared(page: Page, template: str) -> str:
    """Return the address that compares the newest two versions of a template."""
    page.goto(template)
    link = page.locator("a[href*='/compare/?before=']").first
    return str(link.get_attribute("href")) if link.count() else "/admin/pricing/pricetemplate/compare/"


def main() -> None:
    """Sign in, walk through the pages, save the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="http://demo.localhost:8000", help="a tenant's address")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--only", default="", help="names that contain this")
    options = parser.parse_args()
    password = os.environ.get("DEMO_PASSWORD", "chargeplat-demo")
    options.out.mkdir(parents=True, exist_ok=True)
    parts = urlsplit(options.base)
    platform = f"{parts.scheme}://localhost:{parts.port}"

    def shoot(page: Page, name: str, path: str) -> None:
        if options.only and options.only not in name:
            return
        page.goto(path)
        page.wait_for_load_state("networkidle") if "connector" not in path else page.wait_for_selector(
            ".bo-gun, h2"
        )
        save(page, options.out / f"{name}.png")

    with chromium() as browser:
        with person(browser, options.base) as (page, watch):
            page.goto("/admin/login/")
            if not options.only or "login" in options.only:
                save(page, options.out / "login.png")
            sign_in(page, "admin", password)
            order = first_link(page, "/admin/orders/order/?state__exact=completed&o=-7")
            station = first_link(page, "/admin/sites/station/")
            template = first_link(page, "/admin/pricing/pricetemplate/")
            wallet = first_link(page, "/admin/wallet/wallet/")
            wide = {
                "overview": "/admin/",
                "wall-display": "/admin/display/",
                "piles-for-drivers": "/admin/piles/offeredpile/",
                "stations": "/admin/sites/station/",
                "station": station,
                "piles": "/admin/piles/pile/",
                "pile-import": "/admin/piles/pile/import/",
                "gun-wall": f"/admin/piles/connector/wall/?station={station.split('/')[-3]}",
                "alarms": "/admin/piles/alarm/",
                "alarm-rules": "/admin/piles/alarmrule/",
                "notification-rules": "/admin/piles/notificationrule/",
                "orders": "/admin/orders/order/",
                "prices": "/admin/pricing/pricetemplate/",
                "price-compare": compared(page, template),
                "price-task": first_link(page, "/admin/pricing/pricetask/"),
                "price-task-new": "/admin/pricing/pricetask/new/",
                "holidays": "/admin/pricing/holiday/",
                "holidays-new": "/admin/pricing/holiday/new/",
                "price-template": template,
                "price-editor": f"{template.rsplit('/change/', 1)[0]}/version/",
                "wallets": "/admin/wallet/wallet/",
                "journal": "/admin/wallet/journalentry/",
                "finance-report": "/admin/reports/financereport/?by=station",
                "audit": "/admin/backoffice/auditentry/",
                "my-account": "/admin/me/",
                "sign-in-log": "/admin/accounts/signinrecord/",
                "own-package": "/admin/package/",
                "start-charge": f"{first_link(page, PILES).replace('/change/', '/start/')}",
                "mini-program-settings": "/admin/customers/driverappsettings/",
                "sign-in-of-drivers": "/admin/customers/miniprogram/",
                "agreements": "/admin/customers/agreement/",
                "activities": "/admin/marketing/activity/",
                "activity": first_link(page, "/admin/marketing/activity/"),
                "invoices": "/admin/invoices/invoiceapplication/",
                "invoice": first_link(page, "/admin/invoices/invoiceapplication/"),
                "invoice-apply": first_link(page, "/admin/customers/customer/?q=13800000001").replace(
                    "/change/", "/invoice/"
                ),
                "enterprise": first_link(page, "/admin/customers/enterprise/"),
                "enterprise-members": "/admin/customers/enterprisemember/",
                "enterprise-account": first_link(page, "/admin/wallet/enterpriseaccount/"),
                "enterprise-statement": "/admin/orders/enterprisecharge/",
                "feedback": first_link(page, "/admin/customers/feedback/"),
                "franchisees": "/admin/franchisees/franchisee/",
                "franchisee-contracts": first_link(page, "/admin/franchisees/franchisee/").replace(
                    "/change/", "/contracts/"
                ),
            }
            for name, path in wide.items():
                shoot(page, name, path)
            page.set_viewport_size({"width": 1440, "height": 1500})
            shoot(page, "order", order)
            page.set_viewport_size(WIDE)
            shoot(page, "wallet", wallet)
            pile = first_link(page, PILES)
            timeline = pile.replace("/change/", "/timeline/")
            shoot(page, "pile", pile)
            shoot(page, "pile-state", pile.replace("/change/", "/live/"))
            shoot(page, "qr-codes", pile.replace("/change/", "/qr-codes/"))
            if not options.only or options.only in "station-position":
                page.goto(station)
                page.locator(".tab-wrapper nav, nav").get_by_text("位置", exact=True).first.click()
                page.locator(".leaflet-container").wait_for()
                page.wait_for_timeout(500)
                save(page, options.out / "station-position.png")
            wanted = [name for name in PILE_PICTURES if options.only in name]
            if wanted:
                use_piles(page, pile, timeline)
                batch = first_link(page, "/admin/piles/commandbatch/")
                shoot(page, "bulk-command", batch)
                shoot(page, "inspector", f"/admin/piles/pile/inspector/?hex={FRAME}")
                shoot(page, "timeline", timeline)
                shoot(page, "offline-cards", "/admin/piles/offlinecard/")
            use_money(page)
            for name, path in money(page).items():
                shoot(page, name, path)
            page.set_viewport_size({"width": 1440, "height": 1180})
            if not options.only or options.only in "retail-price":
                preview_retail(page)
                save(page, options.out / "retail-price.png")
            page.set_viewport_size(WIDE)
            dark_mode(page)
            shoot(page, "overview-dark", "/admin/")
            shoot(page, "order-dark", order)
            faults = watch.faults
        with person(browser, options.base, phone=True) as (page, watch):
            sign_in(page, "admin", password)
            shoot(page, "overview-phone", "/admin/")
            shoot(page, "orders-phone", "/admin/orders/order/")
            shoot(page, "order-phone", order)
            shoot(page, "start-charge-phone", wide["start-charge"])
            shoot(page, "enterprise-account-phone", wide["enterprise-account"])
            dark_mode(page)
            shoot(page, "timeline-phone", timeline)
            shoot(page, "invoice-apply-phone", wide["invoice-apply"])
            shoot(page, "enterprise-statement-phone", wide["enterprise-statement"])
            faults += watch.faults
        with person(browser, platform) as (page, watch):
            sign_in(page, "admin", password)
            shoot(page, "platform", "/admin/")
            shoot(page, "tenants", "/admin/tenancy/tenant/")
            shoot(page, "tenant", first_link(page, "/admin/tenancy/tenant/"))
            shoot(page, "package", first_link(page, "/admin/tenancy/package/"))
            shoot(page, "support-visit", "/admin/tenancy/supportsession/add/")
            faults += watch.faults
        if options.only == "login-picture":  # for an hour nobody signs in from here without reading one
            with person(browser, options.base) as (page, watch):
                fail_to_sign_in(page)
                save(page, options.out / "login-picture.png")
                faults += watch.faults
    for fault in faults:
        print(fault)  # noqa: T201 - for the person at the console
    raise SystemExit(bool(faults))


def fail_to_sign_in(page: Page) -> None:
    """Type a wrong password for a name that nobody has, until a picture is shown."""
    page.goto("/admin/login/")
    for _ in range(3):
        page.fill("input[name=username]", "nobody")
        page.fill("input[name=password]", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")
    page.locator(".bo-puzzle img").wait_for()


def money(page: Page) -> dict[str, str]:
    """The pages of money: a refund of each kind in review, an abnormal order, what waits for approval, the books."""
    return {
        "order-refund": first_link(page, "/admin/orders/orderrefund/?state__exact=applied"),
        "wallet-refund": first_link(page, "/admin/wallet/walletrefund/?state__exact=applied"),
        "abnormal": first_link(page, "/admin/orders/abnormalorder/"),
        "approvals": "/admin/backoffice/approval/",
        "trial-balance": "/admin/wallet/account/trial-balance/",
        "reconciliation": first_link(page, "/admin/wallet/channelday/"),
        "coupon-template": first_link(page, "/admin/coupons/coupontemplate/"),
        "merchants": "/admin/wallet/merchantaccount/",
    }


def use_money(page: Page) -> None:
    """Let there be something to see: yesterday of the pretended channel reconciled, an abnormal order being decided."""
    page.goto("/admin/wallet/channelday/")
    if page.locator("#result_list tbody tr").count() == 0:
        opened = dialog(page, "reconcile")
        opened.locator("select[name=merchant]").select_option(label="沙箱")
        opened.get_by_role("button", name="对账").click()
        page.wait_for_load_state("networkidle")
    page.goto("/admin/backoffice/approval/")
    if page.locator("#result_list tbody tr").count() == 0:
        page.goto(first_link(page, "/admin/orders/abnormalorder/"))
        send(dialog(page, "settle"), "提交申请", "现场核对表底，电量属实")
        page.wait_for_load_state("networkidle")


def preview_retail(page: Page) -> None:
    """Fill in retail prices for a station and look at what they would do; nothing is saved."""
    page.goto("/admin/pricing/retailprice/add/")
    page.locator("select[name=station]").select_option(index=1)
    page.locator("input[name=note]").fill("服务费每度加一角")
    for name, price in {
        "peak": ("0.98", "0.60"),
        "flat": ("0.72", "0.50"),
        "valley": ("0.36", "0.40"),
    }.items():
        for part, value in zip(("electricity", "service"), price, strict=True):
            page.fill(f"input[name={name}_{part}]", value)
    page.locator("button[name=preview]").click()
    page.locator("#retail-preview").wait_for()


def use_piles(page: Page, pile: str, timeline: str) -> None:
    """Let there be something to see: a minute of frames, a bulk command, cards on their way into piles."""
    page.goto(timeline)
    page.locator("button[name=hours][value='1']").click()
    page.wait_for_load_state()
    send_to_all(page, "selected_sync_clock", "每周校时")
    page.goto("/admin/customers/card/?q=880000001")
    if page.locator("#result_list tbody tr").count() == 0:
        add_card(page)
    page.goto(first_link(page, "/admin/sites/station/"))
    send(dialog(page, "write-cards", menu="离线卡"), "写入离线卡", "新发卡")
    page.wait_for_load_state()
    page.wait_for_timeout(30_000)


def save(page: Page, path: Path) -> None:
    """Write the page as a picture of at most 256 colours, which is a third of the size and hard to tell apart."""
    picture = page.screenshot()
    drawn = page.evaluate(INDEXED, "data:image/png;base64," + base64.b64encode(picture).decode())
    width, height = drawn["width"], drawn["height"]
    pixels = base64.b64decode(drawn["pixels"])
    rows = b"".join(b"\0" + pixels[row * width : (row + 1) * width] for row in range(height))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(drawn["palette"])),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    packed = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    if len(packed) > LIMIT:
        raise SystemExit(f"{path} has {len(packed)} bytes, the limit is {LIMIT}")
    path.write_bytes(packed)


# The browser decodes its own picture: each colour goes to the nearest of the palette.
INDEXED = """
async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, image.width, image.height).data;
  const counts = new Map();
  const key = (i) => (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
  for (let i = 0; i < data.length; i += 4) counts.set(key(i), (counts.get(key(i)) || 0) + 1);
  const parts = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];
  const off = (a, b) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2;
  const palette = [], kept = [];
  for (const [colour] of [...counts].sort((a, b) => b[1] - a[1])) {
    if (palette.length === 256) break;
    const rgb = parts(colour);
    // The common ones as they are; of the rest only what is unlike all of them, such as a small red dot.
    if (palette.length >= 150 && palette.some((other) => off(other, rgb) < 500)) continue;
    palette.push(rgb);
    kept.push(colour);
  }
  const nearest = new Map(kept.map((colour, index) => [colour, index]));
  for (const colour of counts.keys()) {
    if (nearest.has(colour)) continue;
    const rgb = parts(colour);
    let best = 0, least = Infinity;
    palette.forEach((other, index) => {
      if (off(other, rgb) < least) [best, least] = [index, off(other, rgb)];
    });
    nearest.set(colour, best);
  }
  const pixels = new Uint8Array(data.length / 4);
  for (let i = 0; i < data.length; i += 4) pixels[i / 4] = nearest.get(key(i));
  let text = "";
  for (let i = 0; i < pixels.length; i += 8192) text += String.fromCharCode(...pixels.subarray(i, i + 8192));
  return { width: image.width, height: image.height, palette: palette.flat(), pixels: btoa(text) };
}
"""


if __name__ == "__main__":
    main()
