"""The tree of departments."""

from __future__ import annotations

from django.db.models import Q
from django.db.models.expressions import RawSQL

# "union" without "all" ends even if the tree had become a circle.
_BELOW = """
    with recursive below as (
        select id from accounts_department where id = %s
        union
        select child.id from accounts_department child join below on child.parent_id = below.id)
    select id from below
"""


def below(department_id: int | None, path: str = "pk") -> Q:
    """Return the condition that `path` is this department or one below it; nothing is without a department."""
    if department_id is None:
        return Q(pk__in=())
    return Q(**{f"{path}__in": RawSQL(_BELOW, [department_id])})  # noqa: S611 - fixed text, the id is a parameter
