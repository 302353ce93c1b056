"""Aliyun OSS's own form upload (PostObject, signature V4): its S3 face has none. Pure.

Source: integrations 3; the key chain is HMAC-SHA256 over date, region, "oss", "aliyun_v4_request".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

ALGORITHM = "OSS4-HMAC-SHA256"


def post_form(
    *,
    bucket: str,
    region: str,
    access_key: str,
    secret_key: str,
    key: str,
    media_type: str,
    size: int,
    at: datetime,
    lifetime_s: int,
) -> dict[str, str]:
    """Return the fields of a form that puts one object of one type and at most `size` bytes at `key`."""
    moment = at.astimezone(UTC)
    day = f"{moment:%Y%m%d}"
    fields = {
        "key": key,
        "Content-Type": media_type,
        "x-oss-signature-version": ALGORITHM,
        "x-oss-credential": f"{access_key}/{day}/{region}/oss/aliyun_v4_request",
        "x-oss-date": f"{moment:%Y%m%dT%H%M%SZ}",
    }
    conditions: list[object] = [
        {"bucket": bucket},
        ["content-length-range", 1, size],
        ["eq", "$key", key],
        ["eq", "$content-type", media_type],
    ]
    conditions += [{name: fields[name]} for name in fields if name.startswith("x-oss-")]
    expiration = moment + timedelta(seconds=lifetime_s)
    policy = {"expiration": f"{expiration:%Y-%m-%dT%H:%M:%S}.000Z", "conditions": conditions}
    encoded = base64.b64encode(json.dumps(policy, separators=(",", ":")).encode()).decode()
    return {
        **fields,
        "policy": encoded,
        "x-oss-signature": signature(secret_key=secret_key, day=day, region=region, text=encoded),
    }


def signature(*, secret_key: str, day: str, region: str, text: str) -> str:
    """Return the hex signature of a base64 policy; `day` is yyyymmdd in UTC, `region` such as "cn-hangzhou"."""
    chain = f"aliyun_v4{secret_key}".encode()
    for part in (day, region, "oss", "aliyun_v4_request", text):
        chain = hmac.new(chain, part.encode(), hashlib.sha256).digest()
    return chain.hex()


def form_address(*, endpoint: str, bucket: str) -> str:
    """Return where the form goes: the bucket's host at the native endpoint of an S3 one (s3.oss-… → oss-…)."""
    scheme, _slashes, host = endpoint.rstrip("/").partition("://")
    return f"{scheme}://{bucket}.{host.removeprefix('s3.')}/"
