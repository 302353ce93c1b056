"""Four eyes: operations that one person asks for and another approves, by the tenant's rule for each.

An app registers its operations when it is loaded (`register`); its pages ask for them (`request`). What is asked for
is stored with the version of its object, and executed exactly once: at once where the tenant's rule lets it pass, else
when a second person approves. An object that changed meanwhile makes the request void; nobody approves what they did
not see. Every request and every decision is in the audit log, under the object.

    register(Operation("orders.close", _("Close without a bill"), "orders.approve_close", execute=close))
    request("orders.close", order, {"order_no": …}, actor, reason)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog
from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import audit
from apps.backoffice.enums import ApprovalRule, ApprovalState
from apps.backoffice.errors import (
    AlreadyDecided,
    AlreadyRequested,
    ApprovalNotFound,
    NotAPerson,
    NotYours,
    ObjectChanged,
    PolicyFixed,
    PolicyInvalid,
    ReasonMissing,
    RequestAltered,
    SamePerson,
)
from apps.backoffice.models import Approval, ApprovalPolicy
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.time import now

log = structlog.get_logger(__name__)

YUAN, PERCENT = "yuan", "percent"
Execute = Callable[[dict[str, Any], Actor], Any]
"""Does the work, inside the deciding transaction and with the object locked. Gets the payload and who decided.

The payload has under "approval" what the operation's own records should say: `id`, `object_id`, `requested_by`,
`approved_by` ("" where no second person was needed) and `reason`. No network call: hand work to a task on commit.
"""


@dataclass(frozen=True)
class Operation:
    """Something that may need a second person.

    `permission` (app.codename) is what who decides must have. `rule` and `threshold` hold until the tenant sets others;
    a `fixed` rule cannot be set. `version` returns what must be the same at execution as at the request: by default
    every column of the object. `closed` is told the payload of a request that ends without being executed.
    """

    code: str
    title: Any
    permission: str
    execute: Execute | None = None
    rule: ApprovalRule = ApprovalRule.ALWAYS
    threshold: Decimal | None = None
    unit: str = YUAN
    fixed: bool = False
    version: Callable[[Any, dict[str, Any]], str] | None = None
    closed: Callable[[dict[str, Any]], None] | None = None


@dataclass(frozen=True)
class Policy:
    """When an operation needs a second person: always, above `threshold` (yuan or per cent), or never."""

    rule: ApprovalRule
    threshold: Decimal | None = None

    def needs(self, amount: Decimal | None) -> bool:
        """Return whether an operation of this amount needs a second person; of an unknown amount it does."""
        if self.rule != ApprovalRule.ABOVE:
            return self.rule == ApprovalRule.ALWAYS
        return amount is None or abs(amount) > (self.threshold or 0)

    def looser_than(self, other: Policy) -> bool:
        """Return whether something passes alone here that needed a second person there."""
        return self._reach > other._reach

    @property
    def _reach(self) -> Decimal:
        """Up to what amount one person is enough."""
        if self.rule == ApprovalRule.ABOVE:
            return self.threshold or Decimal(0)
        return Decimal(-1) if self.rule == ApprovalRule.ALWAYS else Decimal("Infinity")

    def to_json(self) -> dict[str, str | None]:
        """The rule as an approval's payload keeps it."""
        return {
            "rule": self.rule.value,
            "threshold": None if self.threshold is None else str(self.threshold),
        }


_operations: dict[str, Operation] = {}


def register(operation: Operation) -> Operation:
    """Make an operation known under its code; called once, while the app is loaded."""
    if operation.code in _operations and _operations[operation.code] != operation:
        raise ValueError(f"there is an operation {operation.code} already")
    _operations[operation.code] = operation
    return operation


def operations() -> list[Operation]:
    """Return every operation, by code."""
    return [_operations[code] for code in sorted(_operations)]


def operation_of(code: str) -> Operation:
    """Return a registered operation. Raises KeyError for an unknown code, which is a defect."""
    return _operations[code]


def title_of(code: str) -> str:
    """Return an operation's name in words; one that is gone as its code."""
    found = _operations.get(code)
    return str(found.title) if found else code


# --- When a second person is needed -----------------------------------------------------------------------


def policy_of(code: str) -> Policy:
    """Return the rule in force for an operation: the tenant's, or its default."""
    operation = operation_of(code)
    if not operation.fixed:
        row = ApprovalPolicy.objects.filter(operation=code).first()
        if row is not None:
            return Policy(ApprovalRule(row.rule), row.threshold)
    return Policy(operation.rule, operation.threshold)


