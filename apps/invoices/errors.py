from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class InvoicesOff(DomainError):
    code = "invoices.off"
    message = _("Invoices cannot be asked for here. Please call the operator.")
    status = 403


class AccountDeleted(DomainError):
    code = "invoices.account_deleted"
    message = _("This account is deleted: no invoice can be asked for any more.")
    status = 409


class InvoiceNotFound(NotFound):
    code = "invoices.not_found"
    message = _("There is no such invoice.")


class TitleNotFound(NotFound):
    code = "invoices.title_not_found"
    message = _("There is no such invoice title.")


class TaxNumberInvalid(DomainError):
    code = "invoices.tax_number_invalid"
    message = _(
        "This is no valid tax number: 18 digits and capitals of the business licence are needed. Check each character."
    )


class TitleIncomplete(DomainError):
    code = "invoices.title_incomplete"
    message = _(
        "A company's title needs its whole name and its tax number; a person's title has no tax number."
    )


class TooManyTitles(DomainError):
    code = "invoices.too_many_titles"
    message = _("There are %(limit)s titles already. Remove one that is not needed.")
    status = 409


class SpecialNotOffered(DomainError):
    code = "invoices.special_not_offered"
    message = _("Special invoices are not offered here. Choose an ordinary one.")
    status = 409


class SpecialNeedsCompany(DomainError):
    code = "invoices.special_needs_company"
    message = _("A special invoice is for companies. Choose a company's title, or an ordinary invoice.")


class TooManyOrders(DomainError):
    code = "invoices.too_many_orders"
    message = _(
        "One invoice takes at most %(limit)s orders. Choose fewer, and apply once more for the others."
    )


class TooManyWaiting(DomainError):
    code = "invoices.too_many_waiting"
    message = _("%(limit)s of your applications are not decided yet. Please wait for them.")
    status = 409


class AmountTooLow(DomainError):
    code = "invoices.amount_too_low"
    message = _(
        "An invoice is for %(minimum)s yuan at least; these orders come to %(amount)s yuan. Add orders."
    )
    status = 409


class OrderTaken(DomainError):
    code = "invoices.order_taken"
    message = _("Order %(order_no)s is in another invoice already.")
    status = 409


class OrderNotSettled(DomainError):
    code = "invoices.order_not_settled"
    message = _("Order %(order_no)s is not settled yet. Please wait for its bill.")
    status = 409


class OrderUnpaid(DomainError):
    code = "invoices.order_unpaid"
    message = _("Order %(order_no)s is not paid in full yet. Top up the wallet first.")
    status = 409


class RefundWaits(DomainError):
    code = "invoices.refund_waits"
    message = _("A refund of order %(order_no)s waits for review. Apply when it is decided.")
    status = 409


class NothingPaid(DomainError):
    code = "invoices.nothing_paid"
    message = _(
        "Nothing of order %(order_no)s was paid from topped-up money: bonus and coupons are not invoiced."
    )
    status = 409


class OrderTooOld(DomainError):
    code = "invoices.order_too_old"
    message = _("Order %(order_no)s was settled more than %(days)s days ago. Please call the operator.")
    status = 409


class WrongState(DomainError):
    code = "invoices.wrong_state"
    message = _("This cannot be done while the invoice is “%(state)s”. Please load the page anew.")
    status = 409


class AmountsChanged(DomainError):
    code = "invoices.amounts_changed"
    message = _(
        "An order was refunded meanwhile, and the amounts of this invoice are others now. Please look at them again."
    )
    status = 409


class InvoiceNumberInvalid(DomainError):
    code = "invoices.number_invalid"
    message = _("The number of a digital invoice has 20 digits.")


class InvoiceNumberTaken(DomainError):
    code = "invoices.number_taken"
    message = _("Another invoice has the number %(number)s already.")
    status = 409


class IssueDayInvalid(DomainError):
    code = "invoices.issue_day_invalid"
    message = _("The day of issue is between the application and today.")
