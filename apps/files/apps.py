from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FilesConfig(AppConfig):
    name = "apps.files"
    verbose_name = _("Files")

    def ready(self) -> None:
        from apps.files import exports, providers, scopes  # noqa: F401 - they register themselves
