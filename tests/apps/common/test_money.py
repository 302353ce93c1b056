from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.common.money import (
    AmountError,
    floor_fen,
    from_fen,
    parse_decimal,
    round_fen,
    split_amount,
    to_fen,
)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        ("1.004999999", "1.00"),
        ("1.005", "1.01"),
        ("1.015", "1.02"),
        ("1.025", "1.03"),
        ("2.675", "2.68"),
        ("0", "0.00"),
        ("0.004999", "0.00"),
        ("-1.005", "-1.01"),
    ],
)
def test_round_fen_rounds_half_up(value, rounded):
    assert str(round_fen(Decimal(value))) == rounded


@pytest.mark.parametrize(("value", "floored"), [("1.009", "1.00"), ("1.01", "1.01"), ("0.0099", "0.00")])
def test_floor_fen_rounds_down(value, floored):
    assert str(floor_fen(Decimal(value))) == floored


def test_fen_and_yuan_are_exact():
    assert to_fen(Decimal("12.30")) == 1230
    assert str(from_fen(5)) == "0.05"
    assert str(from_fen(1230)) == "12.30"
    assert str(from_fen(-1)) == "-0.01"


@pytest.mark.parametrize("amount", ["0.001", "1.2345", "NaN", "Infinity"])
def test_to_fen_refuses_parts_of_a_fen(amount):
    with pytest.raises(AmountError):
        to_fen(Decimal(amount))


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        ("0.01", ["1", "1"], ["0.01", "0.00"]),
        ("10.00", ["1", "1", "1"], ["3.34", "3.33", "3.33"]),
        ("0.02", ["1", "1", "1"], ["0.01", "0.01", "0.00"]),
        ("10.00", ["30.00", "70.00"], ["3.00", "7.00"]),
        ("0.05", ["1", "2"], ["0.02", "0.03"]),
        ("5.00", ["0", "1"], ["0.00", "5.00"]),
        ("0.00", ["0", "0"], ["0.00", "0.00"]),
        ("0.00", [], []),
    ],
)
def test_split_amount_gives_the_rest_to_the_largest_remainders(amount, weights, shares):
    assert [str(share) for share in split_amount(Decimal(amount), [Decimal(w) for w in weights])] == shares


@pytest.mark.parametrize(
    ("amount", "weights"),
    [("1.00", ["0", "0"]), ("1.00", []), ("-1.00", ["1"]), ("1.00", ["2", "-1"]), ("0.001", ["1"])],
)
def test_split_amount_refuses_what_cannot_be_split(amount, weights):
    with pytest.raises(AmountError):
        split_amount(Decimal(amount), [Decimal(w) for w in weights])


weights_strategy = st.lists(
    st.decimals(min_value=0, max_value=10_000, places=4), min_size=1, max_size=8
).filter(lambda weights: sum(weights) > 0)


@given(fen=st.integers(0, 10**9), weights=weights_strategy)
@example(fen=1, weights=[Decimal("0.3333"), Decimal("0.3333"), Decimal("0.3334")])
def test_shares_add_up_and_are_within_a_fen_of_their_exact_part(fen, weights):
    shares = split_amount(from_fen(fen), weights)
    assert sum(shares) == from_fen(fen)
    parts = [int(weight * 10_000) for weight in weights]
    for share, part in zip(shares, parts, strict=True):
        floor, remainder = divmod(fen * part, sum(parts))
        assert to_fen(share) in ((floor, floor + 1) if remainder else (floor,))


@given(fen=st.integers(0, 10**6), weights=weights_strategy)
def test_no_smaller_remainder_gets_a_fen_before_a_larger_one(fen, weights):
    parts = [int(weight * 10_000) for weight in weights]
    ranked = []
    for index, share in enumerate(split_amount(from_fen(fen), weights)):
        floor, remainder = divmod(fen * parts[index], sum(parts))
        ranked.append((-remainder, index, to_fen(share) - floor))
    extras = [extra for _, _, extra in sorted(ranked)]
    assert extras == sorted(extras, reverse=True)


@pytest.mark.parametrize(
    ("text", "places", "value"),
    [
        ("12.3", 2, "12.30"),
        ("0", 5, "0.00000"),
        ("1.20000", 5, "1.20000"),
        ("-3.1", 2, "-3.10"),
        ("-0.0", 2, "0.00"),
    ],
)
def test_parse_decimal_keeps_the_asked_places(text, places, value):
    assert str(parse_decimal(text, places)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (1.5, "1.5 is not a decimal string"),
        (15, "15 is not a decimal string"),
        (None, "None is not a decimal string"),
        (True, "True is not a decimal string"),
        ("", "'' is not a decimal number"),
        ("1.", "'1.' is not a decimal number"),
        (".5", "'.5' is not a decimal number"),
        ("+1", "'+1' is not a decimal number"),
        ("1e3", "'1e3' is not a decimal number"),
        ("1,000", "'1,000' is not a decimal number"),
        (" 1", "' 1' is not a decimal number"),
        ("1\n", "'1\\n' is not a decimal number"),
        ("NaN", "'NaN' is not a decimal number"),
        ("１", "'１' is not a decimal number"),  # full width, as typed on a Chinese keyboard
        ("1234567890123456", "'1234567890123456' is not a decimal number"),
        ("1.234", "'1.234' has more than 2 decimal places"),
    ],
)
def test_parse_decimal_says_what_is_wrong(text, reason):
    with pytest.raises(AmountError) as caught:
        parse_decimal(text, 2)
    assert str(caught.value) == reason
