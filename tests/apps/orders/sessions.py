"""Random sessions in the JSON form of `manage.py bill`, rich in rounding edges, ties and empty purses."""

from random import Random
from typing import Any

CLASSES = ["sharp", "peak", "flat", "valley", "deep_valley"]


def random_session(rng: Random) -> dict[str, Any]:
    """One session; the same generator state gives the same session."""
    priced = [name for name in CLASSES if rng.random() < 0.7] or ["flat"]
    charged = [name for name in priced if rng.random() < 0.8]
    return {
        "tariff": {name: {"electricity": _price(rng), "service": _price(rng)} for name in priced},
        "energy_kwh": {name: _energy(rng) for name in charged},
        "enterprise": rng.choice([None, {"percent_off": _percent(rng), "applies_to": _fees(rng)}]),
        "coupons": [_coupon(rng, number) for number in range(rng.choice([0, 0, 1, 2, 5]))],
        "wallet": {
            "principal": _fen(rng, 20_000),
            "bonus": _fen(rng, 5_000),
            "order": rng.choice(["principal_first", "bonus_first", "ratio"]),
            "bonus_ratio": f"{rng.randint(0, 100) / 100:.2f}",
        },
    }


def _price(rng: Random) -> str:
    # Prices of whole jiao times energies of one place make products that lie exactly between two fen.
    units = rng.choice([0, rng.randint(1, 30) * 10_000, rng.randint(1, 300) * 500, rng.randint(1, 300_000)])
    return f"{units // 100_000}.{units % 100_000:05d}"


def _energy(rng: Random) -> str:
    units = rng.choice([0, 1, rng.randint(1, 40) * 500, rng.randint(1, 999_999), rng.randint(1, 9_999_999)])
    return f"{units // 10_000}.{units % 10_000:04d}"


def _fen(rng: Random, most: int) -> str:
    fen = rng.choice([0, rng.randint(0, 100), rng.randint(0, most)])
    return f"{fen // 100}.{fen % 100:02d}"


def _percent(rng: Random) -> str:
    return rng.choice(["0", "5", "12.5", "20", "33.3333", "50", "100"])


def _fees(rng: Random) -> str:
    return rng.choice(["service", "all"])


def _coupon(rng: Random, number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"kind": "threshold", "save": rng.choice(["1", "5.00", "20", "500"])}
    if rng.random() < 0.5:
        rule = {
            "kind": "percent",
            "percent_off": _percent(rng),
            "cap": rng.choice(["0.01", "5.00", "15", "500"]),
        }
    return {
        "id": f"c{number}",
        **rule,
        "spend": rng.choice(["0", "10", "30.00", "100"]),
        "applies_to": _fees(rng),
        "ends": rng.choice(["2026-06-30", "2026-12-31", "2027-01-01"]),
    }
