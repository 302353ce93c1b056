from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class CustomerBlocked(DomainError):
    code = "customers.blocked"
    message = _("This account is blocked. Please call the operator.")
    status = 403


class CodeWrong(DomainError):
    """One answer for a wrong, used, outdated or never sent code, so that nobody learns which."""

    code = "customers.code_wrong"
    message = _("The code is wrong or no longer valid.")


class TooManyFailures(DomainError):
    code = "customers.too_many_failures"
    message = _("Too many wrong codes. Please wait %(retry_after_s)s seconds.")
    status = 429


class CaptchaNeeded(DomainError):
    code = "customers.captcha_needed"
    message = _("Please solve the puzzle first.")
    status = 403


class CardUnknown(DomainError):
    code = "customers.card_unknown"
    message = _("Nobody has this card.")
    status = 404


class CardFrozen(DomainError):
    code = "customers.card_frozen"
    message = _("This card is frozen.")
    status = 403


class CardTaken(DomainError):
    code = "customers.card_taken"
    message = _("A card with this number is registered already.")
    status = 409


class AccountUnknown(DomainError):
    code = "customers.account_unknown"
    message = _("There is no such account.")
    status = 404


class PinWrong(DomainError):
    code = "customers.pin_wrong"
    message = _("The PIN is wrong.")
    status = 403


class VinUnknown(DomainError):
    code = "customers.vin_unknown"
    message = _("No vehicle with this VIN starts by plugging in.")
    status = 404


class VehicleTaken(DomainError):
    code = "customers.vehicle_taken"
    message = _("A vehicle with this plate or VIN is registered already.")
    status = 409
