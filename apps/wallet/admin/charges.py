"""Holds and debts of orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from apps.backoffice import shown
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.money import ZERO
from apps.common.time import now
from apps.wallet import debts
from apps.wallet.admin.common import OfCustomer
from apps.wallet.enums import HoldState
from apps.wallet.models import Debt, Hold

HOLD_TONES = {HoldState.OPEN: "info", HoldState.SETTLED: "success", HoldState.RELEASED: "neutral"}


@admin.register(Hold, site=tenant_site)
class HoldAdmin(OfCustomer):
    """Money set aside for orders."""

    number_field = "order_no"
    list_display = [
        "order_no",
        "customer_shown",
        "amount_shown",
        "principal",
        "bonus",
        "state_shown",
        "created_shown",
        "closed_shown",
    ]
    list_filter = [("state", ChoicesDropdownFilter), ("created_at", TimeFilter)]
    search_fields = ["order_no"]
    fields = [
        ("order_no", "customer_shown"),
        "state_shown",
        ("amount_shown", "principal"),
        "bonus",
        ("created_shown", "closed_shown"),
    ]

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Hold) -> str:
        """As a label."""
        return shown.state(obj, HOLD_TONES)

    @display(description=_("amount (yuan)"))
    def amount_shown(self, obj: Hold) -> str:
        """Principal and bonus."""
        return shown.yuan(obj.amount)


class DebtStateFilter(admin.SimpleListFilter):
    """Open or closed."""

    title = _("state")
    parameter_name = "debt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Two choices."""
        return [("open", pgettext_lazy("debt", "open")), ("closed", pgettext_lazy("debt", "closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Debt]) -> QuerySet[Debt]:
        """By one of them."""
        if self.value() in {"open", "closed"}:
            return queryset.filter(closed_at__isnull=self.value() == "open")
        return queryset


class DebtAgeFilter(admin.SimpleListFilter):
    """How long a debt has been open."""

    title = _("open for")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Steps at which people act."""
        return [(str(days), _("more than %(days)s days") % {"days": days}) for days in (7, 30, 90)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Debt]) -> QuerySet[Debt]:
        """Those open for longer."""
        days = self.value() or ""
        if days not in {"7", "30", "90"}:
            return queryset
        return queryset.filter(closed_at=None, created_at__lt=now() - timedelta(days=int(days)))


@admin.register(Debt, site=tenant_site)
class DebtAdmin(OfCustomer):
    """What orders could not be paid with, for how long, and what could be taken now."""

    number_field = "order_no"
    list_display = [
        "order_no",
        "customer_shown",
        "amount",
        "recovered",
        "cancelled",
        "outstanding_shown",
        "age_shown",
        "available_shown",
        "state_shown",
        "created_shown",
        "closed_shown",
    ]
    list_filter = [DebtStateFilter, DebtAgeFilter, ("created_at", TimeFilter)]
    list_before_template = "backoffice/refund_chips.html"
    search_fields = ["order_no"]
    actions_detail = ["recover_now"]
    fields = [
        ("order_no", "customer_shown"),
        ("state_shown", "age_shown"),
        ("amount", "outstanding_shown"),
        ("recovered", "recovered_bonus"),
        ("cancelled", "available_shown"),
        ("created_shown", "closed_shown"),
    ]
    export = [
        (_("order number"), "order_no"),
        (_("customer"), "wallet.customer.masked_phone"),
        (_("amount"), "amount"),
        (_("recovered"), "recovered"),
        (_("cancelled by a refund"), "cancelled"),
        (_("outstanding"), "outstanding"),
        (_("available"), "wallet.available"),
        (_("created at"), "created_at"),
        (_("closed at"), "closed_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How much is owed by how many, above the list."""
        owed = Debt.objects.filter(closed_at=None).aggregate(
            owed=Sum(F("amount") - F("recovered") - F("cancelled")), customers=Count("wallet", distinct=True)
        )
        words = _("%(customers)s customers owe (yuan)") % {"customers": owed["customers"]}
        chips = [
            {"label": words, "query": "?debt=open", "number": owed["owed"] or ZERO, "tone": "danger"},
        ]
        return super().changelist_view(request, {"chips": chips, **(extra_context or {})})

    @action(
        description=_("Recover now"),
        url_path="recover",
        icon="payments",
        permissions=["recover"],
        dialog={
            "title": _("Recover debts now"),
            "description": _(
                "All open debts of this customer are paid from the money that is available, oldest first, principal "
                "before bonus."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": _("Recover now"),
        },
    )
    def recover_now(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Take what is there."""
        debt = self.row(request, object_id)
        try:
            with transaction.atomic():
                taken = debts.recover_now(wallet_id=debt.wallet_id)
                self.audit(request, "recovered", debt, changes={"amount": [None, taken]})
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, debt)
        return self.back_to(request, debt, _("%(amount)s yuan are recovered.") % {"amount": taken})

    def has_recover_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may recover; the button shows while there is a debt and money to pay it."""
        if not self.allowed(request, "recover_debt"):
            return False
        money = Q(wallet__principal__gt=0) | Q(wallet__bonus__gt=0)
        return object_id is None or Debt.objects.filter(money, pk=object_id, closed_at=None).exists()

    @display(description=_("outstanding (yuan)"))
    def outstanding_shown(self, obj: Debt) -> str:
        """What is still owed."""
        return shown.yuan(obj.outstanding)

    @display(description=_("available (yuan)"))
    def available_shown(self, obj: Debt) -> str:
        """What the customer has now."""
        return shown.yuan(obj.wallet.available)

    @display(description=_("open for"), ordering="-created_at")
    def age_shown(self, obj: Debt) -> str:
        """Whole days from the charge to now, or to when it was closed."""
        days = ((obj.closed_at or now()) - obj.created_at).days
        return ngettext("%(days)s day", "%(days)s days", days) % {"days": days}

    @display(description=_("state"), ordering="closed_at")
    def state_shown(self, obj: Debt) -> str:
        """Open, paid, or called off."""
        if obj.closed_at is None:
            return shown.label(pgettext_lazy("debt", "open"), "danger")
        if obj.cancelled and not obj.recovered:
            return shown.label(_("cancelled by a refund"), "neutral")
        return shown.label(_("paid"), "success")
