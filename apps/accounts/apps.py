from functools import partial

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    verbose_name = _("Staff")

    def ready(self) -> None:
        """Every new tenant begins with the standard roles."""
        from apps.accounts import scopes  # noqa: F401 - says what is seen
        from apps.accounts.roles import give_roles
        from apps.tenancy.services import begin_with

        begin_with(partial(give_roles, quietly=True))
