"""The first administrator of a new tenant."""

from __future__ import annotations

from django.contrib.auth.models import Group

from apps.accounts import policy
from apps.accounts.models import User
from apps.accounts.roles import ADMINISTRATOR
from apps.tenancy.services import Administrator, people_by


def first_administrator(person: Administrator) -> User:
    """Make the account of who may do everything in the current schema's tenant; the password comes as its hash."""
    user = User.objects.create(
        username=person.username,
        display_name=person.name,
        phone=person.phone,
        password=person.password_hash,
        is_staff=True,
        must_change_password=policy.current().first_sign_in_changes,
    )
    user.groups.add(Group.objects.get(standard__code=ADMINISTRATOR))
    return user


people_by(first_administrator)
