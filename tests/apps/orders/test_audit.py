from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.orders.audit import MESSAGES, Audit, ClassFacts, Finding, RecordFacts, Rules, Verdict, audit
from apps.pricing.tariff import ClassPrice, RateClass, Tariff

OK, FLAGGED, HELD = Verdict
SHARP, PEAK, FLAT, VALLEY, DEEP_VALLEY = RateClass
START = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
TARIFF = Tariff(
    {
        PEAK: ClassPrice(Decimal("1.20000"), Decimal("0.40000")),
        FLAT: ClassPrice(Decimal("0.80000"), Decimal("0.40000")),
        VALLEY: ClassPrice(Decimal("0.30000"), Decimal("0.30000")),
    }
)


def facts(price: str, energy: str, loss: str, amount: str) -> ClassFacts:
    return ClassFacts(Decimal(price), Decimal(energy), Decimal(loss), Decimal(amount))


# 20 kWh in the peak, 10 kWh in the flat class: 24.00 + 8.00 and 8.00 + 4.00 yuan.
GOOD = RecordFacts(
    classes={
        SHARP: facts("0", "0", "0", "0"),
        PEAK: facts("1.60000", "20.0000", "20.0000", "32.0000"),
        FLAT: facts("1.20000", "10.0000", "10.0000", "12.0000"),
        VALLEY: facts("0.60000", "0", "0", "0"),
    },
    total_kwh=Decimal("30.0000"),
    total_loss_kwh=Decimal("30.0000"),
    total_amount=Decimal("44.0000"),
    meter_start=Decimal("1000.0000"),
    meter_end=Decimal("1030.0000"),
    start_time=START,
    end_time=END,
    received_at=END + timedelta(seconds=2),
    power_kw=Decimal(60),
    charging_since=START + timedelta(seconds=15),
)


def with_class(record: RecordFacts, rate_class: RateClass, **changes: str) -> RecordFacts:
    fields = {name: Decimal(value) for name, value in changes.items()}
    return replace(
        record, classes={**record.classes, rate_class: replace(record.classes[rate_class], **fields)}
    )


def with_(**changes: object) -> RecordFacts:
    return replace(GOOD, **{k: Decimal(v) if isinstance(v, str) else v for k, v in changes.items()})


def codes(result: Audit) -> list[tuple[str, Verdict]]:
    return [(finding.code, finding.verdict) for finding in result.findings]


def test_a_clean_record_is_ok():
    assert audit(GOOD, TARIFF) == Audit(())
    assert audit(GOOD, TARIFF).verdict is OK
    assert audit(GOOD, TARIFF, Rules(use_loss=True)).verdict is OK


@pytest.mark.parametrize(
    ("total", "found"),
    [
        ("30.0002", []),
        ("29.9995", []),
        ("30.0006", [("periods_differ_from_total", FLAGGED)]),
        ("30.0010", [("periods_differ_from_total", FLAGGED)]),
        ("30.0011", [("periods_differ_from_total", HELD)]),
        ("29.9989", [("periods_differ_from_total", HELD)]),
    ],
)
def test_periods_and_total(total, found):
    assert codes(audit(with_(total_kwh=total), TARIFF)) == found


def test_periods_without_a_total_are_held():
    result = audit(with_(total_kwh="0"), TARIFF)
    assert codes(result) == [("periods_differ_from_total", HELD), ("meter_differs_from_total", FLAGGED)]


def test_a_total_without_periods_is_held_and_not_compared_with_a_bill():
    """As captured: every period 0, total 0.2970 kWh, 0.6830 yuan."""
    empty = {c: facts("1.60000", "0", "0", "0") for c in (SHARP, PEAK, FLAT, VALLEY)}
    record = with_(
        classes=empty,
        total_kwh="0.2970",
        total_loss_kwh="0",
        total_amount="0.6830",
        meter_start="0.0010",
        meter_end="0.2980",
    )
    result = audit(record, TARIFF)
    assert result.findings == (Finding("total_without_periods", HELD, {"total": "0.2970"}),)
    assert result.findings[0].text == "The record has a total of 0.2970 kWh but no energy in any period."
    assert result.verdict is HELD


