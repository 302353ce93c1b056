"""Finance reports: a range of days grouped, with total, chart, way down to the orders, and as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy
from django.views.decorators.http import require_POST

from apps.backoffice import scope
from apps.backoffice.admin import EXPORTS_PAGE, Export, ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.queue import enqueue
from apps.common.time import business_day, day_bounds, now
from apps.files import exports
from apps.files.enums import ExportFormat
from apps.franchisees.models import Franchisee
from apps.franchisees.selectors import franchisee_of, held_through
from apps.orders.enums import OrderSource, OrderState
from apps.reports import finance, tasks
from apps.reports.enums import CustomerKind
from apps.reports.finance import Group, Question, Row, Sums
from apps.reports.models import FinanceReport
from apps.sites.models import Station

PAGE_ROWS = 100
MOST_PAGES = 1_000_000
CHART_ROWS = 31
"""A chart of more bars than days of a month says nothing."""
FINER = {
    Group.MONTH: Group.DAY,
    Group.DAY: Group.STATION,
    Group.STATION: Group.PILE,
    Group.FRANCHISEE: Group.STATION,
}
"""What a click on a group's name shows of it."""
PARAMETERS = ("from", "to", "by", "station", "franchisee", "source", "customer", "sort")

scope.by_station(FinanceReport, "station")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: the name that it is sorted by, its title, and its value of a group."""

    name: str
    title: Any
    value: Callable[[Sums], Any]
    form: str = "yuan"


COLUMNS = (
    Column("orders", gettext_lazy("orders"), lambda sums: sums.orders, "whole"),
    Column("energy_kwh", gettext_lazy("energy (kWh)"), lambda sums: sums.energy_kwh, "energy"),
    Column("electricity_fee", gettext_lazy("electricity fee"), lambda sums: sums.electricity_fee),
    Column("service_fee", gettext_lazy("service fee"), lambda sums: sums.service_fee),
    Column("enterprise_discount", gettext_lazy("enterprise discount"), lambda sums: sums.enterprise_discount),
    Column("coupon_discount", gettext_lazy("coupon discount"), lambda sums: sums.coupon_discount),
    Column("refunded", pgettext_lazy("report", "refunds"), lambda sums: sums.refunded),
    Column("due", pgettext_lazy("report", "due"), lambda sums: sums.due),
    Column("settled", pgettext_lazy("report", "settled"), lambda sums: sums.settled),
    Column("channel_fee", pgettext_lazy("report", "channel fee"), lambda sums: sums.channel_fee),
    Column("utilisation", gettext_lazy("utilisation (%)"), lambda sums: sums.utilisation, "percent"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a group, for an export."""

    name: str

    def __call__(self, row: Row) -> Any:
        return getattr(row.sums, self.name)


EXPORT = [
    (pgettext_lazy("report", "group"), lambda row: row.label),
    (gettext_lazy("orders"), Figure("orders")),
    (gettext_lazy("energy (kWh)"), Figure("energy_kwh")),
    (gettext_lazy("electricity fee"), Figure("electricity_fee")),
    (gettext_lazy("service fee"), Figure("service_fee")),
    (gettext_lazy("enterprise discount"), Figure("enterprise_discount")),
    (gettext_lazy("coupon discount"), Figure("coupon_discount")),
    (gettext_lazy("discount borne by the platform"), Figure("platform_borne")),
    (gettext_lazy("discount borne by the station"), Figure("station_borne")),
    (gettext_lazy("payable"), Figure("payable")),
    (gettext_lazy("electricity fee refunded"), Figure("refunded_electricity")),
    (gettext_lazy("service fee refunded"), Figure("refunded_service")),
    (pgettext_lazy("report", "due"), Figure("due")),
    (pgettext_lazy("report", "settled from principal"), Figure("settled_principal")),
    (pgettext_lazy("report", "settled from bonus"), Figure("settled_bonus")),
    (pgettext_lazy("report", "settled by enterprises"), Figure("settled_enterprise")),
    (pgettext_lazy("report", "settled"), Figure("settled")),
    (gettext_lazy("unpaid"), Figure("outstanding")),
    (pgettext_lazy("report", "channel fee"), Figure("channel_fee")),
    (gettext_lazy("paid without bonus, after channel fee"), Figure("net")),
    (gettext_lazy("time charging (h)"), lambda row: round(row.sums.charging_s / 3600, 1)),
    (gettext_lazy("utilisation (%)"), Figure("utilisation")),
]


