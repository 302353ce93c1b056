from functools import partial

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    verbose_name = _("Staff")

    def ready(self) -> None:
        """Every new tenant begins with the standard roles, and every migrated one has what a new version adds."""
        from apps.accounts import first, receivers, scopes  # noqa: F401 - who is first, what is seen, what sign-ins leave
        from apps.accounts.pages import add_pages
        from apps.accounts.roles import give_roles, renew_roles
        from apps.tenancy.services import after_migrating, begin_with

        begin_with(partial(give_roles, quietly=True))
        after_migrating(renew_roles)
        add_pages()