@pytest.mark.parametrize("use_loss", [True, False])
def test_loss_energies_all_zero_are_normal(use_loss):
    record = with_class(with_class(GOOD, PEAK, loss_energy_kwh="0"), FLAT, loss_energy_kwh="0")
    assert audit(replace(record, total_loss_kwh=Decimal(0)), TARIFF, Rules(use_loss=use_loss)).verdict is OK


@pytest.mark.parametrize(("use_loss", "verdict"), [(True, HELD), (False, FLAGGED)])
def test_loss_energies_that_do_not_add_up_are_held_when_they_are_billed(use_loss, verdict):
    result = audit(with_(total_loss_kwh="31.0000"), TARIFF, Rules(use_loss=use_loss))
    assert codes(result) == [("loss_differs_from_total", verdict)]


def test_losses_on_top_are_flagged_unless_they_are_the_rule():
    record = with_class(GOOD, PEAK, loss_energy_kwh="21.0000", amount="33.6000")
    record = replace(record, total_loss_kwh=Decimal("31.0000"), total_amount=Decimal("45.6000"))
    assert codes(audit(record, TARIFF)) == [
        ("loss_differs_from_metered", FLAGGED),
        ("amount_differs", FLAGGED),
    ]
    assert audit(record, TARIFF, Rules(use_loss=True)).verdict is OK


@pytest.mark.parametrize(
    ("power", "verdict"),
    [("27.2727", HELD), ("27.2728", OK), ("7", HELD), ("0", OK), (None, OK)],
)
def test_energy_against_power_and_time(power, verdict):
    """30 kWh in one hour need 27.27… kW and the margin of 10 %; an unknown power is not checked."""
    result = audit(with_(power_kw=power), TARIFF)
    assert result.verdict is verdict
    assert codes(result) == ([("more_than_power_allows", HELD)] if verdict is HELD else [])


def test_the_power_finding_shows_its_arithmetic():
    (finding,) = audit(with_(power_kw="7"), TARIFF).findings
    assert finding.data == {"total": "30.0000", "seconds": "3600", "power": "7", "limit": "7.7000"}
    assert finding.text == "30.0000 kWh in 3600 seconds: 7 kW can deliver at most 7.7000 kWh."


def test_energy_in_no_time_is_held():
    record = with_(end_time=START, received_at=START + timedelta(seconds=2))
    assert codes(audit(record, TARIFF)) == [("more_than_power_allows", HELD)]


def test_the_larger_of_periods_and_total_is_checked_against_power():
    assert codes(audit(with_(total_kwh="3", power_kw="7", meter_end="1003"), TARIFF)) == [
        ("periods_differ_from_total", HELD),
        ("more_than_power_allows", HELD),
    ]


def test_meter_running_backwards_is_held():
    result = audit(with_(meter_start="1030", meter_end="1000"), TARIFF)
    assert result.findings == (
        Finding("meter_backwards", HELD, {"meter_start": "1030", "meter_end": "1000"}),
    )


@pytest.mark.parametrize(
    ("meter_end", "found"),
    [
        ("1030.0100", []),
        ("1029.9900", []),
        ("1030.0101", [("meter_differs_from_total", FLAGGED)]),
        ("1000.0000", [("meter_differs_from_total", FLAGGED)]),
    ],
)
def test_meter_against_total(meter_end, found):
    assert codes(audit(with_(meter_end=meter_end), TARIFF)) == found


def test_a_meter_that_starts_anew_with_each_session_is_normal():
    assert audit(with_(meter_start="0.0010", meter_end="30.0010"), TARIFF).verdict is OK


def test_end_before_start_is_flagged_and_not_rejected():
    """As captured: 10:10 to 05:39 of the same day; the pile's clock was set back during the charge."""
    record = with_(end_time=START - timedelta(hours=1), received_at=END, charging_since=START)
    assert codes(audit(record, TARIFF)) == [("end_before_start", FLAGGED), ("arrived_late", FLAGGED)]
    assert audit(record, TARIFF).verdict is FLAGGED


def test_with_a_clock_set_back_the_platforms_own_times_bound_the_energy():
    record = with_(end_time=START - timedelta(minutes=5), received_at=START + timedelta(minutes=6))
    assert ("more_than_power_allows", HELD) in codes(audit(record, TARIFF))
    assert codes(audit(replace(record, charging_since=None), TARIFF)) == [("end_before_start", FLAGGED)]


