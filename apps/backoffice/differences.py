"""What the pages of differences share: a day's page with its differences in tabs, and the button that closes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Case, Count, IntegerField, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm
from apps.common.differences import Difference, DifferenceState
from apps.common.errors import DomainError

TONES = {
    DifferenceState.OPEN: "danger",
    DifferenceState.RESOLVED: "success",
    DifferenceState.CLEARED: "neutral",
}
ROWS = 200
"""Differences on a day's page at most; the list of differences has them all."""


@dataclass(frozen=True, slots=True)
class Tab:
    """The differences of one kind on a day's page."""

    kind: str
    label: str
    count: int
    open: int
    link: str
    active: bool


class DifferenceAdmin(ReadOnlyAdmin):
    """Differences of one kind of reconciliation. Subclasses say who may close them, and how that is done."""

    resolve_permission: ClassVar[str] = ""
    show_full_result_count = False
    actions_detail = ["resolve"]

    def resolve_difference(self, request: HttpRequest, row: Any, reason: str) -> Any:
        """Close `row` and return a message. Raises DomainError."""
        raise NotImplementedError

    @action(
        description=gettext_lazy("Resolve"),
        url_path="resolve",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["resolve"],
        dialog={
            "title": gettext_lazy("Resolve this difference"),
            "description": gettext_lazy(
                "No money and no energy is changed. The difference is closed with your name and reason; it opens again "
                "when a later reconciliation finds other figures."
            ),
            "form_class": ReasonForm,
            "form_submit_text": gettext_lazy("Resolve"),
        },
    )
    def resolve(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Close it with a reason."""
        row, reason = self.row(request, object_id), form.cleaned_data["reason"]
        try:
            with transaction.atomic():
                before = row.state
                message = self.resolve_difference(request, row, reason)
                row.refresh_from_db()
                if row.state != before:
                    self.audit(
                        request, "resolved", row, changes={"state": [before, row.state]}, reason=reason
                    )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, message)

    def has_resolve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may close differences; the button shows while this one is open."""
        if not self.allowed(request, self.resolve_permission):
            return False
        return (
            object_id is None or self.model.objects.filter(pk=object_id, state=DifferenceState.OPEN).exists()
        )

    @display(description=gettext_lazy("state"), ordering="state")
    def state_shown(self, obj: Difference) -> SafeString:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=gettext_lazy("resolved at"), ordering="resolved_at")
    def resolved_shown(self, obj: Difference) -> str:
        """To the second."""
        return shown.moment(obj.resolved_at)


def tabs(request: HttpRequest, differences: QuerySet[Any], kinds: Sequence[tuple[str, Any]]) -> list[Tab]:
    """Return a tab for all differences and one for each kind that there is, with how many are open."""
    counts = {
        row["kind"]: row
        for row in differences.order_by()
        .values("kind")
        .annotate(number=Count("pk"), open=Count("pk", filter=Q(state=DifferenceState.OPEN)))
    }
    wanted = request.GET.get("kind", "")
    every = Tab(
        "",
        _("All"),
        sum(row["number"] for row in counts.values()),
        sum(row["open"] for row in counts.values()),
        "?",
        wanted not in counts,
    )
    return [every] + [
        Tab(
            kind,
            str(label),
            counts[kind]["number"],
            counts[kind]["open"],
            f"?{urlencode({'kind': kind})}",
            kind == wanted,
        )
        for kind, label in kinds
        if kind in counts
    ]


def of_tab(differences: QuerySet[Any], found: Sequence[Tab]) -> list[Any]:
    """Return the differences of the active tab, open ones first, at most ROWS."""
    wanted = next(tab.kind for tab in found if tab.active)
    rows = differences.filter(kind=wanted) if wanted else differences
    open_first = Case(When(state=DifferenceState.OPEN, then=0), default=1, output_field=IntegerField())
    return list(rows.order_by(open_first, "-id")[:ROWS])


class OpenFilter(admin.SimpleListFilter):
    """Days with something to decide."""

    title = gettext_lazy("open differences")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Yes or no."""
        return [("1", gettext_lazy("with open differences")), ("0", gettext_lazy("without"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the number of open differences."""
        match self.value():
            case "1":
                return queryset.filter(differences_open__gt=0)
            case "0":
                return queryset.filter(differences_open=0)
        return queryset


def day_label(day: Any) -> SafeString:
    """Return the state of a reconciled day as a label."""
    if day.differences_open:
        text = _("%(number)s open") % {"number": day.differences_open}
        return shown.label(text, "danger")
    if day.differences_found:
        return shown.label(pgettext_lazy("reconciliation", "explained"), "info")
    return shown.label(pgettext_lazy("reconciliation", "agrees"), "success")
