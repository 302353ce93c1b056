"""Price templates: their editor, copying, comparing, a bill on trial, and where versions apply."""

from __future__ import annotations

from decimal import Decimal
from itertools import zip_longest
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
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.days import MomentField
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.time import now
from apps.piles.models import Pile
from apps.pricing import changes, services
from apps.pricing.bar import CLASS_NAMES, PART_NAMES, bar
from apps.pricing.enums import PushState
from apps.pricing.models import PriceAssignment, PricePush, PriceTemplate, PriceVersion
from apps.pricing.push_pages import PUSH_TONES
from apps.pricing.sample import DEFAULT_KW, DEFAULT_KWH, DEFAULT_SLOT, Sample, SampleBill, sample_bill
from apps.pricing.tariff import SLOTS_PER_DAY, ClassPrice, RateClass, Tariff, TariffError
from apps.sites.models import Station

OPTIONAL = frozenset({RateClass.DEEP_VALLEY})
FIRST_SLOTS = "3" * 14 + "2" * 6 + "1" * 8 + "2" * 8 + "1" * 8 + "2" * 4
INPUT = " ".join(INPUT_CLASSES)
MOST_VERSIONS = 500
"""That are offered for comparing, the newest first."""


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


class SampleForm(forms.Form):
    """A charge on trial; `sample` is the clean result, the usual one where nothing was entered."""

    slot = forms.TypedChoiceField(
        label=_("begins at"),
        coerce=int,
        empty_value=None,
        required=False,
        initial=DEFAULT_SLOT,
        choices=[(slot, f"{slot // 2:02d}:{slot % 2 * 30:02d}") for slot in range(SLOTS_PER_DAY)],
        widget=UnfoldAdminSelectWidget,
    )
    kwh = forms.DecimalField(
        label=_("energy (kWh)"),
        min_value=Decimal("0.01"),
        max_value=2000,
        max_digits=8,
        decimal_places=4,
        required=False,
        initial=shown.plain(DEFAULT_KWH),
        widget=forms.TextInput(attrs={"class": INPUT, "inputmode": "decimal", "autocomplete": "off"}),
    )
    kw = forms.DecimalField(
        label=_("power (kW)"),
        min_value=1,
        max_value=2000,
        max_digits=6,
        decimal_places=2,
        required=False,
        initial=shown.plain(DEFAULT_KW),
        widget=forms.TextInput(attrs={"class": INPUT, "inputmode": "decimal", "autocomplete": "off"}),
    )

    @classmethod
    def of(cls, data: Any) -> SampleForm:
        """Return the form of what was sent, with the usual values where nothing was."""
        words = {name: data.get(name) or field.initial for name, field in cls.base_fields.items()}
        return cls(words)

    @property
    def sample(self) -> Sample:
        """The charge that was entered; the usual one when it cannot be."""
        if not self.is_valid():
            return Sample()
        words = self.cleaned_data
        return Sample(slot=words["slot"], kwh=words["kwh"], kw=words["kw"])


def trial(tariff: Tariff, data: Any) -> dict[str, Any]:
    """Return what the card of a bill on trial shows."""
    form = SampleForm.of(data)
    bill = sample_bill(tariff, form.sample)
    return {"form": form, "sample": form.sample, "bill": bill, "lines": sample_lines(bill)}


def sample_lines(bill: SampleBill) -> list[dict[str, Any]]:
    """Return a trial's lines with the names of their classes."""
    return [
        {"rate_class": line.rate_class.value, "name": CLASS_NAMES[line.rate_class], "line": line}
        for line in bill.lines
    ]


class CopyForm(BaseDialogForm):
    """The name of the copy."""

    name = forms.CharField(label=_("name"), max_length=50, widget=UnfoldAdminTextInputWidget)

    def clean_name(self) -> str:
        """A template's name is its own."""
        name: str = self.cleaned_data["name"]
        if PriceTemplate.objects.filter(name=name).exists():
            raise forms.ValidationError(_("There is a template of this name already."))
        return name


