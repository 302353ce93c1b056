"""The mini-program's pages for browsers, under /h5/: static files that are the same for every tenant.

They are built beside the running system (`make run`) or into the image, so whether they are there is looked up for each
request. Names of assets change with their content: they are kept by browsers for a year, the entry page never.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils._os import safe_join
from django.utils.http import http_date
from django.views.decorators.http import require_safe

from apps.files.services import outside_origins

ENTRY = "index.html"
KEPT = "public, max-age=31536000, immutable"
POLICY = (
    "default-src 'self'; "
    # The framework sets styles on elements.
    "style-src 'self' 'unsafe-inline'; "
    # Nothing of the framework vendor's CDN, which its stylesheet names.
    "img-src 'self' data: blob:{files}; media-src 'self' blob:; "
    "connect-src 'self' ws: wss:{files}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Pictures come from an object storage, and photos go there, where files are kept in one."""


@require_safe
def page(request: HttpRequest, path: str = "") -> HttpResponse:
    """Serve a file of the build; a page that says so while there is none. Raises Http404."""
    if not path and not request.path.endswith("/"):
        return redirect(f"{request.path}/")
    folder = Path(settings.H5_DIR)
    if not (folder / ENTRY).is_file():
        if path:
            raise Http404
        answer = render(request, "miniapp/building.html", status=503)
        answer.headers["Retry-After"] = "5"
        return answer
    file = _file(folder, path or ENTRY)
    compressed = file.with_name(f"{file.name}.gz")
    gzipped = "gzip" in request.headers.get("Accept-Encoding", "") and compressed.is_file()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    # The type is that of the page, not that of its compressed copy.
    response = HttpResponse((compressed if gzipped else file).read_bytes(), content_type=kind)
    response.headers["Last-Modified"] = http_date(file.stat().st_mtime)
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = KEPT if path.startswith("assets/") else "no-cache"
    response.headers["Content-Security-Policy"] = POLICY.format(
        files="".join(f" {origin}" for origin in outside_origins())
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    if gzipped:
        response.headers["Content-Encoding"] = "gzip"
    return response


def _file(folder: Path, path: str) -> Path:
    try:
        found = Path(safe_join(str(folder), path))
    except (SuspiciousFileOperation, ValueError):
        raise Http404 from None
    if not found.is_file() or found.suffix in {".gz", ".sha256"}:
        raise Http404
    return found
