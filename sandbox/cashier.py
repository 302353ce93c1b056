"""The driver's phone, as a page: open payments of all providers, each with a button to pay it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from sandbox.provider import Provider, now

PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>支付沙箱收银台</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1f2937}}
table{{width:100%;border-collapse:collapse}}td,th{{text-align:left;padding:.5rem;border-bottom:1px solid #e5e7eb}}
td.amount{{text-align:right;font-variant-numeric:tabular-nums}}
button{{font:inherit;padding:.3rem 1rem;border:0;border-radius:.4rem;background:#047857;color:#fff;cursor:pointer}}
</style><h1>支付沙箱收银台</h1><p>这里代替车主手机上的微信和支付宝。点“支付”后，平台会收到支付通知。</p>{rows}</html>"""
NAMES = {"wechatpay": "微信支付", "alipay": "支付宝"}
MOST_SHOWN = 100


class Cashier:
    """GET / shows what waits to be paid; POST /pay pays one of them."""

    def __init__(self, providers: dict[str, Provider]) -> None:
        self.providers = providers

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            length = min(int(environ.get("CONTENT_LENGTH") or 0), 10_000)
            words = parse_qs(environ["wsgi.input"].read(length).decode())
            # Another site's page in the same browser must not pay here.
            if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") == "same-origin":
                self._pay(words["provider"][0], words["merchant"][0], words["number"][0])
            start_response("303 -", [("Location", "/"), ("Content-Length", "0")])
            return [b""]
        body = PAGE.format(rows=self._rows()).encode()
        start_response(
            "200 -", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
        )
        return [body]

    def _pay(self, name: str, merchant: str, number: str) -> None:
        provider = self.providers[name]
        with provider.lock:
            order = provider.orders.get((merchant, number))
            if order is None or order.paid_at is not None:
                return
            notice = provider.pay(order, now().replace(microsecond=0), {})
        provider.announce(notice, "wait")

    def _rows(self) -> str:
        found = []
        for name, provider in self.providers.items():
            with provider.lock:
                for (merchant, number), order in provider.orders.items():
                    if provider.is_open(order):
                        found.append((name, merchant, number, provider.amount_of(order)))
        if not found:
            return "<p>现在没有等待支付的订单。在小程序里充值后刷新本页。</p>"
        rows = "".join(self._row(*row) for row in reversed(found[-MOST_SHOWN:]))
        return f"<table><tr><th>渠道<th>充值单号<th>金额（元）<th></tr>{rows}</table>"

    @staticmethod
    def _row(name: str, merchant: str, number: str, amount: Decimal) -> str:
        fields = "".join(
            f'<input type="hidden" name="{key}" value="{html.escape(value)}">'
            for key, value in (("provider", name), ("merchant", merchant), ("number", number))
        )
        return (
            f'<tr><td>{NAMES.get(name, name)}<td>{html.escape(number)}<td class="amount">{amount:.2f}'
            f'<td><form method="post" action="/pay">{fields}<button>支付</button></form></tr>'
        )
