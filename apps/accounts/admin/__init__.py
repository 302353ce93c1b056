"""Pages of staff, departments and roles, and of how staff sign in."""

from apps.accounts.admin import signing
from apps.accounts.admin.people import UserAdmin

__all__ = ["UserAdmin", "signing"]