class AssignForm(BaseDialogForm):
    """Where and from when the newest version applies."""

    station = forms.ModelChoiceField(
        label=_("station"), queryset=Station.objects.all(), required=False, widget=UnfoldAdminSelectWidget
    )
    pile_code = forms.CharField(
        label=_("or one pile (code)"), max_length=14, required=False, widget=UnfoldAdminTextInputWidget
    )
    starts_at = MomentField(
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


class CompareForm(forms.Form):
    """Which two versions."""

    before = forms.TypedChoiceField(label=_("this version"), coerce=int, widget=UnfoldAdminSelectWidget)
    after = forms.TypedChoiceField(label=_("with this one"), coerce=int, widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, choices: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("before", "after"):
            self.fields[name].choices = choices  # type: ignore[attr-defined]


def comparison(before: PriceVersion, after: PriceVersion, sample: Sample) -> dict[str, Any]:
    """Return both days, the prices of the classes, the periods whose price differs, and a bill on trial of each."""
    old, new = before.to_tariff(), after.to_tariff()
    classes = [
        {
            "rate_class": name.value,
            "name": CLASS_NAMES[name],
            "before": old.prices.get(name),
            "after": new.prices.get(name),
            "change": new.prices[name].total - old.prices[name].total
            if name in old.prices and name in new.prices
            else None,
        }
        for name in RateClass
        if name in old.prices or name in new.prices
    ]
    bills = [sample_bill(tariff, sample) for tariff in (old, new)]
    percent = changes.change_percent(old, new)
    return {
        "before": before,
        "after": after,
        "bars": [(before, bar(old)), (after, bar(new))],
        "classes": classes,
        "periods": differing_periods(old, new),
        "bills": bills,
        "bill_change": bills[1].total - bills[0].total,
        "percent": percent,
        "from_nothing": percent is None,
    }


def differing_periods(old: Tariff, new: Tariff) -> list[dict[str, Any]]:
    """Return the times of the day at which class or price differ, neighbours of the same kind as one."""
    found: list[dict[str, Any]] = []
    for slot, (was, becomes) in enumerate(zip(old.slots, new.slots, strict=True)):
        if was == becomes and old.prices[was] == new.prices[becomes]:
            continue
        last = found[-1] if found else None
        if last and last["upto"] == slot and (last["was"], last["becomes"]) == (was, becomes):
            last["upto"] = slot + 1
            continue
        found.append({"from": slot, "upto": slot + 1, "was": was, "becomes": becomes})
    return [
        {
            "start": f"{row['from'] // 2:02d}:{row['from'] % 2 * 30:02d}",
            "end": f"{row['upto'] // 2:02d}:{row['upto'] % 2 * 30:02d}",
            "before_class": row["was"].value,
            "before_name": CLASS_NAMES[row["was"]],
            "before": old.prices[row["was"]].total,
            "after_class": row["becomes"].value,
            "after_name": CLASS_NAMES[row["becomes"]],
            "after": new.prices[row["becomes"]].total,
            "change": new.prices[row["becomes"]].total - old.prices[row["was"]].total,
        }
        for row in found
    ]


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
    actions_detail = ["new_version", "assign", "copy"]
    export = [
        (_("name"), "name"),
        (_("version"), lambda row: next((f"v{one.number}" for one in row.versions.all()), "")),
        (_("stations"), "used"),
        (_("active"), "is_active"),
        (_("note"), "note"),
    ]
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
            path("compare/", self.admin_site.admin_view(self.compare), name="pricing_pricetemplate_compare"),
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
        newest = last.number if last else ""
        based_on = request.POST.get("based_on", newest)
        form = TariffForm(request.POST or None, template=template, initial=initial_of(last))
        valid = form.is_valid()
        if valid and "preview" not in request.POST:
            try:
                version = self._save(request, form, template)
            except DomainError as error:
                form.add_error(None, str(error))
                based_on = newest  # who has read the error may save
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
            "based_on": based_on,
            "sample": SampleForm.of(request.POST),
            "trial": trial(form.tariff, request.POST) if valid and form.tariff else None,
            "clock": [f"{slot // 2:02d}:{slot % 2 * 30:02d}" for slot in range(SLOTS_PER_DAY + 1)],
            "opts": self.opts,
            "list_url": reverse("admin:pricing_pricetemplate_changelist"),
        }
        return TemplateResponse(request, "backoffice/price_editor.html", context)

    def compare(self, request: HttpRequest) -> HttpResponse:
        """Show two versions, of one template or of two, beside each other."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        versions = list(PriceVersion.objects.select_related("template").order_by("-id")[:MOST_VERSIONS])
        choices = [(version.pk, str(version)) for version in sorted(versions, key=str)]
        form = CompareForm(request.GET or None, choices=choices)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Compare prices"),
            "form": form,
            "sample": SampleForm.of(request.GET),
            "opts": self.opts,
            "list_url": reverse("admin:pricing_pricetemplate_changelist"),
        }
        if form.is_valid():
            known = {version.pk: version for version in versions}
            before, after = (known[form.cleaned_data[name]] for name in ("before", "after"))
            context |= comparison(before, after, SampleForm.of(request.GET).sample)
        return TemplateResponse(request, "backoffice/price_compare.html", context)

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
                version = services.add_version(
                    template=template,
                    tariff=form.tariff,
                    actor=actor,
                    after=whole_number(request.POST.get("based_on")),
                )
            words_of = {"version": [None, version.number], "tariff": [before, form.tariff.to_json()]}
            self.audit(request, "version_added", version.template, changes=words_of)
        return version

    def detail(self, request: HttpRequest, obj: PriceTemplate) -> dict[str, Any]:
        """The newest version's day, the versions, where they apply and how pushing went."""
        versions = list(obj.versions.order_by("-number"))
        assignments = PriceAssignment.objects.filter(version__template=obj).select_related(
            "version__template", "station", "pile"
        )
        pushes = PricePush.objects.filter(version__template=obj)
        of_template = f"?version__template__id__exact={obj.pk}"
        counts = dict.fromkeys(PushState, 0)
        counts.update(dict(pushes.order_by().values_list("state").annotate(Count("id"))))
        return {
            "newest": versions[0] if versions else None,
            "bar": bar(versions[0].to_tariff(), now()) if versions else None,
            "trial": trial(versions[0].to_tariff(), request.GET) if versions else None,
            "versions": [
                {"version": version, "earlier": earlier}
                for version, earlier in zip_longest(versions, versions[1:])
            ],
            "assignments": list(assignments[:20]),
            "assignments_url": f"{reverse('admin:pricing_priceassignment_changelist')}{of_template}",
            "pushes": [
                {
                    "label": state.label,
                    "tone": PUSH_TONES[state],
                    "count": counts[state],
                    "state": state.value,
                }
                for state in PushState
            ],
            "pushes_url": f"{reverse('admin:pricing_pricepush_changelist')}{of_template}",
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

    @action(
        description=_("Copy"),
        url_path="copy",
        icon="content_copy",
        permissions=["copy"],
        dialog={
            "title": _("Copy this template"),
            "description": _("The copy begins with the prices of the newest version, and applies nowhere."),
            "form_class": CopyForm,
            "form_submit_text": _("Copy"),
        },
    )
    def copy(self, request: HttpRequest, form: CopyForm, object_id: str) -> HttpResponse:
        """Make a template with the newest version's prices."""
        template = self.row(request, object_id)
        newest = template.versions.order_by("-number").first()
        if newest is None:
            return self.back_to(request, template)
        with transaction.atomic():
            made = services.create_template(
                name=form.cleaned_data["name"],
                note=template.note,
                tariff=newest.to_tariff(),
                actor=staff_actor(request),
            )
            words = {
                "version": [None, made.number],
                "copied from": [None, str(newest)],
                "tariff": [None, newest.to_tariff().to_json()],
            }
            self.audit(request, "version_added", made.template, changes=words)
        return self.back_to(request, made.template, gettext("%s is made.") % made.template)

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may make templates."""
        return self.has_add_permission(request)

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