@pytest.mark.parametrize(
    ("received_at", "found"),
    [
        (END, []),
        (END + timedelta(hours=1), []),
        (END + timedelta(hours=1, seconds=1), [("arrived_late", FLAGGED)]),
        (END + timedelta(days=5), [("arrived_late", FLAGGED)]),
        (END - timedelta(minutes=3), []),
        (END - timedelta(minutes=3, seconds=1), [("clock_ahead", FLAGGED)]),
    ],
)
def test_time_of_the_record_against_its_arrival(received_at, found):
    assert codes(audit(with_(received_at=received_at), TARIFF)) == found


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (None, []),
        (START + timedelta(minutes=3), []),
        (START + timedelta(minutes=3, seconds=1), [("start_differs", FLAGGED)]),
        (START - timedelta(hours=2), [("start_differs", FLAGGED)]),
    ],
)
def test_start_of_the_record_against_what_the_platform_saw(seen, found):
    assert codes(audit(with_(charging_since=seen), TARIFF)) == found


def test_energy_in_a_class_without_a_price_is_held():
    result = audit(GOOD, Tariff({PEAK: TARIFF.prices[PEAK]}))
    error = "10.0000 kWh were charged in class flat, which has no price"
    assert result.findings == (Finding("unpriced_energy", HELD, {"error": error}),)


@pytest.mark.parametrize(
    ("price", "found"),
    [
        ("1.59999", []),  # piles that count in floats are one unit low
        ("1.60001", []),
        ("1.59998", [("price_differs", FLAGGED)]),
        ("2.00000", [("price_differs", FLAGGED)]),
    ],
)
def test_price_of_the_pile_against_the_frozen_price(price, found):
    assert codes(audit(with_class(GOOD, PEAK, price=price), TARIFF)) == found


def test_the_price_of_a_class_without_energy_does_not_matter():
    assert audit(with_class(GOOD, VALLEY, price="9.99999"), TARIFF).verdict is OK


@pytest.mark.parametrize(
    ("amount", "found"),
    [
        ("44.2600", []),  # 2 periods x 0.02 + 0.5 % of 44.00
        ("43.7400", []),
        ("44.2601", [("amount_differs", FLAGGED)]),
        ("43.7399", [("amount_differs", FLAGGED)]),
        ("0.0000", [("amount_differs", FLAGGED)]),
    ],
)
def test_amount_of_the_pile_against_our_bill(amount, found):
    assert codes(audit(with_(total_amount=amount), TARIFF)) == found


def test_amounts_cut_to_the_fen_are_normal():
    """As captured: 8.5630 kWh at 0.34 + 0.16 billed as 2.91 + 1.37 = 4.28."""
    record = with_(
        classes={VALLEY: facts("0.50000", "8.5630", "8.5630", "4.2800")},
        total_kwh="8.5630",
        total_loss_kwh="8.5630",
        total_amount="4.2800",
        meter_end="1008.5630",
    )
    tariff = Tariff({VALLEY: ClassPrice(Decimal("0.34"), Decimal("0.16"))})
    assert audit(record, tariff).verdict is OK


def test_a_real_four_price_record_is_ok():
    """As captured from a 60 kW pile: 3.0067 kWh in the valley, no loss energy, a meter starting at 0.0010."""
    record = RecordFacts(
        classes={
            SHARP: facts("2.00000", "0.0000", "0.0000", "0.0000"),
            PEAK: facts("2.00000", "0.0000", "0.0000", "0.0000"),
            FLAT: facts("2.00000", "0.0000", "0.0000", "0.0000"),
            VALLEY: facts("0.89000", "3.0067", "0.0000", "2.6759"),
        },
        total_kwh=Decimal("3.0067"),
        total_loss_kwh=Decimal("0.0000"),
        total_amount=Decimal("2.6759"),
        meter_start=Decimal("0.0010"),
        meter_end=Decimal("3.0077"),
        start_time=datetime(2025, 10, 23, 14, 28, 53, tzinfo=UTC),
        end_time=datetime(2025, 10, 23, 15, 21, 34, tzinfo=UTC),
        received_at=datetime(2025, 10, 23, 15, 21, 36, tzinfo=UTC),
        power_kw=Decimal(60),
    )
    tariff = Tariff({VALLEY: ClassPrice(Decimal("0.49"), Decimal("0.40"))})
    assert audit(record, tariff) == Audit(())


