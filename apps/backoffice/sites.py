"""The two back offices: a tenant's and the platform's. Every model is registered on exactly one of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial, update_wrapper, wraps
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from unfold.dataclasses import SearchResult
from unfold.sites import UnfoldAdminSite

from apps.backoffice import badges

ROWS_OF_EACH = 5
"""Rows of one model that the command search offers: whoever wants more opens the list."""

View = Callable[..., HttpResponse]
Guard = Callable[[HttpRequest, str], HttpResponse | None]
"""Asked before a page of a signed-in person opens, with its place ("wallet/walletrefund"); an answer stands for it."""

_guards: list[Guard] = []


def guard_by(function: Guard) -> None:
    """Set who says whether a page opens, beside permissions: the layer that knows how people signed in."""
    _guards[:] = [function]


class BackofficeSite(UnfoldAdminSite):
    """A back office with pages that belong to no model, and a search that finds entries of its menu and rows.

    Signing in is the layer's that knows staff.
    """

    searched: ClassVar[tuple[str, ...]] = ()
    """Models ("app.model") whose rows the command search finds: few, since each is asked."""
    by_number: ClassVar[frozenset[str]] = frozenset()
    """Those of them that grow without end: asked for what looks like a number, never for words."""

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

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """The models of each app, worked out when somebody looks: every page's context has them, and the sidebar shows
        the menu instead.
        """
        return SimpleLazyObject(lambda: super(BackofficeSite, self).get_app_list(request, app_label))

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

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Answer the search of the sidebar (entries of the menu) and the command search (Ctrl + K: rows as well).

        The theme's own would read every matching row of every model, and keep answers after permissions changed.
        """
        began = time.monotonic()
        words = request.GET.get("s", "").replace("\0", "").strip()[:100]
        if not words:
            return HttpResponse()
        extended = "extended" in request.GET
        found = self._entries(request, words.lower())
        if extended:
            found += self._rows(request, words)
        pages_of_results = Paginator(found, max(1, len(found)))
        return TemplateResponse(
            request,
            "unfold/helpers/command_results.html" if extended else "unfold/helpers/search_results.html",
            {
                "page_obj": pages_of_results,
                "results": pages_of_results.page(1),
                "page_counter": 0,
                "execution_time": time.monotonic() - began,
            },
            headers={"HX-Trigger": "search"},
        )

    def _entries(self, request: HttpRequest, words: str) -> list[SearchResult]:
        """What the person's sidebar has under these words, a group's own words finding all of it."""
        return [
            SearchResult(
                title=str(item["title"]),
                description=str(group["title"]),
                link=item["link"],
                icon=item["icon"],
            )
            for group in self.get_sidebar_list(request)
            for item in group["items"]
            if words in str(item["title"]).lower() or words in str(group["title"]).lower()
        ]

    def _rows(self, request: HttpRequest, words: str) -> list[SearchResult]:
        """A few rows of each model, of those that the person may see, as the model's own list finds them."""
        found = []
        is_number = re.fullmatch(r"[A-Za-z]?\d{6,}", words) is not None
        for label in self.searched:
            if label in self.by_number and not is_number:
                continue
            model = apps.get_model(label)
            page = self._registry.get(model)
            if page is None or not page.has_view_permission(request):
                continue
            rows, _many = page.get_search_results(request, page.get_queryset(request), words)
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            found += [
                SearchResult(
                    title=str(row),
                    description=str(model._meta.verbose_name),
                    link=reverse(name, args=[row.pk]),
                    icon="search",
                )
                for row in dict.fromkeys(rows[:ROWS_OF_EACH])
            ]
        return found


def _place(request: HttpRequest) -> str:
    route = request.resolver_match.route if request.resolver_match else ""
    return "/".join(route.split("/")[1:3])


class TenantSite(BackofficeSite):
    """A tenant's back office."""

    settings_name = "UNFOLD"
    searched = (
        "orders.order",
        "piles.pile",
        "piles.connector",
        "sites.station",
        "customers.customer",
        "customers.enterprise",
        "wallet.recharge",
        "accounts.user",
    )
    by_number = frozenset({"orders.order", "wallet.recharge"})


class PlatformSite(BackofficeSite):
    """The platform owner's back office, in the public schema."""

    settings_name = "UNFOLD_PLATFORM"
    searched = ("tenancy.tenant", "tenancy.domain", "tenancy.inboundroute", "accounts.user")


# Both carry the name "admin", because the theme's templates reverse "admin:…".
tenant_site = TenantSite(name="admin")
platform_site = PlatformSite(name="admin")
tenant_site.add_page("badges/", badges.view, "badges")
