"""A second opinion on every bill: whole numbers and the standard library only, nothing of the project.

Written from the business rules, not from the code that it checks. Units: energy 0.0001 kWh, price 0.00001 yuan/kWh,
energy × price 0.000000001 yuan, money fen, percentages and ratios parts per million.
"""

import re
from datetime import date

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


# --- From the charge itself -------------------------------------------------------------------------------
#
# A charge: {"begin": [year, month, day, hour, minute, second] in Chinese time, "seconds": whole seconds, "power":
# constant, 0.0001 kW, "slots": 48 codes 0 to 4 in the order of CLASSES, "infrastructure" and "retail": prices by class
# (retail may lack some), "station": number, "late": whether the record came after the start had failed, "hold": yuan,
# "enterprise", "coupons", "wallet": as for `bill`, with "station_share" in percent; coupons have "stations" (none: all
# of them), "weekdays" (1 Monday), "from_time", "until_time" ("HH:MM", the end excluded), "first_day" and "last_day"}.


def metered(session):
    """Energy by class, 0.0001 kWh: second by second as the pile's clock goes, each class rounded half up once."""
    begin = session["begin"]
    second = begin[3] * 3600 + begin[4] * 60 + begin[5]
    left = session["seconds"]
    used = {}
    while left:
        name = CLASSES[int(session["slots"][second // 1800])]
        step = min(left, 1800 - second % 1800)
        used[name] = used.get(name, 0) + step
        second = (second + step) % 86_400
        left -= step
    return {name: half_up(session["power"] * seconds, 3600) for name, seconds in used.items()}


def is_usable(coupon, session):
    """Whether a charge that begins then and there may use a coupon."""
    year, month, day, hour, minute, _second = session["begin"]
    today = f"{year:04d}-{month:02d}-{day:02d}"
    if today < coupon["first_day"] or today > (coupon["last_day"] or "9999-12-31"):
        return False
    if coupon["stations"] and session["station"] not in coupon["stations"]:
        return False
    if str(date(year, month, day).isoweekday()) not in coupon["weekdays"]:
        return False
    if not coupon["from_time"]:
        return True
    now = f"{hour:02d}:{minute:02d}"
    if coupon["from_time"] < coupon["until_time"]:
        return coupon["from_time"] <= now < coupon["until_time"]
    return now >= coupon["from_time"] or now < coupon["until_time"]


def bearers(saving, share):
    """The platform's and the station's part of a saving; `share` in 0.01 percent, ties to the platform."""
    return split_two(saving, 10_000 - share, share)


def balance(hold, infrastructure, retail, slots):
    """What a pile may be told as balance, fen: no mix of the classes in use costs more than the hold at retail."""
    used = {CLASSES[int(code)] for code in slots}
    pairs = [(sum(infrastructure[name]), sum(retail[name])) for name in used]
    pairs = [(pile, sold) for pile, sold in pairs if pile and sold]
    if hold == 0 or all(pile == sold for pile, sold in pairs):
        return hold
    return min(99_999_999, max(1, min(hold * pile // sold for pile, sold in pairs)))


def charge(session):
    """Everything that becomes of a charge: energies, bill, who bears discounts, what the bonus paid, the balance."""
    energies = metered(session)
    retail = {**session["infrastructure"], **session["retail"]}
    found = bill(
        {
            "tariff": retail,
            "energy_kwh": {name: _kwh(energy) for name, energy in energies.items()},
            "enterprise": session["enterprise"],
            "coupons": [
                {**coupon, "ends": coupon["last_day"]}
                for coupon in session["coupons"]
                if is_usable(coupon, session) and not session["late"]
            ],
            "wallet": session["wallet"],
        }
    )
    shares = {coupon["id"]: to_int(coupon["station_share"], 2) for coupon in session["coupons"]}
    enterprise_share = to_int(session["enterprise"]["station_share"], 2) if session["enterprise"] else 0
    of_enterprise = bearers(to_int(found["enterprise_discount"], 2), enterprise_share)
    of_coupon = bearers(to_int(found["coupon_discount"], 2), shares.get(found["coupon"], 0))
    bonus = split_two(
        to_int(found["from_bonus"], 2),
        to_int(found["electricity_payable"], 2),
        to_int(found["service_payable"], 2),
    )
    units = {
        kind: {
            name: (to_int(price["electricity"], 5), to_int(price["service"], 5))
            for name, price in prices.items()
        }
        for kind, prices in (("pile", session["infrastructure"]), ("sold", retail))
    }
    return {
        "energy_kwh": {name: _kwh(energy) for name, energy in energies.items() if energy},
        **found,
        "bonus_electricity": yuan(bonus[0]),
        "bonus_service": yuan(bonus[1]),
        "platform_borne": yuan(of_enterprise[0] + of_coupon[0]),
        "station_borne": yuan(of_enterprise[1] + of_coupon[1]),
        "balance": yuan(balance(to_int(session["hold"], 2), units["pile"], units["sold"], session["slots"])),
    }


def _kwh(units):
    return f"{units // 10_000}.{units % 10_000:04d}"
