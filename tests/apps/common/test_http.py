import asyncio
import json

import pytest
from django.test import RequestFactory

from apps.common.http import refuse_unknown_charsets, server_error


def ask(content_type: str | None) -> list[dict]:
    """What the guarded application sends for a request with this Content-Type."""
    sent: list[dict] = []

    async def application(scope, receive, send):
        await send({"type": "passed on"})

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", content_type.encode("latin-1"))] if content_type is not None else []
    asyncio.run(refuse_unknown_charsets(application)({"type": "http", "headers": headers}, None, send))
    return sent


@pytest.mark.parametrize("charset", ["hex", "rot13", "undefined", "no-such", "\xff", "a\x00b"])
def test_a_charset_that_is_no_text_encoding_is_refused(charset):
    start, body = ask(f"application/json; charset={charset}")
    assert start["status"] == 400
    assert json.loads(body["body"])["code"] == "invalid"


@pytest.mark.parametrize(
    "kind", [None, "", "application/json", "application/json; charset=gbk", "text/plain; charset=UTF-8"]
)
def test_other_requests_pass(kind):
    assert ask(kind) == [{"type": "passed on"}]


def test_a_defect_answers_the_api_in_its_error_shape():
    answer = server_error(RequestFactory().get("/api/v1/me"))
    assert (answer.status_code, json.loads(answer.content)["code"]) == (500, "server_error")
    assert server_error(RequestFactory().get("/admin/")).headers["Content-Type"].startswith("text/html")
