"""Piles: their list and their page."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
)

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyInline
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.schema import current_schema
from apps.piles import networks, services
from apps.piles.admin.cards import cards_line
from apps.piles.admin.wall import GUN_TONES, guns_line
from apps.piles.command_pages import BUTTONS, CARD_MENU, MENU, PileCommands
from apps.piles.enums import PileState
from apps.piles.models import Connector, Pile
from apps.tenancy.selectors import routes

PILE_TONES = {PileState.IN_SERVICE: "success", PileState.DISABLED: "warning", PileState.RETIRED: "neutral"}


class ConnectorInline(ReadOnlyInline):
    """The guns of a pile, on its page."""

    model = Connector
    fields = ["code", "state_shown", "power_shown", "energy_shown", "soc_shown", "reported_shown"]
    readonly_fields = fields
    show_change_link = True
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connector]:
        """With the live state."""
        return super().get_queryset(request).select_related("status")

    @display(description=_("state"))
    def state_shown(self, obj: Connector) -> str:
        """As a label."""
        return shown.state(obj.status, GUN_TONES)

    @display(description=_("power now"))
    def power_shown(self, obj: Connector) -> str:
        """Present output."""
        return f"{obj.status.power_kw:.1f} kW"

    @display(description=_("energy"))
    def energy_shown(self, obj: Connector) -> str:
        """Of the running charge."""
        return f"{obj.status.energy_kwh:.2f} " + pgettext("unit", "kWh")

    @display(description=_("SOC"))
    def soc_shown(self, obj: Connector) -> str:
        """Charge of the battery."""
        return f"{obj.status.soc_percent} %" if obj.status.soc_percent else shown.EMPTY

    @display(description=_("reported at"))
    def reported_shown(self, obj: Connector) -> str:
        """Of the last word."""
        return shown.moment(obj.status.reported_at)


class PileForm(forms.ModelForm):
    """Registers a pile, with its number of guns; later the code stays as it is."""

    gun_count = forms.IntegerField(
        label=_("number of guns"), min_value=1, max_value=99, initial=1, widget=UnfoldAdminIntegerFieldWidget
    )

    class Meta:
        model = Pile
        fields = ["pile_code", "name", "station", "kind", "power_kw", "brand", "model"]

    def clean_pile_code(self) -> str:
        """A code is one tenant's."""
        code: str = self.cleaned_data["pile_code"]
        owner = routes(services.ROUTE_KIND, [code]).get(code)
        if owner is not None and owner != current_schema():
            raise forms.ValidationError(_("This pile code is registered already."))
        return code


