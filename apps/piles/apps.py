from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PilesConfig(AppConfig):
    name = "apps.piles"
    verbose_name = _("Piles")

    def ready(self) -> None:
        from apps.piles import scopes, todos  # noqa: F401 - they register themselves
