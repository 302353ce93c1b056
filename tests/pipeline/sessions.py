"""Random charges of the whole pipeline, rich in price borders, midnights, rounding edges, ties and empty purses."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.apps.orders.sessions import CLASSES, random_session


def random_charge(rng: Random) -> dict[str, Any]:
    """One charge; the same generator state gives the same one. The form is described in tests/oracle.py."""
    money = random_session(rng)
    used = rng.sample(range(5), rng.choice([1, 2, 3, 4, 5, 5]))
    return {
        "begin": [2026, rng.randint(1, 12), rng.randint(1, 28), *_clock(rng)],
        "seconds": _seconds(rng),
        "power": rng.choice([0, 70_000, rng.randint(1, 1_200_000), rng.randint(1, 1_200) * 1_000]),
        "slots": _slots(rng, used),
        "infrastructure": {CLASSES[code]: _price(rng) for code in used},
        "retail": {CLASSES[code]: _price(rng) for code in used if rng.random() < 0.6}
        if rng.random() < 0.5
        else {},
        "station": rng.randint(1, 3),
        "enterprise": money["enterprise"] and {**money["enterprise"], "station_share": _share(rng)},
        "coupons": [{**coupon, **_limits(rng)} for coupon in money["coupons"]],
        "late": rng.random() < 0.05,
        "hold": money["wallet"]["principal"],
        "wallet": money["wallet"],
    }


def _clock(rng: Random) -> list[int]:
    # Often a few seconds around a half hour or midnight, where classes and days change.
    if rng.random() < 0.4:
        second = (rng.choice([0, rng.randint(0, 47)]) * 1800 + rng.randint(-3, 3)) % 86_400
    else:
        second = rng.randrange(86_400)
    return [second // 3600, second // 60 % 60, second % 60]


def _seconds(rng: Random) -> int:
    return rng.choice(
        [0, 1, rng.randint(1, 60), rng.randint(60, 7_200), rng.randint(1, 96) * 900, rng.randint(1, 172_800)]
    )


def _slots(rng: Random, used: list[int]) -> str:
    """48 codes of the classes in use, in runs of one to twelve half hours."""
    text = ""
    while len(text) < 48:
        text += str(rng.choice(used)) * rng.randint(1, 12)
    return text[:48]


def _price(rng: Random) -> dict[str, str]:
    def one() -> str:
        units = rng.choice(
            [0, rng.randint(1, 30) * 10_000, rng.randint(1, 300) * 500, rng.randint(1, 300_000)]
        )
        return f"{units // 100_000}.{units % 100_000:05d}"

    return {"electricity": one(), "service": one()}


def _share(rng: Random) -> str:
    return rng.choice(["0.00", "25.00", "33.33", "50.00", "100.00"])


def _limits(rng: Random) -> dict[str, Any]:
    """Where and when a coupon is good, and who bears it."""
    month, day = rng.randint(1, 12), rng.randint(1, 28)
    begin, end = rng.sample(range(48), 2)
    has_hours = rng.random() < 0.3
    return {
        "stations": rng.sample([1, 2, 3], rng.choice([0, 0, 1, 2])),
        "weekdays": rng.choice(["1234567", "1234567", "12345", "67", "1"]),
        "from_time": f"{begin // 2:02d}:{begin % 2 * 30:02d}" if has_hours else "",
        "until_time": f"{end // 2:02d}:{end % 2 * 30:02d}" if has_hours else "",
        "first_day": rng.choice(["2026-01-01", f"2026-{month:02d}-{day:02d}"]),
        "last_day": rng.choice([None, "2026-12-31", "2027-01-01", f"2026-{month:02d}-28"]),
        "station_share": _share(rng),
    }
