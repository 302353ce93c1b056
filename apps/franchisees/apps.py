from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FranchiseesConfig(AppConfig):
    name = "apps.franchisees"
    verbose_name = _("Franchisees")

    def ready(self) -> None:
        from apps.franchisees import scopes, todos  # noqa: F401 - who sees what, and what waits
