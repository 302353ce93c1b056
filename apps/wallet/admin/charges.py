"""Holds and debts of orders."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.sites import tenant_site
from apps.wallet.admin.common import OfCustomer
from apps.wallet.enums import HoldState
from apps.wallet.models import Debt, Hold

HOLD_TONES = {HoldState.OPEN: "info", HoldState.SETTLED: "success", HoldState.RELEASED: "neutral"}


@admin.register(Hold, site=tenant_site)
class HoldAdmin(OfCustomer):
    """Money set aside for orders."""

    number_field = "order_no"
    list_display = [
        "order_no",
        "customer_shown",
        "amount_shown",
        "principal",
        "bonus",
        "state_shown",
        "created_shown",
        "closed_shown",
    ]
    list_filter = [("state", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter)]
    search_fields = ["order_no"]
    fields = [
        ("order_no", "customer_shown"),
        "state_shown",
        ("amount_shown", "principal"),
        "bonus",
        ("created_shown", "closed_shown"),
    ]

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Hold) -> str:
        """As a label."""
        return shown.state(obj, HOLD_TONES)

    @display(description=_("amount"))
    def amount_shown(self, obj: Hold) -> str:
        """Principal and bonus."""
        return shown.yuan(obj.amount)


@admin.register(Debt, site=tenant_site)
class DebtAdmin(OfCustomer):
    """What orders could not be paid with."""

    number_field = "order_no"
    list_display = [
        "order_no",
        "customer_shown",
        "amount",
        "recovered",
        "outstanding_shown",
        "state_shown",
        "created_shown",
        "closed_shown",
    ]
    list_filter = [("closed_at", RangeDateTimeFilter)]
    search_fields = ["order_no"]
    fields = [
        ("order_no", "customer_shown"),
        "state_shown",
        ("amount", "recovered"),
        "outstanding_shown",
        ("created_shown", "closed_shown"),
    ]

    @display(description=_("outstanding"))
    def outstanding_shown(self, obj: Debt) -> str:
        """What is still owed."""
        return shown.yuan(obj.outstanding)

    @display(description=_("state"), ordering="closed_at")
    def state_shown(self, obj: Debt) -> str:
        """Open or paid."""
        if obj.closed_at is None:
            return shown.label(pgettext_lazy("debt", "open"), "danger")
        return shown.label(_("paid"), "success")
