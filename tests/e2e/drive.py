"""A brand-new driver on a running system: signs in, tops up, charges, and reckons the bill again.

`make run` in one terminal, `make e2e` in another. Everything goes through what the outside has: the driver API over
HTTP and WebSocket, the piles' port, `manage.py`. The bill is worked out a second time by tests/oracle.py, in whole
numbers, from what the pile's own meter counted and the prices that the API shows. Exit code 1 if anything is not as it
should be.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ

from chargeplat import embedded
from tests import oracle
from tests.e2e.site import BASE_DIR, App, OnePile, Site, Wrong, wait_for

TOP_UP, PRESET = "100.00", "50.00"
SPEED = 30
FIRST_PILE = 99_000_000_000_000
"""Codes from here on are this program's: no real pile has them."""
PILES = 10_000
ENOUGH_KWH = 2.0
SETTLED_WITHIN_S = 60

Say = Callable[[str], None]


def main(*more: Callable[[Site, Say], object]) -> int:
    """Drive the system that PORT, YKC_PORT and CHARGEPLAT_STATE (or the options) name; returns the exit code.

    `more` is driven after the one charge.
    """
    if (BASE_DIR / ".env").is_file():
        environ.Env.read_env(str(BASE_DIR / ".env"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e.drive", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
    parser.add_argument("--ykc-port", type=int, default=int(os.environ.get("YKC_PORT") or 9988))
    parser.add_argument("--state", type=Path, default=embedded.state_dir())
    parser.add_argument("--tenant", default="demo")
    options = parser.parse_args()
    site = Site(options.port, options.ykc_port, options.state, options.tenant)
    try:
        for each in (drive, *more):
            each(site, say)
    except (Wrong, OSError) as error:
        say(f"e2e FAILED: {error}")
        return 1
    say("e2e passed")
    return 0


def say(text: str) -> None:
    """Tell the person at the console how far it is."""
    print(text, flush=True)  # noqa: T201 - a program for the console


def drive(site: Site, say: Say) -> dict[str, Any]:
    """One whole charge; returns the order as the API shows it. Raises Wrong."""
    app = App(site)
    station = a_station(app)
    code = a_pile(site, station["station_no"])
    say(f"pile {code} registered at {station['name']}")
    with OnePile(site, code, speed=SPEED) as pile:
        ready_gun(app, f"{code}01")
        say("pile logged in, gun ready")
        say(f"driver {app.sign_in()} signed in")
        app.top_up(TOP_UP)
        check(app.get("wallet"), {"available": TOP_UP, "held": "0.00", "debt": "0.00"})
        say(f"topped up {TOP_UP} yuan")
        order_no = start(app, f"{code}01")
        say(f"order {order_no} started")
        with app.watch(order_no) as watching:
            live = charge(app, order_no, watching)
            shown = [live[name] for name in ("energy_kwh", "amount", "power_kw", "soc_percent")]
            say("charging: {} kWh, {} yuan, {} kW, {} %".format(*shown))
            stopping = app.post(f"charges/{order_no}/stop")
            if stopping["state"] not in {"stopping", "settling", "completed"}:
                raise Wrong(f"after the stop the order is {stopping['state']}")
            say("stop asked for")
            app.picture(watching, lambda shown: shown["state"] == "completed", SETTLED_WITHIN_S)
        order = settled(app, order_no)
        say(f"settled: {order['energy_kwh']} kWh, {order['payable']} yuan")
        check_bill(order, pile, prices(app, station["station_no"]))
        say("bill equals the oracle's")
    check_money(app, order)
    say("wallet and statement agree with the bill")
    return order


def a_station(app: App) -> Any:
    """The first station with a price that is open at this hour, as the app lists them."""
    listed = app.get("stations", latitude=32, longitude=119, radius=20_000_000, limit=50)["items"]
    found = [item for item in listed if item["state"] == "open" and item["is_open_now"] and item["price_now"]]
    if not found:
        raise Wrong("no open station with a price is listed")
    return found[0]


def a_pile(site: Site, station_no: str) -> str:
    """Register a pile of our own code range; returns its code."""
    code = str(FIRST_PILE + secrets.randbelow(PILES))
    where = ["--tenant", site.tenant, "--station", station_no]
    told = site.manage("create_piles", *where, "--first", code, "--count", "1", "--guns", "1", "--json")
    answer = json.loads(told)
    if answer["created"] + answer["known"] != 1:
        raise Wrong(f"create_piles says {answer}")
    return code


def ready_gun(app: App, code: str, seconds: float = 60) -> Any:
    """Wait until a gun can be started."""
    return wait_for(
        f"ready gun {code}",
        lambda: gun if (gun := app.get(f"connectors/{code}"))["can_start"] else None,
        seconds,
    )


def start(app: App, code: str, **options: str) -> str:
    """Start a charge, asking twice with one key; returns the order's number."""
    key = secrets.token_hex(8)
    body = {"connector_code": code, "preset_amount": PRESET, **options}
    first, again = (app.post("charges", body, status=201, key=key) for _ in range(2))
    if first["order_no"] != again["order_no"]:
        raise Wrong("the same request started two orders")
    check(app.get("wallet"), {"available": "50.00", "held": PRESET})
    check(app.get("me"), {"live_order_no": first["order_no"]})
    return str(first["order_no"])


def charge(
    app: App, order_no: str, watching: Any, enough_kwh: float = ENOUGH_KWH, seconds: float = 120
) -> Any:
    """Watch until some energy has been reported (every 15 s); REST must show the same order charging."""
    live = app.picture(
        watching,
        lambda shown: shown["state"] == "charging" and float(shown["energy_kwh"]) >= enough_kwh,
        seconds,
    )
    rest = app.get(f"charges/{order_no}")
    if rest["state"] != "charging" or rest["sequence"] < live["sequence"]:
        raise Wrong(f"REST shows something older than the WebSocket: {rest}")
    return live


def settled(app: App, order_no: str, seconds: float = SETTLED_WITHIN_S) -> Any:
    """Wait for the bill."""
    return wait_for(
        f"bill of {order_no}",
        lambda: order if (order := app.get(f"orders/{order_no}"))["state"] == "completed" else None,
        seconds,
    )


def prices(app: App, station_no: str) -> dict[str, tuple[int, int]]:
    """Electricity and service price by class, 0.00001 yuan/kWh, as the app shows them."""
    periods = app.get(f"stations/{station_no}")["periods"]
    return {
        period["rate_class"]: (oracle.to_int(period["electricity"], 5), oracle.to_int(period["service"], 5))
        for period in periods
    }


def check_bill(order: Any, pile: OnePile, tariff: dict[str, tuple[int, int]], coupon: Any = None) -> None:
    """Compare a bill with the oracle's, line by line, and with the coupon that has to count; raises Wrong."""
    records = list(pile.records.values())
    if len(records) != 1:
        raise Wrong(f"the pile made {len(records)} records for one charge")
    energies = pile.energies(records[0])
    if sum(energies.values()) == 0:
        raise Wrong("the pile's meter did not count")
    ours = [(name, electricity, service) for name, electricity, service in oracle.lines(energies, tariff)]
    theirs = [
        (line["rate_class"], oracle.to_int(line["electricity_fee"], 2), oracle.to_int(line["service_fee"], 2))
        for line in order["lines"]
    ]
    if ours != theirs:
        raise Wrong(f"bill lines (class, electricity fen, service fen): oracle {ours}, system {theirs}")
    electricity, service = oracle.fees(energies, tariff)
    used, saving = oracle.choose([coupon] if coupon else [], electricity, service)
    if coupon and used is None:
        raise Wrong(f"by the oracle the coupon saves nothing of {oracle.yuan(service)} yuan of service")
    whole = bool(coupon) and coupon["applies_to"] == "all"
    off = oracle.split_two(saving, electricity, service) if whole else (0, saving)
    check(
        order,
        {
            "energy_kwh": f"{sum(energies.values()) // 10_000}.{sum(energies.values()) % 10_000:04d}",
            "electricity_fee": oracle.yuan(electricity),
            "service_fee": oracle.yuan(service),
            "coupon_id": coupon["id"] if coupon else None,
            "coupon_discount": oracle.yuan(saving),
            "electricity_payable": oracle.yuan(electricity - off[0]),
            "service_payable": oracle.yuan(service - off[1]),
            "payable": oracle.yuan(electricity + service - saving),
            "debt": "0.00",
        },
    )


def check_money(app: App, order: Any) -> None:
    """What came in less what was charged is there, free, and the statement says the same; raises Wrong."""
    left = oracle.yuan(oracle.to_int(TOP_UP, 2) - oracle.to_int(order["payable"], 2))
    check(
        app.get("wallet"),
        {"available": left, "principal": left, "bonus": "0.00", "held": "0.00", "debt": "0.00"},
    )
    lines = [(line["kind"], line["change"]) for line in app.get("wallet/statement")["items"]]
    wanted = [("charge", f"-{order['payable']}"), ("recharge", TOP_UP)]
    if lines != wanted:
        raise Wrong(f"the statement has {lines}, not {wanted}")
    check(app.get("me"), {"live_order_no": None})


def check(answer: Any, wanted: dict[str, Any]) -> None:
    """Compare some fields of an answer; raises Wrong."""
    found = {name: answer[name] for name in wanted}
    if found != wanted:
        raise Wrong(f"found {found}, not {wanted}")


if __name__ == "__main__":
    sys.exit(main())
