"""Who and where: operators, stations (GCJ-02), piles, and tariffs as city utilities print them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites.enums import Construction, ElectricityKind, Orientation, ParkingKind


@dataclass(frozen=True, slots=True)
class PileBlock:
    """Piles of one kind at a station, with consecutive codes."""

    first_code: str
    count: int
    guns: int
    kind: str
    power_kw: Decimal


@dataclass(frozen=True, slots=True)
class DemoStation:
    """A station and what stands there."""

    station_no: str
    name: str
    province: str
    city: str
    district: str
    area_code: str
    address: str
    latitude: str
    longitude: str
    parking_note: str
    tariff: str
    blocks: tuple[PileBlock, ...]
    filing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DemoTenant:
    """An operator; `charges_per_day` on an average day, `package` its code at the platform."""

    code: str
    name: str
    package: str
    charges_per_day: int
    stations: tuple[DemoStation, ...]


# Class by hour, two half-hours each: s sharp, p peak, f flat, v valley. Prices in yuan/kWh: electricity, service.
_PRICES: dict[str, tuple[str, dict[RateClass, tuple[str, str]]]] = {
    "上海 工商业两部制": (
        "vvvvvvffppppssppffpppfvv",
        {
            RateClass.SHARP: ("1.32060", "0.45000"),
            RateClass.PEAK: ("1.10050", "0.45000"),
            RateClass.FLAT: ("0.71310", "0.40000"),
            RateClass.VALLEY: ("0.34520", "0.35000"),
        },
    ),
    "杭州 大工业分时": (
        "vvvvvvvvfpppvvffppppsspf",
        {
            RateClass.SHARP: ("1.27800", "0.50000"),
            RateClass.PEAK: ("1.01260", "0.50000"),
            RateClass.FLAT: ("0.66470", "0.45000"),
            RateClass.VALLEY: ("0.31080", "0.40000"),
        },
    ),
    "深圳 尖峰平谷": (
        "vvvvvvvvffpppfffssppffff",
        {
            RateClass.SHARP: ("1.40440", "0.38000"),
            RateClass.PEAK: ("1.12350", "0.38000"),
            RateClass.FLAT: ("0.66180", "0.36000"),
            RateClass.VALLEY: ("0.25520", "0.30000"),
        },
    ),
}
_CLASS_OF = {"s": RateClass.SHARP, "p": RateClass.PEAK, "f": RateClass.FLAT, "v": RateClass.VALLEY}


def tariff(name: str, *, service_off: Decimal = Decimal(0)) -> Tariff:
    """Return a named tariff, its service prices lowered by `service_off` yuan/kWh."""
    hours, prices = _PRICES[name]
    return Tariff(
        prices={
            rate_class: ClassPrice(electricity=Decimal(electricity), service=Decimal(service) - service_off)
            for rate_class, (electricity, service) in prices.items()
        },
        slots=tuple(_CLASS_OF[letter] for letter in hours for _ in range(2)),
    )


def _dc(first_code: str, count: int, power: int = 120) -> PileBlock:
    return PileBlock(first_code, count, 2, "dc", Decimal(power))


def _ac(first_code: str, count: int) -> PileBlock:
    return PileBlock(first_code, count, 1, "ac", Decimal(7))


_SHANGHAI_FILING: dict[str, Any] = {
    "construction": Construction.CAR_PARK,
    "orientation": Orientation.UNDERGROUND,
    "opened_on": date(2024, 5, 1),
    "township_code": "310101002000",
    "site_guide": "西藏中路入口下至 B2，跟随绿色标识",
    "parking_spaces": 24,
    "parking_kind": ParkingKind.FREE_FOR_A_TIME,
    "parking_fee": "前 2 小时免费，之后 10 元/小时",
    "parking_info": "B2 层 C01–C24",
    "reduces_by_plate": True,
    "has_barrier": True,
    "has_toilet": True,
    "has_lounge": True,
    "has_rain_cover": True,
    "has_video": True,
    "suits": "限高 2.1 米",
    "grid_account_no": "3101000123456",
    "capacity_kva": Decimal(800),
    "rated_power_kw": Decimal(614),
    "rated_voltage_v": 10000,
    "electricity_kind": ElectricityKind.COMMERCIAL,
    "subsidy_price": Decimal("0.20000"),
}

TENANTS = (
    DemoTenant(
        code="demo",
        name="演示充电",
        package="pioneer",
        charges_per_day=40,
        stations=(
            DemoStation(
                "SH0001", "人民广场地下停车库充电站", "上海市", "上海市", "黄浦区", "310101", "西藏中路268号地下二层",
                "31.230525", "121.473667", "充电2小时内免停车费", "上海 工商业两部制",
                (_dc("31010100000001", 5), _ac("31010100000101", 2)), _SHANGHAI_FILING,
            ),
            DemoStation(
                "SH0002", "张江科学城超级充电站", "上海市", "上海市", "浦东新区", "310115", "祖冲之路2288号",
                "31.204327", "121.600874", "停车免费", "上海 工商业两部制", (_dc("31011500000001", 6, 180),),
            ),
            DemoStation(
                "HZ0001", "西湖文化广场充电站", "浙江省", "杭州市", "拱墅区", "330105", "中山北路581号",
                "30.277361", "120.164215", "前30分钟免费，之后5元/小时", "杭州 大工业分时", (_dc("33010500000001", 4),),
                {"opening_hours": "1-5 06:00-24:00; 6,7 08:00-22:00", "construction": Construction.CULTURE_AND_SPORTS},
            ),
            DemoStation(
                "SZ0001", "深圳湾科技生态园充电站", "广东省", "深圳市", "南山区", "440305", "沙河西路1819号",
                "22.529634", "113.953147", "充电车辆停车减免2小时", "深圳 尖峰平谷",
                (_dc("44030500000001", 4, 160), _ac("44030500000101", 2)),
            ),
        ),
    ),
    DemoTenant(
        code="second",
        name="第二运营商",
        package="flagship",
        charges_per_day=14,
        stations=(
            DemoStation(
                "HZ8001", "滨江星光大道充电站", "浙江省", "杭州市", "滨江区", "330108", "江南大道228号",
                "30.208486", "120.211739", "停车免费", "杭州 大工业分时", (_dc("33010800000001", 4),),
            ),
            DemoStation(
                "SZ8001", "福田口岸公交充电站", "广东省", "深圳市", "福田区", "440304", "福强路3033号",
                "22.521476", "114.067352", "仅限充电车辆停放", "深圳 尖峰平谷", (_dc("44030400000001", 4),),
            ),
        ),
    ),
)  # fmt: skip

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
