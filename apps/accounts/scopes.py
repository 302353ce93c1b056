"""Which staff, departments and roles a member of staff with a scope sees."""

from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Q

from apps.accounts.departments import below
from apps.accounts.enums import Scope
from apps.accounts.models import Department, User
from apps.backoffice import scope


def _colleagues(person: Any, _stations: frozenset[int]) -> Q:
    if person.scope == Scope.DEPARTMENT:
        return Q(pk=person.pk) | below(person.department_id, "department")
    return Q(pk=person.pk)


def _departments(person: Any, _stations: frozenset[int]) -> Q:
    return below(person.department_id)


scope.by_rule(User, _colleagues)
scope.by_rule(Department, _departments)
scope.by_permission(Group)
