"""Price templates with their editor, where versions apply, and what became of pushing them to piles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.backoffice import pages, scope, shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.time import SHANGHAI, now
from apps.piles.models import OfferedPile, Pile
from apps.pricing import changes, services
from apps.pricing.bar import CLASS_NAMES, PART_NAMES, bar
from apps.pricing.models import PriceAssignment, PricePush, PriceTemplate, PriceVersion, PushState
from apps.pricing.retail_pages import RetailPriceAdmin
from apps.pricing.selectors import effective_versions, retail_prices, station_versions
from apps.pricing.tariff import SLOTS_PER_DAY, ClassPrice, RateClass, Tariff, TariffError
from apps.sites.models import Station

__all__ = ["RetailPriceAdmin"]

PUSH_TONES = {
    PushState.DONE: "success",
    PushState.SENT: "info",
    PushState.PENDING: "warning",
    PushState.FAILED: "danger",
}
OPTIONAL = frozenset({RateClass.DEEP_VALLEY})
FIRST_SLOTS = "3" * 14 + "2" * 6 + "1" * 8 + "2" * 8 + "1" * 8 + "2" * 4
INPUT = " ".join(INPUT_CLASSES)


class TariffForm(forms.Form):
    """Prices by class and the class of each half hour; `tariff` is the clean result."""

    name = forms.CharField(label=_("name"), max_length=50, widget=UnfoldAdminTextInputWidget)
    note = forms.CharField(label=_("note"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget)
    slots = forms.RegexField(
        r"^[0-4]{48}$",
        initial=FIRST_SLOTS,
        widget=forms.HiddenInput,
        error_messages={"invalid": _("48 half-hours are needed.")},
    )

    def __init__(self, *args: Any, template: PriceTemplate | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template_row = template
        self.tariff: Tariff | None = None
        if template is not None:
            del self.fields["name"], self.fields["note"]
        for rate_class in RateClass:
            for part in ("electricity", "service"):
                self.fields[f"{rate_class.value}_{part}"] = forms.DecimalField(
                    label=f"{CLASS_NAMES[rate_class]}",
                    min_value=0,
                    max_value=99999,
                    max_digits=10,
                    decimal_places=5,
                    required=rate_class not in OPTIONAL,
                    widget=forms.TextInput(
                        attrs={
                            "class": INPUT,
                            "inputmode": "decimal",
                            "autocomplete": "off",
                            "aria-label": f"{CLASS_NAMES[rate_class]} {PART_NAMES[part]}",
                        }
                    ),
                )

    def clean_name(self) -> str:
        """A template's name is its own."""
        name: str = self.cleaned_data["name"]
        if PriceTemplate.objects.filter(name=name).exists():
            raise forms.ValidationError(_("There is a template of this name already."))
        return name

    def clean(self) -> dict[str, Any]:
        """Make the tariff of the fields."""
        words = super().clean() or {}
        if self.errors:
            return words
        prices = {}
        for rate_class in RateClass:
            electricity = words.get(f"{rate_class.value}_electricity")
            service = words.get(f"{rate_class.value}_service")
            if (electricity is None) != (service is None):
                raise forms.ValidationError(_("A class needs both prices, or neither."))
            if electricity is not None:
                prices[rate_class] = ClassPrice(Decimal(electricity), Decimal(service))
        slots = tuple(RateClass.from_code(int(code)) for code in words["slots"])
        missing = [
            str(CLASS_NAMES[rate_class])
            for rate_class in RateClass
            if rate_class in slots and rate_class not in prices
        ]
        if missing:
            raise forms.ValidationError(
                _("These classes are used but have no price: %(classes)s"),
                params={"classes": ", ".join(missing)},
            )
        try:
            self.tariff = Tariff(prices, slots)
        except TariffError as error:
            raise forms.ValidationError(str(error)) from error
        return words

    def rows(self) -> list[dict[str, Any]]:
        """The price fields by class, for the page."""
        return [
            {
                "code": rate_class.code,
                "rate_class": rate_class.value,
                "name": CLASS_NAMES[rate_class],
                "optional": rate_class in OPTIONAL,
                "electricity": self[f"{rate_class.value}_electricity"],
                "service": self[f"{rate_class.value}_service"],
            }
            for rate_class in RateClass
        ]


def initial_of(version: PriceVersion | None) -> dict[str, Any]:
    """Return a version's numbers as the editor's first values."""
    if version is None:
        return {}
    found: dict[str, Any] = {"slots": version.slots}
    for rate_class in RateClass:
        for part in ("electricity", "service"):
            value = getattr(version, f"{rate_class.value}_{part}")
            if value is not None:
                found[f"{rate_class.value}_{part}"] = shown.price(value)
    return found


