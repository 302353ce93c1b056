import pytest

from ykc_server.protocol.identity import card_candidates, has_check_digit, is_vin, vin_candidates


@pytest.mark.parametrize(
    ("text", "well_formed", "checked"),
    [
        ("1M8GDM9AXKP042788", True, True),
        ("11111111111111111", True, True),
        ("1M8GDM9A1KP042788", True, False),
        ("1M8GDM9AXKP04278", False, False),
        ("IM8GDM9AXKP042788", False, False),
        ("00000000000000000", True, True),
        ("", False, False),
    ],
)
def test_vin(text, well_formed, checked):
    assert (is_vin(text), has_check_digit(text)) == (well_formed, checked)


def test_the_check_digit_says_which_way_round_a_vin_is():
    vin = "1M8GDM9AXKP042788"
    assert vin_candidates(vin) == (vin, vin[::-1])
    assert vin_candidates(vin[::-1]) == (vin, vin[::-1])
    assert vin_candidates(vin.lower()) == (vin, vin[::-1])
    assert vin_candidates("1M8GDM9A1KP042788") == ("1M8GDM9A1KP042788", "887240PK1A9MDG8M1")
    assert vin_candidates("1" * 17) == ("1" * 17,)
    assert vin_candidates("0000") == ()


def test_cards_are_compared_both_ways():
    assert card_candidates("00000000E14C0A54") == ("00000000E14C0A54", "00000000540A4CE1")
    assert card_candidates("E14C0A54") == ("00000000E14C0A54", "00000000540A4CE1")
    assert card_candidates("000000004C0A5400") == ("000000004C0A5400", "0000000000540A4C")
    assert card_candidates("0004112233445566") == ("0004112233445566", "0066554433221104")
    assert card_candidates("0" * 16) == ()
