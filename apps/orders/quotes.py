"""What a charge will cost, worked out before it starts, by the steps that settle it (product.md rules 1 to 3).

Only one thing is a guess: how much is charged in which half hour. It is taken that the guns give their full power from
now on. Prices, fees, discounts and the wallet are those of a settlement: the same pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from apps.common.money import ZERO
from apps.common.time import now
from apps.coupons import services as coupons
from apps.coupons.models import Coupon
from apps.customers.models import Customer, Payer
from apps.orders import payers, wording
from apps.orders.discounts import Discounts, Fees
from apps.orders.errors import GunsApart
from apps.orders.limits import LARGEST_MINUTES, NO_LIMITS, Limits
from apps.orders.paying import discounted, kept_steps
from apps.orders.selectors import billing_policy
from apps.orders.services import BEST, NO_COUPON, hold_maximum
from apps.orders.settlement import ENERGY_UNIT, Bill, settle
from apps.piles.selectors import connector_by_code
from apps.pricing.errors import NoPrice
from apps.pricing.selectors import effective_prices
from apps.pricing.tariff import RateClass, Tariff
from apps.wallet import services as wallet
from apps.wallet.errors import AmountNotAllowed
from apps.wallet.payment import Payment, PayOrder, pay

USUAL_POWER_KW = Decimal(7)
"""Of a gun whose power nobody has entered: what a small AC gun gives."""
HALF_HOUR = timedelta(minutes=30)


@dataclass(frozen=True)
class Quote:
    """A charge as it is expected, yuan and kWh; `hold` is what would be set aside, `available` what could be.

    Of an enterprise's money both are what its limits allow: what it has may be less, and is not told to its drivers.
    """

    hold: Decimal
    available: Decimal
    owed: Decimal
    minutes: int
    bill: Bill
    enterprise: str
    coupon: Coupon | None
    discounts: Discounts
    payment: Payment
    explanation: tuple[str, ...]
    payer: Payer
    offer: payers.Offer | None
    """What the driver's enterprise would pay, chosen or not."""

    @property
    def own_hold(self) -> Decimal | None:
        """What would be set aside of the driver's own money; None where it is the enterprise's."""
        return None if self.payer == Payer.ENTERPRISE else self.hold

    @property
    def own_available(self) -> Decimal | None:
        """What could be set aside of the driver's own money; None where it is the enterprise's."""
        return None if self.payer == Payer.ENTERPRISE else self.available

    @property
    def can_pay(self) -> bool:
        """Whether a start would find the money, and no debt in its way."""
        return not self.owed and not self.problem and 0 < self.hold <= self.available

    @property
    def problem(self) -> str:
        """Why the enterprise does not pay although it is to, in words; "" where it does."""
        return self.offer.problem if self.offer and self.payer == Payer.ENTERPRISE else ""


