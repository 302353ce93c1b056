"""Money from the top-up to the provider's own bill: a coupon, two refunds reviewed in the back office, reconciliation.

A new driver tops up at the payment provider's sandbox, charges with a coupon, and gets back first a part of the charge,
then the rest of the wallet; staff approve both on their pages. In the end the provider's bill of the day says what our
books say, and the books and the audit log are whole.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from datetime import datetime, timedelta, timezone
from typing import Any

import requests

from tests import oracle
from tests.e2e.drive import (
    SETTLED_WITHIN_S,
    SPEED,
    TOP_UP,
    Say,
    a_pile,
    a_station,
    charge,
    check,
    check_bill,
    prices,
    ready_gun,
    settled,
    start,
)
from tests.e2e.site import App, OnePile, Site, Wrong, wait_for

COUPON = "新客立减"
MORE = 1.15
"""So much more energy than the coupon's spend needs: the last report may be of some seconds ago."""
BEIJING = timezone(timedelta(hours=8))
SEEN_WITHIN_S = 60


def money(site: Site, say: Say) -> dict[str, Any]:
    """The whole way; returns the order as the API shows it. Raises Wrong."""
    began = today()
    app = App(site)
    station = a_station(app)
    code = a_pile(site, station["station_no"])
    tariff = prices(app, station["station_no"])
    with OnePile(site, code, speed=SPEED) as pile:
        ready_gun(app, f"{code}01")
        app.sign_in()
        recharge_no = app.top_up(TOP_UP)
        coupon = claim(app)
        say(f"topped up {TOP_UP} yuan, coupon {coupon['id']} claimed: {coupon['saving']}")
        order_no = start(app, f"{code}01", coupon=coupon["id"])
        with app.watch(order_no) as watching:
            charge(app, order_no, watching, enough_kwh=enough_for(coupon, tariff))
            app.post(f"charges/{order_no}/stop")
            app.picture(watching, lambda shown: shown["state"] == "completed", SETTLED_WITHIN_S)
        order = settled(app, order_no)
        check_bill(order, pile, tariff, coupon)
    say(
        f"charged {order['payable']} yuan, {order['coupon_discount']} off by the coupon: equal to the oracle's"
    )
    left = oracle.to_int(TOP_UP, 2) - oracle.to_int(order["payable"], 2)
    office = Office(site)
    left += refund_of_order(app, office, order)
    say(f"service fee {order['service_payable']} back in the wallet, reviewed by staff")
    refund_no = refund_of_wallet(app, office, recharge_no, left)
    say(f"refund {refund_no} of {oracle.yuan(left)} yuan reviewed, and paid by the provider")
    for day in sorted({began, today()}):
        say(f"bill of {day}: {reconciled(site, day)} rows, no difference")
    for command, word in (("check_ledger", "ledger clean"), ("verify_audit", "")):
        told = site.manage(command)
        if word not in told:
            raise Wrong(f"{command} says {told}")
    say("ledger and audit log are whole")
    return dict(order)


def today() -> str:
    """The business day."""
    return f"{datetime.now(BEIJING):%Y-%m-%d}"


def claim(app: App) -> Any:
    """Claim the demo's coupon for new drivers, asking twice with one key; returns it as the API shows it."""
    offers = app.get("coupons/offers")["items"]
    offer = next((one for one in offers if one["name"] == COUPON), None)
    if offer is None:
        raise Wrong(f"the coupon {COUPON} is not offered, only {[one['name'] for one in offers]}")
    key = secrets.token_hex(8)
    first, again = (app.post("coupons", {"template_id": offer["id"]}, status=201, key=key) for _ in range(2))
    if first["id"] != again["id"]:
        raise Wrong("the same request claimed two coupons")
    return first


def enough_for(coupon: Any, tariff: dict[str, tuple[int, int]]) -> float:
    """How much has to be charged for the coupon to count, whatever class it is charged in, kWh."""
    cheapest = min(service for _, service in tariff.values() if service)
    return MORE * float(coupon["spend"]) / (cheapest / 10**5)


