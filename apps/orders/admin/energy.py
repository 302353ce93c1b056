"""Energy reconciliation: what piles delivered against what was billed, day by day."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    RangeDateFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSingleDateWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.days import DayField
from apps.backoffice.differences import ROWS, TONES, DifferenceAdmin, OpenFilter, day_label, of_tab, tabs
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.orders.energy_reconcile import reconcile_energy, resolve_energy
from apps.orders.enums import EnergyDifferenceKind, OrderState, RecordState
from apps.orders.models import EnergyDay, EnergyDifference
from apps.orders.wording import quarantine_words

FACTS = {
    "meter_start": gettext_lazy("meter at the start (kWh)"),
    "meter_end": gettext_lazy("meter at the end (kWh)"),
    "meter_before": gettext_lazy("meter after the charge before (kWh)"),
    "meter_after": gettext_lazy("meter at the start of this charge (kWh)"),
    "record_before": gettext_lazy("record before"),
    "last_report": gettext_lazy("last report"),
    "record_state": gettext_lazy("state of the record"),
    "order_state": gettext_lazy("state of the order"),
    "reason": gettext_lazy("reason"),
}


class DayForm(BaseDialogForm):
    """Which day."""

    day = DayField(label=gettext_lazy("business day"), widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["day"].initial = business_day(now()) - timedelta(days=1)


def kwh(value: Decimal | None) -> str:
    """Return energy with four places."""
    return shown.EMPTY if value is None else f"{value:.4f}"


@admin.register(EnergyDay, site=tenant_site)
class EnergyDayAdmin(ReadOnlyAdmin):
    """A pile's days."""

    show_full_result_count = False
    list_display = [
        "day_shown",
        "pile",
        "station_shown",
        "charges",
        "recorded_kwh",
        "billed_kwh",
        "metered_kwh",
        "gap_kwh",
        "sampled_kwh",
        "state_shown",
    ]
    list_select_related = ["pile__station"]
    list_filter = [
        OpenFilter,
        ("day", RangeDateFilter),
        ("pile__station", RelatedDropdownFilter),
    ]
    list_before_template = "backoffice/energy_chips.html"
    search_fields = ["pile__pile_code__startswith"]
    search_help_text = gettext_lazy("Pile code")
    actions_list = [*ReadOnlyAdmin.actions_list, "reconcile_day"]
    actions_detail = ["reconcile_again"]
    change_form_template = "backoffice/reconciliation.html"
    export = [
        (gettext_lazy("business day"), "day"),
        (gettext_lazy("pile code"), "pile.pile_code"),
        (gettext_lazy("station"), "pile.station.name"),
        (gettext_lazy("charges"), "charges"),
        (gettext_lazy("by records (kWh)"), "recorded_kwh"),
        (gettext_lazy("billed (kWh)"), "billed_kwh"),
        (gettext_lazy("by meters (kWh)"), "metered_kwh"),
        (gettext_lazy("between charges (kWh)"), "gap_kwh"),
        (gettext_lazy("by telemetry (kWh)"), "sampled_kwh"),
        (gettext_lazy("differences"), "differences_found"),
        (gettext_lazy("open differences"), "differences_open"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The number of days that wait for a person, above the list."""
        undecided = scope.narrow(EnergyDay.objects.filter(differences_open__gt=0), request.user).count()
        return super().changelist_view(request, {"undecided": undecided, **(extra_context or {})})

    def detail(self, request: HttpRequest, obj: EnergyDay) -> dict[str, Any]:
        """The day's sums, and its differences in tabs by kind."""
        differences = obj.differences.select_related("order")
        found = tabs(request, differences, EnergyDifferenceKind.choices)
        rows = of_tab(differences, found)
        unit = pgettext("unit", "kWh")
        there = next(tab.count for tab in found if tab.active)
        return {
            "figures": [
                (_("by records"), kwh(obj.recorded_kwh), unit),
                (_("billed"), kwh(obj.billed_kwh), unit),
                (_("by meters"), kwh(obj.metered_kwh), unit),
                (_("between charges"), kwh(obj.gap_kwh), unit),
                (_("by telemetry"), kwh(obj.sampled_kwh), unit),
                (_("open differences"), obj.differences_open, ""),
            ],
            "facts": [
                (_("business day"), f"{obj.day}"),
                (
                    _("pile"),
                    format_html(
                        '<a href="{}">{}</a>',
                        reverse("admin:piles_pile_change", args=[obj.pile_id]),
                        obj.pile,
                    ),
                ),
                (_("charges"), obj.charges),
                (_("reconciled at"), shown.moment(obj.reconciled_at)),
            ],
            "tabs": found,
            "columns": [
                (_("transaction number"), False),
                (_("gun"), False),
                (_("kind"), False),
                (_("order"), False),
                (_("ours (kWh)"), True),
                (_("the pile's (kWh)"), True),
                (_("difference (kWh)"), True),
            ],
            "rows": [
                {
                    "difference": row,
                    "link": reverse("admin:orders_energydifference_change", args=[row.pk]),
                    "cells": [
                        (row.transaction_no, False),
                        (row.connector_no, False),
                        (row.get_kind_display(), False),
                        (row.order or shown.EMPTY, False),
                        (kwh(row.ours_kwh), True),
                        (kwh(row.theirs_kwh), True),
                        (f"{row.difference_kwh:+.4f}", True),
                    ],
                    "state": shown.state(row, TONES),
                }
                for row in rows
            ],
            "hidden": max(0, there - ROWS),
            "list_url": f"{reverse('admin:orders_energydifference_changelist')}?energy_day__id__exact={obj.pk}",
        }

    @action(
        description=gettext_lazy("Reconcile a day"),
        url_path="reconcile",
        icon="sync",
        variant=ActionVariant.PRIMARY,
        permissions=["reconcile"],
        dialog={
            "title": gettext_lazy("Reconcile a day"),
            "description": gettext_lazy(
                "All piles of that day are compared anew with records, bills, meters and telemetry. It may be repeated."
            ),
            "form_class": DayForm,
            "form_submit_text": gettext_lazy("Reconcile"),
        },
    )
    def reconcile_day(self, request: HttpRequest, form: DayForm) -> HttpResponse:
        """Compare a day that was chosen."""
        self._reconcile(request, form.cleaned_data["day"], None)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:orders_energyday_changelist")})

    @action(
        description=gettext_lazy("Reconcile anew"),
        url_path="again",
        icon="sync",
        permissions=["reconcile"],
        dialog={
            "title": gettext_lazy("Reconcile this day anew"),
            "description": gettext_lazy(
                "All piles of that day are compared anew with records, bills, meters and telemetry. It may be repeated."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": gettext_lazy("Reconcile"),
        },
    )
    def reconcile_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Compare this row's day."""
        row = self.row(request, object_id)
        self._reconcile(request, row.day, row)
        return self.back_to(request, row)

    def _reconcile(self, request: HttpRequest, day: Any, row: EnergyDay | None) -> None:
        try:
            run = reconcile_energy(day=day)
        except DomainError as error:
            messages.error(request, str(error))
            return
        changes = {"day": [None, str(day)], "differences": [None, run.differences]}
        self.audit(request, "reconciled", row, changes=changes)
        messages.success(
            request,
            _("%(day)s is reconciled: %(piles)s piles, %(charges)s charges, %(open)s open differences.")
            % {"day": day, "piles": run.piles, "charges": run.charges, "open": run.undecided},
        )

    def has_reconcile_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may have days compared."""
        return self.allowed(request, "reconcile_energy")

    @display(description=gettext_lazy("business day"), ordering="day")
    def day_shown(self, obj: EnergyDay) -> str:
        """As 2026-11-23."""
        return str(obj.day)

    @display(description=gettext_lazy("station"), ordering="pile__station__name")
    def station_shown(self, obj: EnergyDay) -> str:
        """Its name."""
        return obj.pile.station.name

    @display(description=gettext_lazy("state"), ordering="differences_open")
    def state_shown(self, obj: EnergyDay) -> SafeString:
        """Whether all is explained."""
        return day_label(obj)


@admin.register(EnergyDifference, site=tenant_site)
class EnergyDifferenceAdmin(DifferenceAdmin):
    """Every difference of energy, open ones to be closed with a reason."""

    resolve_permission = "reconcile_energy"
    list_display = [
        "transaction_no",
        "day_shown",
        "pile_shown",
        "connector_no",
        "kind",
        "ours_kwh",
        "theirs_kwh",
        "difference_shown",
        "order",
        "state_shown",
    ]
    list_select_related = ["energy_day__pile__station", "order"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("energy_day__day", RangeDateFilter),
        ("energy_day__pile__station", RelatedDropdownFilter),
        ("resolved_at", TimeFilter),
    ]
    search_fields = ["transaction_no", "energy_day__pile__pile_code__startswith"]
    search_help_text = gettext_lazy("Transaction number or pile code")
    fields = [
        ("transaction_no", "kind"),
        ("day_shown", "pile_shown"),
        ("connector_no", "order"),
        ("ours_kwh", "theirs_kwh"),
        ("difference_shown", "state_shown"),
        "figures_shown",
        ("resolution", "resolved_by"),
        ("resolved_shown", "reopened"),
    ]
    export = [
        (gettext_lazy("business day"), "energy_day.day"),
        (gettext_lazy("station"), "energy_day.pile.station.name"),
        (gettext_lazy("pile code"), "energy_day.pile.pile_code"),
        (gettext_lazy("connector number"), "connector_no"),
        (gettext_lazy("transaction number"), "transaction_no"),
        (gettext_lazy("kind"), "get_kind_display"),
        (gettext_lazy("order"), "order.order_no"),
        (gettext_lazy("ours (kWh)"), "ours_kwh"),
        (gettext_lazy("the pile's (kWh)"), "theirs_kwh"),
        (gettext_lazy("difference (kWh)"), "difference_kwh"),
        (gettext_lazy("state"), "get_state_display"),
        (gettext_lazy("resolution"), "resolution"),
        (gettext_lazy("resolved by"), "resolved_by"),
        (gettext_lazy("resolved at"), "resolved_at"),
    ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """A day's page links to its differences."""
        return lookup == "energy_day__id__exact" or super().lookup_allowed(lookup, value, request)

    def resolve_difference(self, request: HttpRequest, row: EnergyDifference, reason: str) -> Any:
        """Close it."""
        resolve_energy(difference_id=row.pk, reason=reason, actor=staff_actor(request))
        return _("The difference is resolved.")

    @display(description=gettext_lazy("business day"), ordering="energy_day__day")
    def day_shown(self, obj: EnergyDifference) -> str:
        """As 2026-11-23."""
        return str(obj.energy_day.day)

    @display(description=gettext_lazy("pile"), ordering="energy_day__pile__pile_code")
    def pile_shown(self, obj: EnergyDifference) -> str:
        """Its name and code."""
        return str(obj.energy_day.pile)

    @display(description=gettext_lazy("difference (kWh)"))
    def difference_shown(self, obj: EnergyDifference) -> str:
        """What the pile says beyond us."""
        return f"{obj.difference_kwh:+.4f}"

    @display(description=gettext_lazy("figures"))
    def figures_shown(self, obj: EnergyDifference) -> str:
        """What else is known, in words."""
        words = [
            f"{FACTS[name]}: {_fact(name, value)}"
            for name, value in obj.figures.items()
            if name in FACTS and value
        ]
        return "; ".join(words) or shown.EMPTY


def _fact(name: str, value: str) -> str:
    if name == "record_state":
        return str(RecordState(value).label)
    if name == "order_state":
        return str(OrderState(value).label)
    if name == "reason":
        return str(quarantine_words(value))
    if name == "last_report":
        return shown.moment(datetime.fromisoformat(value))
    return value