def quote(
    *,
    customer: Customer,
    codes: Sequence[str],
    preset_amount: Decimal | None = None,
    limits: Limits = NO_LIMITS,
    coupon: int | str = BEST,
    payer: str | None = None,
    at: datetime | None = None,
) -> Quote:
    """Work out a charge over the guns of `codes`, the main one first, that begins now; arguments as `start_charge`.

    Writes nothing and asks nothing of the pile. A limit on the state of charge says nothing of the energy, so without
    another one the charge is taken to go on until the hold ends; who has no money is shown what the largest hold gives.
    Raises PileNotFound, GunsApart, NoPrice, CouponNotFound, CouponNotUsable, OwnCouponOnly, EnterpriseDoesNotPay,
    AmountNotAllowed; what keeps an enterprise from paying here and now is told, not raised.
    """
    moment = at or now()
    if len({code[:-2] for code in codes}) > 1 or len(set(codes)) != len(codes):
        raise GunsApart
    guns = [connector_by_code(code=code) for code in codes]
    pile = guns[0].pile
    found = effective_prices(pile_id=pile.pk, station_id=pile.station_id, at=moment)
    if found is None:
        raise NoPrice
    retail = found[2]
    maximum = hold_maximum()
    if preset_amount is not None and not 0 < preset_amount <= maximum:
        raise AmountNotAllowed(reason=f"0.01–{maximum}")
    money, policy = wallet.wallet_of(customer=customer), billing_policy()
    chosen = payers.choose(customer=customer, asked=payer)
    offer = payers.offer_of(
        customer=customer, station_id=pile.station_id, amount=preset_amount, maximum=maximum, at=moment
    )
    if chosen.pays:
        payers.check_coupon(coupon)
    # A wallet that is made now holds whole numbers.
    principal, bonus = ZERO + money.principal, ZERO + money.bonus
    available = offer.upto if chosen.pays and offer else principal + bonus
    hold = preset_amount if preset_amount is not None else min(available, maximum)
    energies, length = expected(
        retail,
        power_kw=sum((gun.power_kw for gun in guns), Decimal(0)) or USUAL_POWER_KW,
        begin=moment,
        amount=hold or maximum,
        limits=limits,
    )
    bill = settle(energies, retail)
    enterprise = chosen.enterprise
    rule = enterprise.rule() if enterprise else None
    fees = Fees(bill.electricity_fee, bill.service_fee)
    mine = [] if chosen.pays else _coupons(customer, coupon, pile.station_id, moment)
    result = discounted(fees, rule, mine)
    used = next((one for one in mine if result.coupon and str(one.pk) == result.coupon.id), None)
    payable = result.payable.total
    if chosen.pays:
        payment = Payment(ZERO, ZERO, max(payable - available, ZERO), from_enterprise=min(payable, available))
    else:
        payment = pay(payable, principal, bonus, PayOrder(policy.pay_order), policy.bonus_ratio)
    sentences = wording.fee_sentences(bill.lines, fees, kept_steps(result, rule, used))
    if result.payable != fees:
        sentences.append(wording.to_pay_words(result.payable))
    return Quote(
        hold=hold,
        available=available,
        owed=ZERO if chosen.pays else ZERO + money.debt,
        minutes=-(-int(length.total_seconds()) // 60),
        bill=bill,
        enterprise=enterprise.name if enterprise else "",
        coupon=used,
        discounts=result,
        payment=payment,
        explanation=tuple(sentences),
        payer=chosen.payer,
        offer=offer,
    )


def _coupons(customer: Customer, coupon: int | str, station_id: int, at: datetime) -> list[Coupon]:
    if coupon == NO_COUPON:
        return []
    if isinstance(coupon, int):
        return [coupons.chosen(customer=customer, coupon_id=coupon, station_id=station_id, at=at)]
    return coupons.usable(customer=customer, station_id=station_id, at=at)


def expected(
    tariff: Tariff, *, power_kw: Decimal, begin: datetime, amount: Decimal, limits: Limits
) -> tuple[dict[RateClass, Decimal], timedelta]:
    """Return the energy (kWh) of each class and the time of a charge at constant power until something ends it. Pure.

    That is the first of: the amount (yuan, at these prices before discounts, where the hold ends), the limits on energy
    and time, and a day. Energies are cut to 0.0001 kWh.
    """
    energies: dict[RateClass, Decimal] = {}
    left_kwh = limits.energy_kwh
    left_yuan = amount
    end = begin + timedelta(minutes=min(limits.minutes or LARGEST_MINUTES, LARGEST_MINUTES))
    moment = begin
    while moment < end and left_yuan > ZERO and left_kwh != 0:
        rate_class = tariff.class_at(moment)
        price = tariff.price_at(moment).total
        until = min(end, _next_half_hour(moment))
        whole = energy = power_kw * Decimal(int((until - moment).total_seconds())) / 3600
        if left_kwh is not None:
            energy = min(energy, left_kwh)
            left_kwh -= energy
        if price:
            energy = min(energy, left_yuan / price)
        energies[rate_class] = energies.get(rate_class, Decimal(0)) + energy
        left_yuan -= energy * price
        if energy < whole:
            return _cut(energies), moment - begin + timedelta(seconds=int(energy * 3600 / power_kw))
        moment = until
    return _cut(energies), moment - begin


def _cut(energies: Mapping[RateClass, Decimal]) -> dict[RateClass, Decimal]:
    return {name: energy.quantize(ENERGY_UNIT, ROUND_FLOOR) for name, energy in energies.items()}


def _next_half_hour(moment: datetime) -> datetime:
    start = moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0)
    return start + HALF_HOUR
