"""What staff send to piles: the dialogs, the buttons of pile, gun and station pages, and the pages of bulk commands."""

from apps.piles.command_pages.buttons import (
    BUTTONS,
    MENU,
    REFRESH,
    LockButtons,
    PileCommands,
    StationCommands,
)
from apps.piles.command_pages.card_buttons import CARD_MENU
from apps.piles.command_pages.dialogs import CommandForm
from apps.piles.command_pages.pages import COMMAND_TONES
from apps.piles.command_pages.sending import send_from_page

__all__ = [
    "BUTTONS",
    "CARD_MENU",
    "COMMAND_TONES",
    "MENU",
    "REFRESH",
    "CommandForm",
    "LockButtons",
    "PileCommands",
    "StationCommands",
    "send_from_page",
]
