from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketingConfig(AppConfig):
    name = "apps.marketing"
    verbose_name = _("Marketing")

    def ready(self) -> None:
        from apps.marketing import scopes  # noqa: F401 - says what staff see
