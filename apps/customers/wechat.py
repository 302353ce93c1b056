"""WeChat's mini-program: who signs in, the number behind its phone button (integrations.md, 1.1), messages (9).

Answers are HTTP 200 with `errcode`, often as text/plain: what counts is the body. The base address is a setting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.cache import cache

from apps.common.wire import NoAnswer, Wire
from apps.customers.errors import ProviderBusy, ProviderRefused
from apps.customers.models import MiniProgram

log = structlog.get_logger(__name__)

TIMEOUT_S = (3.0, 10.0)
BUSY = {-1, 45009, 45011}
TOKEN_GONE = {40001, 40014, 42001}
EARLY_S = 300
"""A server token is fetched anew so long before it runs out."""


class Answered(Exception):
    """WeChat's `errcode`."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(str(code))


def account_of(mini: MiniProgram, code: str) -> str:
    """Return the openid that a code of `wx.login` stands for. It works once. Raises ProviderRefused, ProviderBusy."""
    words = {
        "appid": mini.app_id,
        "secret": mini.secret,
        "js_code": code,
        "grant_type": "authorization_code",
    }
    answer = _called(mini, "GET", f"/sns/jscode2session?{urlencode(words)}", "code2session")
    openid = answer.get("openid")
    if not isinstance(openid, str) or not 0 < len(openid) <= 128:
        raise _refused(mini, "malformed")
    return openid


def phone_of(mini: MiniProgram, code: str) -> str:
    """Return the number, "+" and country code in front, that a code of the phone number button stands for.

    The code is not that of `wx.login`, and works once. Raises ProviderRefused, ProviderBusy.
    """
    answer = _with_token(mini, "/wxa/business/getuserphonenumber", "getuserphonenumber", {"code": code})
    info = answer.get("phone_info")
    info = info if isinstance(info, dict) else {}
    mark = info.get("watermark")
    if not isinstance(mark, dict) or mark.get("appid") != mini.app_id:
        raise _refused(mini, "watermark")
    return f"+{info.get('countryCode', '')}{info.get('purePhoneNumber', '')}"


def send_message(
    mini: MiniProgram, *, openid: str, template_id: str, page: str, fields: Mapping[str, str]
) -> None:
    """Send a subscribe message to an openid of this app; `fields` are the template's, fitted to their kinds.

    Raises ProviderRefused (`reason` 43101: the driver did not subscribe), ProviderBusy.
    """
    words = {
        "touser": openid,
        "template_id": template_id,
        "page": page,
        "data": {name: {"value": value} for name, value in fields.items()},
        "miniprogram_state": settings.WECHAT_MINIPROGRAM_STATE,
        "lang": "zh_CN",
    }
    _with_token(mini, "/cgi-bin/message/subscribe/send", "subscribe_send", words)


def server_token(mini: MiniProgram) -> tuple[str, int]:
    """Ask WeChat for the token of our server; returns it and for how many seconds it is good.

    In its normal mode WeChat gives the same token to all who ask while it is good, so no lock is needed. Raises
    ProviderRefused, ProviderBusy.
    """
    words = {
        "grant_type": "client_credential",
        "appid": mini.app_id,
        "secret": mini.secret,
        "force_refresh": False,
    }
    answer = _called(mini, "POST", "/cgi-bin/stable_token", "stable_token", json.dumps(words).encode())
    token, seconds = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(seconds, int):
        raise _refused(mini, "malformed")
    return token, seconds


def _with_token(mini: MiniProgram, path: str, operation: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """Ask with our server's token; a kept one that WeChat does not know any more is fetched anew, once."""
    body = json.dumps(words, ensure_ascii=False).encode()
    for last in (False, True):
        address = f"{path}?{urlencode({'access_token': _server_token(mini)})}"
        try:
            return _ask(mini, "POST", address, operation, body)
        except Answered as said:
            if said.code not in TOKEN_GONE or last:
                raise _error(mini, said) from said
            cache.delete(_cache_key(mini))
    raise AssertionError


def _server_token(mini: MiniProgram) -> str:
    kept = cache.get(_cache_key(mini))
    if isinstance(kept, str):
        return kept
    token, seconds = server_token(mini)
    if seconds > EARLY_S:
        cache.set(_cache_key(mini), token, seconds - EARLY_S)
    return token


def _cache_key(mini: MiniProgram) -> str:
    return f"wechat-token:{mini.app_id}"


def _called(mini: MiniProgram, method: str, path: str, operation: str, body: bytes = b"") -> dict[str, Any]:
    try:
        return _ask(mini, method, path, operation, body)
    except Answered as said:
        raise _error(mini, said) from said


def _ask(mini: MiniProgram, method: str, path: str, operation: str, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} if body else None
    with Wire("wechat-mini-program", TIMEOUT_S) as wire:
        for last in (False, True):
            try:
                answer = wire.send(
                    method,
                    f"{settings.WECHAT_API_URL}{path}",
                    operation=operation,
                    body=body,
                    headers=headers,
                )
            except NoAnswer as error:
                raise _busy(mini, error.cause) from error
            if answer.status != 200:
                raise _busy(mini, f"http_{answer.status}")
            try:
                found = json.loads(answer.body)
            except ValueError:
                raise _refused(mini, "malformed") from None
            if not isinstance(found, dict):
                raise _refused(mini, "malformed")
            code = found.get("errcode") or 0
            if code == -1 and not last:  # "system busy": nothing was used up
                continue
            if code:
                raise Answered(code if isinstance(code, int) else 0)
            return found
    raise AssertionError


def _error(mini: MiniProgram, said: Answered) -> ProviderBusy | ProviderRefused:
    return (_busy if said.code in BUSY else _refused)(mini, str(said.code))


def _busy(mini: MiniProgram, reason: str) -> ProviderBusy:
    log.warning("mini_program_busy", provider=mini.provider, app_id=mini.app_id, reason=reason)
    error = ProviderBusy(provider=mini.get_provider_display())
    error.reason = reason
    return error


def _refused(mini: MiniProgram, reason: str) -> ProviderRefused:
    log.warning("mini_program_refused", provider=mini.provider, app_id=mini.app_id, reason=reason)
    error = ProviderRefused(provider=mini.get_provider_display())
    error.reason = reason
    return error
