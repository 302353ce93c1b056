"""The audit log (each entry chained to the one before by its hash), operations that need a second person, and the
filters of lists that people keep."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.backoffice.enums import ApprovalRule, ApprovalState


class AuditEntry(models.Model):
    """One deed. Append-only; the actor is text, so that an entry outlives the account."""

    at = models.DateTimeField(_("time"), db_index=True)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    action = models.CharField(_("action"), max_length=64, db_index=True)
    object_kind = models.CharField(_("object kind"), max_length=64, blank=True)
    object_id = models.CharField(_("object id"), max_length=64, blank=True)
    object_name = models.CharField(_("object"), max_length=200, blank=True)
    changes = models.JSONField(_("changes"), default=dict, help_text=_("field → [before, after]"))
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    previous_hash = models.CharField(_("previous hash"), max_length=64, blank=True)
    hash = models.CharField(_("hash"), max_length=64, unique=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_kind", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.action} {self.object_name}"


class ApprovalPolicy(models.Model):
    """When an operation needs a second person, where the tenant decided it; else the operation's own default holds.

    Written by `approvals.set_policy` alone.
    """

    operation = models.CharField(_("operation"), max_length=64, unique=True)
    rule = models.CharField(_("second person"), max_length=8, choices=ApprovalRule)
    threshold = models.DecimalField(
        _("threshold"),
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("yuan or per cent, by the operation"),
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("second-person rule")
        verbose_name_plural = _("second-person rules")
        ordering = ["operation"]
        permissions = [
            ("set_approvalpolicy", _("Can set when a second person is needed")),
            ("loosen_approvalpolicy", _("Can approve that fewer operations need a second person")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(rule=ApprovalRule.ABOVE, threshold__gte=Decimal(0))
                | (~Q(rule=ApprovalRule.ABOVE) & Q(threshold=None)),
                name="approval_policy_threshold",
            )
        ]

    def __str__(self) -> str:
        return self.operation


class Approval(models.Model):
    """An operation that somebody asked for: what exactly, on what, and who decided. Executed at most once."""

    operation = models.CharField(_("operation"), max_length=64, db_index=True)
    object_kind = models.CharField(_("object kind"), max_length=64)
    object_id = models.CharField(_("object id"), max_length=64)
    object_name = models.CharField(_("object"), max_length=200)
    object_version = models.CharField(_("object's version"), max_length=64)
    payload = models.JSONField(_("what is done"), default=dict)
    changes = models.JSONField(_("changes"), default=dict, help_text=_("field → [before, after]"))
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2, null=True, blank=True)
    digest = models.CharField(_("digest"), max_length=64)
    reason = models.CharField(_("reason"), max_length=200)
    requested_at = models.DateTimeField(_("requested at"), db_index=True)
    requested_by_kind = models.CharField(_("requester's kind"), max_length=16)
    requested_by_id = models.CharField(_("requester's id"), max_length=64, blank=True)
    requested_by_name = models.CharField(_("requested by"), max_length=100, blank=True)
    second_person = models.BooleanField(_("needed a second person"), default=True)
    state = models.CharField(_("state"), max_length=16, choices=ApprovalState, default=ApprovalState.PENDING)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by_kind = models.CharField(_("decider's kind"), max_length=16, blank=True)
    decided_by_id = models.CharField(_("decider's id"), max_length=64, blank=True)
    decided_by_name = models.CharField(_("decided by"), max_length=100, blank=True)
    decision = models.CharField(_("reason of the decision"), max_length=200, blank=True)
    error = models.CharField(_("error"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "object_kind", "object_id"],
                condition=Q(state=ApprovalState.PENDING),
                name="approval_one_pending",
            )
        ]
        indexes = [
            models.Index(fields=["object_kind", "object_id"], name="approval_object"),
            models.Index(fields=["id"], condition=Q(state=ApprovalState.PENDING), name="approval_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.object_name}"


class SavedFilter(models.Model):
    """A list as somebody looks at it again and again: its filters, search and order under a name.

    A shared one is offered to everybody who sees the list; what it shows each of them is what they may see. The owner
    is a number and a name, since accounts are a higher app's.
    """

    owner_id = models.PositiveBigIntegerField(_("owner's id"))
    owner_name = models.CharField(_("owner"), max_length=100, blank=True)
    page = models.CharField(_("list"), max_length=64)
    name = models.CharField(_("name"), max_length=30)
    query = models.CharField(_("filter"), max_length=2000)
    is_shared = models.BooleanField(_("shared"), default=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        ordering = ["name", "id"]
        permissions = [("share_savedfilter", _("Can share saved filters with everybody"))]
        constraints = [
            models.UniqueConstraint(fields=["owner_id", "page", "name"], name="saved_filter_unique"),
        ]
        indexes = [models.Index(fields=["page", "is_shared"], name="saved_filter_of_page")]

    def __str__(self) -> str:
        return self.name
