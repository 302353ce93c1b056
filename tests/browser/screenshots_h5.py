"""Pictures of the driver's app for the manual, taken from a running `make run` with its pages for browsers built.

    python -m tests.browser.screenshots_h5 --port 8000 --out docs/screenshots/app

They show a driver of the demo business, whose code comes from the log of text messages. None is larger than 200 KB.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from chargeplat import embedded
from tests.browser.chromium import chromium
from tests.browser.phone import Phone, phone, sign_in
from tests.browser.screenshots import save
from tests.e2e.drive import a_station
from tests.e2e.site import App, Site

DRIVER = "13800000001"
PAGES = {
    "stations": "pages/index/index",
    "map": "pages/station/map",
    "scan": "pages/charge/scan",
    "orders": "pages/orders/index",
    "me": "pages/me/index",
    "wallet": "pkg-wallet/index",
    "recharge": "pkg-wallet/recharge",
    "refund": "pkg-wallet/refund",
    "statement": "pkg-wallet/statement",
    "coupons": "pkg-promo/coupons",
    "activities": "pkg-promo/activities",
    "invoices": "pkg-invoice/index",
    "invoice-apply": "pkg-invoice/apply",
    "invoice-titles": "pkg-invoice/titles",
    "invoice-title": "pkg-invoice/title",
    "feedback": "pkg-feedback/index",
    "feedback-write": "pkg-feedback/write",
    "messages": "pkg-user/messages",
    "vehicles": "pkg-user/vehicles",
    "vehicle": "pkg-user/vehicle",
    "enterprise": "pkg-user/enterprise",
    "settings": "pkg-user/settings",
    "devices": "pkg-user/devices",
    "account": "pkg-user/account",
    "consent": "pkg-user/consent",
    "agreement": "pkg-user/agreement?kind=privacy",
    "about": "pkg-user/about",
}
"""Name of the picture → page; those that need the number of something are below."""
FOUND = {
    "activity": ("activities", "id", "pkg-promo/activity?id="),
    "feedback-detail": ("feedback", "feedback_no", "pkg-feedback/detail?no="),
    "invoice": ("invoices", "application_no", "pkg-invoice/detail?no="),
}
"""Name of the picture → a list of the API, what in its first row is the number, and the page."""


def main() -> None:
    """Sign in, walk through the pages, save the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
    parser.add_argument("--state", type=Path, default=embedded.state_dir())
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots/app"))
    parser.add_argument("--only", default="", help="names that contain this")
    options = parser.parse_args()
    shoot_all(Site(options.port, 0, options.state), options.out, options.only)


def shoot_all(site: Site, out: Path, only: str = "") -> None:
    """Take the pictures of a running system. Raises SystemExit when a page had a fault."""
    out.mkdir(parents=True, exist_ok=True)
    app = App(site)
    station = a_station(app)
    gun = app.get(f"stations/{station['station_no']}")["connectors"][0]["code"]

    def shoot(shown: Phone, name: str, path: str) -> None:
        if only not in name:
            return
        shown.open(path)
        shown.page.wait_for_load_state("networkidle")
        shown.page.locator("[role=status]").first.wait_for(state="detached")
        shown.page.locator("uni-page-body").get_by_text(
            re.compile(r"\S")
        ).first.wait_for()  # its code is there
        save(shown.page, out / f"{name}.png")

    with chromium() as browser, phone(browser, f"http://{site.host}:{site.port}", station) as shown:
        shown.open("pages/login/index")
        shown.page.wait_for_load_state("networkidle")
        if only in "login":
            save(shown.page, out / "login.png")
        shown.open("pages/index/index")
        sign_in(shown, app, DRIVER)
        order = app.get("orders")["items"][0]["order_no"]
        pages = {
            **PAGES,
            "station": f"pages/station/detail?no={station['station_no']}",
            "start": f"pages/charge/start?gun={gun}",
            "order": f"pkg-user/order?no={order}",
            "done": f"pages/charge/done?order={order}",
        }
        for name, (path, number, page) in FOUND.items():
            for row in app.get(path)["items"][:1]:
                pages[name] = f"{page}{row[number]}"
        for name, path in pages.items():
            shoot(shown, name, path)
        faults = shown.watch.faults
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
