"""A driver's coupons where the data is copied (settings.CUSTOMER_EXPORTS)."""

from __future__ import annotations

from typing import Any

from apps.coupons.models import Coupon
from apps.customers.models import Customer


def data_of(customer: Customer) -> dict[str, list[dict[str, Any]]]:
    """Return the coupons of a driver, used ones too."""
    return {
        "coupons": list(
            Coupon.objects.filter(customer=customer)
            .order_by("id")
            .values(
                "template__name",
                "state",
                "first_day",
                "last_day",
                "order_no",
                "saved",
                "used_at",
                "created_at",
            )
        )
    }
