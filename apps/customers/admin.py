"""Customers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.customers import agreement_admin, cards, enterprises, mini_program_admin, sessions  # noqa: F401 - they register their pages
from apps.customers.models import (
    Card,
    CardState,
    Customer,
    CustomerState,
    Enterprise,
    EnterpriseAccountKind,
    EnterpriseMember,
    IdentityProvider,
    Vehicle,
)

TONES = {CustomerState.ACTIVE: "success", CustomerState.BLOCKED: "danger"}
CARD_TONES = {CardState.ACTIVE: "success", CardState.FROZEN: "danger"}
LOCAL_PHONE = re.compile(r"1\d{10}")
_BETWEEN = re.compile(r"[\s,;，；、]+")


def by_phone(term: str) -> str:
    """Return a typed phone number in E.164 form: eleven digits are a Chinese mobile number."""
    return f"+86{term}" if LOCAL_PHONE.fullmatch(term) else term


def driver_by_phone(term: str) -> Customer:
    """Return the driver of a typed whole phone number, whose account is there. Raises ValidationError."""
    phone = by_phone(term.strip())
    found = Customer.objects.exclude(state=CustomerState.DELETED).filter(phone=phone, phone__gt="").first()
    if found is None:
        raise forms.ValidationError(_("No driver has this phone number."))
    return found


class PinForm(ReasonForm):
    """A PIN as the customer types it at a pile."""

    pin = forms.CharField(
        label=_("PIN at the pile"),
        required=False,
        max_length=12,
        validators=[RegexValidator(r"\A[0-9]{4,12}\Z", _("4 to 12 digits are needed."))],
        help_text=_("4 to 12 digits. It is shown to nobody. Empty: the customer cannot start by PIN."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password", "inputmode": "numeric"}),
    )


@admin.register(Customer, site=tenant_site)
class CustomerAdmin(ReadOnlyAdmin):
    """Drivers. The phone number is masked for who lacks the permission to see it; a whole number can be looked up."""

    list_display = ["customer_shown", "phone_shown", "state_shown", "last_login_shown", "created_shown"]
    list_filter = ["state"]
    search_fields = ["nickname"]
    search_help_text = _("Nickname, or a whole phone number")
    actions_detail = ["set_pin"]
    export = [
        (_("customer"), "nickname"),
        (_("phone"), "masked_phone"),
        (_("state"), "get_state_display"),
        (_("last login"), "last_login_at"),
        (_("created at"), "created_at"),
    ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The whole number where it may be seen."""
        shown_columns = super().get_list_display(request)
        if self.allowed(request, "view_phone"):
            shown_columns[shown_columns.index("phone_shown")] = "phone_whole"
        return shown_columns

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The whole number where it may be seen."""
        phone = "phone_whole" if self.allowed(request, "view_phone") else "phone_shown"
        return [
            ("nickname", phone),
            ("state_shown", "last_login_shown", "created_shown"),
            ("pin_shown", "identities_shown"),
            ("consents_shown", "devices_shown"),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Customer], search_term: str
    ) -> tuple[QuerySet[Customer], bool]:
        """By nickname or by the whole number."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(nickname__icontains=term) | Q(phone=by_phone(term))), False

    @dialog_button(
        _("Set PIN"),
        url="pin",
        icon="pin",
        permission="pin",
        text=_("With phone number and PIN the customer starts charging at the pile's keys."),
        form=PinForm,
    )
    def set_pin(self, request: HttpRequest, form: PinForm, object_id: str) -> HttpResponse:
        """Set it, or take it away."""
        customer = self.row(request, object_id)
        pin = form.cleaned_data["pin"]
        before = bool(customer.pin)
        cards.set_pin(customer=customer, pin=pin)
        changes = {"has_pin": [before, bool(pin)]}
        self.audit(request, "pin_set", customer, changes=changes, reason=form.cleaned_data["reason"])
        return self.back_to(request, customer, _("The PIN is set.") if pin else _("The PIN is taken away."))

    def has_pin_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may set PINs."""
        return self.allowed(request, "set_pin")

    @display(description=_("PIN at the pile"))
    def pin_shown(self, obj: Customer) -> str:
        """Whether there is one."""
        return (
            shown.label(pgettext("PIN", "set"), "success")
            if obj.pin
            else shown.label(pgettext("PIN", "not set"), "neutral")
        )

    @display(description=_("accounts of apps"))
    def identities_shown(self, obj: Customer) -> str:
        """By which apps the customer signs in too."""
        found = obj.identities.order_by("provider").values_list("provider", flat=True).distinct()
        names = dict(IdentityProvider.choices)
        return ", ".join(str(names[one]) for one in found) or shown.EMPTY

    @display(description=_("agreed to"))
    def consents_shown(self, obj: Customer) -> str:
        """Which versions, and when."""
        found = obj.consents.select_related("agreement")[:20]
        return "; ".join(f"{one.agreement}, {shown.moment(one.agreed_at)}" for one in found) or shown.EMPTY

    @display(description=_("signed in on devices"))
    def devices_shown(self, obj: Customer) -> int:
        """How many live."""
        return sessions.of_customer(obj).count()

    @display(description=_("customer"), ordering="id")
    def customer_shown(self, obj: Customer) -> str:
        """Nickname, or the masked number."""
        return str(obj)

    @display(description=_("phone"), ordering="phone")
    def phone_whole(self, obj: Customer) -> str:
        """The whole number, where there is one."""
        return obj.masked_phone if obj.state == CustomerState.DELETED else obj.phone

    @display(description=_("phone"), ordering="phone")
    def phone_shown(self, obj: Customer) -> str:
        """Masked."""
        return obj.masked_phone

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Customer) -> str:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=_("last login"), ordering="last_login_at")
    def last_login_shown(self, obj: Customer) -> str:
        """To the second."""
        return shown.moment(obj.last_login_at)

    @display(description=_("registered"), ordering="created_at")
    def created_shown(self, obj: Customer) -> str:
        """To the second."""
        return shown.moment(obj.created_at)


class CardStateForm(BaseDialogForm):
    """The state that a card is put into."""

    state = forms.ChoiceField(label=_("state"), choices=CardState, widget=UnfoldAdminSelectWidget)


class CardForm(forms.ModelForm):
    """Numbers as people type them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "physical_no" in self.fields:
            self.fields["physical_no"].validators = []  # the model's look at it when it is whole

    def clean_physical_no(self) -> str:
        """Sixteen hex digits, with zeros in front."""
        return str(self.cleaned_data["physical_no"]).strip().upper().zfill(16)