class AssignForm(BaseDialogForm):
    """Where and from when the newest version applies."""

    station = forms.ModelChoiceField(
        label=_("station"), queryset=Station.objects.all(), required=False, widget=UnfoldAdminSelectWidget
    )
    pile_code = forms.CharField(
        label=_("or one pile (code)"), max_length=14, required=False, widget=UnfoldAdminTextInputWidget
    )
    starts_at = forms.DateTimeField(
        label=_("starts at"),
        required=False,
        help_text=_("Empty: now. Piles get the prices when they take effect and no car is charging."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": INPUT}, format="%Y-%m-%dT%H:%M"),
    )
    reason = forms.CharField(
        label=_("reason"),
        max_length=200,
        required=False,
        help_text=_("Needed where prices change so much that a second person has to approve it."),
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["station"].queryset = scope.narrow(Station.objects.all(), self.request.user)

    def clean(self) -> dict[str, Any]:
        """One place: a station or a pile."""
        words = super().clean() or {}
        code = (words.get("pile_code") or "").strip()
        if bool(words.get("station")) == bool(code):
            # The theme's dialog shows errors of fields only.
            self.add_error("station", _("Choose a station, or enter one pile."))
        words["pile"] = None
        if code:
            words["pile"] = scope.narrow(Pile.objects.filter(pile_code=code), self.request.user).first()
            if words["pile"] is None:
                self.add_error("pile_code", _("There is no such pile."))
        return words


@admin.register(PriceTemplate, site=tenant_site)
class PriceTemplateAdmin(BackofficeAdmin):
    """Price plans. Numbers never change: the editor adds a version."""

    list_display = ["name", "version_shown", "bar_shown", "stations_shown", "active_shown"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    fields = [
        ("name", "is_active"),
        "note",
    ]
    actions_detail = ["new_version", "assign"]
    change_form_outer_before_template = "backoffice/price_template.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceTemplate]:
        """With versions, newest first, and the number of stations that have one."""
        used = Count(
            "versions__assignments__station",
            distinct=True,
            filter=Q(versions__assignments__starts_at__lte=now()),
        )
        newest = Prefetch("versions", queryset=PriceVersion.objects.order_by("-number"))
        return super().get_queryset(request).annotate(used=used).prefetch_related(newest).order_by("name")

    def get_urls(self) -> list[Any]:
        """The editor's pages stand before the object's."""
        return [
            path("new/", self.admin_site.admin_view(self.editor), name="pricing_pricetemplate_new"),
            path(
                "<int:template_id>/version/",
                self.admin_site.admin_view(self.editor),
                name="pricing_pricetemplate_version",
            ),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A template is made in the editor, with its first version."""
        return HttpResponseRedirect(reverse("admin:pricing_pricetemplate_new"))

    def editor(self, request: HttpRequest, template_id: int | None = None) -> HttpResponse:
        """Make a template, or a new version of one."""
        allowed = (
            self.has_add_permission(request) if template_id is None else self.has_version_permission(request)
        )
        if not allowed:
            raise PermissionDenied
        template = get_object_or_404(PriceTemplate, pk=template_id) if template_id is not None else None
        last = template.versions.order_by("-number").first() if template else None
        form = TariffForm(request.POST or None, template=template, initial=initial_of(last))
        if form.is_valid():
            try:
                version = self._save(request, form, template)
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                messages.success(
                    request,
                    gettext("%(version)s is saved. Assign it to let it apply.") % {"version": version},
                )
                return HttpResponseRedirect(
                    reverse("admin:pricing_pricetemplate_change", args=[version.template_id])
                )
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("New version of %(name)s") % {"name": template}
            if template
            else gettext("New price template"),
            "form": form,
            "template_row": template,
            "clock": [f"{slot // 2:02d}:{slot % 2 * 30:02d}" for slot in range(SLOTS_PER_DAY + 1)],
            "opts": self.opts,
            "list_url": reverse("admin:pricing_pricetemplate_changelist"),
        }
        return TemplateResponse(request, "backoffice/price_editor.html", context)

    def _save(self, request: HttpRequest, form: TariffForm, template: PriceTemplate | None) -> PriceVersion:
        assert form.tariff is not None
        actor = staff_actor(request)
        with transaction.atomic():
            if template is None:
                words = form.cleaned_data
                version = services.create_template(
                    name=words["name"], note=words["note"], tariff=form.tariff, actor=actor
                )
                before = None
            else:
                last = template.versions.order_by("-number").first()
                before = last.to_tariff().to_json() if last else None
                version = services.add_version(template=template, tariff=form.tariff, actor=actor)
            changes = {"version": [None, version.number], "tariff": [before, form.tariff.to_json()]}
            self.audit(request, "version_added", version.template, changes=changes)
        return version

    def detail(self, request: HttpRequest, obj: PriceTemplate) -> dict[str, Any]:
        """The newest version's day, the versions, where they apply and how pushing went."""
        versions = list(obj.versions.order_by("-number"))
        assignments = PriceAssignment.objects.filter(version__template=obj).select_related(
            "version__template", "station", "pile"
        )
        pushes = PricePush.objects.filter(version__template=obj)
        counts = dict.fromkeys(PushState, 0)
        counts.update(dict(pushes.order_by().values_list("state").annotate(Count("id"))))
        return {
            "newest": versions[0] if versions else None,
            "bar": bar(versions[0].to_tariff(), now()) if versions else None,
            "versions": versions,
            "assignments": list(assignments[:20]),
            "pushes": [
                {
                    "label": state.label,
                    "tone": PUSH_TONES[state],
                    "count": counts[state],
                    "state": state.value,
                }
                for state in PushState
            ],
            "pushes_url": f"{reverse('admin:pricing_pricepush_changelist')}?version__template__id__exact={obj.pk}",
        }

    @action(
        description=_("New version"),
        url_path="new-version",
        icon="edit_calendar",
        variant=ActionVariant.PRIMARY,
        permissions=["version"],
    )
    def new_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the editor."""
        return HttpResponseRedirect(reverse("admin:pricing_pricetemplate_version", args=[object_id]))

    @action(
        description=_("Assign"),
        url_path="assign",
        icon="assignment_turned_in",
        permissions=["assign"],
        dialog={
            "title": _("Assign the newest version"),
            "description": _("Charges that are running keep the prices that they started with."),
            "form_class": AssignForm,
            "form_submit_text": _("Assign"),
        },
    )
    def assign(self, request: HttpRequest, form: AssignForm, object_id: str) -> HttpResponse:
        """Let the newest version apply to a station or a pile."""
        template = self.row(request, object_id)
        words = form.cleaned_data
        version = template.versions.first()
        if version is None:
            return self.back_to(request, template)
        starts_at = words["starts_at"] or now()
        place = {"station": words["station"], "pile": words["pile"]}
        try:
            with transaction.atomic():
                approval = changes.request_assignment(
                    version=version,
                    starts_at=starts_at,
                    actor=staff_actor(request),
                    reason=words["reason"],
                    address=client_address(request),
                    **place,
                )
                if approval.state == ApprovalState.EXECUTED:
                    self.audit(
                        request,
                        "assigned",
                        template,
                        changes={
                            "assignment": [None, f"{version} → {words['pile'] or words['station']}"],
                            "starts_at": [None, starts_at],
                        },
                    )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, template)
        if approval.state == ApprovalState.PENDING:
            percent = gettext("a price that was zero") if approval.amount is None else f"{approval.amount} %"
            messages.warning(
                request,
                gettext(
                    "This changes prices by more than your rule allows one person (%(percent)s): it waits for a second."
                )
                % {"percent": percent},
            )
            return self.back_to(request, template)
        return self.back_to(request, template, _("The prices are assigned. Piles get them one by one."))

    def has_version_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may add versions."""
        return self.allowed(request, "add_priceversion")

    def has_assign_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may assign prices."""
        return self.allowed(request, "add_priceassignment")

    @display(description=_("version"))
    def version_shown(self, obj: PriceTemplate) -> str:
        """Number of the newest."""
        newest = next(iter(obj.versions.all()), None)
        return f"v{newest.number}" if newest else shown.EMPTY

    @display(description=_("prices of the day"))
    def bar_shown(self, obj: PriceTemplate) -> SafeString | str:
        """The newest version's bar."""
        newest = next(iter(obj.versions.all()), None)
        if newest is None:
            return shown.EMPTY
        return render_to_string(
            "backoffice/tariff_bar.html", {"bar": bar(newest.to_tariff()), "bar_only": True}
        )

    @display(description=_("stations"), ordering="used")
    def stations_shown(self, obj: PriceTemplate) -> int:
        """Stations that ever got one of its versions."""
        return obj.used  # type: ignore[attr-defined]

    @display(description=_("active"), ordering="is_active", boolean=True)
    def active_shown(self, obj: PriceTemplate) -> bool:
        """Whether it is offered."""
        return obj.is_active


@admin.register(PriceAssignment, site=tenant_site)
class PriceAssignmentAdmin(ReadOnlyAdmin):
    """Which version applies where from when."""

    list_display = ["starts_shown", "version", "place_shown", "created_by", "created_shown"]
    list_select_related = ["version__template", "station", "pile"]
    list_filter = [("station", RelatedDropdownFilter), ("version__template", RelatedDropdownFilter)]
    search_fields = ["station__name", "pile__pile_code"]
    fields = [
        ("version", "place_shown"),
        "starts_shown",
        ("created_by", "created_shown"),
    ]

    @display(description=_("starts at"), ordering="starts_at")
    def starts_shown(self, obj: PriceAssignment) -> str:
        """To the second."""
        return shown.moment(obj.starts_at)

    @display(description=_("place"))
    def place_shown(self, obj: PriceAssignment) -> str:
        """The station or the pile."""
        return str(obj.station or obj.pile)

    @display(description=_("created at"), ordering="created_at")
    def created_shown(self, obj: PriceAssignment) -> str:
        """To the second."""
        return shown.moment(obj.created_at)


@admin.register(PricePush, site=tenant_site)
class PricePushAdmin(ReadOnlyAdmin):
    """What became of sending a version to each pile."""

    list_display = ["pile", "version", "state_shown", "reason", "tries", "tried_shown", "done_shown"]
    list_select_related = ["pile", "version__template"]
    list_filter = [("state", ChoicesDropdownFilter), ("version__template", RelatedDropdownFilter)]
    search_fields = ["pile__pile_code"]
    fields = [
        ("pile", "version"),
        ("state_shown", "reason"),
        "tries",
        ("tried_shown", "done_shown"),
    ]

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: PricePush) -> str:
        """As a label."""
        return shown.state(obj, PUSH_TONES)

    @display(description=_("tried at"), ordering="tried_at")
    def tried_shown(self, obj: PricePush) -> str:
        """To the second."""
        return shown.moment(obj.tried_at)

    @display(description=_("done at"), ordering="done_at")
    def done_shown(self, obj: PricePush) -> str:
        """To the second."""
        return shown.moment(obj.done_at)


# --- What a station's pages show of its prices ------------------------------------------------------------


def station_prices(stations: Sequence[Station]) -> dict[int, SafeString | str]:
    """Return the price of this moment for each station, electricity and service together."""
    moment = now()
    ids = [station.pk for station in stations]
    found = station_versions(station_ids=ids, at=moment)
    retail = retail_prices(station_ids=ids, at=moment)
    return {
        station.pk: price_cell(found.get(station.pk), retail.get(station.pk, {}), moment)
        for station in stations
    }


def pile_prices(piles: Sequence[OfferedPile]) -> dict[int, SafeString | str]:
    """Return what a driver pays at each pile at this moment, electricity and service together."""
    moment = now()
    found = effective_versions(places=[(pile.pk, pile.station_id) for pile in piles], at=moment)
    retail = retail_prices(station_ids=[pile.station_id for pile in piles], at=moment)
    return {
        pile.pk: price_cell(found.get(pile.pk), retail.get(pile.station_id, {}), moment) for pile in piles
    }


def price_cell(
    version: PriceVersion | None, retail: Mapping[RateClass, ClassPrice], moment: datetime
) -> SafeString:
    """Return the price of a moment with its rate class, or that there is none."""
    if version is None:
        return shown.label(gettext("no price"), "danger")
    tariff = version.to_tariff().sold_at(retail)
    rate_class = tariff.class_at(moment)
    return format_html(
        '<i class="bo-swatch bo-rate-{}"></i>{} <b>{}</b>',
        rate_class.value,
        CLASS_NAMES[rate_class],
        shown.price(tariff.prices[rate_class].total),
    )


def station_panel(request: HttpRequest, station: Station) -> dict[str, Any]:
    """Return the bar of the version in force at a station."""
    moment = now()
    version = station_versions(station_ids=[station.pk], at=moment).get(station.pk)
    retail = retail_prices(station_ids=[station.pk], at=moment).get(station.pk, {})
    return {
        "version": version,
        "is_retail": bool(retail),
        "retail_url": f"{reverse('admin:pricing_retailprice_new')}?station={station.pk}",
        "bar": bar(version.to_tariff().sold_at(retail), moment) if version else None,
        "at": moment.astimezone(SHANGHAI),
    }


pages.add_column(Station, pages.Column("price_now", _("price now (yuan/kWh)"), station_prices))
pages.add_column(OfferedPile, pages.Column("price_now", _("price now (yuan/kWh)"), pile_prices))
pages.add_panel(
    Station,
    pages.Panel(
        _("Prices today"),
        "backoffice/station_prices.html",
        station_panel,
        "pricing.view_pricetemplate",
        above=True,
    ),
)
