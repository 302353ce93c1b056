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
