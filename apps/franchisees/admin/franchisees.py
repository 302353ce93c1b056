"""The list of franchisees, and the form of one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from apps.backoffice import scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.franchisees import services
from apps.franchisees.enums import FranchiseeState
from apps.franchisees.models import Franchisee
from apps.franchisees.selectors import ending, last_contract_tone, with_last_day

TONES = {FranchiseeState.ACTIVE: "success", FranchiseeState.ENDED: "neutral"}


class ContractFilter(DropdownFilter):
    """How the contracts stand."""

    title = _("contract")
    parameter_name = "contract"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The one that needs a person first."""
        return [
            ("ending", _("ends within 30 days, or is over")),
            ("running", pgettext_lazy("contract", "runs today")),
            ("none", _("no contract")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Franchisee]) -> QuerySet[Franchisee]:
        """By one of them."""
        today = business_day(now())
        match self.value():
            case "ending":
                return ending(queryset)
            case "running":
                return queryset.filter(
                    pk__in=Franchisee.objects.filter(
                        contracts__starts_on__lte=today, contracts__ends_on__gte=today
                    ).values("pk")
                )
            case "none":
                return queryset.filter(contracts=None)
        return queryset


class FranchiseeForm(forms.ModelForm):
    """A franchisee's company."""

    def clean_credit_code(self) -> str:
        """In capitals, without blanks."""
        return "".join(str(self.cleaned_data["credit_code"]).split()).upper()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "credit_code" in self.fields:
            self.fields["credit_code"].validators = []  # the model's look at it when it is whole
            self.fields["credit_code"].max_length = None  # type: ignore[attr-defined]


@admin.register(Franchisee, site=tenant_site)
class FranchiseeAdmin(BackofficeAdmin):
    """Companies whose stations we run. What they sign, have and use is on the pages beside the form."""

    form = FranchiseeForm
    list_display = [
        "name",
        "company",
        "contact_shown",
        "stations_shown",
        "accounts_shown",
        "contract_shown",
        "state_shown",
    ]
    list_filter = [("state", ChoicesDropdownFilter), ContractFilter]
    search_fields = ["name", "company", "credit_code", "contact", "phone", "contracts__number"]
    search_help_text = _("Name, company, credit code, contact, phone or contract number")
    readonly_fields = ["state_shown", "contract_shown"]
    fields = [
        ("name", "state_shown"),
        ("company", "credit_code"),
        ("contact", "phone"),
        "contract_shown",
        "note",
    ]
    actions_detail = ["end", "resume"]
    export = [
        (_("name"), "name"),
        (_("company"), "company"),
        (_("unified social credit code"), "credit_code"),
        (_("contact"), "contact"),
        (_("phone"), "phone"),
        (_("state"), "get_state_display"),
        (_("stations today"), "stations_now"),
        (_("active accounts"), "accounts_now"),
        (_("contracts run until"), "contract_until"),
        (_("note"), "note"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Franchisee]:
        """With what each has today."""
        today = business_day(now())
        held = Q(stations__starts_on__lte=today)
        held &= Q(stations__ends_on=None) | Q(stations__ends_on__gte=today)
        return with_last_day(super().get_queryset(request)).annotate(
            stations_now=Count("stations", filter=held, distinct=True),
            accounts_now=Count("accounts", filter=Q(accounts__user__is_active=True), distinct=True),
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who sees all stations: a new franchisee has none yet, so nobody else would see it."""
        return super().has_add_permission(request) and not scope.is_limited(request.user)

    def get_fields(self, request: HttpRequest, obj: Franchisee | None = None) -> Any:
        """A new one has no state and no contract yet."""
        fields = super().get_fields(request, obj)
        if obj is not None:
            return fields
        return ["name", ("company", "credit_code"), ("contact", "phone"), "note"]

    # --- Buttons ---

    @dialog_button(
        _("End the work"),
        url="end",
        icon="handshake",
        permission="end",
        text=_(
            "Its stations are its own until today, its accounts are closed at once. Contracts, orders and reports stay."
        ),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def end(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Part."""
        return self._move(request, form, object_id, services.end_franchisee, _("The work has ended."))

    @dialog_button(
        _("Resume the work"),
        url="resume",
        icon="handshake",
        permission="resume",
        text=_("Stations and accounts are given again one by one."),
        form=ReasonForm,
    )
    def resume(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Come together again."""
        text = _("The work goes on. Give it its stations and open its accounts again.")
        return self._move(request, form, object_id, services.resume_franchisee, text)

    def _move(
        self, request: HttpRequest, form: ReasonForm, object_id: str, service: Any, text: Any
    ) -> HttpResponse:
        franchisee = self.row(request, object_id)
        try:
            service(
                franchisee=franchisee,
                reason=form.cleaned_data["reason"],
                actor=staff_actor(request),
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, franchisee)
        return self.back_to(request, franchisee, text)

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may end it, while it goes on."""
        return self._may(request, object_id, FranchiseeState.ACTIVE)

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may end it may resume it."""
        return self._may(request, object_id, FranchiseeState.ENDED)

    def _may(self, request: HttpRequest, object_id: Any, state: FranchiseeState) -> bool:
        return self.allowed(request, "end_franchisee") and (
            object_id is None or Franchisee.objects.filter(pk=object_id, state=state).exists()
        )

    # --- Columns ---

    @display(description=_("contact"), ordering="contact")
    def contact_shown(self, obj: Franchisee) -> str:
        """Name and number."""
        return " ".join(filter(None, [obj.contact, obj.phone])) or shown.EMPTY

    @display(description=_("stations today"), ordering="stations_now")
    def stations_shown(self, obj: Any) -> int:
        """How many it has."""
        return int(obj.stations_now)

    @display(description=_("active accounts"), ordering="accounts_now")
    def accounts_shown(self, obj: Any) -> int:
        """How many can sign in."""
        return int(obj.accounts_now)

    @display(description=_("contracts run until"), ordering="contract_until")
    def contract_shown(self, obj: Any) -> Any:
        """The last day, coloured when it is near or past."""
        last = getattr(obj, "contract_until", None)
        if last is None:
            return gettext("no contract")
        return shown.label(f"{last:%Y-%m-%d}", last_contract_tone(obj, last))

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Franchisee) -> Any:
        """As a label."""
        return shown.state(obj, TONES)
