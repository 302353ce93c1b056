"""Page parts: what an app of a higher layer adds to the pages of a lower app's model.

A station's list shows guns by state and the price now, although `sites` knows neither piles nor prices: those apps
hand their columns and panels to this registry when their admin modules are loaded, and BackofficeAdmin shows them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View


@dataclass(frozen=True)
class Column:
    """A column of a list. `values` gets the rows of one page and returns the cell of each, by primary key."""

    name: str
    title: Any
    values: Callable[[Sequence[Any]], Mapping[Any, Any]]

    @property
    def __name__(self) -> str:  # the list's cell and header are classed by it
        return self.name

    @property
    def short_description(self) -> Any:
        """The header, under the name that the admin reads."""
        return self.title

    def __call__(self, obj: Model) -> Any:
        return getattr(obj, f"_page_{self.name}", None)

    def fill(self, rows: Iterable[Model]) -> None:
        """Work out the cells of a page's rows at once."""
        found = list(rows)
        cells = self.values(found) if found else {}
        for row in found:
            setattr(row, f"_page_{self.name}", cells.get(row.pk))


@dataclass(frozen=True)
class Panel:
    """A block on an object's page, above or below its form; shown to who has `permission` (app.codename)."""

    title: Any
    template: str
    context: Callable[[HttpRequest, Any], dict[str, Any]]
    permission: str
    above: bool = False


@dataclass(frozen=True)
class Page:
    """A page of its own under a model's pages, as `path` and `admin:<name>`.

    `view` is a class-based view of the theme (UnfoldModelAdminViewMixin), which says itself whom it lets in.
    """

    path: str
    name: str
    view: type[View]


@dataclass(frozen=True)
class Tab:
    """A page of one object beside its form, in the row of tabs above both; `name` is the page's (admin:<name>), which
    takes the object's id. Shown to who has `permission`."""

    title: Any
    name: str
    permission: str
    place: int = 50
    """Tabs stand in this order; the form's own comes first."""


@dataclass(frozen=True)
class ListAction:
    """Something to do with the rows that are ticked in a list; shown to who has `permission` (app.codename).

    `run` gets the page, the request and the rows, as Django's own actions do.
    """

    name: str
    title: Any
    run: Callable[[Any, HttpRequest, Any], Any]
    permission: str


@dataclass
class _Parts:
    actions: list[ListAction] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    tabs: list[Tab] = field(default_factory=list)


_parts: defaultdict[type[Model], _Parts] = defaultdict(_Parts)


def add_column(model: type[Model], column: Column) -> None:
    """Show `column` at the end of the model's list."""
    _parts[model].columns.append(column)


def add_panel(model: type[Model], panel: Panel) -> None:
    """Show `panel` on the page of each of the model's objects."""
    _parts[model].panels.append(panel)


def add_page(model: type[Model], page: Page) -> None:
    """Serve `page` beside the model's own pages."""
    _parts[model].pages.append(page)


def add_tab(model: type[Model], tab: Tab) -> None:
    """Show `tab` above the pages of each of the model's objects."""
    _parts[model].tabs.append(tab)


def tabs(model: type[Model], request: HttpRequest, obj: Model) -> list[dict[str, Any]]:
    """Return title and address of each tab that the person may open, the object's form first; none without others."""
    found = [tab for tab in _parts[model].tabs if request.user.has_perm(tab.permission)]  # type: ignore[union-attr]
    if not found:
        return []
    form = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    pages = [(_("Master data"), form)]
    pages += [(tab.title, f"admin:{tab.name}") for tab in sorted(found, key=lambda tab: tab.place)]
    addresses = [(title, reverse(name, args=[obj.pk])) for title, name in pages]
    return [
        {"title": title, "address": address, "here": request.path == address} for title, address in addresses
    ]


def add_action(model: type[Model], action: ListAction) -> None:
    """Offer `action` in the model's list."""
    _parts[model].actions.append(action)


def actions(model: type[Model], request: HttpRequest) -> list[ListAction]:
    """Return the actions that other apps added to the model's list and this person may do."""
    return [one for one in _parts[model].actions if request.user.has_perm(one.permission)]  # type: ignore[union-attr]


def permissions(model: type[Model]) -> set[str]:
    """Return the permissions ("app.codename") that the parts of other apps on the model's pages ask for."""
    parts = _parts[model]
    return {part.permission for part in [*parts.panels, *parts.actions, *parts.tabs]}


def added_pages(model: type[Model]) -> list[Page]:
    """Return the pages that other apps added beside the model's own."""
    return list(_parts[model].pages)


def columns(model: type[Model]) -> list[Column]:
    """Return the columns that other apps added to the model's list."""
    return list(_parts[model].columns)


def panels(model: type[Model], request: HttpRequest, obj: Model, *, above: bool) -> list[dict[str, Any]]:
    """Return title, template and context of each panel that the person may see."""
    return [
        {"title": panel.title, "template": panel.template, "data": panel.context(request, obj)}
        for panel in _parts[model].panels
        if panel.above is above and request.user.has_perm(panel.permission)  # type: ignore[union-attr]
    ]
