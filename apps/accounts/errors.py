from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class LastAdministrator(DomainError):
    code = "accounts.last_administrator"
    message = _(
        "Somebody has to stay who may do everything. Make somebody else an administrator first, then change this one."
    )
    status = 409


class UnknownRole(DomainError):
    code = "accounts.unknown_role"
    message = _("There is no standard role %(role)s. There are: %(known)s")
