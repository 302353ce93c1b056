from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from apps.pricing.tariff import ClassPrice, Period, RateClass, Tariff, TariffError

PEAK, FLAT, VALLEY = RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY
PEAK_PRICE = ClassPrice(Decimal("1.2"), Decimal("0.4"))
FLAT_PRICE = ClassPrice(Decimal("0.8"), Decimal("0.4"))
VALLEY_PRICE = ClassPrice(Decimal("0.3"), Decimal("0.3"))
SLOTS = (VALLEY,) * 14 + (PEAK,) * 8 + (FLAT,) * 24 + (VALLEY,) * 2
TARIFF = Tariff({VALLEY: VALLEY_PRICE, PEAK: PEAK_PRICE, FLAT: FLAT_PRICE}, SLOTS)
JSON = {
    "prices": {
        "peak": {"electricity": "1.20000", "service": "0.40000"},
        "flat": {"electricity": "0.80000", "service": "0.40000"},
        "valley": {"electricity": "0.30000", "service": "0.30000"},
    },
    "slots": "333333333333331111111122222222222222222222222233",
}
CHINA = timezone(timedelta(hours=8))


def test_rate_classes_have_the_wire_codes():
    assert [(c.value, c.code) for c in RateClass] == [
        ("sharp", 0),
        ("peak", 1),
        ("flat", 2),
        ("valley", 3),
        ("deep_valley", 4),
    ]
    assert [RateClass.from_code(code) for code in range(5)] == list(RateClass)


@pytest.mark.parametrize("code", [-1, 5])
def test_unknown_wire_code(code):
    with pytest.raises(TariffError, match=f"rate class code {code} is not one of 0 to 4"):
        RateClass.from_code(code)


def test_json_round_trip():
    assert TARIFF.to_json() == JSON
    assert Tariff.from_json(JSON) == TARIFF
    assert list(TARIFF.to_json()["prices"]) == ["peak", "flat", "valley"]


def test_a_tariff_without_slots_only_bills_energies():
    tariff = Tariff.from_json({"prices": JSON["prices"]})
    assert tariff.slots == ()
    assert tariff.periods() == []
    assert tariff.to_json()["slots"] == ""
    with pytest.raises(TariffError, match="no half-hour slots"):
        tariff.class_at(datetime(2026, 1, 1, tzinfo=UTC))


def test_class_price_total_is_what_a_pile_reports():
    assert PEAK_PRICE.total == Decimal("1.60000")
    assert str(PEAK_PRICE.electricity) == "1.20000"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (datetime(2026, 3, 1, 6, 59, 59, 999999, tzinfo=CHINA), VALLEY),
        (datetime(2026, 3, 1, 7, 0, tzinfo=CHINA), PEAK),
        (datetime(2026, 3, 1, 10, 59, tzinfo=CHINA), PEAK),
        (datetime(2026, 3, 1, 11, 0, tzinfo=CHINA), FLAT),
        (datetime(2026, 3, 1, 22, 59, tzinfo=CHINA), FLAT),
        (datetime(2026, 3, 1, 23, 0, tzinfo=CHINA), VALLEY),
        (datetime(2026, 2, 28, 23, 30, tzinfo=UTC), PEAK),  # 07:30 of the next day in China
        (datetime(2026, 2, 28, 16, 0, tzinfo=UTC), VALLEY),  # midnight in China
    ],
)
def test_class_at_goes_by_chinese_half_hours(time, expected):
    assert TARIFF.class_at(time) is expected
    assert TARIFF.price_at(time) is TARIFF.prices[expected]


def test_class_at_needs_a_zone():
    with pytest.raises(TariffError, match="without a zone"):
        TARIFF.class_at(datetime(2026, 3, 1, 7, 0))  # noqa: DTZ001 -- the naive time is the case


def test_periods_merge_neighbours_and_end_at_24():
    assert TARIFF.periods() == [
        Period("00:00", "07:00", VALLEY, VALLEY_PRICE),
        Period("07:00", "11:00", PEAK, PEAK_PRICE),
        Period("11:00", "23:00", FLAT, FLAT_PRICE),
        Period("23:00", "24:00", VALLEY, VALLEY_PRICE),
    ]


def test_half_hours_can_all_differ():
    slots = (PEAK, FLAT) * 24
    periods = Tariff({PEAK: PEAK_PRICE, FLAT: FLAT_PRICE}, slots).periods()
    assert len(periods) == 48
    assert (periods[1].start, periods[1].end, periods[1].rate_class) == ("00:30", "01:00", FLAT)


@pytest.mark.parametrize(
    ("electricity", "reason"),
    [
        (Decimal("-0.00001"), "electricity price -0.00001 is not between 0 and 42949.67295 yuan/kWh"),
        (Decimal("42949.67296"), "electricity price 42949.67296 is not between 0 and 42949.67295 yuan/kWh"),
        (Decimal("1.000001"), "electricity price 1.000001 has more than 5 decimal places"),
        (Decimal("NaN"), "electricity price Decimal('NaN') is not a decimal number"),
        (1.2, "electricity price 1.2 is not a decimal number"),
    ],
)
def test_a_price_has_five_places_and_is_not_negative(electricity, reason):
    with pytest.raises(TariffError) as caught:
        ClassPrice(electricity, Decimal(0))
    assert str(caught.value) == reason


@pytest.mark.parametrize("count", [1, 47, 49, 96])
def test_a_day_has_48_slots(count):
    with pytest.raises(TariffError, match=f"a day has 48 half-hour slots, not {count}"):
        Tariff({PEAK: PEAK_PRICE}, (PEAK,) * count)


def test_each_used_class_is_priced():
    with pytest.raises(TariffError, match="flat is used at 10:30 but has no price"):
        Tariff({PEAK: PEAK_PRICE}, (PEAK,) * 21 + (FLAT,) * 27)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "a tariff is an object with prices by rate class"),
        ({"prices": []}, "a tariff is an object with prices by rate class"),
        ({"prices": {"noon": {"electricity": "1", "service": "1"}}}, "'noon' is not a rate class"),
        ({"prices": {"peak": "1.2"}}, "the price of peak needs exactly electricity and service"),
        (
            {"prices": {"peak": {"electricity": "1"}}},
            "the price of peak needs exactly electricity and service",
        ),
        (
            {"prices": {"peak": {"electricity": 1.2, "service": "0"}}},
            "price of peak: 1.2 is not a decimal string",
        ),
        (
            {"prices": {"peak": {"electricity": "1.200001", "service": "0"}}},
            "price of peak: '1.200001' has more than 5 decimal places",
        ),
        (
            {"prices": {"peak": {"electricity": "-1", "service": "0"}}},
            "price of peak: electricity price -1.00000 is not between 0 and 42949.67295 yuan/kWh",
        ),
        ({"prices": {}, "slots": "5" * 48}, "slots is a text of wire codes 0 to 4, one for each half hour"),
        ({"prices": {}, "slots": [1] * 48}, "slots is a text of wire codes 0 to 4, one for each half hour"),
        ({"prices": {}, "slots": "1" * 48}, "peak is used at 00:00 but has no price"),
    ],
)
def test_from_json_says_what_is_wrong(data, reason):
    with pytest.raises(TariffError) as caught:
        Tariff.from_json(data)
    assert str(caught.value).startswith(reason)
