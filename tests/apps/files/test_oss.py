"""OSS's form signature against values worked out with `openssl dgst -mac HMAC`."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from apps.files import oss

CHAIN = "f8b71c24f0a8ebb365f98ad06391c8665971e5e60210fb4668530805a852909a"
FORM_SIGNATURE = "ddeddc46d711651e97d5e9fd341443cf0abf896acc31fadc709ff803c515327a"
AT = datetime(2026, 11, 28, 15, 4, 5, tzinfo=UTC)


def test_the_form() -> None:
    form = oss.post_form(
        bucket="piles",
        region="cn-hangzhou",
        access_key="AK",
        secret_key="SK",
        key="t_a/incoming/1",
        media_type="image/png",
        size=5000,
        at=AT,
        lifetime_s=600,
    )
    policy = json.loads(base64.b64decode(form.pop("policy")))
    assert policy == {
        "expiration": "2026-11-28T15:14:05.000Z",
        "conditions": [
            {"bucket": "piles"},
            ["content-length-range", 1, 5000],
            ["eq", "$key", "t_a/incoming/1"],
            ["eq", "$content-type", "image/png"],
            {"x-oss-signature-version": "OSS4-HMAC-SHA256"},
            {"x-oss-credential": "AK/20261128/cn-hangzhou/oss/aliyun_v4_request"},
            {"x-oss-date": "20261128T150405Z"},
        ],
    }
    assert form == {
        "key": "t_a/incoming/1",
        "Content-Type": "image/png",
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": "AK/20261128/cn-hangzhou/oss/aliyun_v4_request",
        "x-oss-date": "20261128T150405Z",
        "x-oss-signature": FORM_SIGNATURE,
    }


def test_the_key_chain() -> None:
    found = oss.signature(secret_key="SK", day="20261128", region="cn-hangzhou", text="cG9saWN5")
    assert found == CHAIN


def test_the_address() -> None:
    address = oss.form_address(endpoint="https://s3.oss-cn-hangzhou.aliyuncs.com", bucket="piles")
    assert address == "https://piles.oss-cn-hangzhou.aliyuncs.com/"
