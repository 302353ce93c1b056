"""What a member of staff with a scope sees of the audit log and of approvals."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, CharField, Exists, Func, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from apps.backoffice import scope
from apps.backoffice.models import Approval, ApprovalPolicy, AuditEntry


def _own_deeds(person: Any, _stations: frozenset[int]) -> Q:
    return Q(actor_kind="staff", actor_id=str(person.pk))


def _requests(person: Any, _stations: frozenset[int]) -> Q:
    """One's own, those on what belongs to no station, and those on what one sees."""
    number = Func(
        OuterRef("object_id"),
        template="substring(%(expressions)s from '^[0-9]{1,18}$')",
        output_field=CharField(),
    )
    seen = Q(requested_by_kind="staff", requested_by_id=str(person.pk))
    models = [model for model in scope.limited_models() if model not in (Approval, AuditEntry)]
    kinds = {model._meta.label_lower: model for model in models}
    seen |= ~Q(object_kind__in=kinds)
    for kind, model in kinds.items():
        rows = scope.narrow(QuerySet(model), person)
        seen |= Q(Exists(rows.filter(pk=Cast(number, BigIntegerField())).order_by()), object_kind=kind)
    return seen


scope.by_rule(AuditEntry, _own_deeds)
scope.by_rule(Approval, _requests)
scope.by_permission(ApprovalPolicy)
