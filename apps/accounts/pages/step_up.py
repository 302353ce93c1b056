"""A second factor before pages of money and of staff open, once for a while (settings.SECOND_FACTOR_PAGES)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from apps.accounts import factors, policy, signing
from apps.accounts.enums import SecondFactorRule
from apps.accounts.pages.common import go_to, safe_next
from apps.accounts.pages.sign_in import second_page
from apps.backoffice.sites import BackofficeSite


def guard(request: HttpRequest, place: str) -> HttpResponse | None:
    """Return where to confirm who one is, None if the page may open. `place` is "app/model"."""
    if not any(fnmatchcase(place, pattern) for pattern in settings.SECOND_FACTOR_PAGES):
        return None
    user: Any = request.user
    if policy.current().second_factor == SecondFactorRule.OWN and not factors.has_app(user):
        return None
    return ask_to_confirm(request)


def ask_to_confirm(request: HttpRequest) -> HttpResponse | None:
    """Return the way to the page that asks for a second factor, None where it was given lately enough."""
    if signing.is_confirmed(request):
        return None
    target = f"{reverse('admin:me_confirm')}?{urlencode({'next': _where(request)})}"
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


def _where(request: HttpRequest) -> str:
    """The page to come back to: a dialog's is the one that opened it, a sent form's the one that it stood on."""
    from_page = request.headers.get("HX-Current-URL")
    if from_page or request.method != "GET":
        parts = urlsplit(from_page or request.headers.get("Referer", ""))
        return f"{parts.path or reverse('admin:index')}{f'?{parts.query}' if parts.query else ''}"
    return request.get_full_path()


@sensitive_post_parameters()
def confirm(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """Ask for a second factor in an open session."""
    user: Any = request.user
    first = signing.first_factor(request)

    def done() -> HttpResponse:
        return HttpResponseRedirect(safe_next(request) or reverse("admin:index"))

    if signing.is_confirmed(request):
        return done()
    if not factors.ways(user, first):
        messages.warning(
            request, _("Pages of money and of staff need a second factor. Set one up: it takes a minute.")
        )
        return go_to("me_set_up")
    return second_page(
        request,
        site,
        user,
        first,
        give=lambda method, code: signing.confirm(request, method=method, code=code),
        done=done,
        layout="admin/base_site.html",
    )


PAGES = (("confirm/", confirm, "me_confirm"),)