def test_a_fifth_class_is_checked_like_the_others():
    record = with_(
        classes={**GOOD.classes, DEEP_VALLEY: facts("0.20000", "5.0000", "5.0000", "1.0000")},
        total_kwh="35.0000",
        total_loss_kwh="35.0000",
        total_amount="45.0000",
        meter_end="1035.0000",
    )
    assert codes(audit(record, TARIFF)) == [("unpriced_energy", HELD)]
    five = Tariff({**TARIFF.prices, DEEP_VALLEY: ClassPrice(Decimal("0.1"), Decimal("0.1"))})
    assert audit(record, five) == Audit(())


def test_a_session_without_energy_is_ok_and_with_an_amount_flagged():
    """As captured with stop code 4A: started, nothing delivered."""
    nothing = facts("1.60000", "0", "0", "0")
    record = with_(
        classes={PEAK: nothing, FLAT: nothing},
        total_kwh="0",
        total_loss_kwh="0",
        total_amount="0",
        meter_end="1000.0000",
        end_time=START,
        received_at=START,
    )
    assert audit(record, TARIFF) == Audit(())
    assert codes(audit(replace(record, total_amount=Decimal("0.0100")), TARIFF)) == [
        ("amount_differs", FLAGGED)
    ]


def test_the_gravest_finding_decides():
    result = audit(with_(total_amount="50", meter_start="1030", meter_end="1000"), TARIFF)
    assert codes(result) == [("meter_backwards", HELD), ("amount_differs", FLAGGED)]
    assert result.verdict is HELD


def test_a_finding_as_json():
    (finding,) = audit(with_(total_amount="50.0000"), TARIFF).findings
    assert finding.to_json() == {
        "code": "amount_differs",
        "verdict": "flagged",
        "text": "The pile's amount is 50.0000 yuan, ours is 44.00 (tolerance 0.26000).",
        "data": {"pile": "50.0000", "ours": "44.00", "tolerance": "0.26000"},
    }


WITH_TIMES = Tariff(
    {PEAK: ClassPrice(Decimal("1.20000"), Decimal("0.40000")), SHARP: ClassPrice(Decimal(2), Decimal(0))},
    (SHARP,) * 20 + (PEAK,) * 28,
)


@pytest.mark.parametrize(
    ("offset", "amount"),
    [
        (None, None),
        (Decimal(-600), None),  # the charge was from 10:10 to 11:10, all in one class
        (Decimal(5), None),
        (
            Decimal(600),
            "2.00",
        ),  # it was from 9:50 to 10:50: a sixth of 30 kWh belongs to the class before 10:00
    ],
)
def test_a_wrong_clock_is_flagged_where_it_moves_energy_over_a_border(offset, amount):
    found = [
        f for f in audit(with_(clock_offset_s=offset), WITH_TIMES).findings if f.code == "clock_moves_energy"
    ]
    assert [(f.verdict, f.data["amount"]) for f in found] == ([(FLAGGED, amount)] if amount else [])


BROKEN = [
    with_(total_kwh="31"),
    with_(classes={PEAK: facts("1.6", "0", "0", "0")}),
    with_(total_loss_kwh="31"),
    with_(power_kw="7", end_time=START - timedelta(days=1), received_at=START),
    with_(meter_end="0"),
    with_(received_at=START, charging_since=END),
    with_class(with_class(GOOD, PEAK, loss_energy_kwh="30", price="2"), SHARP, energy_kwh="1"),
    with_class(GOOD, PEAK, price="2"),
    with_(total_amount="1"),
    with_class(GOOD, PEAK, loss_energy_kwh="30"),
    with_(sampled_kwh="35", sampled_at=END),
    with_(sampled_kwh="5", sampled_at=END),
]


