"""What the pages of signing in share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import segno
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe

from apps.accounts.errors import SignInExpired
from apps.accounts.models import User
from apps.backoffice.sites import BackofficeSite


def page(
    request: HttpRequest,
    site: BackofficeSite,
    template: str,
    title: Any,
    *,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """Return a page in the theme of this back office."""
    request.current_app = site.name  # type: ignore[attr-defined]
    words = {**site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, words, status=status)


def go_to(name: str, **arguments: Any) -> HttpResponse:
    """Redirect to a page of the back office by its name."""
    return HttpResponseRedirect(reverse(f"admin:{name}", kwargs=arguments or None))


def safe_next(request: HttpRequest) -> str:
    """Return where to go afterwards, "" unless it is an address of this very host."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    here = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if here and wanted != reverse("admin:logout") else ""


def under_way(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page of a sign-in under way leads back to its beginning when that is over."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except SignInExpired as error:
            messages.error(request, str(error))
            return go_to("login")

    return guarded


def remember_language(response: HttpResponse, user: User) -> HttpResponse:
    """Show pages in the person's language from now on."""
    if user.language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            max_age=365 * 24 * 3600,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


def qr_code(text: str) -> SafeString:
    """Return a QR code as SVG inside the page: nothing is fetched, and it is in no other host's log."""
    svg = segno.make(text, error="m").svg_inline(scale=5, border=4, light="#fff", dark="#000", omitsize=False)
    return mark_safe(svg)  # noqa: S308 - drawn from the modules, holds no text
