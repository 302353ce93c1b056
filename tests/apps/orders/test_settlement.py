from decimal import Decimal
from random import Random

import pytest

from apps.common.money import to_fen
from apps.orders.settlement import (
    Bill,
    Line,
    SettlementError,
    UnpricedEnergy,
    billable_energies,
    settle,
)
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from tests import oracle

SHARP, PEAK, FLAT, VALLEY, DEEP_VALLEY = RateClass


def tariff_of(**prices: tuple[str, str]) -> Tariff:
    return Tariff({RateClass(name): ClassPrice(Decimal(e), Decimal(s)) for name, (e, s) in prices.items()})


def test_each_line_is_rounded_and_fees_are_sums_of_rounded_lines():
    tariff = tariff_of(peak=("1.20000", "0.40000"), valley=("0.30500", "0.30500"))
    bill = settle({VALLEY: Decimal(1), PEAK: Decimal("12.3456")}, tariff)
    assert bill == Bill(
        lines=(
            Line(PEAK, Decimal("12.3456"), Decimal("1.2"), Decimal("0.4"), Decimal("14.81"), Decimal("4.94")),
            Line(
                VALLEY,
                Decimal("1.0000"),
                Decimal("0.305"),
                Decimal("0.305"),
                Decimal("0.31"),
                Decimal("0.31"),
            ),
        ),
        electricity_fee=Decimal("15.12"),
        service_fee=Decimal("5.25"),
        explanation=(
            "peak electricity: 12.3456 kWh x 1.20000 = 14.814720000 -> 14.81",
            "peak service: 12.3456 kWh x 0.40000 = 4.938240000 -> 4.94",
            "valley electricity: 1.0000 kWh x 0.30500 = 0.305000000 -> 0.31",
            "valley service: 1.0000 kWh x 0.30500 = 0.305000000 -> 0.31",
            "fees: electricity 15.12 + service 5.25 = 20.37",
        ),
    )
    assert bill.total == Decimal("20.37")
    assert bill.energy_kwh == Decimal("13.3456")


def test_no_energy_is_an_empty_bill():
    bill = settle({PEAK: Decimal("0.0000")}, tariff_of(peak=("1", "1")))
    assert bill == Bill(
        (), Decimal("0.00"), Decimal("0.00"), ("fees: electricity 0.00 + service 0.00 = 0.00",)
    )
    assert str(bill.total) == "0.00"


def test_energy_too_small_for_a_fen_still_gives_a_line():
    bill = settle({FLAT: Decimal("0.0001")}, tariff_of(flat=("0.80000", "0.40000")))
    assert [(line.rate_class, line.electricity_fee, line.service_fee) for line in bill.lines] == [
        (FLAT, 0, 0)
    ]


def test_energy_in_a_class_without_a_price():
    with pytest.raises(
        UnpricedEnergy, match=r"5\.0000 kWh were charged in class deep_valley, which has no price"
    ):
        settle({PEAK: Decimal(1), DEEP_VALLEY: Decimal(5)}, tariff_of(peak=("1", "1")))


def test_a_class_without_energy_needs_no_price():
    assert settle({DEEP_VALLEY: Decimal(0)}, tariff_of(peak=("1", "1"))).lines == ()


@pytest.mark.parametrize(
    ("energy", "reason"),
    [
        ("-0.0001", "energy -0.0001 kWh of class peak is not between 0 and 10000000"),
        ("10000000", "energy 10000000 kWh of class peak is not between 0 and 10000000"),
        ("NaN", "energy NaN kWh of class peak is not between 0 and 10000000"),
        ("1.00005", "energy 1.00005 kWh of class peak has more than 4 decimal places"),
    ],
)
def test_energies_that_no_meter_shows(energy, reason):
    with pytest.raises(SettlementError) as caught:
        settle({PEAK: Decimal(energy)}, tariff_of(peak=("1", "1")))
    assert str(caught.value) == reason


def test_two_thousand_random_sessions_equal_the_oracle():
    rng = Random(20260301)
    ties = 0
    for _ in range(2_000):
        # Units of the wire: 0.0001 kWh and 0.00001 yuan; multiples of 500 and 10000 make exact half fens.
        energies = {c: rng.choice([0, rng.randint(1, 400) * 500, rng.randint(1, 10**7)]) for c in RateClass}
        prices = {c: (rng.randint(0, 30) * 10_000, rng.randint(0, 200_000)) for c in RateClass}
        tariff = Tariff(
            {c: ClassPrice(Decimal(e).scaleb(-5), Decimal(s).scaleb(-5)) for c, (e, s) in prices.items()}
        )
        bill = settle({c: Decimal(units).scaleb(-4) for c, units in energies.items()}, tariff)
        lines = [
            (str(line.rate_class), to_fen(line.electricity_fee), to_fen(line.service_fee))
            for line in bill.lines
        ]
        assert lines == oracle.lines(energies, prices)
        assert (to_fen(bill.electricity_fee), to_fen(bill.service_fee)) == oracle.fees(energies, prices)
        ties += sum(energies[c] * prices[c][0] % 10_000_000 == 5_000_000 for c in RateClass)
    assert ties > 100, "the seed no longer reaches the rounding edge"


METERED = {PEAK: Decimal("10.0000"), FLAT: Decimal("2.0000")}
LOSS = {PEAK: Decimal("10.5000"), FLAT: Decimal("2.1000")}
NO_LOSS = {PEAK: Decimal("0.0000"), FLAT: Decimal("0.0000")}


@pytest.mark.parametrize(
    ("loss", "use_loss", "billed"),
    [(LOSS, False, METERED), (LOSS, True, LOSS), (NO_LOSS, True, METERED), (NO_LOSS, False, METERED)],
)
def test_loss_energy_is_billed_only_by_rule_and_only_if_there_is_any(loss, use_loss, billed):
    assert billable_energies(METERED, loss, use_loss=use_loss) == billed
