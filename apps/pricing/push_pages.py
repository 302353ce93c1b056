"""Where prices apply from when, and what became of pushing them to piles."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.pricing.enums import PushState
from apps.pricing.models import PriceAssignment, PricePush
from apps.pricing.services import FIVE_CLASSES

PUSH_TONES = {
    PushState.DONE: "success",
    PushState.SENT: "info",
    PushState.PENDING: "warning",
    PushState.FAILED: "danger",
    PushState.SUPERSEDED: "neutral",
}
REASONS = {
    "refused": _("the pile refused them"),
    FIVE_CLASSES: _("the pile knows four rate classes"),
}


def push_reason(push: PricePush) -> str:
    """Return why a push failed, in words."""
    return str(REASONS.get(push.reason, push.reason))


@admin.register(PriceAssignment, site=tenant_site)
class PriceAssignmentAdmin(ReadOnlyAdmin):
    """Which version applies where from when."""

    list_display = [
        "starts_shown",
        "ends_shown",
        "version",
        "place_shown",
        "task",
        "created_by",
        "created_shown",
    ]
    list_select_related = ["version__template", "station", "pile", "task"]
    list_filter = [
        ("station", RelatedDropdownFilter),
        ("version__template", RelatedDropdownFilter),
        ("starts_at", TimeFilter),
    ]
    search_fields = ["station__name", "pile__pile_code"]
    search_help_text = _("Station name or pile code")
    fields = [
        ("version", "place_shown"),
        ("starts_shown", "ends_shown"),
        "task",
        ("created_by", "created_shown"),
    ]
    export = [
        (_("starts at"), "starts_at"),
        (_("ends at"), "ends_at"),
        (_("price version"), "version"),
        (_("station"), "station.name"),
        (_("pile code"), "pile.pile_code"),
        (_("price task"), "task"),
        (_("created by"), "created_by"),
        (_("created at"), "created_at"),
    ]

    @display(description=_("starts at"), ordering="starts_at")
    def starts_shown(self, obj: PriceAssignment) -> str:
        """To the second."""
        return shown.moment(obj.starts_at)

    @display(description=_("ends at"), ordering="ends_at")
    def ends_shown(self, obj: PriceAssignment) -> str:
        """To the second; nothing for a price that lasts until another."""
        return shown.moment(obj.ends_at)

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

    list_display = ["pile", "version", "state_shown", "reason_shown", "tries", "tried_shown", "done_shown"]
    list_select_related = ["pile", "version__template"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("version__template", RelatedDropdownFilter),
        ("pile__station", RelatedDropdownFilter),
    ]
    search_fields = ["pile__pile_code"]
    search_help_text = _("Pile code")
    export = [
        (_("pile code"), "pile.pile_code"),
        (_("price version"), "version"),
        (_("state"), "get_state_display"),
        (_("reason"), push_reason),
        (_("tries"), "tries"),
        (_("tried at"), "tried_at"),
        (_("done at"), "done_at"),
    ]
    fields = [
        ("pile", "version"),
        ("state_shown", "reason_shown"),
        "tries",
        ("tried_shown", "done_shown"),
    ]

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: PricePush) -> str:
        """As a label."""
        return shown.state(obj, PUSH_TONES)

    @display(description=_("reason"))
    def reason_shown(self, obj: PricePush) -> str:
        """Why it failed, in words."""
        return push_reason(obj) or shown.EMPTY

    @display(description=_("tried at"), ordering="tried_at")
    def tried_shown(self, obj: PricePush) -> str:
        """To the second."""
        return shown.moment(obj.tried_at)

    @display(description=_("done at"), ordering="done_at")
    def done_shown(self, obj: PricePush) -> str:
        """To the second."""
        return shown.moment(obj.done_at)
