from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportsConfig(AppConfig):
    name = "apps.reports"
    verbose_name = _("Reports")

    def ready(self) -> None:
        from apps.reports import overview_pages, package_page, tenants  # noqa: F401 - tenants says what speaks against closing one

        overview_pages.add_pages()
        package_page.add_page()
