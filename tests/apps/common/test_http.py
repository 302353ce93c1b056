import asyncio
import json
import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path

from apps.common.http import OneThreadHandler, refuse_unknown_charsets, server_error


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


threads: list[int] = []


def noted(get_response):
    """Middleware that could be asynchronous, too, as many of Django's."""

    def middleware(request):
        threads.append(threading.get_ident())
        response = get_response(request)
        threads.append(threading.get_ident())
        return response

    return middleware


def view(_request):
    threads.append(threading.get_ident())
    return HttpResponse("seen")


urlpatterns = [path("seen", view)]


def test_middleware_and_view_of_a_request_share_one_thread(settings):
    settings.ROOT_URLCONF = __name__
    clickjacking = "django.middleware.clickjacking.XFrameOptionsMiddleware"
    settings.MIDDLEWARE = [f"{__name__}.noted", clickjacking, f"{__name__}.noted", clickjacking]
    threads.clear()

    async def story() -> list[dict]:
        scope = {"type": "http", "method": "GET", "path": "/seen", "headers": [(b"host", b"localhost")]}
        asked = ApplicationCommunicator(OneThreadHandler(), scope)
        await asked.send_input({"type": "http.request", "body": b""})
        sent = [await asked.receive_output(10), await asked.receive_output(10)]
        await asked.wait(10)  # it closes what it opened
        return sent

    start, body = asyncio.run(story())
    assert (start["status"], body["body"]) == (200, b"seen")
    assert dict(start["headers"])[b"X-Frame-Options"] == b"DENY"
    assert len(threads) == 5
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_a_defect_answers_the_api_in_its_error_shape():
    answer = server_error(RequestFactory().get("/api/v1/me"))
    assert (answer.status_code, json.loads(answer.content)["code"]) == (500, "server_error")
    assert server_error(RequestFactory().get("/admin/")).headers["Content-Type"].startswith("text/html")
