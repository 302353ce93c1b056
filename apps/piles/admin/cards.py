"""Offline cards: which cards each pile holds in its own list, and how far writing and deleting them has come."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from apps.backoffice import pages, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.customers.models import Card
from apps.piles.enums import CardOnPile
from apps.piles.models import OfflineCard

CARD_TONES = {
    CardOnPile.WANTED: "info",
    CardOnPile.STORED: "success",
    CardOnPile.UNWANTED: "warning",
    CardOnPile.FAILED: "danger",
}


def cards_line(rows: QuerySet[OfflineCard], query: str) -> SafeString:
    """Return counts by state, "3 stored, 1 failed", as a link to the list that `query` filters."""
    counts = dict(rows.order_by().values_list("state").annotate(Count("id")))
    if not counts:
        return format_html("{}", shown.EMPTY)
    words = format_html_join(
        "",
        '<span class="bo-count">{} <b>{}</b></span>',
        ((state.label, counts[state]) for state in CardOnPile if state in counts),
    )
    address = f"{reverse('admin:piles_offlinecard_changelist')}?{query}"
    return format_html('<a class="bo-line" href="{}">{}</a>', address, words)


@admin.register(OfflineCard, site=tenant_site)
class OfflineCardAdmin(ReadOnlyAdmin):
    """What each pile has to have, and is known to have. Written and deleted by buttons of pile and station pages."""

    show_full_result_count = False
    list_display = [
        "logical_no",
        "physical_no",
        "holder_shown",
        "pile",
        "station",
        "state_shown",
        "since_shown",
    ]
    list_select_related = ["pile__station"]
    list_filter = [("state", ChoicesDropdownFilter), ("pile__station", RelatedDropdownFilter)]
    search_fields = ["logical_no", "physical_no", "pile__pile_code"]
    search_help_text = _("Card number, chip number or pile code")
    fields = [
        ("logical_no", "physical_no"),
        ("holder_shown", "state_shown"),
        ("pile", "station"),
        "since_shown",
    ]
    export = [
        (_("card number"), "logical_no"),
        (_("chip number"), "physical_no"),
        (_("pile code"), "pile.pile_code"),
        (_("station"), "pile.station.name"),
        (_("state"), "get_state_display"),
        (_("last change"), "updated_at"),
    ]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Find the holders of the page's cards at once."""
        changes = super().get_changelist_instance(request)
        rows = list(changes.result_list)
        found = Card.objects.select_related("customer").filter(
            physical_no__in=[row.physical_no for row in rows]
        )
        holders = {card.physical_no: card.customer for card in found} if rows else {}
        for row in rows:
            row.holder = holders.get(row.physical_no)
        changes.result_list = rows
        return changes

    @display(description=_("customer"))
    def holder_shown(self, obj: OfflineCard) -> str:
        """Whose card it is, if it still is anybody's."""
        if not hasattr(obj, "holder"):
            card = Card.objects.select_related("customer").filter(physical_no=obj.physical_no).first()
            return str(card.customer) if card else shown.EMPTY
        return str(obj.holder) if obj.holder else shown.EMPTY

    @display(description=_("station"), ordering="pile__station__name")
    def station(self, obj: OfflineCard) -> str:
        """Of the pile."""
        return str(obj.pile.station)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: OfflineCard) -> str:
        """As a label."""
        return shown.state(obj, CARD_TONES)

    @display(description=_("last change"), ordering="updated_at")
    def since_shown(self, obj: OfflineCard) -> str:
        """To the second."""
        return shown.moment(obj.updated_at)


def card_panel(request: HttpRequest, card: Card) -> dict[str, Any]:
    """Return in how many piles a card is, by state."""
    rows = OfflineCard.objects.filter(physical_no=card.physical_no)
    return {"line": cards_line(rows, f"q={card.physical_no}")}


pages.add_panel(
    Card,
    pages.Panel(_("In piles"), "backoffice/card_piles.html", card_panel, "piles.view_offlinecard"),
)