OURS = frozenset(
    {"settled_principal", "settled_bonus", "settled_enterprise", "outstanding", "channel_fee", "net"}
)
"""Figures of drivers' wallets and of what payment costs us: nothing for people of other companies."""


class Answer:
    """A report as the exports read a list: its rows, and the total behind them."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._rows: list[Row] | None = None

    def order_by(self) -> Answer:
        """A report has its own order."""
        return self

    def rows(self) -> list[Row]:
        """All groups, then the total."""
        if self._rows is None:
            found = finance.report(self._question)
            self._rows = [*found.rows, Row(None, _("total"), found.total)]
        return self._rows

    def count(self) -> int:
        """With the total."""
        return len(self.rows())

    def iterator(self, chunk_size: int = 0) -> Iterator[Row]:
        """One by one."""
        return iter(self.rows())

    def __getitem__(self, wanted: slice) -> list[Row]:
        return self.rows()[wanted]


class Asked:
    """Stands for the list when a report is exported."""

    def __init__(self, model_admin: FinanceReportAdmin) -> None:
        self._model_admin = model_admin

    def get_queryset(self, request: HttpRequest) -> Answer:
        """The report that the address asks for. Raises ValueError for one that does not exist."""
        try:
            return Answer(question_of(request))
        except DomainError as error:
            raise ValueError(str(error)) from error


@admin.register(FinanceReport, site=tenant_site)
class FinanceReportAdmin(ReadOnlyAdmin):
    """The report page in the place of a list."""

    export = EXPORT
    fields = ("day", "grain", "station", "orders", "energy_kwh", "electricity_fee", "service_fee")

    def get_urls(self) -> list[Any]:
        """The page's two buttons, and the usual pages."""
        view = self.admin_site.admin_view
        return [
            path("excel/", view(require_POST(self.excel)), name="reports_financereport_excel"),
            path("again/", view(require_POST(self.again)), name="reports_financereport_again"),
            *super().get_urls(),
        ]

    def export_for(self, person: Any) -> Sequence[Export]:
        """Without OURS for people of other companies."""
        own = super().export_for(person)
        if not scope.is_outsider(person):
            return own
        return [one for one in own if not (isinstance(one[1], Figure) and one[1].name in OURS)]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """What an export walks over."""
        return Asked(self)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The report."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            question = question_of(request)
        except DomainError as error:
            messages.warning(request, str(error))
            question = question_of(request, defaults=True)
        sort, falling = _sort(request)
        page = min(_number(request.GET.get("p")), MOST_PAGES)
        columns = _columns_for(request.user)
        held = _held(question)
        found = finance.report(question, sort=sort, falling=falling, offset=page * PAGE_ROWS, limit=PAGE_ROWS)
        context = {
            **self.admin_site.each_context(request),
            "title": self.opts.verbose_name_plural,
            "opts": self.opts,
            "question": question,
            "groups": [(group.value, group.label) for group in Group],
            "stations": _stations(request),
            "franchisees": _franchisees(request),
            "station_chosen": _number(request.GET.get("station")),
            "sources": OrderSource.choices,
            "kinds": CustomerKind.choices,
            "presets": _presets(request, question),
            "columns": _titles(request, columns, sort, falling),
            "first_column": _first_column(question.group),
            "rows": [_shown(row, question, request, columns, held) for row in found.rows],
            "total": [_cell(column, found.total) for column in columns],
            "total_orders": _orders_link(question, None, held),
            "report": found,
            "chart": _chart(found),
            "narrowed": question.group in finance.BY_PLACE_ONLY,
            "previous": _link(request, p=page - 1 or "") if page else "",
            "next": _link(request, p=page + 1) if found.more else "",
            "query": _query(request),
            "may_roll": self.allowed(request, "roll_financereport"),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "backoffice/finance_report.html", context)

    def excel(self, request: HttpRequest) -> HttpResponse:
        """Have the report written as a file, and go to where it will be."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        query = request.POST.get("query", "")
        try:
            exports.request_export(
                model_admin=self, request=request, export_format=ExportFormat.XLSX, query=query
            )
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(_back(query))
        messages.success(request, _("The export has begun."))
        return HttpResponseRedirect(reverse(EXPORTS_PAGE))

    def again(self, request: HttpRequest) -> HttpResponse:
        """Have the days of the report summed up anew."""
        if not self.allowed(request, "roll_financereport"):
            raise PermissionDenied
        query = request.POST.get("query", "")
        try:
            question = question_of(request, query=query)
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(_back(query))
        days = {"days": [None, f"{question.first} – {question.last}"]}
        with transaction.atomic():
            self.audit(request, "rolled", None, changes=days)
        if enqueue(tasks.roll_again, question.first.isoformat(), question.last.isoformat()):
            messages.success(request, _("The days are being summed up again. Look again in a moment."))
        else:
            messages.error(request, _("The task queue is away. Please try again in a minute."))
        return HttpResponseRedirect(_back(query))


# --- What is asked ----------------------------------------------------------------------------------------


def question_of(request: HttpRequest, *, query: str | None = None, defaults: bool = False) -> Question:
    """Return what an address asks, of the stations that the person sees. Raises BadRange, NotTogether.

    Without days it is this month until today; with `defaults` only the grouping and the station count.
    """
    words = request.GET if query is None else QueryDict(query)
    today = business_day(now())
    group = Group(words["by"]) if words.get("by") in Group.values else Group.DAY
    seen = scope.stations_of(request.user)
    chosen = {number for text in words.getlist("station") if (number := _number(text)) > 0}
    stations = seen if not chosen else frozenset(chosen if seen is None else chosen & seen)
    franchisee = franchisee_of(request.user)
    if franchisee is None:
        franchisee = _number(words.get("franchisee")) or None
    if defaults:
        return Question(today.replace(day=1), today, group, stations, franchisee=franchisee)
    last = _day(words.get("to")) or today
    first = _day(words.get("from")) or min(today.replace(day=1), last)
    source = words.get("source", "")
    kind = words.get("customer", "")
    return Question(
        first,
        last,
        group,
        stations,
        source if source in OrderSource.values else "",
        kind if kind in CustomerKind.values else "",
        franchisee,
    )


def _day(text: str | None) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise finance.BadRange(limit=finance.LONGEST_DAYS) from error


def _number(text: Any) -> int:
    return whole_number(text) or 0


def _sort(request: HttpRequest) -> tuple[str, bool]:
    text = request.GET.get("sort", "")
    name = text.removeprefix("-")
    return (name, text.startswith("-")) if name in finance.SORTS else ("", True)


def _query(request: HttpRequest, **changes: Any) -> str:
    """The page's address with changes; a parameter that is empty goes."""
    words: dict[str, Any] = {
        name: request.GET.getlist(name) for name in PARAMETERS if request.GET.get(name)
    } | changes
    return urlencode({name: value for name, value in words.items() if value not in ("", None)}, doseq=True)


