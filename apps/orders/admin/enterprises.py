"""What enterprises paid for: charges of a month, with the statement of the account above; files by the exports."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from apps.backoffice import pages, scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.paging import CappedPaginator
from apps.backoffice.sites import tenant_site
from apps.common.ids import whole_number
from apps.common.money import ZERO
from apps.common.time import business_day, day_bounds, now, read_day
from apps.customers.models import Customer, Enterprise
from apps.orders.models import EnterpriseCharge
from apps.orders.payers import used_this_month
from apps.wallet.enterprise_accounts import month_of
from apps.wallet.models import EnterpriseAccount

MONTHS = 24
"""So many are offered; an address may name an older one."""
MEMBERS = 100
"""So many members are listed above a month, those who charged most first."""


def first_of(text: str | None) -> date | None:
    """Return the first day of a month such as 2026-11; None for what is none that may be asked for."""
    try:
        return read_day(f"{text}-01")
    except ValueError:
        return None


def bounds(first: date) -> tuple[datetime, datetime]:
    """Return when the month of `first` begins, and when the next one does, in Shanghai."""
    following = (first + timedelta(days=31)).replace(day=1)
    return day_bounds(first)[0], day_bounds(following)[0]


class MonthFilter(DropdownFilter):
    """The month in which charges were settled, as the books have them."""

    title = _("month")
    parameter_name = "month"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The newest first."""
        month = business_day(now()).replace(day=1)
        found = []
        for _number in range(MONTHS):
            found.append(f"{month:%Y-%m}")
            month = (month - timedelta(days=1)).replace(day=1)
        return [(text, text) for text in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By one; what is no month finds nothing."""
        if not self.value():
            return queryset
        first = first_of(self.value())
        if first is None:
            return queryset.none()
        begin, end = bounds(first)
        return queryset.filter(settled_at__gte=begin, settled_at__lt=end)


class EnterpriseFilter(RelatedDropdownFilter):
    """Who sees some stations chooses among the enterprises that paid there."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        """All of them for who sees all charges."""
        if scope.condition(EnterpriseCharge, request.user) is None:
            return super().field_choices(field, request, model_admin)
        paid = model_admin.get_queryset(request).order_by().values("enterprise")
        return field.get_choices(include_blank=False, ordering=("name",), limit_choices_to={"pk__in": paid})


@admin.register(EnterpriseCharge, site=tenant_site)
class EnterpriseChargeAdmin(ReadOnlyAdmin):
    """The charges that enterprises paid for; of one enterprise and one month, its statement."""

    show_full_result_count = False
    paginator = CappedPaginator
    ordering = ("-settled_at", "-id")
    list_display = [
        "order_no",
        "settled_shown",
        "enterprise",
        "member_shown",
        "plate",
        "station",
        "energy_kwh",
        "payable",
        "refunded_shown",
    ]
    list_select_related = ["enterprise", "customer", "station"]
    list_filter = [("enterprise", EnterpriseFilter), MonthFilter]
    search_fields = ["=order_no"]
    search_help_text = _("Order number")
    list_before_template = "backoffice/enterprise_month.html"
    fields = [
        ("order_no", "settled_shown"),
        ("enterprise", "member_shown"),
        ("station", "plate"),
        ("energy_kwh", "payable"),
        "refunded_shown",
    ]
    export = [
        (_("order number"), "order_no"),
        (_("settled at"), "settled_at"),
        (_("enterprise"), "enterprise.name"),
        (_("member"), "customer.nickname"),
        (_("phone"), "customer.masked_phone"),
        (_("plate"), "plate"),
        (_("station"), "station.name"),
        (_("started at"), "started_at"),
        (_("ended at"), "ended_at"),
        (_("energy (kWh)"), "energy_kwh"),
        (_("electricity fee"), "electricity_fee"),
        (_("service fee"), "service_fee"),
        (_("enterprise discount"), "enterprise_discount"),
        (_("electricity payable"), "electricity_payable"),
        (_("service payable"), "service_payable"),
        (_("payable"), "payable"),
        (_("electricity fee refunded"), "refunded_electricity"),
        (_("service fee refunded"), "refunded_service"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With the statement above the charges of one enterprise and one month."""
        statement = self._statement(request)
        return super().changelist_view(request, {"statement": statement, **(extra_context or {})})

    def _statement(self, request: HttpRequest) -> dict[str, Any] | None:
        pk, first = whole_number(request.GET.get("enterprise__id__exact")), first_of(request.GET.get("month"))
        may: Any = request.user
        if pk is None or first is None or not may.has_perm("wallet.view_enterpriseaccount"):
            return None
        account = EnterpriseAccount.objects.filter(enterprise_id=pk).first()
        if account is None:
            return None
        begin, end = bounds(first)
        mine = self.get_queryset(request).filter(enterprise_id=pk, settled_at__gte=begin, settled_at__lt=end)
        sums = (
            mine.order_by()
            .values("customer")
            .annotate(charges=Count("pk"), kwh=Sum("energy_kwh"), paid=Sum("payable"))
        )
        rows = list(sums.order_by("-paid", "customer")[:MEMBERS])
        names = Customer.objects.in_bulk([row["customer"] for row in rows])
        return {
            "account": account,
            "month": f"{first:%Y-%m}",
            "sums": month_of(account=account, first=first),
            "members": [{**row, "name": names[row["customer"]]} for row in rows],
        }

    @display(description=_("settled at"), ordering="settled_at")
    def settled_shown(self, obj: EnterpriseCharge) -> str:
        """To the minute."""
        return shown.minute(obj.settled_at)

    @display(description=_("member"), ordering="customer")
    def member_shown(self, obj: EnterpriseCharge) -> str:
        """Nickname or masked number."""
        return str(obj.customer)

    @display(description=_("refunded"))
    def refunded_shown(self, obj: EnterpriseCharge) -> str:
        """Both fees, whenever they went back."""
        back = obj.refunded_electricity + obj.refunded_service
        return shown.yuan(back) if back else shown.EMPTY


def used_panel(_request: HttpRequest, enterprise: Enterprise) -> dict[str, Any]:
    """Return what members charged at the enterprise's cost this month, and where its statement is."""
    moment = now()
    month = f"{business_day(moment):%Y-%m}"
    url = reverse("admin:orders_enterprisecharge_changelist")
    used = used_this_month(enterprise=enterprise, at=moment)
    limit = enterprise.monthly_limit
    return {
        "enterprise": enterprise,
        "used": used,
        "left": None if limit is None else max(limit - used, ZERO),
        "url": f"{url}?enterprise__id__exact={enterprise.pk}&month={month}",
    }


pages.add_panel(
    Enterprise,
    pages.Panel(
        _("Charges that it pays"),
        "backoffice/enterprise_used.html",
        used_panel,
        "orders.view_enterprisecharge",
        above=True,
    ),
)
