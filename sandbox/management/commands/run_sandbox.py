"""Run the sandboxes of those who take payments, sign people in and carry messages."""

import json
import pickle
import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from sandbox.alipay import Alipay
from sandbox.cashier import Cashier
from sandbox.messaging import CARRIERS
from sandbox.provider import Provider, Server
from sandbox.wechat import Wechat
from sandbox.wechatpay import WechatPay

SAVE_EVERY_S = 2


class Command(BaseCommand):
    help = (
        "Serve WeChat Pay below /wechatpay, Alipay (payments and sign-in) below /alipay and WeChat's sign-in below "
        "/wechat, and below /aliyun-sms, /tencent-sms, /wecom, /dingtalk and /feishu those who carry messages, until "
        "interrupted. Keys and merchants are kept "
        "in a file, which also tells each merchant's credentials; orders are forgotten at the end, unless --orders "
        "names a file for them. The start page is a cashier where open orders can be paid by hand."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=9300)
        parser.add_argument(
            "--keys", type=Path, required=True, help="JSON file with keys and credentials, made when missing"
        )
        parser.add_argument(
            "--merchant", action="append", default=[], help="a name to issue credentials for (repeatable)"
        )
        parser.add_argument(
            "--slow-refunds", action="store_true", help="refunds wait for POST /_sandbox/refunds"
        )

        parser.add_argument("--orders", type=Path, help="file to keep orders in, made when missing")

    def handle(self, *args: Any, **options: Any) -> None:
        providers: dict[str, Provider] = {
            "wechatpay": WechatPay(),
            "alipay": Alipay(),
            "wechat": Wechat(),
        }
        carriers: dict[str, Any] = {name: carrier() for name, carrier in CARRIERS.items()}
        server = Server(
            {f"/{name}": provider for name, provider in (providers | carriers).items()},
            host=options["host"],
            port=options["port"],
            otherwise=Cashier(providers),
        )
        prepare(options["keys"], options["merchant"], providers, server.url, carriers)
        providers["wechatpay"].settings["instant_refunds"] = not options["slow_refunds"]
        providers["alipay"].settings["slow_refunds"] = options["slow_refunds"]
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        memory = Memory(options["orders"], providers) if options["orders"] else None
        with server:
            self.stdout.write(f"payment sandboxes on {server.url}")
            self.stdout.flush()
            while not stop.wait(SAVE_EVERY_S):
                if memory:
                    memory.save()
        if memory:
            memory.save()


class Memory:
    """Keeps the orders of all providers in a file, rewritten when they have changed."""

    def __init__(self, path: Path, providers: dict[str, Provider]) -> None:
        self._path = path
        self._providers = providers
        self._saved = b""
        if path.exists():
            self._saved = path.read_bytes()
            for name, kept in pickle.loads(self._saved).items():  # noqa: S301 - our own file
                providers[name].recall(kept)

    def save(self) -> None:
        """Write what has changed; a run that is killed loses the last moments."""
        kept = pickle.dumps({name: provider.remember() for name, provider in self._providers.items()})
        if kept != self._saved:
            part = self._path.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_bytes(kept)
            part.replace(self._path)
            self._saved = kept


def _mini_programs(issued: dict[str, Any], providers: dict[str, Any]) -> None:
    """Make a merchant's app at WeChat Pay and at Alipay a mini-program in which drivers sign in."""
    if "wechat" in issued and "wechat-mini" not in issued:
        issued["wechat-mini"] = providers["wechat"].issue_mini_program(issued["wechatpay"]["app_id"])
    if "alipay" in issued and "alipay-mini" not in issued:
        app_id = issued["alipay"]["app_id"]
        issued["alipay-mini"] = {"app_id": app_id, "content_key": providers["alipay"].content_key(app_id)}


def prepare(
    path: Path, names: list[str], providers: dict[str, Any], url: str, carriers: dict[str, Any] | None = None
) -> None:
    """Restore keys and merchants from the file, issue what is missing, and write everything back.

    The file holds {"providers": …, "merchants": {name: {provider: credentials}}, "base_urls": {provider: URL}}, and
    of those who carry messages {"carriers": …, "accounts": {name: {carrier: credentials}}, "carrier_urls": …}.
    """
    kept: dict[str, Any] = (
        json.loads(path.read_text()) if path.exists() else {"providers": {}, "merchants": {}}
    )
    for name, content in kept["providers"].items():
        providers[name].restore(content)
    for name in names:
        issued = kept["merchants"].setdefault(name, {})
        for key, provider in providers.items():
            if key not in issued:  # also one that this version brought
                issued[key] = provider.issue()
        _mini_programs(issued, providers)
    kept["providers"] = {name: provider.keep() for name, provider in providers.items()}
    kept["base_urls"] = {"wechatpay": f"{url}/wechatpay", "alipay": f"{url}/alipay/gateway.do"}
    carriers = carriers or {}
    for name, carrier in carriers.items():
        carrier.restore(kept.get("carriers", {}).get(name, {}))
    accounts = kept.setdefault("accounts", {})
    for name in names:
        for key, carrier in carriers.items():
            if key not in accounts.setdefault(name, {}):
                accounts[name][key] = carrier.issue()
    kept["carriers"] = {name: carrier.keep() for name, carrier in carriers.items()}
    kept["carrier_urls"] = {name: f"{url}/{name}" for name in carriers}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(kept, indent=1))
    part.replace(path)
