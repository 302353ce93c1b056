"""Customers."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.customers.models import Customer, CustomerState

TONES = {CustomerState.ACTIVE: "success", CustomerState.BLOCKED: "danger"}
LOCAL_PHONE = re.compile(r"1\d{10}")


def by_phone(term: str) -> str:
    """Return a typed phone number in E.164 form: eleven digits are a Chinese mobile number."""
    return f"+86{term}" if LOCAL_PHONE.fullmatch(term) else term


@admin.register(Customer, site=tenant_site)
class CustomerAdmin(ReadOnlyAdmin):
    """Drivers. The phone number is masked for who lacks the permission to see it; a whole number can be looked up."""

    list_display = ["customer_shown", "phone_shown", "state_shown", "last_login_shown", "created_shown"]
    list_filter = ["state"]
    search_fields = ["nickname"]
    search_help_text = _("Nickname, or a whole phone number")
    export = [
        (_("customer"), "nickname"),
        (_("phone"), "masked_phone"),
        (_("state"), "get_state_display"),
        (_("last login"), "last_login_at"),
        (_("created at"), "created_at"),
    ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The whole number where it may be seen."""
        shown_columns = super().get_list_display(request)
        if self.allowed(request, "view_phone"):
            shown_columns[shown_columns.index("phone_shown")] = "phone"
        return shown_columns

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The whole number where it may be seen."""
        phone = "phone" if self.allowed(request, "view_phone") else "phone_shown"
        return [("nickname", phone), ("state_shown", "last_login_shown", "created_shown")]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Customer], search_term: str
    ) -> tuple[QuerySet[Customer], bool]:
        """By nickname or by the whole number."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(nickname__icontains=term) | Q(phone=by_phone(term))), False

    @display(description=_("customer"), ordering="id")
    def customer_shown(self, obj: Customer) -> str:
        """Nickname, or the masked number."""
        return str(obj)

    @display(description=_("phone"), ordering="phone")
    def phone_shown(self, obj: Customer) -> str:
        """Masked."""
        return obj.masked_phone

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Customer) -> str:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=_("last login"), ordering="last_login_at")
    def last_login_shown(self, obj: Customer) -> str:
        """To the second."""
        return shown.moment(obj.last_login_at)

    @display(description=_("registered"), ordering="created_at")
    def created_shown(self, obj: Customer) -> str:
        """To the second."""
        return shown.moment(obj.created_at)
