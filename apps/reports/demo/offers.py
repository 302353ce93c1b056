"""What the demo's drivers are offered: coupons that they claim and use, a station with retail prices."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.time import SHANGHAI, business_day, day_bounds, now
from apps.coupons.models import Coupon, CouponTemplate
from apps.coupons.services import claim
from apps.customers.models import Customer
from apps.pricing.changes import request_task
from apps.pricing.enums import DayKind, TaskDays
from apps.pricing.models import PriceTask, RetailPrice
from apps.pricing.price_tasks import Entry, Place, set_days
from apps.pricing.selectors import station_versions
from apps.pricing.services import create_template, set_retail_price
from apps.pricing.tariff import ClassPrice, Tariff
from apps.sites.models import Station

SEEDER = Actor("command", name="seed_demo")
CLAIMS = 0.25
"""Of so many charges after the first a driver claims a coupon before."""
TEMPLATES = (
    {
        "name": "新客立减",
        "kind": "threshold",
        "spend": Decimal("5.00"),
        "save_amount": Decimal("3.00"),
        "stock": 5_000,
        "days_valid": 30,
    },
    {
        "name": "夜间服务费八折",
        "kind": "percent",
        "percent_off": Decimal(20),
        "cap": Decimal("10.00"),
        "from_time": time(22),
        "until_time": time(6),
        "station_share": Decimal(50),
        "days_valid": 15,
    },
    {
        "name": "周末满 40 减 5",
        "kind": "threshold",
        "applies_to": "all",
        "spend": Decimal("40.00"),
        "save_amount": Decimal("5.00"),
        "weekdays": "67",
        "days_valid": 7,
    },
)
HOLIDAY_SHARE = Decimal("0.9")
SERVICE_MORE = Decimal("0.10000")
"""Yuan/kWh that the station with retail prices asks more for its service."""


def offers(*, station_no: str, opened_at: datetime) -> None:
    """Make coupon templates, and retail prices at one station, where they are missing."""
    for fields in TEMPLATES:
        CouponTemplate.objects.get_or_create(
            name=fields["name"],
            defaults={**fields, "per_customer": 20, "created_at": opened_at - timedelta(days=31)},
        )
    station = Station.objects.get(station_no=station_no)
    if not RetailPrice.objects.filter(station=station).exists():
        _retail(station, opened_at)
    if not PriceTask.objects.exists():
        _holiday_prices(station)


def _retail(station: Station, opened_at: datetime) -> None:
    midnight = opened_at.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    version = station_versions(station_ids=[station.pk], at=opened_at)[station.pk]
    prices = {
        name: ClassPrice(price.electricity, price.service + SERVICE_MORE)
        for name, price in version.to_tariff().prices.items()
    }
    set_retail_price(
        station=station,
        prices=prices,
        starts_at=midnight - timedelta(days=9),
        actor=SEEDER,
        note="黄金地段上浮",
    )


def _holiday_prices(station: Station) -> None:
    """Next New Year's holiday in the calendar, and a cheaper service on public holidays until then."""
    moment = now()
    first = date(business_day(moment).year + 1, 1, 1)
    days = [first + timedelta(days=number) for number in range(3)]
    set_days(entries=[Entry(day, DayKind.HOLIDAY, "元旦") for day in days], actor=SEEDER)
    tariff = station_versions(station_ids=[station.pk], at=moment)[station.pk].to_tariff()
    prices = {
        name: ClassPrice(price.electricity, price.service * HOLIDAY_SHARE)
        for name, price in tariff.prices.items()
    }
    request_task(
        name="元旦服务费九折",
        version=create_template(name="节假日优惠", tariff=Tariff(prices, tariff.slots), actor=SEEDER),
        places=[Place(station=station)],
        days=TaskDays.HOLIDAYS,
        starts_at=day_bounds(first)[0],
        ends_at=day_bounds(days[-1])[1],
        reason="节假日活动",
        actor=SEEDER,
    )


def claim_some(customer: Customer, key: str, before: datetime) -> None:
    """Let a driver claim a newcomer's coupon before the first charge, others before some; the same in every run."""
    chance = Random(f"coupon {key}")
    names = [fields["name"] for fields in TEMPLATES]
    if not Coupon.objects.filter(customer=customer).exists():
        names = names[:1]
    elif chance.random() >= CLAIMS:
        return
    templates = list(CouponTemplate.objects.filter(name__in=names))
    if not templates:
        return
    chosen = chance.choice(sorted(templates, key=lambda row: row.name))
    try:
        claim(customer=customer, template_id=chosen.pk, request_key=key, at=before - timedelta(minutes=4))
    except DomainError:
        return  # has as many as one may