def _link(request: HttpRequest, **changes: Any) -> str:
    return f"?{_query(request, **changes)}"


def _back(query: str) -> str:
    return f"{reverse('admin:reports_financereport_changelist')}?{query}"


# --- What is shown ----------------------------------------------------------------------------------------


def _stations(request: HttpRequest) -> list[tuple[int, str]]:
    rows = scope.narrow(Station.objects.order_by("station_no"), request.user)
    return list(rows.values_list("pk", "name"))


def _franchisees(request: HttpRequest) -> list[tuple[int, str]]:
    """Those that a report can be narrowed to; nothing to choose for who sees none."""
    if not request.user.has_perm("franchisees.view_franchisee"):  # type: ignore[union-attr]
        return []
    return list(scope.narrow(Franchisee.objects.order_by("name"), request.user).values_list("pk", "name"))


def _held(question: Question) -> Mapping[int, frozenset[int] | None]:
    """Which stations each franchisee had all the time, where the report asks for it."""
    if question.group != Group.FRANCHISEE and question.franchisee is None:
        return {}
    return held_through(question.first, question.last)


def _columns_for(person: Any) -> Sequence[Column]:
    """The table's columns; without OURS for people of other companies."""
    if not scope.is_outsider(person):
        return COLUMNS
    return [column for column in COLUMNS if column.name not in OURS]


