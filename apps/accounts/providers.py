"""Who somebody is at WeChat or Alipay, by the code that their QR page sends the browser back with.

WeChat (website application): https://developers.weixin.qq.com, "微信登录功能"; Alipay: "alipay.system.oauth.token".
Both are known from documents only (integrations.md, 1.2b). Base addresses are settings.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import requests
import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings

from apps.accounts.enums import Provider
from apps.accounts.errors import ProviderRefused
from apps.accounts.models import LoginProvider
from apps.common.time import SHANGHAI, now

log = structlog.get_logger(__name__)

TIMEOUT_S = (3.0, 10.0)
ANSWER_LIMIT = 100_000
_BUSY = -1


class App(Protocol):
    """An application at a provider: staff's (LoginProvider), or a mini-program of drivers."""

    provider: str
    app_id: str
    secret: str
    public_key: str

    def get_provider_display(self) -> str:
        """The provider's name."""


def scan_page(provider: LoginProvider, *, back: str, state: str) -> str:
    """Return the provider's page with the QR code; it sends the browser to `back` with a code and the state."""
    if provider.provider == Provider.WECHAT:
        words = {
            "appid": provider.app_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": "snsapi_login",
            "state": state,
        }
        return f"{settings.WECHAT_OPEN_URL}/connect/qrconnect?{urlencode(words)}#wechat_redirect"
    words = {"app_id": provider.app_id, "scope": "auth_base", "redirect_uri": back, "state": state}
    return f"{settings.ALIPAY_AUTH_URL}?{urlencode(words)}"


def subject_of(provider: LoginProvider, code: str) -> str:
    """Return the account (openid, open_id or user_id) that a code stands for. Raises ProviderRefused."""
    subject = (
        _wechat(provider, code) if provider.provider == Provider.WECHAT else alipay_account(provider, code)
    )
    if not isinstance(subject, str) or not 0 < len(subject) <= 128:
        raise _refused(provider, "malformed")
    return subject


def _wechat(provider: LoginProvider, code: str) -> Any:
    words = {
        "appid": provider.app_id,
        "secret": provider.secret,
        "code": code,
        "grant_type": "authorization_code",
    }
    url = f"{settings.WECHAT_API_URL}/sns/oauth2/access_token?{urlencode(words)}"
    answer = _json(provider, _send(provider, "GET", url))
    if answer.get("errcode") == _BUSY:  # documented as "system busy": the code is not used up
        answer = _json(provider, _send(provider, "GET", url))
    if answer.get("errcode"):
        raise _refused(provider, f"{answer['errcode']}")
    return answer.get("openid")


def alipay_account(provider: App, code: str) -> Any:
    """Return the account (open_id, or user_id of older apps) that Alipay says a code stands for. One HTTP call.

    Raises ProviderRefused, whose `reason` is Alipay's sub_code or a word of ours.
    """
    node = alipay_call(
        provider, "alipay.system.oauth.token", {"grant_type": "authorization_code", "code": code}
    )
    return node.get("open_id") or node.get("user_id")


def alipay_call(provider: App, method: str, words: Mapping[str, str]) -> dict[str, Any]:
    """Call a method of Alipay's gateway, signed, and return the answer's node, verified. One HTTP call.

    `words` are the method's own parameters. Raises ProviderRefused, whose `reason` is Alipay's sub_code or a word of
    ours.
    """
    params = {
        "app_id": provider.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": f"{now().astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
        "version": "1.0",
        **words,
    }
    text = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if value)
    key = private_key(provider)
    params["sign"] = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    body = _send(provider, "POST", settings.ALIPAY_GATEWAY_URL, data=params)
    answer = _json(provider, body)
    name = f"{method.replace('.', '_')}_response"
    node = answer.get(name)
    if not isinstance(node, dict) or "error_response" in answer:
        refused = answer.get("error_response") or {}
        raise _refused(provider, str(refused.get("sub_code") or refused.get("code") or "malformed"))
    verify(provider, _raw(body.decode(), name).encode(), str(answer.get("sign", "")))
    if node.get("code", "10000") != "10000":
        raise _refused(provider, str(node.get("sub_code") or node["code"]))
    return node


def _raw(text: str, name: str) -> str:
    """A member's value as it was sent: the signature is over its very characters."""
    begin = text.index(f'"{name}"') + len(name) + 2
    begin += text[begin:].index(":") + 1
    begin += len(text[begin:]) - len(text[begin:].lstrip())
    _value, end = json.JSONDecoder().raw_decode(text, begin)
    return text[begin:end]


def private_key(provider: App) -> rsa.RSAPrivateKey:
    """Return an Alipay app's private key. Raises ProviderRefused."""
    text = provider.secret
    try:
        if "-----BEGIN" in text:
            key: object = serialization.load_pem_private_key(text.encode(), password=None)
        else:
            key = serialization.load_der_private_key(base64.b64decode("".join(text.split())), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _refused(provider, "private_key")
    return key


def verify(provider: App, message: bytes, signature: str) -> None:
    """See that Alipay's key signed a message (RSA2, base64). Raises ProviderRefused."""
    key = public_key(provider)
    try:
        key.verify(base64.b64decode(signature, validate=True), message, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        raise _refused(provider, "signature") from None


def public_key(provider: App) -> rsa.RSAPublicKey:
    """Return Alipay's public key as it is stored for an app. Raises ProviderRefused."""
    text = provider.public_key
    try:
        if "-----BEGIN" in text:
            key: object = serialization.load_pem_public_key(text.encode())
        else:
            key = serialization.load_der_public_key(base64.b64decode("".join(text.split())))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise _refused(provider, "signature")
    return key


def _send(provider: App, method: str, url: str, data: Mapping[str, str] | None = None) -> bytes:
    session = requests.Session()
    session.trust_env = False
    try:
        with session.request(
            method, url, data=data, timeout=TIMEOUT_S, allow_redirects=False, stream=True
        ) as answer:
            body = answer.raw.read(ANSWER_LIMIT + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise _refused(provider, type(error).__name__) from error
    if answer.status_code != 200 or len(body) > ANSWER_LIMIT:
        raise _refused(provider, f"http_{answer.status_code}")
    return bytes(body)


def _json(provider: App, body: bytes) -> dict[str, Any]:
    # WeChat says text/plain: what counts is the body.
    try:
        found = json.loads(body)
    except ValueError:
        raise _refused(provider, "malformed") from None
    if not isinstance(found, dict):
        raise _refused(provider, "malformed")
    return found


def _refused(provider: App, reason: str) -> ProviderRefused:
    log.warning("login_provider_refused", provider=provider.provider, app_id=provider.app_id, reason=reason)
    error = ProviderRefused(provider=provider.get_provider_display())
    error.reason = reason
    return error
