"""The buttons of pile and station pages that bring the cards in piles' own lists in line, and clear them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant

from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.people import staff_actor
from apps.piles import cards
from apps.piles.command_pages.dialogs import HarmlessForm
from apps.piles.command_pages.sending import Commanding, send_from_page
from apps.piles.enums import CommandKind
from apps.piles.models import Pile

CARD_MENU = {"title": _("Offline cards"), "icon": "sd_card", "items": ["write_cards", "clear_cards"]}
LATER = _("A pile that is offline gets them when it is back.")


class CardButtons(Commanding):
    """The page says in `piles_of` whose lists they are."""

    def piles_of(self, obj: Any) -> Sequence[Pile]:
        """Return the piles of the object of this page."""
        raise NotImplementedError

    @dialog_button(
        _("Write offline cards"),
        url="write-cards",
        icon="sd_card",
        permission="cards",
        text=_(
            "The piles get the cards that may charge offline. Others are deleted; what failed is tried again."
        ),
        form=ReasonForm,
    )
    def write_cards(self: Any, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Bring the lists in line with the cards that may charge offline."""
        obj = self.row(request, object_id)
        written, deleted = cards.match_cards(piles=self.piles_of(obj), actor=staff_actor(request))
        self.cards_changed(request, obj, form, kind=CommandKind.SYNC_CARDS, written=written, deleted=deleted)
        return self.back_to(request, obj)

    @dialog_button(
        _("Delete offline cards"),
        url="clear-cards",
        icon="credit_card_off",
        permission="cards",
        text=_("The piles forget all cards: nobody charges there while they are offline."),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def clear_cards(self: Any, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Empty the lists."""
        obj = self.row(request, object_id)
        deleted = cards.unwant_cards(piles=self.piles_of(obj), actor=staff_actor(request))
        self.cards_changed(request, obj, form, kind=CommandKind.CLEAR_CARDS, written=0, deleted=deleted)
        return self.back_to(request, obj)

    def cards_changed(
        self: Any,
        request: HttpRequest,
        obj: Model,
        form: ReasonForm,
        *,
        kind: CommandKind,
        written: int,
        deleted: int,
    ) -> None:
        """Say and write down how many cards are to be written and deleted."""
        changes = {"command": [None, kind.value], "written": [None, written], "deleted": [None, deleted]}
        self.audit(request, "commanded", obj, changes=changes, reason=form.cleaned_data["reason"])
        if written or deleted:
            counts = _("To be written: %(written)s, to be deleted: %(deleted)s.") % {
                "written": written,
                "deleted": deleted,
            }
            messages.success(request, f"{counts} {LATER}")
        else:
            messages.info(request, _("There is nothing to write or to delete."))


class PileCardButtons(CardButtons):
    """A pile can be asked, too."""

    def piles_of(self, obj: Pile) -> Sequence[Pile]:
        """This one."""
        return [obj]

    @dialog_button(
        _("Compare offline cards"),
        url="ask-cards",
        icon="fact_check",
        permission="cards",
        text=_("The pile is asked which cards it has. What is missing is written again."),
        form=HarmlessForm,
    )
    def ask_cards(self: Any, request: HttpRequest, form: HarmlessForm, object_id: str) -> HttpResponse:
        """Ask for every card that we know of it."""
        pile = self.row(request, object_id)
        asked = cards.questions(pile=pile)
        send_from_page(self, request, pile, pile, commands=asked, reason=form.cleaned_data["reason"])
        return self.back_to(request, pile)
