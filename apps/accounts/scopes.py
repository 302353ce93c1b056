"""Which staff, departments and roles a member of staff with a scope sees."""

from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Q

from apps.accounts.departments import below
from apps.accounts.enums import Scope
from apps.accounts.models import Department, LoginProvider, SignInPolicy, SignInRecord, StaffSession, User
from apps.backoffice import scope


def _colleagues(person: Any, _stations: frozenset[int]) -> Q:
    if person.scope == Scope.DEPARTMENT:
        return Q(pk=person.pk) | below(person.department_id, "department")
    return Q(pk=person.pk)


def _departments(person: Any, _stations: frozenset[int]) -> Q:
    return below(person.department_id)


def _of_colleagues(person: Any, stations: frozenset[int]) -> Q:
    return Q(user__in=User.objects.filter(_colleagues(person, stations)))


scope.by_rule(User, _colleagues)
scope.by_rule(SignInRecord, _of_colleagues)
scope.by_rule(StaffSession, _of_colleagues)
scope.by_rule(Department, _departments)
scope.by_permission(Group, SignInPolicy, LoginProvider)