def _presets(request: HttpRequest, question: Question) -> list[dict[str, Any]]:
    today = business_day(now())
    month = today.replace(day=1)
    before = month - timedelta(days=1)
    ranges = [
        (_("Today"), today, today),
        (_("Yesterday"), today - timedelta(days=1), today - timedelta(days=1)),
        (_("7 days"), today - timedelta(days=6), today),
        (_("30 days"), today - timedelta(days=29), today),
        (_("This month"), month, today),
        (_("Last month"), before.replace(day=1), before),
        (_("This year"), today.replace(month=1, day=1), today),
    ]
    return [
        {
            "title": title,
            "link": _link(request, **{"from": first, "to": last}),
            "chosen": (first, last) == (question.first, question.last),
        }
        for title, first, last in ranges
    ]


def _first_column(group: Group) -> str:
    titles = {
        Group.DAY: pgettext("report", "day"),
        Group.MONTH: pgettext("report", "month"),
        Group.STATION: _("station"),
        Group.PILE: _("pile"),
        Group.GUN: _("gun"),
        Group.SOURCE: _("source"),
        Group.CUSTOMER: _("kind of customer"),
        Group.HOUR: pgettext("report", "hour"),
        Group.FRANCHISEE: _("franchisee"),
    }
    return titles[group]


def _titles(
    request: HttpRequest, columns: Sequence[Column], sort: str, falling: bool
) -> list[dict[str, Any]]:
    found = []
    for column in columns:
        here = column.name == sort
        found.append(
            {
                "title": column.title,
                "link": _link(request, sort=f"{'' if here and falling else '-'}{column.name}")
                if column.name in finance.SORTS
                else "",
                "sorted": ("descending" if falling else "ascending") if here else "",
            }
        )
    return found


def _cell(column: Column, sums: Sums) -> str:
    value = column.value(sums)
    if value is None:
        return "–"
    if column.form == "whole":
        return f"{value:,}"
    return f"{value:,.2f}" if column.form in ("yuan", "energy") else f"{value:.1f}"


def _shown(
    row: Row,
    question: Question,
    request: HttpRequest,
    columns: Sequence[Column],
    held: Mapping[int, frozenset[int] | None],
) -> dict[str, Any]:
    return {
        "label": row.label,
        "link": _finer(row, question, request),
        "orders": _orders_link(question, row, held) if row.sums.orders else "",
        "cells": [_cell(column, row.sums) for column in columns],
    }


def _finer(row: Row, question: Question, request: HttpRequest) -> str:
    """The same report of one group, by the next finer grouping."""
    finer = FINER.get(question.group)
    if finer is None or row.key is None:
        return ""
    changes: dict[str, Any] = {"by": finer.value, "sort": ""}
    if finer in finance.BY_PLACE_ONLY:
        changes |= {"source": "", "customer": ""}
    match question.group:
        case Group.MONTH:
            first, last = _in_range(row.key, question)
            changes |= {"from": first, "to": last}
        case Group.DAY:
            changes |= {"from": row.key, "to": row.key}
        case Group.STATION:
            changes["station"] = row.key
        case Group.FRANCHISEE:
            changes["franchisee"] = row.key
        case _:
            return ""
    return _link(request, **changes)


