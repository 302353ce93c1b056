"""The phone that scans a QR code to sign in, as a page: one button for each person who could hold it."""

from __future__ import annotations

import hashlib
import html
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from sandbox.provider import Reply, now

PEOPLE = ("张三", "李四", "王五")
CODE_LIFE = timedelta(minutes=5)
PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem;color:#1f2937}}
button{{font:inherit;display:block;width:100%;margin:.5rem 0;padding:.6rem;border:0;border-radius:.4rem;
background:#047857;color:#fff;cursor:pointer}}</style>
<h1>{title}</h1><p>这里代替手机扫码。点一个人，就当作他扫码并同意登录。</p>
<form method="post" action="{action}">{fields}{buttons}</form></html>"""
ERROR = (
    """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>错误</title><h1>{text}</h1></html>"""
)


@dataclass
class Code:
    app_id: str
    person: str
    until: datetime
    used: bool = False


class Scans:
    """Codes that were handed out: one use each, five minutes."""

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}

    def agree(self, app_id: str, person: str) -> str:
        """Return the code of a person who agreed to sign in."""
        code = secrets.token_hex(16)
        self._codes[code] = Code(app_id, person, now() + CODE_LIFE)
        return code

    def find(self, app_id: str, code: str) -> Code | None:
        """Return what a code of this app stands for, also when it was used; None when there is none or it is old."""
        found = self._codes.get(code)
        return found if found and found.app_id == app_id and found.until > now() else None


def account(app_id: str, person: str, length: int = 28) -> str:
    """Return a person's account at an app, always the same one."""
    return hashlib.sha256(f"{app_id}:{person}".encode()).hexdigest()[:length]


def scan_page(title: str, action: str, words: dict[str, str]) -> Reply:
    """Return the page that stands for the QR code; `words` come back with the person."""
    fields = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in words.items()
    )
    buttons = "".join(f'<button name="person" value="{person}">{person}</button>' for person in PEOPLE)
    body = PAGE.format(title=title, action=action, fields=fields, buttons=buttons).encode()
    return Reply(200, body, {"Content-Type": "text/html; charset=utf-8"})


def error_page(text: str) -> Reply:
    """Return the page for an address that the provider does not take."""
    return Reply(
        200, ERROR.format(text=html.escape(text)).encode(), {"Content-Type": "text/html; charset=utf-8"}
    )


def is_absolute(url: str) -> bool:
    """Whether a browser can be sent back there."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def send_back(url: str, words: dict[str, str]) -> Reply:
    """Send the browser back where it came from, with what it is to bring."""
    join = "&" if urlsplit(url).query else "?"
    return Reply(303, b"", {"Location": f"{url}{join}{urlencode(words)}"})
