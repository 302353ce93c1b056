"""Both providers' sandboxes on ports of their own, and a shop's web server that notices arrive at."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.handlers.wsgi import WSGIHandler

from apps.common.time import now
from apps.customers.models import Customer, CustomerIdentity
from apps.wallet import recharges
from apps.wallet.channels.alipay import Alipay, AlipayCredentials
from apps.wallet.channels.base import ChannelError, Notice, NoticeReply
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials
from apps.wallet.merchants import store_credentials
from apps.wallet.models import MerchantAccount, Recharge, Wallet
from apps.wallet.services import wallet_of
from sandbox import alipay, wechatpay
from sandbox.provider import Server
from tests import factories

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


# --- The whole way: our site on a port, a merchant account at a sandbox --------------------------------------


class Site:
    """Django on a port of this machine, under the platform's name, as providers reach it. Keeps what came in."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.keep_from: Callable[[tuple[str, dict[str, str], bytes]], None] | None = None
        application, site = WSGIHandler(), self

        def named(environ: dict[str, Any], start_response: Any) -> Any:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            headers = {
                name.removeprefix("HTTP_").replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_") or name == "CONTENT_TYPE"
            }
            if site.keep_from is not None:
                site.keep_from((environ["PATH_INFO"], headers, body))
                start_response("503 -", [("Content-Length", "0")])
                return [b""]
            site.received.append((environ["PATH_INFO"], headers, body))
            environ |= {"HTTP_HOST": "platform.test", "wsgi.input": io.BytesIO(body)}
            return application(environ, start_response)

        self.server = make_server("127.0.0.1", 0, named, _ThreadingServer, _QuietHandler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Send something as a provider, or somebody who pretends to be one."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers, method="POST")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=10
            ) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site(committed: Any, settings: Any) -> Iterator[Site]:
    """Our site, whose address the providers are told."""
    made = Site()
    settings.NOTICE_BASE_URL = made.url
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@dataclass
class Shopping:
    """A merchant account of alpha at a provider's sandbox, and a driver who pays with that provider."""

    merchant: MerchantAccount
    customer: Customer
    console: Console
    site: Site

    @property
    def provider(self) -> str:
        return self.merchant.channel

    def begin(self, amount: str = "100.00", key: str = "k") -> tuple[Recharge, dict[str, str]]:
        """Make a top-up and have it prepared; returns what the phone gets with it."""
        recharge = recharges.create_recharge(
            customer=self.customer, amount=Decimal(amount), channel=self.provider, request_key=key
        )
        return recharge, dict(recharges.prepare_payment(recharge=recharge))

    def pay(self, params: dict[str, str], **options: Any) -> Any:
        """Pay on the phone; the notice is there when this returns, unless `notify` says otherwise."""
        return self.console("POST", "pay", client_params=params, **options)

    def wallet(self) -> Wallet:
        return wallet_of(customer=self.customer)

    def at_provider(self, number: str) -> dict[str, Any]:
        """The order as the provider has it."""
        (order,) = [row for row in self.console.state()["orders"] if row["out_trade_no"] == number]
        return order


@pytest.fixture(params=["wechatpay", "alipay"])
def shopping(request: pytest.FixtureRequest, site: Site, settings: Any) -> Shopping:
    """For each provider."""
    settings.PAYMENT_TIMEOUT_S = TIMEOUT
    return a_shopping(request, request.param, site)


def a_shopping(request: pytest.FixtureRequest, provider: str, site: Site) -> Shopping:
    """A merchant account at a provider's sandbox, as it issued it."""
    return open_shop(
        provider,
        request.getfixturevalue(f"{provider}_issued"),
        request.getfixturevalue(f"{provider}_server")[1].url,
        request.getfixturevalue(f"{provider}_console"),
        site,
    )


def open_shop(provider: str, issued: dict[str, Any], url: str, console: Console, site: Site) -> Shopping:
    """Enter what a sandbox issued as a merchant account, and make a driver known in its app."""
    issued = dict(issued)
    path = "" if provider == "wechatpay" else "/gateway.do"
    number = issued.pop("merchant_no" if provider == "wechatpay" else "seller_id")
    merchant = MerchantAccount(
        channel=provider,
        name="商户",
        merchant_no=number,
        app_id=issued.pop("app_id"),
        base_url=f"{url}{path}",
    )
    store_credentials(merchant=merchant, given=issued)
    customer = factories.a_customer("0")
    CustomerIdentity.objects.create(
        customer=customer,
        provider="wechat" if provider == "wechatpay" else "alipay",
        app_id=merchant.app_id,
        openid=f"o-{customer.pk:012}",
        last_login_at=now(),
    )
    return Shopping(merchant, customer, console, site)