def needs_second_person(code: str, amount: Decimal | None = None) -> bool:
    """Return whether an operation needs a second person; `amount` in the operation's unit, None if unknown."""
    return policy_of(code).needs(amount)


def check_reviewer(code: str, applied_by: Actor, reviewer: Actor, amount: Decimal | None = None) -> None:
    """Refuse a reviewer who applied for it, where the rule asks for a second person. Raises SamePerson, NotAPerson."""
    if reviewer.kind != "staff":
        raise NotAPerson
    if _same(applied_by, reviewer) and needs_second_person(code, amount):
        raise SamePerson


def may_review(code: str, applied_by: Actor, reviewer: Actor, amount: Decimal | None = None) -> bool:
    """Return whether `check_reviewer` lets a reviewer decide."""
    try:
        check_reviewer(code, applied_by, reviewer, amount)
    except (SamePerson, NotAPerson):
        return False
    return True


def set_policy(
    *,
    code: str,
    rule: ApprovalRule,
    threshold: Decimal | None,
    actor: Actor,
    reason: str,
    address: str | None = None,
) -> Approval | None:
    """Set when an operation needs a second person.

    A stricter rule holds at once (None is returned); a looser one waits for a second person itself, and its approval
    is returned. Raises PolicyFixed, PolicyInvalid, ReasonMissing, AlreadyRequested.
    """
    operation = operation_of(code)
    if operation.fixed:
        raise PolicyFixed
    if (rule == ApprovalRule.ABOVE) != (threshold is not None):
        raise PolicyInvalid
    if threshold is not None and (not threshold.is_finite() or not 0 <= threshold < Decimal(10) ** 12):
        raise PolicyInvalid
    wanted = Policy(rule, threshold)
    with transaction.atomic():
        row = _policy_row(operation)
        before = Policy(ApprovalRule(row.rule), row.threshold)
        if wanted == before:
            return None
        if wanted.looser_than(before):
            changes = _policy_changes(before, wanted)
            payload = {"operation": code, **wanted.to_json()}
            return request(LOOSEN.code, row, payload, actor, reason, changes=changes, address=address)
        if not reason.strip():
            raise ReasonMissing
        _store_policy(row, wanted)
        audit.record(
            actor,
            "backoffice.approvalpolicy_changed",
            row,
            changes=_policy_changes(before, wanted),
            reason=reason,
            address=address,
        )
    return None


def _policy_row(operation: Operation) -> ApprovalPolicy:
    """Lock and return an operation's row, made of the default at first sight."""
    defaults = {"rule": operation.rule, "threshold": operation.threshold}
    ApprovalPolicy.objects.get_or_create(operation=operation.code, defaults=defaults)
    return ApprovalPolicy.objects.select_for_update().get(operation=operation.code)


def _store_policy(row: ApprovalPolicy, policy: Policy) -> None:
    row.rule, row.threshold = policy.rule, policy.threshold
    row.save()


