"""A bare Django: one view without a database, and no middleware. Answers the n-th of the bodies recorded for it.

daphne ykc_server.bench.driver.bare:application; the bodies are in the JSON file that BARE_ANSWERS names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

BODIES = [text.encode() for text in json.loads(Path(os.environ["BARE_ANSWERS"]).read_text())]


def answer(_request: HttpRequest, number: int) -> HttpResponse:
    """Return a recorded body, with the length that ours is sent with: else it comes in chunks."""
    body = BODIES[number]
    return HttpResponse(body, content_type="application/json", headers={"Content-Length": str(len(body))})


urlpatterns = [path("<int:number>", answer)]
settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[], ROOT_URLCONF=__name__, SECRET_KEY="-")  # noqa: S106 - nothing is signed
application = get_asgi_application()
