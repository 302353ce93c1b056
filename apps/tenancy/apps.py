from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TenancyConfig(AppConfig):
    name = "apps.tenancy"
    verbose_name = _("Tenants")

    def ready(self) -> None:
        from apps.tenancy import banners  # noqa: F401 - says what stands above pages
