from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class CouponNotFound(NotFound):
    code = "coupons.not_found"
    message = _("There is no such coupon.")


class CouponsGone(DomainError):
    code = "coupons.gone"
    message = _("All coupons of this kind have been claimed.")
    status = 409


class ClaimClosed(DomainError):
    code = "coupons.claim_closed"
    message = _("This coupon cannot be claimed at the moment.")
    status = 409


class ClaimedBefore(DomainError):
    code = "coupons.claimed_before"
    message = _("You have claimed this coupon as often as allowed.")
    status = 409


class CouponNotUsable(DomainError):
    """`reason` is one of wording.OBSTACLES."""

    code = "coupons.not_usable"
    message = _("This coupon cannot be used for this charge: %(why)s")
    status = 409


class CouponNotVoidable(DomainError):
    code = "coupons.not_voidable"
    message = _("Only a coupon that is available or expired can be made void.")
    status = 409
