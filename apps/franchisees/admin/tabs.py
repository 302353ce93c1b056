"""The pages beside a franchisee's form: its contracts, its stations, its accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.forms import in_one_form
from apps.accounts.models import User
from apps.backoffice import pages, scope, shown
from apps.backoffice.days import DayField
from apps.backoffice.object_pages import ObjectPage
from apps.backoffice.people import client_address, staff_actor
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.phones import masked_phone
from apps.common.time import business_day, now
from apps.files import links
from apps.franchisees import services
from apps.franchisees.contract_files import SEE
from apps.franchisees.models import Franchisee, FranchiseeAccount, FranchiseeContract, FranchiseeStation
from apps.sites.models import Station

Doing = Callable[[forms.Form], str]
"""Does what a valid form says, and returns what is told."""


def by(request: HttpRequest) -> dict[str, Any]:
    """Return who asks, and from where, as the services take it."""
    return {"actor": staff_actor(request), "address": client_address(request)}


def _day() -> forms.Widget:
    return UnfoldAdminTextInputWidget(attrs={"type": "date"})


def _share(label: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        max_digits=7,
        decimal_places=4,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        widget=UnfoldAdminDecimalFieldWidget,
    )


class ContractForm(forms.Form):
    """A contract as it was signed."""

    number = forms.CharField(
        label=gettext_lazy("contract number"), max_length=50, widget=UnfoldAdminTextInputWidget
    )
    starts_on = DayField(label=gettext_lazy("first day"), widget=_day())
    ends_on = DayField(label=gettext_lazy("last day"), widget=_day())
    service_share = _share(gettext_lazy("franchisee's share of the service fee (%)"))
    electricity_share = _share(gettext_lazy("franchisee's share of the electricity fee (%)"))
    file = forms.FileField(
        label=gettext_lazy("file"),
        required=False,
        help_text=gettext_lazy("PDF or picture, 20 MB at most"),
        widget=UnfoldAdminFileFieldWidget(
            attrs={"accept": "application/pdf,image/jpeg,image/png,image/webp"}
        ),
    )
    note = forms.CharField(
        label=gettext_lazy("note"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )


class EndForm(forms.Form):
    """Until when, and why."""

    ends_on = DayField(label=gettext_lazy("last day"), widget=_day())
    reason = forms.CharField(label=gettext_lazy("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


class StationForm(forms.Form):
    """Which station, from when, until when."""

    station = forms.ModelChoiceField(
        label=gettext_lazy("station"), queryset=Station.objects.none(), widget=UnfoldAdminSelectWidget
    )
    starts_on = DayField(label=gettext_lazy("first day"), widget=_day())
    ends_on = DayField(
        label=gettext_lazy("last day"),
        required=False,
        help_text=gettext_lazy("empty: until it is taken back"),
        widget=_day(),
    )


class AccountForm(forms.Form):
    """Who signs in for the franchisee."""

    username = forms.CharField(
        label=gettext_lazy("user name"),
        max_length=150,
        validators=[User.username_validator],
        widget=UnfoldAdminTextInputWidget,
    )
    display_name = forms.CharField(
        label=gettext_lazy("name"), max_length=50, required=False, widget=UnfoldAdminTextInputWidget
    )
    phone = forms.CharField(
        label=gettext_lazy("phone"), max_length=20, required=False, widget=UnfoldAdminTextInputWidget
    )
    password = forms.CharField(
        label=gettext_lazy("password"),
        strip=False,
        help_text=gettext_lazy("for the first sign-in; the person chooses another one then"),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def clean_phone(self) -> str:
        """In its one form."""
        return in_one_form(self.cleaned_data["phone"])

    def clean(self) -> dict[str, Any]:
        """The password keeps the policy."""
        words = super().clean() or self.cleaned_data
        if words.get("password"):
            try:
                validate_password(words["password"], User(username=words.get("username", "")))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return words


class SwitchForm(forms.Form):
    """Why an account is closed or opened again."""

    reason = forms.CharField(label=gettext_lazy("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


class FranchiseePage(ObjectPage):
    """A table of what a franchisee has, a form that adds to it, and a small form at each row."""

    permission_required = (SEE,)
    changes: ClassVar[str]
    """The permission (app.codename) to add and to change."""
    row_key: ClassVar[str]
    """What the form of a row is sent with: its id under this name."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The rows, and the forms for who may change them."""
        may = self.request.user.has_perm(self.changes)
        return super().get_context_data(
            rows=self.rows(),
            form=(kwargs.pop("form", None) or self.form()) if may else None,
            may_change=may,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do what the pressed button says; what is wrong with it is told."""
        franchisee: Franchisee = self.object
        if not request.user.has_perm(self.changes):  # type: ignore[union-attr]
            raise PermissionDenied
        if self.row_key in request.POST:
            return self._done(request, self.row_form(), lambda form: self.change(franchisee, form), kwargs)
        return self._done(request, self.form(), lambda form: self.add(franchisee, form), kwargs)

    def _done(
        self, request: HttpRequest, form: forms.Form, doing: Doing, kwargs: dict[str, Any]
    ) -> HttpResponse:
        if not form.is_valid():
            if self.row_key in request.POST:
                wrong = "; ".join(str(error) for errors in form.errors.values() for error in errors)
                messages.error(request, wrong)
                return HttpResponseRedirect(request.path)
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        try:
            text = doing(form)
        except DomainError as error:
            if self.row_key in request.POST:
                messages.error(request, str(error))
                return HttpResponseRedirect(request.path)
            form.add_error(None, str(error))
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        messages.success(request, text)
        return HttpResponseRedirect(request.path)

    def row_of(self, found: Any) -> Any:
        """Return the row of the franchisee's that a form was sent for. Raises Http404."""
        row = found.filter(pk=whole_number(self.request.POST.get(self.row_key))).first()
        if row is None:
            raise Http404
        return row

    def _sent(self) -> dict[str, Any]:
        is_sent = self.request.method == "POST" and self.row_key not in self.request.POST
        return {"data": self.request.POST, "files": self.request.FILES} if is_sent else {}

    def rows(self) -> list[dict[str, Any]]:
        """Return the lines of the table."""
        raise NotImplementedError

    def form(self) -> forms.Form:
        """Return the form that adds a row."""
        raise NotImplementedError

    def row_form(self) -> forms.Form:
        """Return the form of a row, as it was sent."""
        raise NotImplementedError

    def add(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Add a row; return what is told."""
        raise NotImplementedError

    def change(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Change a row; return what is told."""
        raise NotImplementedError


class ContractsPage(FranchiseePage):
    """What was agreed."""

    title = gettext_lazy("Contracts")
    template_name = "backoffice/franchisee_contracts.html"
    changes = "franchisees.sign_contract"
    row_key = "contract"

    def rows(self) -> list[dict[str, Any]]:
        """The newest first."""
        today = business_day(now())
        return [
            {
                "row": row,
                "file": links.path(row.file) if row.file else "",
                "state": state_of(row.starts_on, row.ends_on, today),
                "may_end": row.ends_on >= today,
            }
            for row in self.object.contracts.select_related("file")
        ]

    def form(self) -> forms.Form:
        """A new contract."""
        return ContractForm(**self._sent())

    def row_form(self) -> forms.Form:
        """The last day of one."""
        return EndForm(self.request.POST)

    def add(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Enter it."""
        words = form.cleaned_data
        file = words.pop("file")
        services.sign_contract(
            franchisee=franchisee,
            **by(self.request),
            file=file or None,
            file_name=file.name if file else "",
            **words,
        )
        return _("The contract is entered.")

    def change(self, franchisee: Franchisee, form: forms.Form) -> str:
        """End it earlier."""
        contract: FranchiseeContract = self.row_of(franchisee.contracts)
        services.end_contract(contract=contract, **by(self.request), **form.cleaned_data)
        return _("The contract ends earlier.")


class StationsPage(FranchiseePage):
    """Which stations were and are the franchisee's."""

    title = gettext_lazy("Stations")
    template_name = "backoffice/franchisee_stations.html"
    changes = "franchisees.assign_stations"
    row_key = "held"

    def rows(self) -> list[dict[str, Any]]:
        """The newest first."""
        today = business_day(now())
        return [
            {
                "row": row,
                "state": state_of(row.starts_on, row.ends_on, today),
                "may_end": row.ends_on is None or row.ends_on >= today,
            }
            for row in self.object.stations.select_related("station")
        ]

    def form(self) -> forms.Form:
        """A station more; those that the person sees."""
        form = StationForm(**self._sent(), initial={"starts_on": business_day(now())})
        rows = scope.narrow(Station.objects.order_by("station_no"), self.request.user)
        form.fields["station"].queryset = rows  # type: ignore[attr-defined]
        return form

    def row_form(self) -> forms.Form:
        """The last day of one."""
        return EndForm(self.request.POST)

    def add(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Give it."""
        services.assign_station(franchisee=franchisee, **by(self.request), **form.cleaned_data)
        return _("The station is the franchisee's.")

    def change(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Take it back."""
        held: FranchiseeStation = self.row_of(franchisee.stations)
        services.take_station_back(held=held, **by(self.request), **form.cleaned_data)
        return _("The station is taken back.")


class AccountsPage(FranchiseePage):
    """Who signs in for the franchisee."""

    title = pgettext_lazy("franchisee", "Accounts")
    template_name = "backoffice/franchisee_accounts.html"
    changes = "franchisees.open_accounts"
    row_key = "account"

    def rows(self) -> list[dict[str, Any]]:
        """In the order in which they were opened."""
        rows = self.object.accounts.select_related("user").prefetch_related("user__groups")
        return [
            {
                "row": row,
                "user": row.user,
                "phone": masked_phone(row.user.phone) if row.user.phone else "",
                "roles": "、".join(group.name for group in row.user.groups.all()),
                "state": shown.label(_("active"), "success")
                if row.user.is_active
                else shown.label(_("disabled"), "neutral"),
            }
            for row in rows
        ]

    def form(self) -> forms.Form:
        """A new account."""
        return AccountForm(**self._sent())

    def row_form(self) -> forms.Form:
        """Why."""
        return SwitchForm(self.request.POST)

    def add(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Open it. Nobody gives more than they have. Raises what `services.open_account` does, and RoleTooLarge."""
        services.check_may_open(self.request.user)  # type: ignore[arg-type]
        services.open_account(franchisee=franchisee, **by(self.request), **form.cleaned_data)
        return _("The account is open.")

    def change(self, franchisee: Franchisee, form: forms.Form) -> str:
        """Close it, or open it again."""
        account: FranchiseeAccount = self.row_of(franchisee.accounts.select_related("user"))
        active = "open" in self.request.POST
        if active:
            services.check_may_open(self.request.user)  # type: ignore[arg-type]
        services.switch_account(
            account=account,
            active=active,
            reason=form.cleaned_data["reason"],
            **by(self.request),
        )
        return _("The account is open again.") if active else _("The account is closed.")


def state_of(first: date, last: date | None, today: date) -> Any:
    """Return whether days are to come, now or over, as a label."""
    if first > today:
        return shown.label(pgettext("days", "to come"), "info")
    if last is not None and last < today:
        return shown.label(pgettext("days", "over"), "neutral")
    return shown.label(pgettext("days", "now"), "success")


PAGES = (("contracts", ContractsPage), ("stations", StationsPage), ("accounts", AccountsPage))
for place, (path, view) in enumerate(PAGES):
    name = f"franchisees_franchisee_{path}"
    pages.add_page(Franchisee, pages.Page(f"<path:object_id>/{path}/", name, view))
    pages.add_tab(Franchisee, pages.Tab(view.title, name, SEE, place=20 + place))
