"""What staff send to piles: the dialogs, the buttons of pile, gun and station pages, and the pages of bulk commands."""

from apps.piles.command_pages.buttons import (
    BUTTONS,
    MENU,
    REFRESH,
    LockButtons,
    PileCommands,
    StationCommands,
    send_from_page,
)
from apps.piles.command_pages.dialogs import CommandForm
from apps.piles.command_pages.pages import COMMAND_TONES

__all__ = [
    "BUTTONS",
    "COMMAND_TONES",
    "MENU",
    "REFRESH",
    "CommandForm",
    "LockButtons",
    "PileCommands",
    "StationCommands",
    "send_from_page",
]
