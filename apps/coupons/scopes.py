"""Coupons are the company's: who has the permission sees them all."""

from apps.backoffice import scope
from apps.coupons.models import Coupon, CouponTemplate

scope.by_permission(Coupon, CouponTemplate)
