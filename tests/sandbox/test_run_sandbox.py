"""`manage.py run_sandbox` as a process: credentials that work, and still do after a restart."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.common.time import now
from apps.notifications.channels.robots import Robot
from apps.wallet.channels.alipay import Alipay, AlipayCredentials
from apps.wallet.channels.base import PaymentOrder, TradeState
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(keys: Path, *merchants: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, str(ROOT / "manage.py"), "run_sandbox", "--port", "0", "--keys", str(keys)]
    for name in merchants:
        command += ["--merchant", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("payment sandboxes on http://127.0.0.1:")
        yield json.loads(keys.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("provider", ["wechatpay", "alipay"])
def test_credentials_outlive_a_restart(provider: str, tmp_path: Path) -> None:
    keys = tmp_path / "state" / "keys.json"
    order = PaymentOrder(
        out_trade_no="RC00000001",
        amount=Decimal("50.00"),
        description="top-up",
        payer="oUpF8uMuAJO",
        notify_url="http://127.0.0.1:1/notices",
        expires_at=now() + timedelta(minutes=10),
    )
    with running(keys, "demo") as kept:
        issued, carried = kept["merchants"]["demo"], kept["accounts"]["demo"]
        assert issued["wechat-mini"]["app_id"] == issued["wechatpay"]["app_id"], (
            "drivers pay where they sign in"
        )
        assert issued["alipay-mini"]["app_id"] == issued["alipay"]["app_id"]
        _write_into_chat(kept)
        assert _channel(provider, kept).create(order).out_trade_no == "RC00000001"
        assert keys.stat().st_mode & 0o777 == 0o600
    with running(keys, "demo", "second") as kept:
        assert kept["merchants"]["demo"] == issued
        assert set(kept["merchants"]) == {"demo", "second"}
        assert kept["accounts"]["demo"] == carried
        _write_into_chat(kept)
        channel = _channel(provider, kept)
        assert channel.query("RC00000001").state == TradeState.NOT_FOUND
        channel.create(order)


def _channel(provider: str, kept: dict[str, Any]) -> WechatPay | Alipay:
    issued, url = kept["merchants"]["demo"][provider], kept["base_urls"][provider]
    if provider == "wechatpay":
        return WechatPay(WechatPayCredentials(**issued), base_url=url)
    return Alipay(AlipayCredentials(**issued), base_url=url)


def _write_into_chat(kept: dict[str, Any]) -> None:
    issued, url = kept["accounts"]["demo"]["feishu"], kept["carrier_urls"]["feishu"]
    hosts = [url.split("/")[2]]
    robot = Robot("feishu", url + issued["path"], issued["secret"], hosts, (5.0, 20.0))
    robot.send(title="告警", text="一号站")
