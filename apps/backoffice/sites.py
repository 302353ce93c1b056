"""The two back offices: a tenant's and the platform's. Every model is registered on exactly one of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper, wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

View = Callable[..., HttpResponse]
Guard = Callable[[HttpRequest, str], HttpResponse | None]
"""Asked before a page of a signed-in person opens, with its place ("wallet/walletrefund"); an answer stands for it."""

_guards: list[Guard] = []


def guard_by(function: Guard) -> None:
    """Set who says whether a page opens, beside permissions: the layer that knows how people signed in."""
    _guards[:] = [function]


class BackofficeSite(UnfoldAdminSite):
    """A back office with pages that belong to no model. Signing in is the layer's that knows staff."""

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._own_pages: list[tuple[str, View, str, bool]] = []

    def add_page(self, route: str, view: View, name: str, *, is_open: bool = False) -> None:
        """Serve view(request, site=…, …) below the back office; an open page needs nobody signed in."""
        self._own_pages.append((route, view, name, is_open))

    def extra_urls(self) -> list[Any]:
        """The added pages; the theme asks for them."""
        found = []
        for route, view, name, is_open in self._own_pages:
            bound = update_wrapper(partial(view, site=self), view)
            found.append(path(route, never_cache(bound) if is_open else self.admin_view(bound), name=name))
        return found

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The page where staff sign in (settings.SIGN_IN_VIEW)."""
        answer: HttpResponse = import_string(settings.SIGN_IN_VIEW)(request, site=self)
        return answer

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Every page but the open ones; some ask for more than a session (guard_by)."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if _guards and self.has_permission(request):
                answer = _guards[0](request, _place(request))
                if answer is not None:
                    return answer
            return inner(request, *args, **kwargs)

        return guarded


def _place(request: HttpRequest) -> str:
    route = request.resolver_match.route if request.resolver_match else ""
    return "/".join(route.split("/")[1:3])


class TenantSite(BackofficeSite):
    """A tenant's back office."""

    settings_name = "UNFOLD"


class PlatformSite(BackofficeSite):
    """The platform owner's back office, in the public schema."""

    settings_name = "UNFOLD_PLATFORM"


# Both carry the name "admin", because the theme's templates reverse "admin:…".
tenant_site = TenantSite(name="admin")
platform_site = PlatformSite(name="admin")
