from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SitesConfig(AppConfig):
    name = "apps.sites"
    verbose_name = _("Stations")

    def ready(self) -> None:
        from apps.sites import pictures, scopes  # noqa: F401 - say what staff see, and their files