@admin.register(Card, site=tenant_site)
class CardAdmin(BackofficeAdmin):
    """Charging cards; a frozen one starts nothing."""

    form = CardForm
    list_display = ["logical_no", "physical_no", "customer", "state_shown", "works_offline"]
    list_filter = ["state", "works_offline"]
    search_fields = ["logical_no", "physical_no"]
    list_select_related = ["customer"]
    autocomplete_fields = ["customer"]
    readonly_fields = ["state_shown"]
    fields = ["customer", ("logical_no", "physical_no"), ("works_offline", "state_shown")]
    actions_detail = ["change_state"]

    @dialog_button(
        _("Change state"),
        url="state",
        icon="credit_card_off",
        permission="state",
        text=_("A running charge goes on. A frozen card starts no other."),
        form=CardStateForm,
    )
    def change_state(self, request: HttpRequest, form: CardStateForm, object_id: str) -> HttpResponse:
        """Freeze the card, or let it work again."""
        card = self.row(request, object_id)
        before = cards.set_card_state(card=card, state=CardState(form.cleaned_data["state"]))
        self.audit(request, "state_changed", card, changes={"state": [before, card.state]})
        return self.back_to(request, card)

    def has_state_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Who may change cards."""
        return self.allowed(request, "change_card")

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Card) -> str:
        """As a label."""
        return shown.state(obj, CARD_TONES)


class VehicleForm(forms.ModelForm):
    """Plates and VINs as people type them."""

    def clean_plate(self) -> str:
        """A number plate, without blanks and dots."""
        try:
            return cards.clean_plate(self.cleaned_data.get("plate") or "")
        except DomainError as error:
            raise forms.ValidationError(_("This is not a number plate.")) from error

    def clean(self) -> dict[str, Any]:
        """A car is known by its plate or its VIN, and starts by plugging in by its VIN alone."""
        words = super().clean() or {}
        if not words.get("plate") and not words.get("vin"):
            raise forms.ValidationError(_("A plate or a VIN is needed."))
        if words.get("plug_and_charge") and not words.get("vin"):
            raise forms.ValidationError(_("Starting by plugging in needs the VIN."))
        return words


@admin.register(Vehicle, site=tenant_site)
class VehicleAdmin(BackofficeAdmin):
    """Cars of customers."""

    form = VehicleForm
    deletable = True
    list_display = ["__str__", "vin", "customer", "plug_and_charge"]
    list_filter = ["plug_and_charge"]
    search_fields = ["plate", "vin"]
    list_select_related = ["customer"]
    autocomplete_fields = ["customer"]
    fields = ["customer", ("plate", "vin"), ("plug_and_charge", "is_default")]

    def save_model(self, request: HttpRequest, obj: Vehicle, form: Any, change: bool) -> None:
        """One car of a customer is the default one."""
        super().save_model(request, obj, form, change)
        if obj.is_default:
            obj.customer.vehicles.exclude(pk=obj.pk).update(is_default=False)


class PhonesForm(BaseDialogForm):
    """A list of phone numbers."""

    phones = forms.CharField(
        label=_("phone numbers"),
        max_length=40_000,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("One per line, or separated by commas."),
    )

    def clean_phones(self) -> list[str]:
        """As a list."""
        return [text for text in _BETWEEN.split(self.cleaned_data["phones"]) if text]


class EndForm(BaseDialogForm):
    """Nothing to fill in: a question."""


class InvitationForm(BaseDialogForm):
    """A new code, or none any more."""

    what = forms.ChoiceField(
        label=_("invitation code"),
        choices=[("new", _("make a new one")), ("none", _("withdraw it"))],
        widget=UnfoldAdminSelectWidget,
    )


def _yuan(label: Any, help_text: Any = "") -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=2,
        help_text=help_text,
        widget=UnfoldAdminDecimalFieldWidget,
    )


class AccountForm(ReasonForm):
    """Whether an enterprise pays for its members, and up to how much."""

    account_kind = forms.ChoiceField(
        label=_("account"), choices=EnterpriseAccountKind, widget=UnfoldAdminSelectWidget
    )
    credit_limit = _yuan(
        _("credit limit (yuan)"), _("Of a post-paid account: so far below zero the balance may go.")
    )
    monthly_limit = _yuan(_("limit per month (yuan)"), _("For all members together. Empty: no limit."))
    member_monthly_limit = _yuan(
        _("limit per member and month (yuan)"),
        _("Of a member without a limit of their own. Empty: no limit."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = Enterprise.objects.filter(pk=whole_number(self.object_id)).first()
        if found is not None:
            for name in enterprises.ACCOUNT_FIELDS:
                self.fields[name].initial = getattr(found, name)

    def clean(self) -> dict[str, Any]:
        """A credit limit is one of a post-paid account."""
        words = super().clean() or {}
        words["credit_limit"] = words.get("credit_limit") or Decimal("0.00")
        if words["credit_limit"] and words.get("account_kind") != EnterpriseAccountKind.POSTPAID:
            raise forms.ValidationError(_("Only a post-paid account has a credit limit."))
        return words


class MemberLimitForm(ReasonForm):
    """How much the enterprise pays for one member."""

    monthly_limit = _yuan(_("limit per month (yuan)"), _("Empty: the enterprise's limit per member."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = EnterpriseMember.objects.filter(pk=whole_number(self.object_id))
        self.fields["monthly_limit"].initial = members.values_list("monthly_limit", flat=True).first()


class EnterpriseForm(forms.ModelForm):
    """The discount as people write it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "percent_off" in self.initial:
            self.initial["percent_off"] = shown.plain(self.initial["percent_off"])
        for name in {"percent_off", "station_share"} & set(self.fields):
            self.fields[name].validators += [MinValueValidator(0), MaxValueValidator(100)]


