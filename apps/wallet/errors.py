from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class InsufficientBalance(DomainError):
    code = "wallet.insufficient"
    message = _("Balance is not enough: %(available)s yuan available, %(needed)s needed. Please top up.")
    status = 409


class EnterpriseShort(DomainError):
    """Drivers are not told what their enterprise has."""

    code = "wallet.enterprise_short"
    message = _(
        "Your enterprise's account does not cover this charge. Please pay with your own wallet, or tell the enterprise."
    )
    status = 409


class NotInAccount(DomainError):
    code = "wallet.not_in_account"
    message = _("At most the balance can be withdrawn: %(balance)s yuan.")
    status = 409


class TransferBooked(DomainError):
    code = "wallet.transfer_booked"
    message = _("A transfer with the number %(number)s is booked for this enterprise already.")
    status = 409


class TransferElsewhere(DomainError):
    code = "wallet.transfer_elsewhere"
    message = _(
        "The transfer %(number)s is booked for %(enterprise)s. If that is wrong, withdraw it there first, under the "
        "same number."
    )
    status = 409


class HasDebt(DomainError):
    code = "wallet.debt"
    message = _("An earlier charge is not fully paid: %(amount)s yuan. Please top up first.")
    status = 409


class AmountNotAllowed(DomainError):
    code = "wallet.amount"
    message = _("This amount is not possible: %(reason)s")


class ChannelNotAvailable(DomainError):
    code = "wallet.channel"
    message = _("This way of payment is not available.")


class RechargeNotFound(DomainError):
    code = "wallet.recharge_not_found"
    message = _("There is no such top-up.")
    status = 404


class KeyReused(DomainError):
    code = "idempotency.key_reused"
    message = _("This request key was used for another request. Please use a new one.")
    status = 409


class DayClosed(DomainError):
    code = "wallet.day_closed"
    message = _("Business day %(day)s is closed. Nothing can be booked on it any more: book it today.")
    status = 409


class DayNotOver(DomainError):
    code = "wallet.day_not_over"
    message = _("Business day %(day)s is not over yet. It can be closed ten minutes after its end.")
    status = 409


class BooksInUse(DomainError):
    code = "wallet.books_in_use"
    message = _("History is being written into these books just now. Close the days when that is done.")
    status = 409


class NothingToRecover(DomainError):
    code = "wallet.nothing_to_recover"
    message = _("Nothing can be taken: %(debt)s yuan owed, %(available)s yuan available.")
    status = 409


class ChargeRunning(DomainError):
    code = "wallet.charge_running"
    message = _("Money is not refunded while a charge is running. Please try again after it is settled.")
    status = 409


class CredentialsWrong(DomainError):
    code = "wallet.credentials"
    message = _("These credentials cannot be used: %(field)s is missing or cannot be read.")


class PayerUnknown(DomainError):
    code = "wallet.payer_unknown"
    message = _("Please sign in with the app that you want to pay with, then try again.")
    status = 409


class ChannelBusy(DomainError):
    code = "wallet.channel_busy"
    message = _("The payment provider does not answer. Please try again in a moment.")
    status = 503


class ChannelRefused(DomainError):
    code = "wallet.channel_refused"
    message = _("The payment provider refuses this top-up. Please begin a new one, or pay in another way.")
    status = 409


class RechargeClosed(DomainError):
    code = "wallet.recharge_closed"
    message = _("This top-up was not paid in time. Please begin a new one.")
    status = 409


class NoWrongAmount(DomainError):
    code = "wallet.no_wrong_amount"
    message = _("The provider tells of no payment of this top-up with another amount. Query it instead.")
    status = 409


class NoticeNotFound(DomainError):
    code = "wallet.notice_not_found"
    message = _("Not found.")
    status = 404


class BillDayNotOver(DomainError):
    code = "wallet.bill_day_not_over"
    message = _("The day %(day)s is not over. Its bill can be had from tomorrow on.")
    status = 409


class DifferenceDecided(DomainError):
    code = "wallet.difference_decided"
    message = _("This difference is closed. Please load the page anew.")
    status = 409


class NothingToAsk(DomainError):
    code = "wallet.nothing_to_ask"
    message = _("The provider can only be asked about payments and refunds that are done there and not here.")


class RefundAmount(DomainError):
    code = "wallet.refund_amount"
    message = _("From 0.01 to %(most)s yuan can be refunded. Bonus and money that is held cannot.")


class RefundUnderWay(DomainError):
    code = "wallet.refund_under_way"
    message = _("A refund is under way already: %(refund_no)s. Please wait until it is finished.")
    status = 409


class RefundNotFound(NotFound):
    code = "wallet.refund_not_found"
    message = _("There is no such refund.")


class RefundDecided(DomainError):
    code = "wallet.refund_decided"
    message = _("This refund is decided: %(state)s.")
    status = 409


class RefundAtProvider(DomainError):
    code = "wallet.refund_at_provider"
    message = _(
        "The provider still has this refund, so the money cannot go back to the wallet. Finish it at the provider and "
        "approve again, or transfer it by hand."
    )
    status = 409


class RefundInBill(DomainError):
    code = "wallet.refund_in_bill"
    message = _(
        "The channel's bill says that part %(number)s was paid although it was refused before. Resolve that difference "
        "in the reconciliation centre first."
    )
    status = 409


class NothingFailed(DomainError):
    code = "wallet.nothing_failed"
    message = _("No part of this refund was refused.")
    status = 409


class NotByHand(DomainError):
    code = "wallet.not_by_hand"
    message = _("This part does not wait for a transfer by hand any more.")
    status = 409


class TransferNumberUsed(DomainError):
    code = "wallet.transfer_number_used"
    message = _("The reference number %(number)s was entered for refund %(refund_no)s before.")
    status = 409
