"""Reads of coupons for drivers and staff."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count, QuerySet

from apps.coupons.enums import CouponState
from apps.coupons.models import Coupon
from apps.customers.models import Customer


def coupons_of(*, customer: Customer, state: str | None = None) -> QuerySet[Coupon]:
    """Return a customer's coupons, newest first, of one state where given."""
    coupons = Coupon.objects.filter(customer=customer).order_by("-id")
    if state:
        coupons = coupons.filter(state=state)
    return coupons


def claimed_by(*, customer: Customer, template_ids: Sequence[int]) -> dict[int, int]:
    """Return {template id: how many of its coupons a customer has had}; void ones do not count."""
    had = Coupon.objects.filter(customer=customer, template_id__in=template_ids).exclude(
        state=CouponState.VOID
    )
    return dict(had.order_by().values_list("template_id").annotate(Count("id")))
