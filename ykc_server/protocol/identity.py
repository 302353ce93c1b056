"""Vehicle and card numbers of which piles disagree about the order of their characters."""

import re

_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def is_vin(text: str) -> bool:
    """Whether a text is made as VINs are: 17 capital letters and digits without I, O and Q."""
    return _VIN.fullmatch(text) is not None


def has_check_digit(text: str) -> bool:
    """Whether the ninth character of a VIN is the check digit of the others, as GB 16735 asks for in China."""
    if not is_vin(text):
        return False
    total = sum(
        weight * (int(char) if char.isdigit() else _VALUES[char])
        for weight, char in zip(_WEIGHTS, text, strict=True)
    )
    return text[8] == "0123456789X"[total % 11]


def vin_candidates(text: str) -> tuple[str, ...]:
    """Return the VINs that a reported text may mean, the likelier first; none for a text that is none.

    By the text 31 and A1 reverse the characters and the other frames do not, but piles differ. Text and reverse
    are equally well formed, so the check digit decides which comes first.
    """
    text = text.upper()
    if not is_vin(text):
        return ()
    other = text[::-1]
    if has_check_digit(other) and not has_check_digit(text):
        return (other, text)
    return (text,) if text == other else (text, other)


def card_candidates(physical_card_no: str) -> tuple[str, ...]:
    """Return the physical card numbers (16 hex digits) that a reported one may mean: as it came, then reversed.

    Some readers hand out the bytes of a card last first; the zeros in front of them stay where they are.
    """
    number = bytes.fromhex(physical_card_no.zfill(16))
    card = number.lstrip(b"\0")
    if not card:
        return ()
    card = number[-max(4, len(card)) :]
    other = card[::-1].rjust(8, b"\0")
    same = number.hex().upper()
    return (same,) if other == number else (same, other.hex().upper())
