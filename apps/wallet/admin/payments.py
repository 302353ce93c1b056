"""Top-ups."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.sites import tenant_site
from apps.wallet.admin.common import OfCustomer
from apps.wallet.enums import RechargeState
from apps.wallet.models import Recharge

RECHARGE_TONES = {
    RechargeState.PAID: "success",
    RechargeState.CREATED: "warning",
    RechargeState.CLOSED: "neutral",
}


@admin.register(Recharge, site=tenant_site)
class RechargeAdmin(OfCustomer):
    """Top-ups."""

    number_field = "recharge_no"
    list_display = [
        "recharge_no",
        "customer_shown",
        "amount",
        "bonus",
        "channel",
        "state_shown",
        "created_shown",
        "paid_shown",
    ]
    list_filter = [("state", ChoicesDropdownFilter), "channel", ("created_at", RangeDateTimeFilter)]
    search_fields = ["recharge_no"]
    fields = [
        ("recharge_no", "customer_shown"),
        "state_shown",
        ("amount", "bonus"),
        "channel",
        ("channel_trade_no", "created_shown"),
        "paid_shown",
    ]
    export = [
        (_("recharge number"), "recharge_no"),
        (_("customer"), "wallet.customer"),
        (_("amount"), "amount"),
        (_("bonus"), "bonus"),
        (_("channel"), "channel"),
        (_("channel's trade number"), "channel_trade_no"),
        (_("state"), "get_state_display"),
        (_("created at"), "created_at"),
        (_("paid at"), "paid_at"),
    ]

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Recharge) -> str:
        """As a label."""
        return shown.state(obj, RECHARGE_TONES)

    @display(description=_("paid at"), ordering="paid_at")
    def paid_shown(self, obj: Recharge) -> str:
        """To the second."""
        return shown.moment(obj.paid_at)
