"""A charge on a system in processes of its own, also when one of them is killed or Redis is emptied in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.drive import (
    SPEED,
    TOP_UP,
    a_pile,
    a_station,
    charge,
    check_bill,
    check_money,
    drive,
    prices,
    ready_gun,
    settled,
    start,
)
from tests.e2e.money import money
from tests.e2e.site import App, OnePile, wait_for
from tests.live.system import LiveSystem

pytestmark = [pytest.mark.live, pytest.mark.timeout(420)]


@dataclass(frozen=True)
class MidCharge:
    """A driver whose car is charging."""

    system: LiveSystem
    app: App
    pile: OnePile
    order_no: str
    station_no: str

    def check_the_end(self) -> None:
        """The order is settled once, by what the pile's meter counted, and the books are clean."""
        order = settled(self.app, self.order_no, 120)
        check_bill(order, self.pile, prices(self.app, self.station_no))
        check_money(self.app, order)
        wait_for("confirmation of the record", lambda: not self.pile.pile.records, 60)
        check_ledger(self.system)

    def show(self) -> Any:
        return self.app.get(f"charges/{self.order_no}")


@pytest.fixture
def mid_charge(live_system: LiveSystem) -> Iterator[MidCharge]:
    app = App(live_system.site)
    station_no = a_station(app)["station_no"]
    code = a_pile(live_system.site, station_no)
    with OnePile(live_system.site, code, speed=SPEED) as pile:
        ready_gun(app, f"{code}01")
        app.sign_in()
        app.top_up(TOP_UP)
        order_no = start(app, f"{code}01")
        with app.watch(order_no) as watching:
            charge(app, order_no, watching, enough_kwh=0)
        yield MidCharge(live_system, app, pile, order_no, station_no)


def check_ledger(system: LiveSystem) -> None:
    assert "ledger clean" in system.site.manage("check_ledger")


def test_a_new_driver_charges(live_system: LiveSystem) -> None:
    said: list[str] = []
    order = drive(live_system.site, said.append)
    assert order["state"] == "completed"
    assert said[-2:] == ["bill equals the oracle's", "wallet and statement agree with the bill"]
    check_ledger(live_system)


def test_a_coupon_two_refunds_and_the_providers_bill(live_system: LiveSystem) -> None:
    said: list[str] = []
    order = money(live_system.site, said.append)
    assert order["coupon_discount"] == "3.00"
    assert said[-1] == "ledger and audit log are whole"
    assert said[-2].endswith("rows, no difference")


@pytest.mark.slow
def test_the_gateway_is_killed_and_the_driver_stops_afterwards(mid_charge: MidCharge) -> None:
    killed = mid_charge.system.kill("gateway")
    mid_charge.system.wait_for_another("gateway", killed)
    wait_for("pile that is back", lambda: mid_charge.pile.pile.is_online, 60)
    assert mid_charge.show()["state"] == "charging"
    mid_charge.app.post(f"charges/{mid_charge.order_no}/stop")
    mid_charge.check_the_end()


@pytest.mark.slow
def test_the_charge_ends_while_the_gateway_is_dead(mid_charge: MidCharge) -> None:
    mid_charge.system.kill("gateway")
    wait_for("broken line", lambda: not mid_charge.pile.pile.is_online, 10)
    mid_charge.pile.press_stop()
    mid_charge.check_the_end()


@pytest.mark.slow
def test_the_worker_is_killed_as_the_charge_ends(mid_charge: MidCharge) -> None:
    mid_charge.app.post(f"charges/{mid_charge.order_no}/stop")
    mid_charge.system.kill("worker")
    mid_charge.check_the_end()


@pytest.mark.slow
def test_redis_is_emptied(mid_charge: MidCharge) -> None:
    mid_charge.system.empty_redis()
    mid_charge.app.post(f"charges/{mid_charge.order_no}/stop")
    mid_charge.check_the_end()
