from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class OrderNotFound(NotFound):
    code = "orders.not_found"
    message = _("There is no such order.")


class CustomerBlocked(DomainError):
    code = "orders.blocked"
    message = _("This account may not charge. Please call the operator.")
    status = 403


class StationClosed(DomainError):
    code = "orders.station_closed"
    message = _("This station is closed at the moment.")
    status = 409


class OutsideHours(DomainError):
    """`hours`: the station's opening hours in words."""

    code = "orders.outside_hours"
    message = _("This station is closed now. It is open %(hours)s. Charges that run go on.")
    status = 409


class EnterpriseDoesNotPay(DomainError):
    code = "orders.enterprise_does_not_pay"
    message = _("You are a member of no enterprise that pays for charges. Please pay with your own wallet.")
    status = 409


class EnterpriseElsewhere(DomainError):
    code = "orders.enterprise_elsewhere"
    message = _("Your enterprise does not pay at this station. Please pay with your own wallet.")
    status = 409


class EnterpriseHours(DomainError):
    """`hours`: when the enterprise pays, in words."""

    code = "orders.enterprise_hours"
    message = _("Your enterprise pays %(hours)s only. Please pay with your own wallet.")
    status = 409


class EnterpriseLimit(DomainError):
    """`left`: what of the month's limit is left, yuan."""

    code = "orders.enterprise_limit"
    message = _(
        "Of this month's limit %(left)s yuan are left. Please preset no more, or pay with your own wallet."
    )
    status = 409


class OwnCouponOnly(DomainError):
    code = "orders.own_coupon_only"
    message = _("Coupons go with your own wallet. Please pay with it, or charge without a coupon.")
    status = 409


class GunsApart(DomainError):
    code = "orders.guns_apart"
    message = _("One car charges over several guns of one charger only.")
    status = 409


class OneGunOnly(DomainError):
    code = "orders.one_gun_only"
    message = _("This charger cannot charge one car over several guns. Please use one gun.")
    status = 409


class Unsettled(DomainError):
    code = "orders.unsettled"
    message = _("An earlier charge is not settled yet.")
    status = 409


class NotStartable(DomainError):
    code = "orders.not_startable"
    message = _("The charge could not be started. Please try again.")
    status = 409


class NotInQuarantine(DomainError):
    code = "orders.not_in_quarantine"
    message = _("This record was decided or settled before.")
    status = 409


class NotMatchable(DomainError):
    code = "orders.not_matchable"
    message = _("This record cannot settle that order. %(why)s")
    status = 409


class NotAbnormal(DomainError):
    code = "orders.not_abnormal"
    message = _("This order is not abnormal any more. Please load the page anew.")
    status = 409


class NothingToBill(DomainError):
    code = "orders.nothing_to_bill"
    message = _("There is no complete record to bill. Enter the energies, or close the order without a bill.")
    status = 409


class ProposalChanged(DomainError):
    code = "orders.proposal_changed"
    message = _("The bill is now %(now)s yuan, not %(then)s as when it was asked for. Please ask again.")
    status = 409


class EnergyInvalid(DomainError):
    code = "orders.energy_invalid"
    message = _("These energies cannot be billed: %(why)s")


class StillCharging(DomainError):
    code = "orders.still_charging"
    message = _("The pile is connected and charges for this order: stop the charge instead.")
    status = 409


class NotEndable(DomainError):
    code = "orders.not_endable"
    message = _("Only an order that is under way can be ended by hand.")
    status = 409


class DayNotOver(DomainError):
    code = "orders.day_not_over"
    message = _("The day %(day)s is not over. Reconcile it from tomorrow on.")
    status = 409


class DifferenceDecided(DomainError):
    code = "orders.difference_decided"
    message = _("This difference is closed. Please load the page anew.")
    status = 409


class NotRefundable(DomainError):
    code = "orders.not_refundable"
    message = _("Only settled orders are refunded.")
    status = 409


class RefundTooHigh(DomainError):
    code = "orders.refund_too_high"
    message = _(
        "At most %(electricity)s yuan of electricity and %(service)s yuan of service can be refunded."
    )


class RefundOpen(DomainError):
    code = "orders.refund_open"
    message = _("A refund of this order waits for review: %(refund_no)s.")
    status = 409


class RefundDecided(DomainError):
    code = "orders.refund_decided"
    message = _("This refund was decided before.")
    status = 409


class RefundNotFound(NotFound):
    code = "orders.refund_not_found"
    message = _("There is no such refund.")


class IllegalMove(Exception):
    """A move that the table of moves does not have: a defect of the caller."""