def _policy_changes(before: Policy, after: Policy) -> dict[str, list[Any]]:
    pairs = {
        gettext_noop("second person"): [before.rule.value, after.rule.value],
        gettext_noop("threshold"): [before.to_json()["threshold"], after.to_json()["threshold"]],
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _loosen(payload: dict[str, Any], _actor: Actor) -> None:
    row = ApprovalPolicy.objects.select_for_update().get(operation=payload["operation"])
    threshold = payload["threshold"]
    _store_policy(
        row, Policy(ApprovalRule(payload["rule"]), None if threshold is None else Decimal(threshold))
    )


LOOSEN = register(
    Operation(
        "backoffice.loosen_policy",
        _("Ask for a second person less often"),
        "backoffice.loosen_approvalpolicy",
        execute=_loosen,
        fixed=True,
        version=lambda row, _payload: f"{row.rule} {row.threshold}",
    )
)


# --- Asking and deciding ----------------------------------------------------------------------------------


def request(
    operation: str | Operation,
    obj: Model,
    payload: Mapping[str, Any],
    actor: Actor,
    reason: str,
    *,
    amount: Decimal | None = None,
    changes: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> Approval:
    """Ask for an operation on `obj`: executed at once where no second person is needed, else it waits for one.

    `changes` ({field: [before, after]}) is what the second person reads; `amount` (the operation's unit) is what the
    tenant's threshold is compared with. The object is locked. Raises ReasonMissing, AlreadyRequested (one request per
    operation and object waits), and what the execution raises.
    """
    found = operation if isinstance(operation, Operation) else operation_of(operation)
    if not reason.strip():
        raise ReasonMissing
    with transaction.atomic():
        locked = _lock(obj._meta.label_lower, str(obj.pk))
        if locked is None:
            raise ObjectChanged
        plain = audit.plain(dict(payload))
        approval = Approval(
            operation=found.code,
            object_kind=obj._meta.label_lower,
            object_id=str(obj.pk),
            object_name=str(obj)[:200],
            object_version=_version(found, locked, plain),
            payload=plain,
            changes=audit.plain(dict(changes or {})),
            amount=amount,
            reason=reason[:200],
            requested_at=now(),
            requested_by_kind=actor.kind,
            requested_by_id=actor.id,
            requested_by_name=actor.name[:100],
            second_person=needs_second_person(found.code, amount),
        )
        approval.digest = digest_of(approval)
        _insert(approval)
        if not approval.second_person:
            _execute(found, approval, actor)
            approval.state, approval.decided_at = ApprovalState.EXECUTED, now()
            approval.save()
        _audit(
            actor,
            "requested" if approval.second_person else "executed",
            approval,
            obj=locked,
            reason=reason,
            address=address,
        )
    log.info("approval_requested", operation=found.code, object=approval.object_name, by=actor.name)
    return approval


def approve(approval_id: int, actor: Actor, reason: str = "", *, address: str | None = None) -> Approval:
    """Approve a request as a second person, and execute it: once, however often and by however many it is approved.

    Returns the approval: executed, or failed with the error that the operation gave. The same person approving again
    changes nothing. Raises ApprovalNotFound, NotAPerson, SamePerson, AlreadyDecided, and ObjectChanged or
    RequestAltered, which leave the request void.
    """
    with transaction.atomic():
        approval = _pending(approval_id, actor, done=ApprovalState.EXECUTED)
        if approval.state == ApprovalState.EXECUTED:
            return approval
        if _same(_requester(approval), actor):
            raise SamePerson
        operation = operation_of(approval.operation)
        obj = _lock(approval.object_kind, approval.object_id)
        refusal = _refusal(operation, approval, obj)
        deed = "approved"
        if refusal is not None:
            approval.error = str(refusal)[:500]
            approval.state = (
                ApprovalState.STALE if isinstance(refusal, ObjectChanged) else ApprovalState.FAILED
            )
            deed = "voided"
        else:
            try:
                with transaction.atomic():
                    _execute(operation, approval, actor)
                approval.state = ApprovalState.EXECUTED
            except DomainError as error:
                approval.error = str(error)[:500]
                approval.state = ApprovalState.FAILED
                deed = "failed"
        _decided(approval, actor, reason)
        _audit(actor, deed, approval, obj=obj, reason=reason, address=address)
    log.info("approval_decided", approval=approval.pk, state=approval.state, by=actor.name)
    if refusal is not None:
        raise refusal
    return approval


def reject(approval_id: int, actor: Actor, reason: str, *, address: str | None = None) -> Approval:
    """Reject a request as a second person, with a reason. Rejecting again changes nothing.

    Raises ApprovalNotFound, NotAPerson, SamePerson, ReasonMissing, AlreadyDecided.
    """
    if not reason.strip():
        raise ReasonMissing
    return _close(approval_id, actor, reason, ApprovalState.REJECTED, address)


def withdraw(approval_id: int, actor: Actor, reason: str = "", *, address: str | None = None) -> Approval:
    """Take one's own request back. Raises ApprovalNotFound, NotAPerson, NotYours, AlreadyDecided."""
    return _close(approval_id, actor, reason, ApprovalState.WITHDRAWN, address)


def _close(
    approval_id: int, actor: Actor, reason: str, state: ApprovalState, address: str | None
) -> Approval:
    with transaction.atomic():
        approval = _pending(approval_id, actor, done=state)
        if approval.state == state:
            return approval
        own = _same(_requester(approval), actor)
        if own and state == ApprovalState.REJECTED:
            raise SamePerson
        if not own and state == ApprovalState.WITHDRAWN:
            raise NotYours
        approval.state = state
        _decided(approval, actor, reason)
        _audit(actor, state.value, approval, reason=reason, address=address)
    return approval


def _pending(approval_id: int, actor: Actor, *, done: ApprovalState) -> Approval:
    """Lock and return a request that waits, or one that the same person has brought to the same end before."""
    if actor.kind != "staff":
        raise NotAPerson
    approval = Approval.objects.select_for_update().filter(pk=approval_id).first()
    if approval is None:
        raise ApprovalNotFound
    if approval.state == ApprovalState.PENDING:
        return approval
    decider = Actor(approval.decided_by_kind, approval.decided_by_id, approval.decided_by_name)
    if approval.state == done and _same(decider, actor):
        return approval
    raise AlreadyDecided(state=ApprovalState(approval.state).label)


def _decided(approval: Approval, actor: Actor, reason: str) -> None:
    approval.decided_at = now()
    approval.decided_by_kind, approval.decided_by_id = actor.kind, actor.id
    approval.decided_by_name, approval.decision = actor.name[:100], reason[:200]
    approval.save()
    operation = _operations.get(approval.operation)
    if operation is not None and operation.closed is not None and approval.state != ApprovalState.EXECUTED:
        operation.closed(approval.payload)


def _insert(approval: Approval) -> None:
    waiting = Approval.objects.filter(
        operation=approval.operation,
        object_kind=approval.object_kind,
        object_id=approval.object_id,
        state=ApprovalState.PENDING,
    )
    # The object is locked, so nobody else can be asking; the constraint is for who forgets that.
    if earlier := waiting.first():
        raise AlreadyRequested(who=earlier.requested_by_name)
    try:
        with transaction.atomic():
            approval.save(force_insert=True)
    except IntegrityError:
        raise AlreadyRequested(who="") from None


def _execute(operation: Operation, approval: Approval, actor: Actor) -> None:
    assert operation.execute is not None, f"{operation.code} is reviewed elsewhere"
    words = {
        "id": approval.pk,
        "object_id": approval.object_id,
        "requested_by": approval.requested_by_name,
        "approved_by": actor.name if approval.second_person else "",
        "reason": approval.reason,
    }
    operation.execute({**approval.payload, "approval": words}, actor)


def _refusal(operation: Operation, approval: Approval, obj: Model | None) -> DomainError | None:
    if approval.digest != digest_of(approval):
        return RequestAltered()
    if obj is None or _version(operation, obj, approval.payload) != approval.object_version:
        return ObjectChanged()
    return None


def digest_of(approval: Approval) -> str:
    """Return the SHA-256 (hex) over what was asked for; the audit log keeps it with the request."""
    words = {
        name: getattr(approval, name)
        for name in ("operation", "object_kind", "object_id", "object_version", "payload", "reason")
    }
    words["requested_by"] = [approval.requested_by_kind, approval.requested_by_id]
    text = json.dumps(words, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _version(operation: Operation, obj: Model, payload: dict[str, Any]) -> str:
    """Return a hash over the object's columns, or over what the operation says it depends on."""
    if operation.version is not None:
        words: Any = operation.version(obj, payload)
    else:
        words = {field.attname: getattr(obj, field.attname) for field in obj._meta.concrete_fields}
    text = json.dumps(audit.plain(words), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _objects(kind: str) -> Any:
    return apps.get_model(kind).objects  # type: ignore[attr-defined]


def _lock(kind: str, pk: str) -> Any:
    return _objects(kind).select_for_update(of=("self",)).filter(pk=pk).first()


def _requester(approval: Approval) -> Actor:
    return Actor(approval.requested_by_kind, approval.requested_by_id, approval.requested_by_name)


def _same(one: Actor, other: Actor) -> bool:
    return one.kind == other.kind and (one.id, one.id or one.name) == (other.id, other.id or other.name)


def _audit(
    actor: Actor, deed: str, approval: Approval, *, obj: Any = None, reason: str, address: str | None
) -> None:
    words = {
        "operation": [None, approval.operation],
        "request": [None, approval.pk],
        "state": [None if deed in ("requested", "executed") else ApprovalState.PENDING.value, approval.state],
        "digest": [None, approval.digest],
        **approval.changes,
    }
    if approval.error:
        words["error"] = [None, approval.error]
    target = obj if obj is not None else _find(approval)
    audit.record(actor, f"backoffice.approval_{deed}", target, changes=words, reason=reason, address=address)


def _find(approval: Approval) -> Any:
    return _objects(approval.object_kind).filter(pk=approval.object_id).first() or approval
