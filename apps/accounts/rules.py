"""Who may do what to whose account: nobody gives, or takes over, more than they have."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from apps.accounts.enums import Scope
from apps.accounts.errors import LastAdministrator, NotYourAccount
from apps.accounts.models import SUPPORT_PREFIX, User
from apps.accounts.permissions import names, of_user, words
from apps.accounts.roles import ADMINISTRATOR
from apps.tenancy import features


def has_all(actor: User, permissions: Iterable[str]) -> bool:
    """Return whether a person has each of these permissions."""
    return actor.is_superuser or set(permissions) <= actor.get_all_permissions()


def may_change(actor: User, user: User) -> bool:
    """Return whether `actor` may change that account, its password included.

    Only one without more rights and without a wider scope: whoever sets a password can sign in with it.
    """
    if actor.is_superuser or actor.pk == user.pk:
        return True
    if user.is_superuser or not has_all(actor, of_user(user)):
        return False
    return actor.scope == Scope.ALL or (
        actor.scope == user.scope == Scope.DEPARTMENT and actor.department_id == user.department_id
    )


def check_may_change(actor: User, user: User) -> None:
    """Raise NotYourAccount unless `may_change`."""
    if not may_change(actor, user):
        raise NotYourAccount


def missing(actor: User, permissions: Iterable[Permission]) -> list[str]:
    """Return in words which of these permissions the person lacks."""
    return [words(one) for one in permissions if not has_all(actor, names([one]))]


def beyond(actor: User, groups: Iterable[Group]) -> list[Group]:
    """Return those roles that hold more than the person has."""
    found = Group.objects.filter(pk__in=[group.pk for group in groups]).prefetch_related(
        "permissions__content_type"
    )
    return [group for group in found if not has_all(actor, names(group.permissions.all()))]


def administrators() -> QuerySet[User]:
    """Return who may do everything: active superusers, and who has the administrator's role."""
    members = User.objects.filter(groups__standard__code=ADMINISTRATOR).values("pk")
    own = User.objects.exclude(username__startswith=SUPPORT_PREFIX)  # a visitor from the platform goes again
    return own.filter(Q(is_superuser=True) | Q(pk__in=members), is_active=True)


def lock_administrators() -> bool:
    """Lock them until the transaction ends, so that two do not remove each other; return whether there is one."""
    return bool(
        list(administrators().select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    )


def check_room_for_staff(*, adding: int = 1) -> None:
    """Raise LimitReached when so many more active accounts would be more than the tenant's package allows."""
    active = User.objects.filter(is_active=True).exclude(username__startswith=SUPPORT_PREFIX)
    features.check_room("staff", used=active.count, adding=adding)


def check_administrator_left() -> None:
    """Raise LastAdministrator when nobody is left who may do everything."""
    if not administrators().exists():
        raise LastAdministrator