@admin.register(Enterprise, site=tenant_site)
class EnterpriseAdmin(BackofficeAdmin):
    """Companies whose people charge at a discount. A charge keeps the discount that it started with."""

    form = EnterpriseForm
    list_display = ["name", "discount_shown", "account_shown", "members_shown", "contact", "active_shown"]
    list_filter = ["is_active", "applies_to", ("account_kind", ChoicesDropdownFilter)]
    search_fields = ["name", "contact"]
    fields = [
        ("name", "is_active"),
        ("percent_off", "applies_to"),
        "station_share",
        ("account_shown", "credit_shown"),
        "pay_hours",
        "stations",
        ("contact", "note"),
        "code_shown",
    ]
    readonly_fields = ["account_shown", "credit_shown", "code_shown"]
    autocomplete_fields = ["stations"]
    actions_detail = ["add_members", "invitation", "set_account"]
    change_form_outer_before_template = "backoffice/enterprise.html"
    export = [
        (_("name"), "name"),
        (_("percent off"), "percent_off"),
        (_("discount on"), "get_applies_to_display"),
        (_("share borne by the station (%)"), "station_share"),
        (_("account"), "get_account_kind_display"),
        (_("credit limit (yuan)"), "credit_limit"),
        (_("limit per month (yuan)"), "monthly_limit"),
        (_("limit per member and month (yuan)"), "member_monthly_limit"),
        (_("members"), "active_members"),
        (_("contact"), "contact"),
        (_("active"), "is_active"),
    ]

    def get_fields(self, request: HttpRequest, obj: Enterprise | None = None) -> Any:
        """The invitation code for who may add members: it adds them."""
        fields = super().get_fields(request, obj)
        if obj is None:
            return [
                field for field in fields if field not in ("code_shown", ("account_shown", "credit_shown"))
            ]
        if self.has_members_permission(request):
            return fields
        return [field for field in fields if field != "code_shown"]

    def get_readonly_fields(self, request: HttpRequest, obj: Enterprise | None = None) -> Any:
        """Where and when the enterprise pays is for those to say who set what it pays: empty, it pays everywhere."""
        fixed = super().get_readonly_fields(request, obj)
        return fixed if self.has_account_permission(request) else [*fixed, "pay_hours", "stations"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Enterprise]:
        """With the number of active members."""
        active = Count("members", filter=Q(members__is_active=True))
        return super().get_queryset(request).annotate(active_members=active).order_by("name")

    def detail(self, request: HttpRequest, obj: Enterprise) -> dict[str, Any]:
        """How many charge at the discount, and where they are listed."""
        url = reverse("admin:customers_enterprisemember_changelist")
        return {
            "members": obj.members.filter(is_active=True).count(),
            "members_url": f"{url}?enterprise__id__exact={obj.pk}&is_active__exact=1",
        }

    @action(
        description=_("Add members"),
        url_path="add-members",
        icon="group_add",
        variant=ActionVariant.PRIMARY,
        permissions=["members"],
        dialog={
            "title": _("Add members"),
            "description": _(
                "They charge at the discount, and at the enterprise's cost where it has an account, from their next "
                "start on, also if they register later."
            ),
            "form_class": PhonesForm,
            "form_submit_text": _("Add members"),
        },
    )
    def add_members(self, request: HttpRequest, form: PhonesForm, object_id: str) -> HttpResponse:
        """Make phone numbers members."""
        enterprise = self.row(request, object_id)
        with transaction.atomic():
            done = enterprises.add_members(
                enterprise=enterprise, phones=form.cleaned_data["phones"], actor=staff_actor(request)
            )
            self.audit(request, "members_added", enterprise, changes={"members": [None, done.added]})
        if done.wrong:
            messages.warning(request, gettext("These are no phone numbers: %s") % ", ".join(done.wrong[:10]))
        if done.elsewhere:
            text = gettext("Members of another enterprise, where they have to be ended first: %s")
            messages.warning(request, text % ", ".join(done.elsewhere[:10]))
        return self.back_to(request, enterprise, gettext("%s members are added.") % done.added)

    @dialog_button(
        _("Invitation code"),
        url="invitation",
        icon="key",
        permission="members",
        text=_(
            "Whoever knows the code joins in the app and charges at the discount, and at the enterprise's cost where "
            "it has an account. Whom you removed cannot come back by it. A new one makes the old one void."
        ),
        form=InvitationForm,
    )
    def invitation(self, request: HttpRequest, form: InvitationForm, object_id: str) -> HttpResponse:
        """Make a new code, or none."""
        enterprise = self.row(request, object_id)
        before = bool(enterprise.invitation_code)
        with transaction.atomic():
            if form.cleaned_data["what"] == "new":
                enterprises.renew_code(enterprise=enterprise)
            else:
                enterprises.end_code(enterprise=enterprise)
            after = bool(enterprise.invitation_code)
            self.audit(request, "invitation_changed", enterprise, changes={"invitation": [before, after]})
        return self.back_to(request, enterprise)

    @dialog_button(
        _("Account and limits"),
        url="account",
        icon="account_balance_wallet",
        permission="account",
        text=_(
            "What the enterprise pays for its members, from their next start on. Running charges go on as they began."
        ),
        form=AccountForm,
    )
    def set_account(self, request: HttpRequest, form: AccountForm, object_id: str) -> HttpResponse:
        """Set kind, credit limit and monthly limits."""
        enterprise, words = self.row(request, object_id), form.cleaned_data
        with transaction.atomic():
            changes = enterprises.set_account(
                enterprise=enterprise, **{name: words[name] for name in enterprises.ACCOUNT_FIELDS}
            )
            if changes:
                self.audit(request, "account_set", enterprise, changes=changes, reason=words["reason"])
        return self.back_to(request, enterprise)

    def has_account_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may set accounts and limits."""
        return self.allowed(request, "set_enterprise_account")

    @display(description=_("account"), ordering="account_kind")
    def account_shown(self, obj: Enterprise) -> str:
        """Its kind."""
        return str(obj.get_account_kind_display())  # type: ignore[attr-defined]

    @display(description=_("credit limit (yuan)"))
    def credit_shown(self, obj: Enterprise) -> str:
        """Of a post-paid one."""
        return shown.yuan(obj.credit) if obj.credit else shown.EMPTY

    def has_members_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may add members."""
        return self.allowed(request, "add_enterprisemember")

    @display(description=_("invitation code"))
    def code_shown(self, obj: Enterprise) -> str:
        """In two parts, as it is read out."""
        code = obj.invitation_code
        return f"{code[:4]}-{code[4:]}" if code else shown.EMPTY

    @display(description=_("discount"), ordering="percent_off")
    def discount_shown(self, obj: Enterprise) -> str:
        """Percent, and off what."""
        percent = obj.percent_off.normalize() if obj.percent_off % 1 else int(obj.percent_off)
        return f"{percent}% · {obj.get_applies_to_display()}"  # type: ignore[attr-defined]

    @display(description=_("members"), ordering="active_members")
    def members_shown(self, obj: Any) -> int:
        """Active ones."""
        return int(obj.active_members)

    @display(description=_("active"), ordering="is_active", boolean=True)
    def active_shown(self, obj: Enterprise) -> bool:
        """Whether the discount is given."""
        return obj.is_active