class PileChangeForm(forms.ModelForm):
    """Changes a registered pile."""

    class Meta:
        model = Pile
        fields = ["allowed_networks", "pinned_sim_no", "cipher_key"]  # beside those that the page names

    cipher_key = forms.CharField(
        label=_("cipher key"),
        max_length=200,
        required=False,
        help_text=_("Hex digits or text. It is shown to nobody. Empty: it stays as it is."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("cipher_key", None)

    def clean(self) -> dict[str, Any]:
        """The key is written and never read: an empty field keeps it, a pile without a cipher has none."""
        words: dict[str, Any] = super().clean() or self.cleaned_data
        kept = words.get("cipher_key") or self.instance.cipher_key
        words["cipher_key"] = kept if words.get("cipher") else ""
        return words

    def clean_allowed_networks(self) -> str:
        """Networks that can be read, or none."""
        text: str = self.cleaned_data["allowed_networks"]
        try:
            networks.parse(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return text

    def clean_pinned_sim_no(self) -> str:
        """An ICCID has 20 digits; some have hex digits in them."""
        number: str = self.cleaned_data["pinned_sim_no"].strip().upper()
        if number and not re.fullmatch(r"[0-9A-F]{20}", number):
            raise forms.ValidationError(_("20 digits are needed."))
        return number


class ClockFilter(admin.SimpleListFilter):
    """Piles whose clock is off."""

    title = _("clock")
    parameter_name = "clock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Off by more than the limit, or by so much that there is an alarm."""
        limits = (services.CLOCK_FLAG_S, services.CLOCK_ALARM_S)
        return [(str(limit), _("off by more than %(limit)s s") % {"limit": limit}) for limit in limits]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Pile]) -> QuerySet[Pile]:
        """On either side."""
        value = self.value() or ""
        if not value.isdecimal():
            return queryset
        limit = int(value)
        return queryset.filter(Q(clock_offset_s__gt=limit) | Q(clock_offset_s__lt=-limit))


class PileStateForm(BaseDialogForm):
    """The state that a pile is put into."""

    state = forms.ChoiceField(label=_("state"), choices=PileState, widget=UnfoldAdminSelectWidget)


@admin.register(Pile, site=tenant_site)
class PileAdmin(PileCommands, BackofficeAdmin):
    """Piles: registered here or by `create_piles`, and asked for their state and clock."""

    list_display = [
        "pile_code",
        "station",
        "online_shown",
        "guns_shown",
        "kind",
        "power_shown",
        "state_shown",
        "clock_flag",
        "seen_shown",
    ]
    list_select_related = ["station"]
    list_filter = [
        ("station", RelatedDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        "is_online",
        ClockFilter,
    ]
    search_fields = ["pile_code", "name", "station__name"]
    search_help_text = _("Pile code, name or station")
    inlines = [ConnectorInline]
    actions_detail = [
        "refresh_state",
        "sync_clock",
        MENU,
        {**CARD_MENU, "items": [*CARD_MENU["items"], "ask_cards"]},
        "change_state",
    ]
    actions = [f"selected_{button.method}" for button in BUTTONS]
    export = [
        (_("pile code"), "pile_code"),
        (_("name"), "name"),
        (_("station"), "station.name"),
        (_("kind"), "get_kind_display"),
        (_("power (kW)"), "power_kw"),
        (_("brand"), "brand"),
        (_("model"), "model"),
        (_("state"), "get_state_display"),
        (_("online"), "is_online"),
        (_("last seen"), "last_seen_at"),
        (_("software version"), "software_version"),
        (_("SIM card"), "sim_no"),
    ]
    fieldsets = [
        (
            _("Basics"),
            {
                "classes": ["tab"],
                "fields": [
                    ("pile_code", "name"),
                    ("station", "state_shown"),
                    ("kind", "power_kw"),
                    ("brand", "model"),
                ],
            },
        ),
        (
            _("Connection"),
            {
                "classes": ["tab"],
                "fields": [
                    ("online_shown", "seen_shown"),
                    "login_shown",
                    ("protocol", "protocol_version"),
                    "software_version",
                    ("sim_no", "clock_shown"),
                    "cards_shown",
                ],
            },
        ),
        (
            _("Identity and dialect"),
            {
                "classes": ["tab"],
                "fields": [
                    "allowed_networks",
                    "pinned_sim_no",
                    ("crc_order", "five_prices"),
                    ("takes_qr", "takes_parallel"),
                    ("cipher", "cipher_key"),
                ],
            },
        ),
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": [
                    ("pile_code", "name"),
                    "station",
                    ("kind", "power_kw"),
                    "gun_count",
                    ("brand", "model"),
                ]
            },
        )
    ]
    readonly_fields = [
        "state_shown",
        "online_shown",
        "seen_shown",
        "login_shown",
        "clock_shown",
        "cards_shown",
        "protocol",
        "protocol_version",
        "software_version",
        "sim_no",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pile]:
        """With the live state of each gun."""
        return super().get_queryset(request).prefetch_related("connectors__status")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The number of guns is asked once."""
        kwargs["form"] = PileForm if obj is None else PileChangeForm
        return super().get_form(request, obj, change, **kwargs)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """A pile that is not there yet has no guns to show."""
        return self.inlines if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The code of a registered pile stays."""
        return [*self.readonly_fields, "pile_code"] if obj else ["state_shown"]

    def save_model(self, request: HttpRequest, obj: Pile, form: Any, change: bool) -> None:
        """A new pile goes through the service, which makes its guns and claims its code."""
        if change:
            super().save_model(request, obj, form, change)
            return
        words = form.cleaned_data
        made = services.create_pile(actor=staff_actor(request), **words)
        obj.pk = made.pk
        obj._state.adding = False  # noqa: SLF001 - the admin goes on with this instance

    # --- Buttons (commands: see command_pages) ---

    @dialog_button(
        _("Change state"),
        url="state",
        icon="toggle_on",
        permission="state",
        text=_("A running charge goes on. No new charge starts on a pile that is out of service."),
        form=PileStateForm,
    )
    def change_state(self, request: HttpRequest, form: PileStateForm, object_id: str) -> HttpResponse:
        """Take into service, or out of it."""
        pile = self.row(request, object_id)
        before = services.set_state(pile=pile, state=PileState(form.cleaned_data["state"]))
        self.audit(request, "state_changed", pile, changes={"state": [before, pile.state]})
        return self.back_to(request, pile)

    def has_state_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change the pile."""
        return self.allowed(request, "change_pile")

    # --- Columns ---

    @display(description=_("connection"), ordering="is_online")
    def online_shown(self, obj: Pile) -> str:
        """Online or offline."""
        return shown.label(_("online"), "success") if obj.is_online else shown.label(_("offline"), "neutral")

    @display(description=_("guns"))
    def guns_shown(self, obj: Pile) -> SafeString:
        """Counts by state."""
        return guns_line([gun.status.state for gun in obj.connectors.all()])

    @display(description=_("power"), ordering="power_kw")
    def power_shown(self, obj: Pile) -> str:
        """Rated output."""
        return f"{obj.power_kw.normalize():f} kW"

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Pile) -> str:
        """As a label."""
        return shown.state(obj, PILE_TONES)

    @display(description=_("last seen"), ordering="last_seen_at")
    def seen_shown(self, obj: Pile) -> str:
        """To the minute."""
        return shown.minute(obj.last_seen_at)

    @display(description=_("last login"))
    def login_shown(self, obj: Pile) -> str:
        """To the second."""
        return shown.moment(obj.last_login_at)

    @display(description=_("clock"), ordering="clock_offset_s")
    def clock_flag(self, obj: Pile) -> str:
        """A label when it is off."""
        offset = abs(obj.clock_offset_s or 0)
        if offset <= services.CLOCK_FLAG_S:
            return shown.EMPTY
        return shown.label(self.clock_shown(obj), "danger" if offset > services.CLOCK_ALARM_S else "warning")

    @display(description=_("clock offset (s)"))
    def clock_shown(self, obj: Pile) -> str:
        """Ahead (+) or behind (−)."""
        return shown.EMPTY if obj.clock_offset_s is None else f"{obj.clock_offset_s:+.0f} s"

    @display(description=_("offline cards"))
    def cards_shown(self, obj: Pile) -> SafeString:
        """How many there are in each state, and where they are listed."""
        return cards_line(obj.offline_cards.all(), f"pile__id__exact={obj.pk}")
