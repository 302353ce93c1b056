from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InvoicesConfig(AppConfig):
    name = "apps.invoices"
    verbose_name = _("Invoices")

    def ready(self) -> None:
        from apps.invoices import receivers, scopes, todos  # noqa: F401 - they register themselves