class Office:
    """A member of staff in the back office: HTTP, and the pages' own forms."""

    def __init__(self, site: Site, name: str = "admin") -> None:
        self.base = f"http://{site.address}:{site.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({"Host": site.host, "Accept-Language": "zh-hans"})
        self.page("/admin/login/")
        password = os.environ.get("DEMO_PASSWORD") or "chargeplat-demo"
        answer = self.send("/admin/login/", username=name, password=password, next="/admin/")
        if "/admin/logout/" not in answer.text:
            raise Wrong(f"{name} cannot sign in to the back office: {answer.status_code}")

    def page(self, path: str) -> str:
        """Open a page."""
        answer = self.session.get(f"{self.base}{path}", timeout=30)
        if answer.status_code != 200:
            raise Wrong(f"{path} answers {answer.status_code}")
        return answer.text

    def send(self, path: str, *, files: Any = None, **fields: str) -> requests.Response:
        """Send a form, with the files that it has."""
        token = next((cookie.value for cookie in self.session.cookies if cookie.name == "csrftoken"), "")
        answer = self.session.post(
            f"{self.base}{path}",
            data=fields,
            files=files,
            headers={"X-CSRFToken": token or ""},
            timeout=30,
        )
        if answer.status_code != 200:
            raise Wrong(f"the form of {path} is answered by {answer.status_code}: {answer.text[:300]}")
        return answer

    def approve(self, kind: str, number: str) -> None:
        """Find a refund by its number, and approve it with the button of its page."""
        listed = self.page(f"/admin/{kind}/?q={number}")
        found = re.search(rf"/admin/{kind}/(\d+)/change/", listed)
        if found is None:
            raise Wrong(f"{number} is not in the list of {kind}")
        address = f"/admin/{kind}/{found[1]}/approve/"
        if address not in self.page(found[0]):
            raise Wrong(f"{number} has no button to approve it")
        self.send(address, _form_submitted="on", reason="端到端测试")


def refund_of_order(app: App, office: Office, order: Any) -> int:
    """Ask for the service fee of an order back, and have it approved; returns the fen that came."""
    before = oracle.to_int(app.get("wallet")["available"], 2)
    wanted = order["service_payable"]
    body = {"service": wanted, "reason": "充电功率过低"}
    refund = app.post(f"orders/{order['order_no']}/refunds", body, status=201, key=secrets.token_hex(8))
    check(refund, {"service": wanted, "electricity": "0.00", "state": "applied"})
    office.approve("orders/orderrefund", refund["refund_no"])
    check(
        app.get(f"order-refunds/{refund['refund_no']}"),
        {"state": "done", "principal": wanted, "bonus": "0.00"},
    )
    back = oracle.to_int(app.get("wallet")["available"], 2) - before
    if oracle.yuan(back) != wanted:
        raise Wrong(f"{wanted} yuan were refunded, {oracle.yuan(back)} came")
    return back


def refund_of_wallet(app: App, office: Office, recharge_no: str, left: int) -> str:
    """Ask for all that is left, have it approved, and wait until the provider has paid; returns the refund's number."""
    refund = app.post("wallet/refunds", {"reason": "不再使用"}, status=201, key=secrets.token_hex(8))
    number = str(refund["refund_no"])
    check(refund, {"amount": oracle.yuan(left), "state": "applied"})
    check(app.get("wallet"), {"available": "0.00"})
    office.approve("wallet/walletrefund", number)

    def paid() -> Any:
        found = app.get(f"wallet/refunds/{number}")
        if found["state"] not in {"approved", "executing", "done"}:
            raise Wrong(f"refund {number} is {found['state']}")
        return found if found["state"] == "done" else None

    done = wait_for(f"payment of refund {number}", paid, SEEN_WITHIN_S)
    parts = [(part["recharge_no"], part["amount"], part["by_hand"]) for part in done["parts"]]
    if parts != [(recharge_no, oracle.yuan(left), False)]:
        raise Wrong(f"the refund went to {parts}")
    check(app.get("wallet"), {"available": "0.00", "principal": "0.00", "bonus": "0.00", "debt": "0.00"})
    return number


def reconciled(site: Site, day: str) -> int:
    """Hold a day against the bill of the provider, which writes one before the day is over; returns its rows.

    What others pay at this moment may be there and not here yet: asked again until both agree. Nothing is stored, since
    the day's bill is not the last.
    """
    with requests.Session() as console:
        console.trust_env = False
        console.post(
            f"{site.wechatpay}/_sandbox/settings", json={"unfinished_bills": True}, timeout=10
        ).raise_for_status()
    merchant = site.merchant_no("wechatpay")
    wrong: list[Wrong] = []

    def agreed() -> Any:
        try:
            told = site.manage(
                "reconcile",
                "--tenant",
                site.tenant,
                "--merchant",
                merchant,
                "--day",
                day,
                "--dry-run",
                "--json",
            )
        except Wrong as error:
            wrong.append(error)
            return None
        return json.loads(told.splitlines()[-1])

    try:
        report = wait_for("bill that agrees", agreed, SEEN_WITHIN_S, every=5)
    except Wrong as error:
        raise wrong[-1] if wrong else error from None
    return int(report["runs"][0]["rows"])
