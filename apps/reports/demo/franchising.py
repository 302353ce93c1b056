"""The demo's franchisee: a company that has one of the stations, and somebody of it who signs in."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from apps.accounts.models import User
from apps.common.ids import Actor
from apps.common.time import business_day
from apps.franchisees import services
from apps.franchisees.models import Franchisee, FranchiseeStation
from apps.reports.demo.places import DemoTenant
from apps.sites.models import Station
from apps.tenancy.selectors import tenant_of_code

SEEDER = Actor("command", name="seed_demo")
NAME, COMPANY, CODE = "绿能加盟", "上海绿能充电服务有限公司", "91310115MA1H0DEM0X"
USERNAME = "franchisee"
CONTRACT_DAYS = 365
LEFT_DAYS = 20
"""The contract ends soon after the demo was made, so that it waits for somebody."""


def seed_franchisee(wanted: DemoTenant, password: str) -> None:
    """Make the franchisee with its contract, its station and its account, each once."""
    station = Station.objects.get(station_no=wanted.stations[0].station_no)
    opened = business_day(tenant_of_code(wanted.code).created_at)
    franchisee = Franchisee.objects.filter(name=NAME).first()
    if franchisee is None:
        franchisee = services.create_franchisee(
            name=NAME,
            company=COMPANY,
            credit_code=CODE,
            contact="周经理",
            phone="021-60000000",
            actor=SEEDER,
        )
    if not franchisee.contracts.exists():
        _sign(franchisee, opened)
    if not FranchiseeStation.objects.filter(station=station).exists():
        services.assign_station(
            franchisee=franchisee,
            station=station,
            starts_on=opened - timedelta(days=CONTRACT_DAYS - LEFT_DAYS),
            actor=SEEDER,
        )
    if not User.objects.filter(username=USERNAME).exists():
        services.open_account(
            franchisee=franchisee,
            username=USERNAME,
            password=password,
            display_name="绿能加盟商",
            actor=SEEDER,
        )


def _sign(franchisee: Franchisee, opened: date) -> None:
    services.sign_contract(
        franchisee=franchisee,
        number=f"JM{opened:%Y}-001",
        starts_on=opened - timedelta(days=CONTRACT_DAYS - LEFT_DAYS),
        ends_on=opened + timedelta(days=LEFT_DAYS),
        service_share=Decimal(70),
        electricity_share=Decimal(100),
        actor=SEEDER,
        note="演示合同",
    )
