"""Pages of approvals: what waits for a second person, what became of each request, and when one is needed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.backoffice import approvals, diff, scope, shown, todo
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import NoteForm, ReasonForm
from apps.backoffice.enums import ApprovalRule, ApprovalState
from apps.backoffice.models import Approval, ApprovalPolicy
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError

TONES = {
    ApprovalState.PENDING: "warning",
    ApprovalState.EXECUTED: "success",
    ApprovalState.REJECTED: "neutral",
    ApprovalState.WITHDRAWN: "neutral",
    ApprovalState.STALE: "danger",
    ApprovalState.FAILED: "danger",
}
UNITS = {approvals.YUAN: _("yuan"), approvals.PERCENT: "%"}


def may_decide(request: HttpRequest) -> Q:
    """Return the condition of requests that this person can decide: pending, permitted, and another's."""
    user: Any = request.user
    codes = [one.code for one in approvals.operations() if user.has_perm(one.permission)]
    own = Q(requested_by_kind="staff", requested_by_id=str(user.pk))
    return Q(state=ApprovalState.PENDING, operation__in=codes) & ~own


def amount_words(amount: Any, code: str) -> str:
    """Return an amount with the unit of its operation."""
    if amount is None:
        return shown.EMPTY
    unit = {one.code: one.unit for one in approvals.operations()}.get(code, approvals.YUAN)
    return f"{amount:.2f} {UNITS[unit]}"


class OperationFilter(admin.SimpleListFilter):
    """By operation."""

    title = _("operation")
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Every operation in words."""
        return [(one.code, one.title) for one in approvals.operations()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By one operation."""
        return queryset.filter(operation=self.value()) if self.value() else queryset


class WhoseFilter(admin.SimpleListFilter):
    """Requests that wait for the person who looks, and those that they made."""

    title = _("waits for")
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Mine to decide, or asked for by me."""
        return [("mine", _("waits for me")), ("asked", _("asked for by me"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By one side."""
        if self.value() == "mine":
            return queryset.filter(may_decide(request))
        if self.value() == "asked":
            return queryset.filter(requested_by_kind="staff", requested_by_id=str(request.user.pk))
        return queryset