def test_every_message_can_be_filled_in():
    findings = [finding for record in BROKEN for finding in audit(record, TARIFF).findings]
    findings += audit(with_(clock_offset_s=Decimal(600)), WITH_TIMES).findings
    assert {finding.code for finding in findings} == set(MESSAGES)
    for finding in findings:
        assert "%(" not in finding.text


@pytest.mark.parametrize(
    ("sampled", "seconds_before_end", "found"),
    [
        ("30.0000", 5, []),
        ("30.4000", 5, []),  # 0.1 kWh and 1 % are allowed
        ("30.4100", 5, [("less_than_samples", FLAGGED)]),
        # 60 kW × 1.1 in 62 s (the record came 2 s after the end) are 1.1366 kWh more.
        ("28.4800", 60, []),
        ("28.4700", 60, [("more_than_samples", FLAGGED)]),
        ("10.0000", 3600, []),  # an hour without a report
    ],
)
def test_the_record_is_compared_with_the_last_report_while_charging(sampled, seconds_before_end, found):
    record = with_(sampled_kwh=sampled, sampled_at=END - timedelta(seconds=seconds_before_end))
    assert codes(audit(record, TARIFF)) == found


def test_samples_after_the_record_leave_no_time_for_more():
    record = with_(sampled_kwh="28.0000", sampled_at=END + timedelta(minutes=5))
    assert codes(audit(record, TARIFF)) == [("more_than_samples", FLAGGED)]
    assert audit(replace(record, power_kw=None), TARIFF).verdict is OK
    assert audit(with_(sampled_kwh="28.0000"), TARIFF).verdict is OK


@pytest.mark.parametrize(
    ("rules", "record", "strict", "lax"),
    [
        ({"sum_exact_kwh": "0.5"}, {"total_kwh": "30.0009"}, [("periods_differ_from_total", FLAGGED)], []),
        (
            {"sum_exact_kwh": "0.5", "sum_tolerance_kwh": "1"},
            {"total_kwh": "30.7", "meter_end": "1030.7"},
            [("periods_differ_from_total", HELD)],
            [("periods_differ_from_total", FLAGGED)],
        ),
        ({"meter_tolerance_kwh": "2"}, {"meter_end": "1032"}, [("meter_differs_from_total", FLAGGED)], []),
        ({"power_margin_percent": "100"}, {"power_kw": "15"}, [("more_than_power_allows", HELD)], []),
        ({"amount_per_period_yuan": "1"}, {"total_amount": "46"}, [("amount_differs", FLAGGED)], []),
        ({"amount_percent": "5"}, {"total_amount": "46"}, [("amount_differs", FLAGGED)], []),
        (
            {"samples_tolerance_kwh": "5"},
            {"sampled_kwh": "34", "sampled_at": END},
            [("less_than_samples", FLAGGED)],
            [],
        ),
        (
            {"samples_tolerance_percent": "20"},
            {"sampled_kwh": "34", "sampled_at": END},
            [("less_than_samples", FLAGGED)],
            [],
        ),
        (
            {"late_after_minutes": 180},
            {"received_at": END + timedelta(hours=2)},
            [("arrived_late", FLAGGED)],
            [],
        ),
        (
            {"clock_tolerance_s": 600},
            {"charging_since": START + timedelta(minutes=5)},
            [("start_differs", FLAGGED)],
            [],
        ),
    ],
)
def test_a_tenants_own_thresholds(rules, record, strict, lax):
    own = Rules(
        **{name: value if isinstance(value, int) else Decimal(value) for name, value in rules.items()}
    )
    assert codes(audit(with_(**record), TARIFF)) == strict
    assert codes(audit(with_(**record), TARIFF, own)) == lax


def test_a_tenants_own_exactness_of_clocks():
    found = codes(audit(with_(clock_offset_s=Decimal(600)), WITH_TIMES, Rules(clock_exact_s=601)))
    assert "clock_moves_energy" not in [code for code, _verdict in found]


def test_findings_say_by_which_tolerance():
    record = with_(total_kwh="30.5", meter_end="1031", sampled_kwh="34", sampled_at=END)
    found = {f.code: f.data.get("tolerance") for f in audit(record, TARIFF).findings}
    assert found == {
        "periods_differ_from_total": "0.001",
        "meter_differs_from_total": "0.01",
        "less_than_samples": "0.4400",
    }
