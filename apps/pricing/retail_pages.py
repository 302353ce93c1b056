"""Retail prices: what drivers pay at a station, set with a preview of bills and margins before it counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.days import MomentField
from apps.backoffice.enums import ApprovalState
from apps.backoffice.errors import ReasonMissing
from apps.backoffice.models import Approval
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.money import round_fen
from apps.common.time import now
from apps.pricing import retail_changes
from apps.pricing.bar import CLASS_NAMES, PART_NAMES
from apps.pricing.errors import NoPrice
from apps.pricing.models import RetailPrice
from apps.pricing.tariff import ClassPrice, RateClass, Tariff, pile_balance
from apps.sites.models import Station

INPUT = " ".join(INPUT_CLASSES)
SAMPLE_KWH = Decimal(40)
SAMPLE_HOLD = Decimal(100)


class RetailForm(forms.Form):
    """Prices by class; a class that is left empty sells at its infrastructure price. `prices` is the clean result."""

    station = forms.ModelChoiceField(
        label=_("station"), queryset=Station.objects.order_by("name"), widget=UnfoldAdminSelectWidget
    )
    starts_at = MomentField(
        label=_("starts at"),
        required=False,
        help_text=_("Empty: now. Charges that are running keep the prices that they started with."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": INPUT}, format="%Y-%m-%dT%H:%M"),
    )
    note = forms.CharField(label=_("note"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prices: dict[RateClass, ClassPrice] = {}
        for rate_class in RateClass:
            for part in ("electricity", "service"):
                self.fields[f"{rate_class.value}_{part}"] = forms.DecimalField(
                    label=f"{CLASS_NAMES[rate_class]}",
                    min_value=0,
                    max_value=1000,
                    max_digits=9,
                    decimal_places=5,
                    required=False,
                    widget=forms.TextInput(
                        attrs={
                            "class": INPUT,
                            "inputmode": "decimal",
                            "autocomplete": "off",
                            "aria-label": f"{CLASS_NAMES[rate_class]} {PART_NAMES[part]}",
                        }
                    ),
                )

    def clean(self) -> dict[str, Any]:
        """Make the prices of the fields."""
        words = super().clean() or {}
        starts_at = words.get("starts_at")
        if starts_at is not None and starts_at < now().replace(second=0, microsecond=0):
            self.add_error("starts_at", _("This time is over: bills of before would no longer be explained."))
        for rate_class in RateClass:
            electricity = words.get(f"{rate_class.value}_electricity")
            service = words.get(f"{rate_class.value}_service")
            if (electricity is None) != (service is None):
                self.add_error(f"{rate_class.value}_service", _("A class needs both prices, or neither."))
            elif electricity is not None and service is not None:
                self.prices[rate_class] = ClassPrice(electricity, service)
        return words

    def rows(self) -> list[dict[str, Any]]:
        """The price fields by class, for the page."""
        return [
            {
                "rate_class": rate_class.value,
                "name": CLASS_NAMES[rate_class],
                "electricity": self[f"{rate_class.value}_electricity"],
                "service": self[f"{rate_class.value}_service"],
            }
            for rate_class in RateClass
        ]


@dataclass(frozen=True)
class PreviewRow:
    """One class: prices in yuan/kWh, and what SAMPLE_KWH cost before and after, yuan."""

    rate_class: str
    name: Any
    infrastructure: Decimal
    before: Decimal
    after: Decimal

    @property
    def margin(self) -> Decimal:
        """What is left of each kWh over the infrastructure price."""
        return self.after - self.infrastructure

    @property
    def bill_before(self) -> Decimal:
        """Of SAMPLE_KWH at the present price."""
        return round_fen(self.before * SAMPLE_KWH)

    @property
    def bill_after(self) -> Decimal:
        """Of SAMPLE_KWH at the new price."""
        return round_fen(self.after * SAMPLE_KWH)


def preview(tariff: Tariff, before: Tariff, after: Tariff) -> dict[str, Any]:
    """Return bills before and after in each class in use, the margins, and what a pile is told for a hold."""
    rows = [
        PreviewRow(
            rate_class=name.value,
            name=CLASS_NAMES[name],
            infrastructure=tariff.prices[name].total,
            before=before.prices[name].total,
            after=after.prices[name].total,
        )
        for name in RateClass
        if name in set(tariff.slots)
    ]
    return {
        "rows": rows,
        "kwh": SAMPLE_KWH,
        "hold": SAMPLE_HOLD,
        "balance": pile_balance(SAMPLE_HOLD, tariff, after),
        "below": [row.name for row in rows if row.margin < 0],
        "uneven": len({row.after / row.infrastructure for row in rows if row.infrastructure}) > 1,
    }


def prices_words(row: RetailPrice) -> str:
    """Return prices by class in one line, electricity + service."""
    if not row.prices:
        return gettext("infrastructure prices")
    return " · ".join(
        f"{CLASS_NAMES[name]} {shown.price(price.electricity)}+{shown.price(price.service)}"
        for name, price in row.by_class().items()
    )


def waits_words(approval: Approval) -> str:
    """Return that a change of prices is too large for one person."""
    percent = gettext("a price that was zero") if approval.amount is None else f"{approval.amount} %"
    return gettext(
        "This changes prices by more than your rule allows one person (%(percent)s): it waits for a second."
    ) % {"percent": percent}


@admin.register(RetailPrice, site=tenant_site)
class RetailPriceAdmin(ReadOnlyAdmin):
    """What drivers pay where from when. Rows are added with a preview and never change."""

    list_display = ["station", "starts_shown", "prices_shown", "note", "created_by", "created_shown"]
    list_select_related = ["station"]
    list_filter = [("station", RelatedDropdownFilter)]
    search_fields = ["station__name", "station__station_no"]
    readonly_fields = ["starts_shown", "prices_shown", "created_shown"]
    fields = [("station", "starts_shown"), "prices_shown", "note", ("created_by", "created_shown")]
    export = [
        (_("station"), "station.name"),
        (_("starts at"), "starts_at"),
        (_("retail prices"), prices_words),
        (_("note"), "note"),
        (_("created by"), "created_by"),
        (_("created at"), "created_at"),
    ]

    def get_urls(self) -> list[Any]:
        """The editor's page stands before the object's."""
        return [
            path("new/", self.admin_site.admin_view(self.editor), name="pricing_retailprice_new"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may set retail prices."""
        return self.allowed(request, "add_retailprice")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Prices are set in the editor."""
        return HttpResponseRedirect(reverse("admin:pricing_retailprice_new"))

    def editor(self, request: HttpRequest) -> HttpResponse:
        """Show what prices would do, then save them."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = RetailForm(request.POST or None, initial={"station": request.GET.get("station")})
        form.fields["station"].queryset = scope.narrow(Station.objects.order_by("name"), request.user)  # type: ignore[attr-defined]
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Set retail prices"),
            "form": form,
            "opts": self.opts,
            "list_url": reverse("admin:pricing_retailprice_changelist"),
        }
        if form.is_valid():
            station, moment = form.cleaned_data["station"], now()
            starts_at = form.cleaned_data["starts_at"] or moment
            try:
                if "save" in request.POST:
                    return self._save(request, form, station, starts_at)
                tariff, before = retail_changes.sold_before(station=station, at=max(starts_at, moment))
                context["preview"] = preview(tariff, tariff.sold_at(before), tariff.sold_at(form.prices))
            except NoPrice:
                form.add_error("station", _("No price applies here yet. Assign a price template first."))
            except ReasonMissing as error:
                form.add_error("note", str(error))
            except DomainError as error:
                form.add_error(None, str(error))
        return TemplateResponse(request, "backoffice/retail_editor.html", context)

    def _save(
        self, request: HttpRequest, form: RetailForm, station: Station, starts_at: datetime
    ) -> HttpResponse:
        """Set the prices, or ask a second person to. Raises what `retail_changes.request_retail` raises."""
        approval = retail_changes.request_retail(
            station=station,
            prices=form.prices,
            starts_at=starts_at,
            actor=staff_actor(request),
            note=form.cleaned_data["note"],
            address=client_address(request),
        )
        if approval.state == ApprovalState.PENDING:
            messages.warning(request, waits_words(approval))
        else:
            messages.success(request, gettext("The retail prices of %s are set.") % station)
        return HttpResponseRedirect(reverse("admin:pricing_retailprice_changelist"))

    @display(description=_("starts at"), ordering="starts_at")
    def starts_shown(self, obj: RetailPrice) -> str:
        """To the second."""
        return shown.moment(obj.starts_at)

    @display(description=_("retail prices"))
    def prices_shown(self, obj: RetailPrice) -> str:
        """By class."""
        return prices_words(obj)

    @display(description=_("created at"), ordering="created_at")
    def created_shown(self, obj: RetailPrice) -> str:
        """To the second."""
        return shown.moment(obj.created_at)
