"""What the lists of wallet rows share."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.customers.admin import by_phone


class OfCustomer(ReadOnlyAdmin):
    """Rows of a wallet are found by their number, their customer's whole phone number, or an enterprise's name."""

    number_field = ""
    list_select_related = ("wallet__customer", "wallet__enterprise")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By number, whole phone number, nickname or name."""
        term = search_term.strip()
        if not term:
            return queryset, False
        of_customer = (
            Q(wallet__customer__phone=by_phone(term))
            | Q(wallet__customer__nickname__icontains=term)
            | Q(wallet__enterprise__name__icontains=term)
        )
        return queryset.filter(of_customer | Q(**{self.number_field: term})), False

    @display(description=_("customer"), ordering="wallet__customer")
    def customer_shown(self, obj: Any) -> str:
        """Nickname, masked number, or the enterprise."""
        return str(obj.wallet) if obj.wallet_id else shown.EMPTY

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: Any) -> str:
        """To the second."""
        return shown.moment(obj.created_at)

    @display(description=_("closed at"), ordering="closed_at")
    def closed_shown(self, obj: Any) -> str:
        """To the second."""
        return shown.moment(obj.closed_at)
