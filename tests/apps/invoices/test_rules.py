"""What may be on an invoice, worked out without a database."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.money import from_fen
from apps.invoices.rules import invoiced, is_tax_number, lines

# The example of GB 32100-2015 and the published numbers of listed companies.
RIGHT = ["91350100M000100Y43", "91330100799655058B", "9144030071526726XG", "91110000802100433B"]


@pytest.mark.parametrize("number", RIGHT)
def test_a_tax_number_is_known_by_its_check_character(number: str) -> None:
    assert is_tax_number(number)


@pytest.mark.parametrize("number", RIGHT)
@pytest.mark.parametrize("place", range(18))
def test_one_wrong_character_is_found(number: str, place: int) -> None:
    for sign in "0123456789ABCDEFGHJKLMNPQRTUWXY":
        if sign != number[place]:
            assert not is_tax_number(number[:place] + sign + number[place + 1 :])


@pytest.mark.parametrize(
    "number",
    [
        "",
        "91350100M000100Y4",
        "91350100M000100Y433",
        "91350100m000100y43",
        " 91350100M000100Y43",
        "91350100M000100Y43\n",
        "91350100M00O100Y43",  # a capital O
        "９1350100M000100Y43",
        "350100M000100Y4",
    ],
)
def test_what_is_no_tax_number(number: str) -> None:
    assert not is_tax_number(number)


def yuan(*texts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(text) for text in texts)


@pytest.mark.parametrize(
    ("electricity", "service", "principal", "found"),
    [
        ("8.00", "4.00", "12.00", ("8.00", "4.00")),
        ("8.00", "4.00", "5.00", ("3.33", "1.67")),  # 7.00 of bonus: 4.67 and 2.33
        ("8.00", "0.00", "3.00", ("3.00", "0.00")),
        ("0.01", "0.01", "0.01", ("0.00", "0.01")),  # a tie: the bonus pays electricity
        ("8.00", "4.00", "0.00", ("0.00", "0.00")),
    ],
)
def test_bonus_is_taken_off_both_fees_in_proportion(
    electricity: str, service: str, principal: str, found: tuple[str, str]
) -> None:
    assert invoiced(*yuan(electricity, service, principal)) == yuan(*found)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 100))
def test_the_parts_are_the_principal_and_never_more_than_a_fee(
    electricity: int, service: int, percent: int
) -> None:
    principal = (electricity + service) * percent // 100
    parts = invoiced(from_fen(electricity), from_fen(service), from_fen(principal))
    assert sum(parts) == from_fen(principal)
    assert Decimal(0) <= parts[0] <= from_fen(electricity)
    assert Decimal(0) <= parts[1] <= from_fen(service)


def test_lines_carry_their_tax() -> None:
    terms = {
        "electricity": {"name": "充电电费", "tax_code": "1" * 19, "rate": "0.13"},
        "service": {"name": "充电服务费", "tax_code": "2" * 19, "rate": "0.06"},
    }
    first, second = lines({"electricity": Decimal("9.88"), "service": Decimal("5.62")}, terms)
    assert (first.name, first.amount, first.tax, first.net) == ("充电电费", *yuan("9.88", "1.14", "8.74"))
    assert (second.name, second.amount, second.tax, second.net) == (
        "充电服务费",
        *yuan("5.62", "0.32", "5.30"),
    )
    (only,) = lines({"electricity": Decimal("0.00"), "service": Decimal("5.62")}, terms)
    assert only.fee == "service"