@admin.register(EnterpriseMember, site=tenant_site)
class EnterpriseMemberAdmin(ReadOnlyAdmin):
    """Who charges at an enterprise's discount."""

    list_display = [
        "phone_shown",
        "name_shown",
        "enterprise",
        "limit_shown",
        "payer_shown",
        "active_shown",
        "created_shown",
    ]
    list_select_related = ["enterprise"]
    list_filter = [("enterprise", RelatedDropdownFilter), "is_active"]
    search_fields = ["phone"]
    search_help_text = _("A whole phone number")
    actions_detail = ["set_limit", "end"]
    fields = [
        ("phone_shown", "enterprise"),
        ("limit_shown", "payer_shown"),
        ("active_shown", "created_shown"),
        "removed_shown",
    ]
    export = [
        (_("phone"), "masked_phone"),
        (_("enterprise"), "enterprise.name"),
        (_("limit per month (yuan)"), "monthly_limit"),
        (_("pays with"), "get_payer_display"),
        (_("active"), "is_active"),
        (_("created at"), "created_at"),
    ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The whole number where it may be seen."""
        shown_columns = super().get_list_display(request)
        if self.allowed(request, "view_phone"):
            shown_columns[shown_columns.index("phone_shown")] = "phone"
        return shown_columns

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EnterpriseMember], search_term: str
    ) -> tuple[QuerySet[EnterpriseMember], bool]:
        """By the whole number."""
        term = search_term.strip()
        return (queryset.filter(phone=by_phone(term)) if term else queryset), False

    @dialog_button(
        _("Limit"),
        url="limit",
        icon="speed",
        permission="limit",
        text=_("What the enterprise pays for this member in a month, from the next start on."),
        form=MemberLimitForm,
    )
    def set_limit(self, request: HttpRequest, form: MemberLimitForm, object_id: str) -> HttpResponse:
        """Set a member's own limit, or take it away."""
        member, limit = self.row(request, object_id), form.cleaned_data["monthly_limit"]
        before = member.monthly_limit
        with transaction.atomic():
            member.monthly_limit = limit
            member.save(update_fields=["monthly_limit"])  # since when it is one stays
            self.audit(
                request,
                "limit_set",
                member,
                changes={"monthly_limit": [before, limit]},
                reason=form.cleaned_data["reason"],
            )
        return self.back_to(request, member)

    @action(
        description=_("End membership"),
        url_path="end",
        icon="person_remove",
        variant=ActionVariant.DANGER,
        permissions=["end"],
        dialog={
            "title": _("End this membership?"),
            "description": _(
                "A running charge goes on as it began; the next one has no discount and is the driver's to pay. No "
                "invitation code brings the membership back, *Add members* does."
            ),
            "form_class": EndForm,
            "form_submit_text": _("End membership"),
        },
    )
    def end(self, request: HttpRequest, form: EndForm, object_id: str) -> HttpResponse:
        """Let the phone number be no member any more."""
        member = self.row(request, object_id)
        with transaction.atomic():
            if enterprises.remove_members(enterprise=member.enterprise, member_ids=[member.pk]):
                self.audit(request, "ended", member, changes={"is_active": [True, False]})
        return self.back_to(request, member, _("The membership is ended."))

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may end memberships; the button shows while there is one."""
        return self.allowed(request, "change_enterprisemember") and self._is_one(object_id)

    def has_limit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may set what an enterprise pays; the button shows while there is a membership."""
        return self.allowed(request, "set_enterprise_account") and self._is_one(object_id)

    def _is_one(self, object_id: Any) -> bool:
        return object_id is None or EnterpriseMember.objects.filter(pk=object_id, is_active=True).exists()

    @display(description=pgettext_lazy("of a person", "name"), ordering="name")
    def name_shown(self, obj: EnterpriseMember) -> str:
        """As the enterprise or the driver wrote it."""
        return obj.name or shown.EMPTY

    @display(description=_("limit per month (yuan)"), ordering="monthly_limit")
    def limit_shown(self, obj: EnterpriseMember) -> str:
        """Their own, or the enterprise's."""
        limit = obj.enterprise.member_monthly_limit if obj.monthly_limit is None else obj.monthly_limit
        return shown.EMPTY if limit is None else shown.yuan(limit)

    @display(description=_("pays with"))
    def payer_shown(self, obj: EnterpriseMember) -> str:
        """What the driver chose, where there is a choice."""
        return str(obj.get_payer_display()) if obj.enterprise.pays else shown.EMPTY  # type: ignore[attr-defined]

    @display(description=_("phone"), ordering="phone")
    def phone_shown(self, obj: EnterpriseMember) -> str:
        """Masked."""
        return obj.masked_phone

    @display(description=_("active"), ordering="is_active", boolean=True)
    def active_shown(self, obj: EnterpriseMember) -> bool:
        """Whether the discount is given."""
        return obj.is_active

    @display(description=_("removed at"))
    def removed_shown(self, obj: EnterpriseMember) -> str:
        """By staff; of who left there is none."""
        return shown.moment(obj.removed_at)

    @display(description=_("created at"), ordering="created_at")
    def created_shown(self, obj: EnterpriseMember) -> str:
        """To the second."""
        return shown.moment(obj.created_at)


from apps.customers.feedback import admin as feedback_admin  # noqa: E402, F401 - its page needs these
