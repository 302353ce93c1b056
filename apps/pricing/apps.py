from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PricingConfig(AppConfig):
    name = "apps.pricing"
    verbose_name = _("Prices")

    def ready(self) -> None:
        from apps.piles import bulk
        from apps.piles.enums import CommandKind
        from apps.pricing import scopes  # noqa: F401 - says what staff see
        from apps.pricing.services import price_commands

        bulk.MAKERS[CommandKind.SET_BILLING_MODEL] = price_commands
