"""WeChat's login for websites: the QR page of open.weixin.qq.com, and the exchange of codes of api.weixin.qq.com.

Both stand below one address. Answers are text/plain with HTTP 200, errors too (`errcode`), as at WeChat.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl

from sandbox.provider import Provider, Reply, Request
from sandbox.scan import Scans, account, error_page, is_absolute, scan_page, send_back


@dataclass(frozen=True)
class App:
    app_id: str
    secret: str


class Wechat(Provider):
    """The provider, and the website applications that it issued."""

    def __init__(self) -> None:
        super().__init__()
        self.apps: dict[str, App] = {}
        self.scans = Scans()

    def issue(self) -> dict[str, str]:
        """Make an application and return what its console would show."""
        app = App(f"wx{secrets.token_hex(8)}", secrets.token_hex(16))
        self.apps[app.app_id] = app
        return asdict(app)

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
                return _answer(content | ({"sandbox_field": 1} if unknown_field else {}))
        return Reply(404)

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
        if self.settings.get("busy", 0) > 0:
            self.settings["busy"] -= 1
            return {"errcode": -1, "errmsg": "system error"}
        app = self.apps.get(query.get("appid", ""))
        if app is None:
            return {"errcode": 40013, "errmsg": "invalid appid"}
        if query.get("secret") != app.secret:
            return {"errcode": 40125, "errmsg": "invalid appsecret"}
        if query.get("grant_type") != "authorization_code":
            return {"errcode": 40002, "errmsg": "invalid grant_type"}
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


def _answer(content: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(content).encode(), {"Content-Type": "text/plain"})
