"""WeChat's sign-in: for websites the QR page of open.weixin.qq.com, for mini-programs `wx.login` and the phone button,
and the exchange of their codes at api.weixin.qq.com.

All stand below one address. Answers are text/plain with HTTP 200, errors too (`errcode`), as at WeChat.
Settings: `busy` (so many answers are errcode -1). Control: POST phone {"app_id", "person", "phone"?} → {"code", and
with a phone "phone_code"}: what a phone with the mini-program on it would get. POST template {"app_id", "fields": […]}
→ {"template_id"}: what the console gives for a template; POST subscribe {"app_id", "openid", "template_id"}: a driver's
yes to one message of it. Messages that were sent are in `messages`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from sandbox.provider import Provider, Reply, Request, now
from sandbox.scan import Scans, account, error_page, is_absolute, scan_page, send_back

CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
FIELDS: dict[str, Callable[[str], bool]] = {
    "thing": lambda value: len(value) <= 20,
    "number": lambda value: re.fullmatch(r"[0-9]{1,32}(\.[0-9]+)?", value) is not None,
    "letter": lambda value: re.fullmatch(r"[A-Za-z]{1,32}", value) is not None,
    "symbol": lambda value: len(value) <= 5,
    "character_string": lambda value: len(value) <= 32 and not CHINESE.search(value),
    "time": lambda value: (
        re.fullmatch(r"([0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日 )?[0-9]{2}:[0-9]{2}", value) is not None
    ),
    "date": lambda value: (
        re.fullmatch(r"[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日( [0-9]{2}:[0-9]{2})?", value) is not None
    ),
    "amount": lambda value: re.fullmatch(r"[¥￥]?[0-9]{1,10}(\.[0-9]{1,2})?元?", value) is not None,
    "phone_number": lambda value: re.fullmatch(r"[0-9+-]{1,17}", value) is not None,
    "car_number": lambda value: 0 < len(value) <= 8,
    "name": lambda value: 0 < len(value) <= 10,
    "phrase": lambda value: re.fullmatch(r"[\u3400-\u4dbf\u4e00-\u9fff]{1,5}", value) is not None,
}
"""What each kind of field takes (订阅消息参数值内容限制说明)."""
TOKEN_LIFE = timedelta(seconds=7200)
COUNTRY = "86"


@dataclass(frozen=True)
class App:
    app_id: str
    secret: str
    kind: str = "website"


@dataclass(frozen=True)
class ServerToken:
    app_id: str
    until: datetime


class Wechat(Provider):
    """The provider, and the website applications and mini-programs that it issued."""

    def __init__(self) -> None:
        super().__init__()
        self.apps: dict[str, App] = {}
        self.scans = Scans()
        self.phones = Scans()
        self.tokens: dict[str, ServerToken] = {}
        self.templates: dict[tuple[str, str], list[str]] = {}
        self.subscribed: Counter[tuple[str, str, str]] = Counter()
        self.messages: list[dict[str, Any]] = []

    def issue(self) -> dict[str, str]:
        """Make a website application and return what its console would show."""
        return self._issued(App(f"wx{secrets.token_hex(8)}", secrets.token_hex(16)))

    def issue_mini_program(self, app_id: str = "") -> dict[str, str]:
        """Make a mini-program, or know one by the id that payments have it under."""
        return self._issued(
            App(app_id or f"wx{secrets.token_hex(8)}", secrets.token_hex(16), kind="mini-program")
        )

    def _issued(self, app: App) -> dict[str, str]:
        self.apps[app.app_id] = app
        return {"app_id": app.app_id, "secret": app.secret}

    def control(self, action: str, options: dict[str, Any]) -> Any:
        if action == "POST template":
            template_id = secrets.token_urlsafe(32)
            self.templates[options["app_id"], template_id] = list(options["fields"])
            return {"template_id": template_id}
        if action == "POST subscribe":
            self.subscribed[options["app_id"], options["openid"], options["template_id"]] += 1
            return {}
        if action != "POST phone":
            return super().control(action, options)
        with self.lock:
            found = {"code": self.scans.agree(options["app_id"], options["person"])}
            if "phone" in options:
                found["phone_code"] = self.phones.agree(options["app_id"], options["phone"])
        return found

    def keep(self) -> dict[str, Any]:
        """Applications as JSON, for `restore`."""
        return {"apps": [asdict(app) for app in self.apps.values()]}

    def restore(self, kept: dict[str, Any]) -> None:
        """Take the applications of an earlier run."""
        self.apps = {row["app_id"]: App(**row) for row in kept["apps"]}

    def state(self) -> dict[str, Any]:
        """The control API's view: nothing is kept that tests ask for."""
        return {"apps": list(self.apps)}

    def operation(self, request: Request) -> str:
        return request.path

    def busy(self, fault: str) -> Reply:
        if fault == "http_500":
            return Reply(502, b"<html><body>502 Bad Gateway</body></html>", {"Content-Type": "text/html"})
        return _answer({"errcode": 45011, "errmsg": "api minute-quota reach limit"})

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        match request.method, request.path:
            case "GET", "/connect/qrconnect":
                return self._page(request.query)
            case "POST", "/connect/confirm":
                return self._agree(request)
            case "GET", "/sns/oauth2/access_token":
                with self.lock:
                    content = self._exchange(request.query)
            case "GET", "/sns/jscode2session":
                with self.lock:
                    content = self._session(request.query)
            case "POST", "/cgi-bin/stable_token":
                with self.lock:
                    content = self._token(json.loads(request.body))
            case "POST", "/wxa/business/getuserphonenumber":
                with self.lock:
                    content = self._phone(request.query.get("access_token", ""), json.loads(request.body))
            case "POST", "/cgi-bin/message/subscribe/send":
                with self.lock:
                    content = self._message(request.query.get("access_token", ""), json.loads(request.body))
            case _:
                return Reply(404)
        return _answer(content | ({"sandbox_field": 1} if unknown_field else {}))

    def _page(self, query: dict[str, str]) -> Reply:
        if query.get("appid") not in self.apps:
            return error_page("AppID 参数错误")
        if not is_absolute(query.get("redirect_uri", "")):
            return error_page("redirect_uri 参数错误")
        if query.get("response_type") != "code" or query.get("scope") != "snsapi_login":
            return error_page("Scope 参数错误或没有 Scope 权限")
        words = {name: query.get(name, "") for name in ("appid", "redirect_uri", "state")}
        return scan_page("微信登录（沙箱）", "confirm", words)

    def _agree(self, request: Request) -> Reply:
        words = dict(parse_qsl(request.body.decode()))
        # Another site's page in the same browser must not agree here.
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return Reply(403)
        if words["appid"] not in self.apps:
            return error_page("AppID 参数错误")
        with self.lock:
            code = self.scans.agree(words["appid"], words["person"])
        return send_back(words["redirect_uri"], {"code": code, "state": words.get("state", "")})

    def _exchange(self, query: dict[str, str]) -> dict[str, Any]:
        refused, app = self._known(query, "authorization_code", "website")
        if app is None:
            return refused
        code = self.scans.find(app.app_id, query.get("code", ""))
        if code is None:
            return {"errcode": 40029, "errmsg": "invalid code"}
        if code.used:
            return {"errcode": 40163, "errmsg": "code been used"}
        code.used = True
        return {
            "access_token": secrets.token_urlsafe(60),
            "expires_in": 7200,
            "refresh_token": secrets.token_urlsafe(60),
            "openid": "o" + account(app.app_id, code.person, 27),
            "scope": "snsapi_login",
        }

    def _known(self, words: dict[str, Any], grant: str, kind: str) -> tuple[dict[str, Any], App | None]:
        if self.settings.get("busy", 0) > 0:
            self.settings["busy"] -= 1
            return {"errcode": -1, "errmsg": "system error"}, None
        app = self.apps.get(str(words.get("appid", "")))
        if app is None or app.kind != kind:
            return {"errcode": 40013, "errmsg": "invalid appid"}, None
        if words.get("secret") != app.secret:
            return {"errcode": 40125, "errmsg": "invalid appsecret"}, None
        if words.get("grant_type") != grant:
            return {"errcode": 40002, "errmsg": "invalid grant_type"}, None
        return {}, app

    def _session(self, query: dict[str, str]) -> dict[str, Any]:
        refused, app = self._known(query, "authorization_code", "mini-program")
        if app is None:
            return refused
        code = self.scans.find(app.app_id, query.get("js_code", ""))
        if code is None:
            return {"errcode": 40029, "errmsg": "invalid code"}
        if code.used:
            return {"errcode": 40163, "errmsg": "code been used"}
        code.used = True
        return {
            "session_key": secrets.token_urlsafe(18),
            "openid": "o" + account(app.app_id, code.person, 27),
        }

    def _token(self, words: dict[str, Any]) -> dict[str, Any]:
        refused, app = self._known(words, "client_credential", "mini-program")
        if app is None:
            return refused
        # In the normal mode everybody gets the same token while it is good.
        for text, token in self.tokens.items():
            if token.app_id == app.app_id and token.until > now() and not words.get("force_refresh"):
                return {"access_token": text, "expires_in": int((token.until - now()).total_seconds())}
        text = secrets.token_urlsafe(100)
        self.tokens[text] = ServerToken(app.app_id, now() + TOKEN_LIFE)
        return {"access_token": text, "expires_in": int(TOKEN_LIFE.total_seconds())}

    def _message(self, text: str, words: dict[str, Any]) -> dict[str, Any]:
        refused, token = self._server(text)
        if token is None:
            return refused
        openid, template_id = str(words.get("touser", "")), str(words.get("template_id", ""))
        if not re.fullmatch(r"o[0-9A-Za-z_-]{27}", openid):
            return {"errcode": 40003, "errmsg": "invalid openid"}
        fields = self.templates.get((token.app_id, template_id))
        if fields is None:
            return {"errcode": 40037, "errmsg": "invalid template_id"}
        if words.get("miniprogram_state", "formal") not in {"formal", "trial", "developer"}:
            return {"errcode": 47001, "errmsg": "data format error"}
        if str(words.get("page", "")).startswith("/"):
            return {"errcode": 41030, "errmsg": "invalid page"}
        data = words.get("data", {})
        for name in fields:
            value = str(data.get(name, {}).get("value", ""))
            if not value or not FIELDS[name.rstrip("0123456789")](value):
                return {"errcode": 47003, "errmsg": f"argument invalid! data.{name}.value invalid"}
        key = (token.app_id, openid, template_id)
        if self.subscribed[key] < 1:
            return {"errcode": 43101, "errmsg": "user refuse to accept the msg"}
        self.subscribed[key] -= 1
        self.messages.append(words)
        return {"errcode": 0, "errmsg": "ok"}

    def _server(self, text: str) -> tuple[dict[str, Any], ServerToken | None]:
        token = self.tokens.get(text)
        if token is None:
            refused = {
                "errcode": 40001,
                "errmsg": "invalid credential, access_token is invalid or not latest",
            }
            return refused, None
        if token.until <= now():
            return {"errcode": 42001, "errmsg": "access_token expired"}, None
        return {}, token

    def _phone(self, text: str, words: dict[str, Any]) -> dict[str, Any]:
        refused, token = self._server(text)
        if token is None:
            return refused
        code = self.phones.find(token.app_id, str(words.get("code", "")))
        if code is None:
            return {"errcode": 40029, "errmsg": "invalid code"}
        if code.used:
            return {"errcode": 40163, "errmsg": "code been used"}
        code.used = True
        return {
            "errcode": 0,
            "errmsg": "ok",
            "phone_info": {
                "phoneNumber": code.person,
                "purePhoneNumber": code.person,
                "countryCode": COUNTRY,
                "watermark": {"timestamp": int(now().timestamp()), "appid": token.app_id},
            },
        }


def _answer(content: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(content).encode(), {"Content-Type": "text/plain"})
