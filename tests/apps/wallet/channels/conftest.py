"""Both providers' sandboxes on ports of their own, and a shop's web server that notices arrive at."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.wallet.channels.alipay import Alipay, AlipayCredentials
from apps.wallet.channels.base import ChannelError, Notice, NoticeReply
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials
from sandbox import alipay, wechatpay
from sandbox.provider import Server

TIMEOUT = (10.0, 30.0)


class Console:
    """The control API of one sandbox, over HTTP like everything else."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, method: str, action: str, **options: Any) -> Any:
        request = urllib.request.Request(
            f"{self._url}/_sandbox/{action}", data=json.dumps(options).encode(), method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.load(response)

    def fault(self, name: str, only: str = "", **options: Any) -> None:
        self("POST", "faults", fault=name, only=only, **options)

    def pay(self, number: str, **options: Any) -> Any:
        return self("POST", "pay", out_trade_no=number, **options)

    def state(self) -> Any:
        return self("GET", "state")


class Shop:
    """Receives notices: keeps each raw, lets `parse` judge it, and answers as the channel says."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.judge: Callable[[dict[str, str], bytes], NoticeReply] = lambda headers, body: NoticeReply(
            status=500, content_type="text/plain", body=b""
        )
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = dict(self.headers.items())
                shop.received.append((headers, body))
                reply = shop.judge(headers, body)
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/notices/alpha/pay"

    def serve(self, channel: WechatPay | Alipay) -> list[Notice]:
        """Answer with what this channel makes of the notices, and return the list that they are put into."""
        notices: list[Notice] = []

        def judge(headers: dict[str, str], body: bytes) -> NoticeReply:
            try:
                notices.append(channel.parse_notice(headers, body))
            except ChannelError:
                return channel.notice_refused
            return channel.notice_accepted

        self.judge = judge
        return notices


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def wechatpay_server() -> Iterator[tuple[wechatpay.WechatPay, Server]]:
    provider = wechatpay.WechatPay()
    with Server(provider) as server:
        yield provider, server


@pytest.fixture(scope="session")
def alipay_server() -> Iterator[tuple[alipay.Alipay, Server]]:
    provider = alipay.Alipay()
    with Server(provider) as server:
        yield provider, server


@pytest.fixture(scope="session")
def wechatpay_issued(wechatpay_server: tuple[wechatpay.WechatPay, Server]) -> dict[str, Any]:
    """A merchant in public-key mode, as its console shows it."""
    return wechatpay_server[0].issue()


@pytest.fixture(scope="session")
def alipay_issued(alipay_server: tuple[alipay.Alipay, Server]) -> dict[str, Any]:
    """A merchant in key mode, as its console shows it."""
    return alipay_server[0].issue()


@pytest.fixture
def wechatpay_console(wechatpay_server: tuple[wechatpay.WechatPay, Server]) -> Iterator[Console]:
    console = Console(wechatpay_server[1].url)
    yield console
    console("POST", "reset")


@pytest.fixture
def alipay_console(alipay_server: tuple[alipay.Alipay, Server]) -> Iterator[Console]:
    console = Console(alipay_server[1].url)
    yield console
    console("POST", "reset")


@pytest.fixture
def wechatpay_channel(
    wechatpay_issued: dict[str, Any],
    wechatpay_server: tuple[wechatpay.WechatPay, Server],
    wechatpay_console: Console,
) -> WechatPay:
    return WechatPay(
        WechatPayCredentials(**wechatpay_issued), base_url=wechatpay_server[1].url, timeout=TIMEOUT
    )


@pytest.fixture
def alipay_channel(
    alipay_issued: dict[str, Any],
    alipay_server: tuple[alipay.Alipay, Server],
    alipay_console: Console,
) -> Alipay:
    return Alipay(
        AlipayCredentials(**alipay_issued), base_url=f"{alipay_server[1].url}/gateway.do", timeout=TIMEOUT
    )
