from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class InvalidTariff(DomainError):
    code = "pricing.invalid_tariff"
    message = _("These prices cannot be used: %(reason)s")


class NoPrice(DomainError):
    code = "pricing.no_price"
    message = _("No price is set for this charger yet. Please tell the operator.")
    status = 409


class FivePricesUnknown(DomainError):
    code = "pricing.five_rate_classes"
    message = _("This charger cannot count its deep valley price. Please tell the operator.")
    status = 409


class TaskInvalid(DomainError):
    code = "pricing.task_invalid"
    message = _("This price task cannot be made: %(reason)s")


class TaskStateWrong(DomainError):
    code = "pricing.task_state"
    message = _("The price task is “%(state)s”: this cannot be done any more.")
    status = 409


class NoEarlierPrice(DomainError):
    code = "pricing.no_earlier_price"
    message = _("Without this price none would apply at %(place)s. Assign another one first.")
    status = 409


class NotInForce(DomainError):
    code = "pricing.not_in_force"
    message = _("The task's prices are in force nowhere any more: there is nothing to take back.")
    status = 409


class DayHasBegun(DomainError):
    code = "pricing.day_has_begun"
    message = _("%(day)s has begun: only days to come can be changed.")
    status = 409


class DaysInvalid(DomainError):
    code = "pricing.days_invalid"
    message = _("These days cannot be entered: %(reason)s")


class NothingToPush(DomainError):
    code = "pricing.nothing_to_push"
    message = _("No pile waits for these prices.")
    status = 409


class VersionMeanwhile(DomainError):
    code = "pricing.version_meanwhile"
    message = _(
        "Somebody has saved version v%(number)s meanwhile. Look at it; saving again adds yours after it."
    )
    status = 409
