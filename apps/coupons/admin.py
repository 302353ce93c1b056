"""Coupon templates with their figures, giving coupons, and the coupons that drivers hold."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import transaction
from django.db.models import Count, DecimalField, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from apps.backoffice import pages, shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.phones import PhoneInvalid, normalize_phone
from apps.coupons import services
from apps.coupons.enums import CouponState
from apps.coupons.models import Coupon, CouponTemplate
from apps.coupons.rules import EVERY_DAY
from apps.coupons.wording import WEEKDAYS, limit_words, saving_words
from apps.customers.admin import by_phone
from apps.customers.models import Customer, Enterprise

TONES = {
    CouponState.AVAILABLE: "success",
    CouponState.RESERVED: "info",
    CouponState.USED: "neutral",
    CouponState.EXPIRED: "warning",
    CouponState.VOID: "danger",
}
MOST_GIVEN = 2_000
"""Customers that are given coupons in one go; each is a transaction of its own."""
_BETWEEN = re.compile(r"[\s,;，；、]+")


class CouponTemplateForm(forms.ModelForm):
    """Days of the week to tick; the rest are the template's own columns, checked by `CouponTemplate.clean`."""

    weekdays = forms.MultipleChoiceField(
        label=_("weekdays"),
        choices=list(WEEKDAYS.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=list(EVERY_DAY),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "weekdays" in self.fields:
            self.initial["weekdays"] = list(self.instance.weekdays)
        if self.instance.pk and "percent_off" in self.initial:
            self.initial["percent_off"] = shown.plain(self.initial["percent_off"])
        for name in {"percent_off", "station_share"} & set(self.fields):
            self.fields[name].validators += [MinValueValidator(0), MaxValueValidator(100)]
        for name in {"spend", "save_amount", "cap"} & set(self.fields):
            self.fields[name].validators += [MinValueValidator(0)]

    def clean_weekdays(self) -> str:
        """As the digits that the column holds."""
        return "".join(sorted(self.cleaned_data["weekdays"]))


class GiveForm(BaseDialogForm):
    """Who gets a coupon each. `batch` makes a form that is sent twice give once."""

    phones = forms.CharField(
        label=_("phone numbers"),
        required=False,
        max_length=40_000,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("One per line, or separated by commas."),
    )
    enterprise = forms.ModelChoiceField(
        label=_("or all members of an enterprise"),
        queryset=Enterprise.objects.filter(is_active=True),
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    batch = forms.CharField(max_length=40, initial=lambda: uuid4().hex, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """The customers of the numbers; numbers that nobody has registered with are told."""
        words = super().clean() or {}
        texts = [text for text in _BETWEEN.split(words.get("phones") or "") if text]
        if bool(texts) == bool(words.get("enterprise")):
            self.add_error("phones", _("Enter phone numbers, or choose an enterprise."))
            return words
        wrong, phones = [], set()
        for text in texts:
            try:
                phones.add(normalize_phone(text))
            except PhoneInvalid:
                wrong.append(text)
        if wrong:
            self.add_error("phones", _("These are no phone numbers: %s") % ", ".join(wrong[:10]))
            return words
        if words.get("enterprise"):
            members = words["enterprise"].members.filter(is_active=True)
            phones = set(members.values_list("phone", flat=True))
        if len(phones) > MOST_GIVEN:
            self.add_error("phones", _("At most %s customers at a time.") % MOST_GIVEN)
            return words
        words["customers"] = list(Customer.objects.filter(phone__in=phones).order_by("pk"))
        words["unknown"] = len(phones) - len(words["customers"])
        if not words["customers"]:
            self.add_error("phones", _("No customer has registered with these numbers."))
        return words


@admin.register(CouponTemplate, site=tenant_site)
class CouponTemplateAdmin(BackofficeAdmin):
    """What coupons save and who may have them. A change counts for coupons that are claimed from then on."""

    form = CouponTemplateForm
    list_display = [
        "name",
        "saving_shown",
        "when_shown",
        "claimed_shown",
        "used_shown",
        "cost_shown",
        "public_shown",
        "active_shown",
    ]
    list_filter = ["kind", "is_active", "is_public", ("stations", RelatedDropdownFilter)]
    search_fields = ["name"]
    autocomplete_fields = ["stations"]
    actions_detail = ["give"]
    change_form_outer_before_template = "backoffice/coupon_template.html"
    fieldsets = [
        (None, {"fields": ["name", ("is_active", "is_public")]}),
        (
            _("What it saves"),
            {
                "fields": [
                    ("kind", "applies_to"),
                    ("spend", "save_amount"),
                    ("percent_off", "cap"),
                    "station_share",
                ]
            },
        ),
        (
            _("Where and when it may be used"),
            {
                "fields": [
                    "stations",
                    "weekdays",
                    ("from_time", "until_time"),
                    ("first_day", "last_day"),
                    "days_valid",
                ]
            },
        ),
        (_("Who may claim it"), {"fields": ["claim_from", "claim_until", ("stock", "per_customer")]}),
    ]
    export = [
        (_("name"), "name"),
        (_("saving"), lambda row: saving_words(row.rule_of(()))),
        (_("stock"), "stock"),
        (_("claimed"), "claimed"),
        (_("used"), "used"),
        (_("cost (yuan)"), "cost"),
        (_("share borne by the station (%)"), "station_share"),
        (_("last day of use"), "last_day"),
        (_("active"), "is_active"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponTemplate]:
        """With how many were used and what they cost."""
        used = Q(coupons__state=CouponState.USED)
        return (
            super()
            .get_queryset(request)
            .annotate(
                used=Count("coupons", filter=used),
                cost=Coalesce(
                    Sum("coupons__saved", filter=used), Value(0), output_field=DecimalField(decimal_places=2)
                ),
            )
            .order_by("-id")
        )

    def detail(self, request: HttpRequest, obj: CouponTemplate) -> dict[str, Any]:
        """The rule in words, and coupons by state."""
        counts = dict(obj.coupons.order_by().values_list("state").annotate(Count("id")))
        stations = list(obj.stations.order_by("name"))
        rule = obj.rule_of([station.pk for station in stations])
        url = reverse("admin:coupons_coupon_changelist")
        return {
            "saving": saving_words(rule),
            "hours": limit_words(rule),
            "stations": stations,
            "left": None if obj.stock is None else obj.stock - obj.claimed,
            "cost": obj.coupons.aggregate(sum=Sum("saved"))["sum"] or 0,
            "counts": [
                {
                    "label": state.label,
                    "tone": TONES[state],
                    "count": counts.get(state, 0),
                    "url": f"{url}?template__id__exact={obj.pk}&state__exact={state.value}",
                }
                for state in CouponState
            ],
        }

    @action(
        description=_("Give to customers"),
        url_path="give",
        icon="redeem",
        variant=ActionVariant.PRIMARY,
        permissions=["give"],
        dialog={
            "title": _("Give to customers"),
            "description": _("Each gets one coupon, as far as stock and the limit per customer allow."),
            "form_class": GiveForm,
            "form_submit_text": _("Give"),
        },
    )
    def give(self, request: HttpRequest, form: GiveForm, object_id: str) -> HttpResponse:
        """Give one to each."""
        template, words = self.row(request, object_id), form.cleaned_data
        try:
            given = services.give(
                template_id=template.pk,
                customers=words["customers"],
                actor=staff_actor(request),
                batch=words["batch"],
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, template)
        self.audit(request, "given", template, changes={"coupons": [None, given.given]})
        if given.had_enough or given.stock_short or words["unknown"]:
            text = gettext(
                "Not given: %(had)s customers have as many as they may, %(short)s found the stock used up, "
                "%(unknown)s numbers belong to no customer."
            )
            facts = {"had": given.had_enough, "short": given.stock_short, "unknown": words["unknown"]}
            messages.warning(request, text % facts)
        return self.back_to(request, template, gettext("%s coupons are given.") % given.given)

    def has_give_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may give coupons."""
        return self.allowed(request, "give_coupon")

    @display(description=_("saving"))
    def saving_shown(self, obj: CouponTemplate) -> str:
        """In words."""
        return saving_words(obj.rule_of(()))

    @display(description=_("time of use"))
    def when_shown(self, obj: CouponTemplate) -> str:
        """Days and hours, and until when."""
        until = gettext("until %s") % obj.last_day if obj.last_day else ""
        valid = gettext("%s days") % obj.days_valid if obj.days_valid else ""
        return (
            " · ".join(part for part in (limit_words(obj.rule_of(())), valid, until) if part) or shown.EMPTY
        )

    @display(description=_("claimed"), ordering="claimed")
    def claimed_shown(self, obj: CouponTemplate) -> str:
        """Of the stock."""
        return f"{obj.claimed} / {obj.stock}" if obj.stock is not None else f"{obj.claimed}"

    @display(description=_("used"), ordering="used")
    def used_shown(self, obj: Any) -> int:
        """How many were used."""
        return int(obj.used)

    @display(description=_("cost (yuan)"), ordering="cost")
    def cost_shown(self, obj: Any) -> str:
        """What they saved drivers."""
        return shown.yuan(obj.cost)

    @display(description=_("drivers may claim it"), ordering="is_public", boolean=True)
    def public_shown(self, obj: CouponTemplate) -> bool:
        """Or only staff give it."""
        return obj.is_public

    @display(description=_("active"), ordering="is_active", boolean=True)
    def active_shown(self, obj: CouponTemplate) -> bool:
        """Whether any more are given out."""
        return obj.is_active


@admin.register(Coupon, site=tenant_site)
class CouponAdmin(ReadOnlyAdmin):
    """Coupons of drivers."""

    show_full_result_count = False
    list_display = [
        "number_shown",
        "name_shown",
        "customer",
        "state_shown",
        "days_shown",
        "order_shown",
        "saved_shown",
        "created_shown",
    ]
    list_select_related = ["customer"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("template", RelatedDropdownFilter),
        ("created_at", TimeFilter),
    ]
    search_fields = ["order_no"]
    search_help_text = _("Order number, or a whole phone number")
    actions_detail = ["void"]
    fields = [
        ("number_shown", "state_shown"),
        ("template", "customer"),
        ("saving_shown", "when_shown"),
        ("days_shown", "created_shown"),
        ("order_shown", "saved_shown"),
        ("given_by", "used_at"),
        ("ended_by", "ended_why"),
    ]
    export = [
        (_("number"), lambda row: str(row.pk)),
        (_("name"), lambda row: row.rule["name"]),
        (_("customer"), "customer.masked_phone"),
        (_("state"), "get_state_display"),
        (_("first day of use"), "first_day"),
        (_("last day of use"), "last_day"),
        (_("order number"), "order_no"),
        (_("saved (yuan)"), "saved"),
        (_("claimed at"), "created_at"),
        (_("given by"), "given_by"),
    ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Coupon], search_term: str
    ) -> tuple[QuerySet[Coupon], bool]:
        """By a whole number."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(order_no=term.upper()) | Q(customer__phone=by_phone(term))), False

    @action(
        description=_("Make void"),
        url_path="void",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["void"],
        dialog={
            "title": _("Make this coupon void?"),
            "description": _("The driver cannot use it any more. It cannot be undone."),
            "form_class": ReasonForm,
            "form_submit_text": _("Make void"),
        },
    )
    def void(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Take the coupon away."""
        coupon, reason = self.row(request, object_id), form.cleaned_data["reason"]
        try:
            with transaction.atomic():
                ended = services.void(coupon_id=coupon.pk, actor=staff_actor(request), reason=reason)
                changes = {"state": [coupon.state, ended.state]}
                self.audit(request, "state_changed", ended, changes=changes, reason=reason)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, coupon)
        return self.back_to(request, coupon, _("The coupon is void."))

    def has_void_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may make coupons void; the button shows while there is something to end."""
        if not self.allowed(request, "void_coupon"):
            return False
        open_states = [CouponState.AVAILABLE, CouponState.EXPIRED]
        return object_id is None or Coupon.objects.filter(pk=object_id, state__in=open_states).exists()

    @display(description=_("number"), ordering="id")
    def number_shown(self, obj: Coupon) -> str:
        """As the driver API names it."""
        return str(obj.pk)

    @display(description=_("name"))
    def name_shown(self, obj: Coupon) -> str:
        """As it was when it was claimed."""
        return str(obj.rule["name"])

    @display(description=_("saving"))
    def saving_shown(self, obj: Coupon) -> str:
        """In words."""
        return saving_words(obj.terms)

    @display(description=_("time of use"))
    def when_shown(self, obj: Coupon) -> str:
        """Days of the week and hours."""
        return limit_words(obj.terms) or shown.EMPTY

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Coupon) -> str:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=_("days of use"), ordering="last_day")
    def days_shown(self, obj: Coupon) -> str:
        """From when until when."""
        return f"{obj.first_day} – {obj.last_day or ''}"

    @display(description=_("order number"), ordering="order_no")
    def order_shown(self, obj: Coupon) -> SafeString | str:
        """A link to the charge."""
        if not obj.order_no:
            return shown.EMPTY
        url = f"{reverse('admin:orders_order_changelist')}?q={obj.order_no}"
        return format_html('<a href="{}">{}</a>', url, obj.order_no)

    @display(description=_("saved (yuan)"), ordering="saved")
    def saved_shown(self, obj: Coupon) -> str:
        """What it took off."""
        return shown.yuan(obj.saved) if obj.state == CouponState.USED else shown.EMPTY

    @display(description=_("claimed at"), ordering="id")
    def created_shown(self, obj: Coupon) -> str:
        """To the second."""
        return shown.moment(obj.created_at)


# --- Giving to customers that are ticked in their list -----------------------------------------------------


class GiveToForm(forms.Form):
    """Which coupon the ticked customers get; `batch` makes a form that is sent twice give once."""

    template = forms.ModelChoiceField(
        label=_("coupon template"),
        queryset=CouponTemplate.objects.filter(is_active=True),
        widget=UnfoldAdminSelectWidget,
    )
    batch = forms.CharField(max_length=40, initial=lambda: uuid4().hex, widget=forms.HiddenInput)


def give_to_selected(page: BackofficeAdmin, request: HttpRequest, queryset: QuerySet[Customer]) -> Any:
    """Ask for the template, then give one coupon to each ticked customer."""
    customers = list(queryset.order_by("pk")[: MOST_GIVEN + 1])
    if len(customers) > MOST_GIVEN:
        messages.error(request, gettext("At most %s customers at a time.") % MOST_GIVEN)
        return None
    form = GiveToForm(request.POST if "give" in request.POST else None)
    if form.is_valid():
        template = form.cleaned_data["template"]
        try:
            given = services.give(
                template_id=template.pk,
                customers=customers,
                actor=staff_actor(request),
                batch=form.cleaned_data["batch"],
            )
        except DomainError as error:
            messages.error(request, str(error))
            return None
        owner: Any = tenant_site._registry[CouponTemplate]  # noqa: SLF001 - the page whose deed it is
        owner.audit(request, "given", template, changes={"coupons": [None, given.given]})
        messages.success(request, gettext("%s coupons are given.") % given.given)
        return None
    context = {
        **page.admin_site.each_context(request),
        "title": gettext("Give coupons to %s customers") % len(customers),
        "form": form,
        "customers": customers,
        "opts": page.opts,
    }
    return TemplateResponse(request, "backoffice/give_coupons.html", context)


pages.add_action(
    Customer,
    pages.ListAction("give_coupons", _("Give coupons"), give_to_selected, "coupons.give_coupon"),
)

# --- What a customer's page shows of coupons --------------------------------------------------------------


def customer_panel(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """Return the newest coupons of a customer."""
    rows = Coupon.objects.filter(customer=customer).order_by("-id")[:10]
    return {
        "rows": [
            {"coupon": row, "label": shown.state(row, TONES), "saving": saving_words(row.terms)}
            for row in rows
        ]
    }


pages.add_panel(
    Customer,
    pages.Panel(_("Coupons"), "backoffice/customer_coupons.html", customer_panel, "coupons.view_coupon"),
)