def _in_range(month: date, question: Question) -> tuple[date, date]:
    after = (month + timedelta(days=31)).replace(day=1)
    return max(month, question.first), min(after - timedelta(days=1), question.last)


def _orders_link(question: Question, row: Row | None, held: Mapping[int, frozenset[int] | None]) -> str:
    """The list of the orders that a group counts; nothing where the list cannot tell them apart.

    `held` says which stations each franchisee had on every day of the report.
    """
    narrowed: tuple[Question, dict[str, Any]] | None = (question, {})
    if row is not None:
        narrowed = _of_row(question, row)
    if narrowed is None:
        return ""
    asked, words = narrowed
    if asked.franchisee is not None:
        own = held.get(asked.franchisee)
        if own is None:
            return ""
        asked = replace(asked, stations=own if asked.stations is None else own & frozenset(asked.stations))
    if asked.stations is not None:
        words["station__id__in"] = ",".join(str(pk) for pk in sorted(asked.stations))
    words |= _of_kind(asked.source, asked.customer_kind)
    begin, _end = day_bounds(asked.first)
    _begin, end = day_bounds(asked.last)
    words |= {
        "state__exact": OrderState.COMPLETED.value,
        "settled_at__gte": begin.isoformat(sep=" "),
        "settled_at__lt": end.isoformat(sep=" "),
        # Nothing is settled before it is made; the list, newest first, then begins where the days end.
        "created_at__lt": end.isoformat(sep=" "),
    }
    return f"{reverse('admin:orders_order_changelist')}?{urlencode(words)}"


def _of_row(question: Question, row: Row) -> tuple[Question, dict[str, Any]] | None:
    """A question narrowed to one of its groups, and what the list of orders is asked for besides."""
    key = row.key
    if key in (None, ""):
        return None
    match question.group:
        case Group.DAY:
            return replace(question, first=key, last=key), {}
        case Group.MONTH:
            first, last = _in_range(key, question)
            return replace(question, first=first, last=last), {}
        case Group.STATION:
            return replace(question, stations={key}), {}
        case Group.PILE | Group.GUN | Group.HOUR as group:
            asked_as = {Group.PILE: "q", Group.GUN: "connector__id__exact", Group.HOUR: "hour"}
            return question, {asked_as[group]: row.label.split()[0] if group == Group.PILE else key}
        case Group.SOURCE:
            return replace(question, source=key), {}
        case Group.FRANCHISEE:
            return replace(question, franchisee=key), {}
        case _:
            return replace(question, customer_kind=key), {}


def _of_kind(source: str, kind: str) -> dict[str, Any]:
    """What the list of orders is asked for, for a source and a kind of customer."""
    sources = [source] if source else list(OrderSource.values)
    if kind:
        is_partner = kind == CustomerKind.PARTNER
        sources = [one for one in sources if (one == OrderSource.PARTNER) == is_partner]
    words: dict[str, Any] = {}
    if source or kind:
        words["source__in"] = ",".join(sources) or "none"
    if kind and kind != CustomerKind.PARTNER:
        words["enterprise__isnull"] = str(kind == CustomerKind.INDIVIDUAL)
    return words


def _chart(report: finance.Report) -> dict[str, Any]:
    """The page's first groups as series; numbers as text until drawn."""
    rows = report.rows[:CHART_ROWS]
    return {
        "labels": [row.label for row in rows],
        "electricity": [str(row.sums.electricity_fee) for row in rows],
        "service": [str(row.sums.service_fee) for row in rows],
        "energy": [str(row.sums.energy_kwh) for row in rows],
        "names": {
            "electricity": _("electricity fee"),
            "service": _("service fee"),
            "energy": _("energy"),
            "yuan": pgettext("unit", "yuan"),
            "kwh": pgettext("unit", "kWh"),
        },
    }


from apps.reports import schedule_pages  # noqa: E402, F401 - its file is made of this page
