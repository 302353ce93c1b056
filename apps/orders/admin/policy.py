"""The page of a tenant's billing policy: one row, changed in one form, each change in the audit log."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from apps.backoffice.one_row import OneRowAdmin
from apps.backoffice.sites import tenant_site
from apps.orders.models import BillingPolicy


@admin.register(BillingPolicy, site=tenant_site)
class BillingPolicyAdmin(OneRowAdmin):
    """How the tenant bills, pays and audits."""

    list_display = ["energy_rule", "pay_order", "bonus_ratio", "note", "updated_at"]
    fieldsets = [
        (
            _("Bill and payment"),
            {
                "fields": ["energy_rule", ("pay_order", "bonus_ratio")],
                "description": _("For settlements from now on; a settled order keeps its bill."),
            },
        ),
        (
            _("Energy: how far figures may differ"),
            {
                "fields": [
                    ("sum_exact_kwh", "sum_tolerance_kwh"),
                    ("meter_tolerance_kwh", "power_margin_percent"),
                    ("samples_tolerance_kwh", "samples_tolerance_percent"),
                ]
            },
        ),
        (
            _("The pile's amount against ours"),
            {"fields": [("amount_per_period_yuan", "amount_percent")]},
        ),
        (
            _("Times"),
            {"fields": [("clock_exact_s", "clock_tolerance_s"), "late_after_minutes"]},
        ),
        (None, {"fields": ["note"]}),
    ]