@admin.register(Approval, site=tenant_site)
class ApprovalAdmin(ReadOnlyAdmin):
    """The inbox of what waits for a second person, and its history."""

    show_full_result_count = False
    list_display = [
        "requested_shown",
        "operation_shown",
        "object_name",
        "amount_shown",
        "requested_by_name",
        "state_shown",
        "decided_by_name",
    ]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        OperationFilter,
        WhoseFilter,
        ("requested_at", TimeFilter),
    ]
    search_fields = ["object_name", "requested_by_name", "decided_by_name", "reason"]
    search_help_text = _("Object, person or reason")
    list_before_template = "backoffice/approval_chips.html"
    change_form_template = "backoffice/approval.html"
    actions_detail = ["approve", "reject", "withdraw"]
    export = [
        (_("requested at"), "requested_at"),
        (_("operation"), lambda row: approvals.title_of(row.operation)),
        (_("object"), "object_name"),
        (_("amount"), lambda row: amount_words(row.amount, row.operation)),
        (_("requested by"), "requested_by_name"),
        (_("reason"), "reason"),
        (_("state"), "get_state_display"),
        (_("decided by"), "decided_by_name"),
        (_("decided at"), lambda row: row.decided_at or ""),
        (_("reason of the decision"), "decision"),
        (_("error"), "error"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How much waits, above the list."""
        seen = scope.narrow(Approval.objects.all(), request.user)
        counts = {
            "waiting_for_me": seen.filter(may_decide(request)).count(),
            "waiting": seen.filter(state=ApprovalState.PENDING).count(),
        }
        return super().changelist_view(request, {**counts, **(extra_context or {})})

    def detail(self, request: HttpRequest, obj: Approval) -> dict[str, Any]:
        """What was asked for, what it changes, and who decided."""
        pending = obj.state == ApprovalState.PENDING
        mine = obj.requested_by_kind == "staff" and obj.requested_by_id == str(request.user.pk)
        return {
            "approval": obj,
            "operation": approvals.title_of(obj.operation),
            "state_label": shown.state(obj, TONES),
            "amount": amount_words(obj.amount, obj.operation),
            "rows": diff.rows(obj.changes, obj.object_kind),
            "object_url": object_url(obj),
            "waits_for_another": pending and mine,
        }

    @action(
        description=_("Approve"),
        url_path="approve",
        icon="check_circle",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
        dialog={
            "title": _("Approve this?"),
            "description": _("It is carried out at once, under both names. It cannot be undone here."),
            "form_class": NoteForm,
            "form_submit_text": _("Approve and carry out"),
        },
    )
    def approve(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Decide as the second person: yes."""
        row = self.row(request, object_id)
        try:
            decided = approvals.approve(
                row.pk,
                staff_actor(request),
                form.cleaned_data["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        if decided.state == ApprovalState.FAILED:
            messages.error(request, decided.error)
            return self.back_to(request, row)
        return self.back_to(request, row, _("Approved and carried out."))

    @action(
        description=_("Reject"),
        url_path="reject",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
        dialog={
            "title": _("Reject this?"),
            "description": _("Nothing is carried out. Your name and reason are kept."),
            "form_class": ReasonForm,
            "form_submit_text": _("Reject"),
        },
    )
    def reject(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Decide as the second person: no."""
        row = self.row(request, object_id)
        try:
            approvals.reject(
                row.pk,
                staff_actor(request),
                form.cleaned_data["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, _("Rejected."))

    @action(
        description=_("Withdraw"),
        url_path="withdraw",
        icon="undo",
        permissions=["withdraw"],
        dialog={
            "title": _("Withdraw your request?"),
            "description": _("Nothing is carried out."),
            "form_class": NoteForm,
            "form_submit_text": _("Withdraw"),
        },
    )
    def withdraw(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Take one's own request back."""
        row = self.row(request, object_id)
        try:
            approvals.withdraw(
                row.pk,
                staff_actor(request),
                form.cleaned_data["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, _("Withdrawn."))

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who has the operation's permission and did not ask for it; the buttons show while it waits."""
        if object_id is None:
            return any(request.user.has_perm(one.permission) for one in approvals.operations())  # type: ignore[union-attr]
        return Approval.objects.filter(may_decide(request), pk=object_id).exists()

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who asked for it, while it waits."""
        own = Q(requested_by_kind="staff", requested_by_id=str(request.user.pk))
        return (
            object_id is None
            or Approval.objects.filter(own, pk=object_id, state=ApprovalState.PENDING).exists()
        )

    @display(description=_("requested at"), ordering="id")
    def requested_shown(self, obj: Approval) -> str:
        """To the second."""
        return shown.moment(obj.requested_at)

    @display(description=_("operation"), ordering="operation")
    def operation_shown(self, obj: Approval) -> str:
        """In words."""
        return approvals.title_of(obj.operation)

    @display(description=_("amount"), ordering="amount")
    def amount_shown(self, obj: Approval) -> str:
        """With its unit."""
        return amount_words(obj.amount, obj.operation)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Approval) -> str:
        """As a label."""
        return shown.state(obj, TONES)


def object_url(approval: Approval) -> str:
    """Return the page of what a request is about, "" where it has none."""
    try:
        name = approval.object_kind.replace(".", "_")
        return reverse(f"admin:{name}_change", args=[approval.object_id])
    except NoReverseMatch:
        return ""


def settable() -> list[tuple[str, Any]]:
    """Return the operations whose rule a tenant sets, as choices."""
    return [(one.code, one.title) for one in approvals.operations() if not one.fixed]


class PolicyForm(ReasonForm):
    """When one operation needs a second person."""

    operation = forms.ChoiceField(label=_("operation"), choices=settable, widget=UnfoldAdminSelectWidget)
    rule = forms.ChoiceField(
        label=_("second person"), choices=ApprovalRule.choices, widget=UnfoldAdminSelectWidget
    )
    threshold = forms.DecimalField(
        label=_("threshold"),
        min_value=0,
        max_digits=14,
        decimal_places=2,
        required=False,
        help_text=_("Only for “above a threshold”: yuan or per cent, as the table says."),
        widget=UnfoldAdminTextInputWidget,
    )

    def clean(self) -> dict[str, Any]:
        """A threshold where the rule needs one; otherwise it is dropped."""
        words = super().clean() or {}
        if words.get("rule") != ApprovalRule.ABOVE:
            words["threshold"] = None
        elif words.get("threshold") is None and "threshold" not in self.errors:
            self.add_error("threshold", gettext("Enter a threshold."))
        return words


@admin.register(ApprovalPolicy, site=tenant_site)
class ApprovalPolicyAdmin(ReadOnlyAdmin):
    """When operations need a second person."""

    list_display = ["operation_shown", "rule", "threshold_shown", "updated_shown"]
    search_fields = ["operation"]
    list_before_template = "backoffice/approval_rules.html"
    fields = ["operation_shown", ("rule", "threshold_shown"), "updated_shown"]
    readonly_fields = ["operation_shown", "threshold_shown", "updated_shown"]
    actions_list = ["set_rule", "export_csv", "export_file"]
    export = [
        (_("operation"), lambda row: approvals.title_of(row.operation)),
        (_("second person"), "get_rule_display"),
        (_("threshold"), lambda row: amount_words(row.threshold, row.operation)),
        (_("updated at"), "updated_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The rule in force of every operation, above the list of those that the tenant set."""
        rows = {row.operation: row for row in ApprovalPolicy.objects.all()}
        table = []
        for one in approvals.operations():
            row = None if one.fixed else rows.get(one.code)
            rule, threshold = (row.rule, row.threshold) if row else (one.rule, one.threshold)
            table.append(
                {
                    "title": one.title,
                    "rule": ApprovalRule(rule).label,
                    "threshold": shown.yuan(threshold),
                    "unit": UNITS[one.unit],
                    "origin": _("fixed") if one.fixed else _("set by us") if row else _("default"),
                }
            )
        return super().changelist_view(request, {"operations": table, **(extra_context or {})})

    @action(
        description=_("Set a rule"),
        url_path="set",
        icon="rule_settings",
        permissions=["set"],
        dialog={
            "title": _("When is a second person needed?"),
            "description": _(
                "A stricter rule holds at once. A looser one waits until a second person approves it."
            ),
            "form_class": PolicyForm,
            "form_submit_text": _("Set"),
        },
    )
    def set_rule(self, request: HttpRequest, form: PolicyForm) -> HttpResponse:
        """Set when an operation needs a second person."""
        words = form.cleaned_data
        page = HttpResponse(headers={"HX-Redirect": reverse("admin:backoffice_approvalpolicy_changelist")})
        try:
            waiting = approvals.set_policy(
                code=words["operation"],
                rule=ApprovalRule(words["rule"]),
                threshold=words["threshold"],
                actor=staff_actor(request),
                reason=words["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return page
        if waiting is not None:
            messages.warning(
                request, gettext("The rule would be looser: it waits for a second person to approve it.")
            )
        else:
            messages.success(request, gettext("The rule is set."))
        return page

    def has_set_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may set rules."""
        return self.allowed(request, "set_approvalpolicy")

    @display(description=_("operation"), ordering="operation")
    def operation_shown(self, obj: ApprovalPolicy) -> str:
        """In words."""
        return approvals.title_of(obj.operation)

    @display(description=_("threshold"), ordering="threshold")
    def threshold_shown(self, obj: ApprovalPolicy) -> str:
        """With its unit."""
        return amount_words(obj.threshold, obj.operation)

    @display(description=_("updated at"), ordering="updated_at")
    def updated_shown(self, obj: ApprovalPolicy) -> str:
        """To the minute."""
        return shown.moment(obj.updated_at)


todo.add(
    todo.Todo(
        _("Approvals that wait for me"),
        "backoffice.view_approval",
        "admin:backoffice_approval_changelist",
        lambda request: Approval.objects.filter(may_decide(request)),
        "whose=mine",
        follows_place=False,
    )
)
