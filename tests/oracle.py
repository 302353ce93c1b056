"""A second opinion on every bill: whole numbers and the standard library only, nothing of the project.

Written from the business rules, not from the code that it checks. Units: energy 0.0001 kWh, price 0.00001 yuan/kWh,
energy × price 0.000000001 yuan, money fen, percentages and ratios parts per million.
"""

import re

CLASSES = ("sharp", "peak", "flat", "valley", "deep_valley")
NANO_PER_FEN = 10_000_000
WHOLE = 1_000_000


def to_int(text, places):
    """The decimal string `text` in units of 10 ** -places."""
    whole, point, part = text.partition(".")
    if (
        not re.fullmatch("[0-9]+", whole)
        or (point and not re.fullmatch("[0-9]+", part))
        or len(part) > places
    ):
        raise ValueError(text)
    return int(whole) * 10**places + int((part + "0" * places)[:places] or "0")


def yuan(fen):
    """Fen (zero or more) as a decimal string of yuan."""
    return f"{fen // 100}.{fen % 100:02d}"


def half_up(numerator, denominator):
    """The quotient of two whole numbers (zero or more), rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


def lines(energies, prices):
    """Energies {class: int}, prices {class: (electricity, service)} → [(class, electricity fen, service fen)]."""
    result = []
    for name in CLASSES:
        energy = energies.get(name, 0)
        if energy > 0:
            electricity, service = prices[name]
            result.append(
                (name, half_up(energy * electricity, NANO_PER_FEN), half_up(energy * service, NANO_PER_FEN))
            )
    return result


def fees(energies, prices):
    """Electricity and service fee in fen."""
    billed = lines(energies, prices)
    return sum(line[1] for line in billed), sum(line[2] for line in billed)


def split_two(amount, first, second):
    """Split `amount` over two weights by largest remainder, a tie to the first."""
    whole = first + second
    if whole == 0:
        return 0, 0
    to_first = amount * first // whole
    to_second = amount * second // whole
    if to_first + to_second < amount:
        if amount * first % whole >= amount * second % whole:
            to_first += 1
        else:
            to_second += 1
    return to_first, to_second


def saving_of(coupon, electricity, service):
    """What a coupon of the JSON form saves on these fees, fen."""
    base = service if coupon["applies_to"] == "service" else electricity + service
    if base < to_int(coupon.get("spend") or "0", 2):
        return 0
    if coupon["kind"] == "threshold":
        return min(base, to_int(coupon["save"], 2))
    saving = half_up(base * to_int(coupon["percent_off"], 4), WHOLE)
    if coupon.get("cap") is not None:
        saving = min(saving, to_int(coupon["cap"], 2))
    return min(base, saving)


def choose(coupons, electricity, service):
    """The best coupon and its saving; (None, 0) when none saves anything."""
    best, best_saving = None, 0
    for coupon in coupons:
        saving = saving_of(coupon, electricity, service)
        sooner = best is not None and (coupon.get("ends") or "9999-12-31") < (
            best.get("ends") or "9999-12-31"
        )
        if saving > best_saving or (saving == best_saving > 0 and sooner):
            best, best_saving = coupon, saving
    return best, best_saving


def pay(payable, principal, bonus, order, ratio):
    """Fen from principal, from bonus, and debt; `ratio` in parts per million."""
    if order == "bonus_first":
        from_bonus = min(bonus, payable)
        from_principal = min(principal, payable - from_bonus)
    elif order == "principal_first":
        from_principal = min(principal, payable)
        from_bonus = min(bonus, payable - from_principal)
    else:
        from_bonus = min(bonus, payable * ratio // WHOLE)
        from_principal = min(principal, payable - from_bonus)
        from_bonus += min(bonus - from_bonus, payable - from_bonus - from_principal)
    return from_principal, from_bonus, payable - from_principal - from_bonus


def bill(session):
    """The bill (without explanation) of a session in the JSON form of `manage.py bill`."""
    prices = {
        name: (to_int(price["electricity"], 5), to_int(price["service"], 5))
        for name, price in session["tariff"].items()
    }
    energies = {name: to_int(text, 4) for name, text in session["energy_kwh"].items()}
    billed = lines(energies, prices)
    electricity_fee, service_fee = fees(energies, prices)
    electricity, service = electricity_fee, service_fee
    enterprise = session.get("enterprise")
    if enterprise:
        percent = to_int(enterprise["percent_off"], 4)
        service -= half_up(service * percent, WHOLE)
        if enterprise["applies_to"] == "all":
            electricity -= half_up(electricity * percent, WHOLE)
    enterprise_discount = electricity_fee + service_fee - electricity - service
    coupon, saving = choose(session.get("coupons") or [], electricity, service)
    if coupon and coupon["applies_to"] == "all":
        off_electricity, off_service = split_two(saving, electricity, service)
    else:
        off_electricity, off_service = 0, saving
    electricity -= off_electricity
    service -= off_service
    wallet = session["wallet"]
    from_principal, from_bonus, debt = pay(
        electricity + service,
        to_int(wallet["principal"], 2),
        to_int(wallet["bonus"], 2),
        wallet["order"],
        to_int(wallet.get("bonus_ratio") or "0", 6),
    )
    return {
        "lines": [
            {"class": name, "electricity_fee": yuan(e), "service_fee": yuan(s)} for name, e, s in billed
        ],
        "electricity_fee": yuan(electricity_fee),
        "service_fee": yuan(service_fee),
        "enterprise_discount": yuan(enterprise_discount),
        "coupon": coupon["id"] if coupon else None,
        "coupon_discount": yuan(saving),
        "electricity_payable": yuan(electricity),
        "service_payable": yuan(service),
        "payable": yuan(electricity + service),
        "from_principal": yuan(from_principal),
        "from_bonus": yuan(from_bonus),
        "debt": yuan(debt),
    }
