"""A running system as the outside sees it: HTTP, WebSocket, the piles' port, `manage.py`, the log of messages."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import requests
from websockets.sync.client import ClientConnection, connect

from ykc_server.protocol.messages import TransactionRecord
from ykc_server.simulator import Car, PileClient, SimulatedPile
from ykc_server.simulator.client import utc_now

BASE_DIR = Path(__file__).resolve().parents[2]
CLASSES = ("sharp", "peak", "flat", "valley", "deep_valley")
T = TypeVar("T")


class Wrong(Exception):
    """The system did something else than it should; the message says what."""


def wait_for(what: str, look: Callable[[], T | None], seconds: float, every: float = 0.2) -> T:
    """Look until there is something; raises Wrong after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Wrong(f"no {what} within {seconds:g} s")
        time.sleep(every)


@dataclass(frozen=True)
class Site:
    """Where a system runs, and which tenant of it is meant."""

    port: int
    ykc_port: int
    state: Path
    tenant: str = "demo"
    address: str = "127.0.0.1"

    @property
    def host(self) -> str:
        """The tenant's host name; it need not be known to the resolver."""
        return f"{self.tenant}.localhost"

    @property
    def wechatpay(self) -> str:
        """Where WeChat Pay's sandbox is."""
        kept = json.loads((self.state / "sandbox" / "keys.json").read_text())
        return str(kept["base_urls"]["wechatpay"])

    def merchant_no(self, channel: str) -> str:
        """The number of the tenant's merchant account at a provider's sandbox."""
        kept = json.loads((self.state / "sandbox" / "keys.json").read_text())
        return str(kept["merchants"][self.tenant][channel]["merchant_no"])

    def manage(self, *arguments: str) -> str:
        """Run a `manage.py` command against the system; returns what it printed, raises Wrong when it fails."""
        done = subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), *arguments],
            cwd=BASE_DIR,
            env={**os.environ, "CHARGEPLAT_STATE": str(self.state), "LOG_LEVEL": "WARNING"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Wrong(
                f"manage.py {' '.join(arguments)} exits {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def code_for(self, phone: str) -> str:
        """The newest code in the log of text messages."""

        def look() -> str | None:
            log = self.state / "sms.log"
            lines = log.read_text().splitlines() if log.exists() else []
            return next((line.split()[1] for line in reversed(lines) if line.startswith(f"{phone} ")), None)

        return wait_for(f"code for {phone}", look, 5)


class App:
    """A driver's mini-program: HTTP and WebSocket, nothing of the project's code."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.phone = ""
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({"Host": site.host, "Accept-Language": "en"})

    def call(
        self, method: str, path: str, body: Any = None, *, status: int = 200, key: str = "", **query: Any
    ) -> Any:
        """One request; raises Wrong for any other status."""
        answer = self.session.request(
            method,
            f"http://{self.site.address}:{self.site.port}/api/v1/{path}",
            json=body,
            params=query,
            headers={"Idempotency-Key": key} if key else {},
            timeout=30,
        )
        if answer.status_code != status:
            raise Wrong(f"{method} {path} answers {answer.status_code}, not {status}: {answer.text[:500]}")
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, **query)

    def post(self, path: str, body: Any = None, *, status: int = 200, key: str = "") -> Any:
        return self.call("POST", path, {} if body is None else body, status=status, key=key)

    def sign_in(self) -> str:
        """Sign in with a phone that nobody has used; returns it."""
        phone = f"+86139{secrets.randbelow(10**8):08d}"
        self.post("auth/sms-code", {"phone": phone})
        answer = self.post("auth/login", {"phone": phone, "code": self.site.code_for(phone)})
        self.session.headers["Authorization"] = f"Bearer {answer['token']}"
        self.phone = phone
        self.agree()
        return phone

    def agree(self) -> None:
        """Agree to what the tenant has published, as the page for signing in does."""
        asked = [one for one in self.get("me/consents")["items"] if one["is_needed"]]
        if asked:
            versions = [{"kind": one["kind"], "version": one["version"]} for one in asked]
            self.post("me/consents", {"agreements": versions})

    def top_up(self, amount: str) -> str:
        """Pay a top-up with WeChat Pay, whose sandbox runs beside the system; returns its number."""
        channels = [item["channel"] for item in self.get("wallet/recharge-options")["channels"]]
        if "wechatpay" not in channels:
            raise Wrong(f"WeChat Pay is not offered, only {channels}")
        self.site.manage("demo_driver", "--tenant", self.site.tenant, "--phone", self.phone)
        body = {"amount": amount, "channel": "wechatpay"}
        recharge = self.post("wallet/recharges", body, status=201, key=secrets.token_hex(8))
        number = str(recharge["recharge_no"])
        if recharge["state"] != "created":
            raise Wrong(f"a new top-up is {recharge['state']}")
        self.phone_pays(recharge["payment"])
        wait_for("money of the top-up", lambda: self.get(f"wallet/recharges/{number}")["state"] == "paid", 30)
        return number

    def phone_pays(self, payment: dict[str, str]) -> None:
        """Do what `wx.requestPayment` does, at the sandbox."""
        with requests.Session() as phone:
            phone.trust_env = False
            answer = phone.post(
                f"{self.site.wechatpay}/_sandbox/pay",
                json={"client_params": payment, "notify": "later"},
                timeout=10,
            )
        if answer.status_code != 200:
            raise Wrong(f"the sandbox does not take the payment: {answer.text[:300]}")

    def watch(self, order_no: str) -> ClientConnection:
        """Open the WebSocket of an order with a ticket."""
        url = self.post(f"charges/{order_no}/ticket", status=201)["url"]
        line = socket.create_connection((self.site.address, self.site.port), timeout=10)
        return connect(f"ws://{self.site.host}:{self.site.port}{url}", sock=line, open_timeout=10, proxy=None)

    def picture(self, watching: ClientConnection, wanted: Callable[[Any], bool], seconds: float) -> Any:
        """Read pictures from a WebSocket until one is as wanted."""
        deadline = time.monotonic() + seconds
        shown: Any = None
        while time.monotonic() < deadline:
            try:
                shown = json.loads(watching.recv(timeout=max(0.1, deadline - time.monotonic())))
            except TimeoutError:
                break
            if wanted(shown):
                return shown
        raise Wrong(f"the WebSocket does not show it within {seconds:g} s; it shows {shown}")


class OnePile:
    """A simulated pile with one gun, on a TCP connection, in a thread with a loop of its own."""

    def __init__(self, site: Site, pile_code: str, *, speed: float) -> None:
        self.pile = SimulatedPile(pile_code, guns={"01": 120_000}, time_scale=speed)
        self.pile.plug("01", utc_now(), Car(capacity_wh=80_000, start_wh=16_000, max_power_w=120_000))
        self.records: dict[str, TransactionRecord] = {}
        self._client = PileClient(self.pile, site.address, site.ykc_port, hook=self._look)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pile")

    def __enter__(self) -> OnePile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(10)

    def press_stop(self) -> None:
        """Stop by hand at the pile."""

        def press() -> None:
            self.pile.press_stop("01", utc_now())
            self._client.flush()

        self._loop.call_soon_threadsafe(press)

    def _run(self) -> None:
        self._task = self._loop.create_task(self._client.run())
        try:
            self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        finally:
            self._loop.close()

    def _stop(self) -> None:
        self._task.cancel()

    def _look(self, pile: SimulatedPile, _now: datetime) -> None:
        # A record stays with the pile for two seconds at least, and this is called every second.
        self.records |= {number.hex().upper(): stored.record for number, stored in pile.records.items()}

    def energies(self, order_record: TransactionRecord) -> dict[str, int]:
        """What the pile's meter counted by rate class, 0.0001 kWh."""
        return {name: getattr(order_record, f"{name}_kwh", 0) for name in CLASSES}
