"""HTTP pieces that need no tenant."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext as _
from django.views.defaults import server_error as html_server_error

from apps.common.api import error_body, error_response

ASGIApplication = Callable[..., Awaitable[None]]


class HealthMiddleware:
    """Answers /healthz before a tenant is looked up, so that a load balancer may ask by address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return JsonResponse({"status": "ok"})
        return self.get_response(request)


class OneThreadHandler(ASGIHandler):
    """Django for ASGI with middleware and view in one go, in the request's thread.

    None of ours is asynchronous. Django's own handler crosses from the thread to the loop and back for each middleware
    that could be either, which takes a request longer than the middleware.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain for threads."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the request's thread."""
        answer: HttpResponseBase = await sync_to_async(self.get_response, thread_sensitive=True)(request)
        return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a defect: under /api/ in the one error shape, elsewhere with a page. It is logged before."""
    if request.path.startswith("/api/"):
        return error_response("server_error", _("Something went wrong. Please try again."), 500)
    return html_server_error(request)


def refuse_unknown_charsets(application: ASGIApplication) -> ASGIApplication:
    """Wrap an ASGI application: a Content-Type that names no text encoding is answered with 400.

    Django looks the encoding up while it builds the request, before any middleware could catch the error.
    """

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        charset = parse_header_parameters(kind)[1].get("charset", "utf-8")
        if _is_text_encoding(charset):
            await application(scope, receive, send)
            return
        body = json.dumps(
            error_body("invalid", f"unknown charset in Content-Type: {charset[:40]!r}")
        ).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return guarded


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True
