"""Pages of staff, departments and roles, of how staff sign in, and of visits by the platform's staff."""

from apps.accounts.admin import signing, support
from apps.accounts.admin.people import UserAdmin

__all__ = ["UserAdmin", "signing", "support"]
