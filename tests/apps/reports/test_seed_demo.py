"""The demo business: made once, by the real services, and always the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from itertools import pairwise

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Count, Max, Sum

from apps.accounts.models import User
from apps.backoffice import scope
from apps.backoffice.models import Approval
from apps.common.schema import current_schema, run_in_schema, schema_context
from apps.common.time import SHANGHAI, business_day, now
from apps.customers.feedback.models import Feedback
from apps.customers.models import Customer, EnterpriseMember
from apps.invoices.models import InvoiceApplication
from apps.marketing.selectors import running
from apps.orders.enums import OrderState, Verdict
from apps.orders.ledger_check import differences
from apps.orders.models import EnergyDay, Order
from apps.piles.models import ConnectorStatus, Pile
from apps.piles.services import piles_offline
from apps.pricing.tariff import RateClass
from apps.reports.demo import asking
from apps.reports.demo import seed as seeding
from apps.reports.demo.fleet import COMPANY, TOP_UP
from apps.reports.demo.places import TENANTS, tariff
from apps.reports.demo.plan import Gun, charges_of, energies, record_of
from apps.sites.models import Station
from apps.tenancy.models import Domain, InboundRoute, SupportSession, Tenant
from apps.wallet import books
from apps.wallet.models import ChannelDay, EnterpriseAccount, Wallet
from tests import factories
from tests.e2e.site import wait_for


@pytest.fixture
def demo_closed(committed: Tenant) -> Iterator[None]:
    """Whatever tenants the test made are gone afterwards, with their schemas."""
    yield
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        for tenant in TENANTS:
            InboundRoute.objects.filter(tenant__code=tenant.code).delete()
            SupportSession.objects.filter(tenant__code=tenant.code).delete()
            Domain.objects.filter(tenant__code=tenant.code).delete()
            Tenant.objects.filter(code=tenant.code).delete()
            cursor.execute(f'drop schema if exists "t_{tenant.code}" cascade')


def run(*arguments: str) -> dict[str, int]:
    out = StringIO()
    call_command("seed_demo", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


def test_the_demo_is_made_once_and_its_books_are_right(
    demo_closed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "a demo password")
    pile_drivers, channel_layers = settings.PILE_DRIVERS, settings.CHANNEL_LAYERS
    first = run("--tenant", "second", "--days", "2")
    assert (first["tenants"], first["stations"], first["piles"]) == (1, 2, 8)
    assert first["orders"] >= 10
    assert run("--tenant", "second", "--days", "2") == {"tenants": 0, "stations": 0, "piles": 0, "orders": 0}
    assert settings.PILE_DRIVERS is pile_drivers
    assert settings.CHANNEL_LAYERS is channel_layers

    connection.set_schema_to_public()
    assert Domain.objects.get(domain="second.localhost").tenant.name == "第二运营商"
    assert User.objects.get(username="admin").check_password("a demo password")
    opened_at = Tenant.objects.get(code="second").created_at
    with schema_context("t_second"):
        assert User.objects.get(username="admin").check_password("a demo password")
        person = User.objects.get(username="franchisee")
        assert person.check_password("a demo password")
        assert person.is_outsider
        assert len(scope.stations_of(person) or ()) == 1 < Station.objects.count()
        states = dict(Order.objects.values_list("state").annotate(Count("id")).order_by())
        assert states == {
            OrderState.COMPLETED: first["orders"] - 2,
            OrderState.FAILED: 1,
            OrderState.ABNORMAL: 1,
        }
        assert any(order.is_retail for order in Order.objects.filter(station__station_no="SZ8001"))
        held = Order.objects.filter(state=OrderState.ABNORMAL).get()
        assert held.verdict == Verdict.HELD
        # The first person to sign in has something to decide; the price task's own rule needs nobody else.
        asked = Approval.objects.values_list("operation", "object_name", "state", "requested_by_name")
        assert set(asked) == {
            ("orders.settle_as_proposed", held.order_no, "pending", "复核员"),
            ("pricing.assign", "元旦服务费九折", "executed", "seed_demo"),
            ("wallet.enterprise_deposit", COMPANY, "executed", "复核员"),
        }
        assert set(Order.objects.filter(state=OrderState.COMPLETED).values_list("verdict", flat=True)) == {
            "ok"
        }
        assert Order.objects.filter(debt__gt=0).count() == 1
        assert (
            Wallet.objects.aggregate(Sum("debt"))["debt__sum"]
            == Order.objects.aggregate(Sum("debt"))["debt__sum"]
        )
        assert Order.objects.aggregate(Max("ended_at"))["ended_at__max"] < opened_at
        assert Order.objects.filter(created_at__gt=opened_at).count() == 0
        # Nothing of it is left on the machines: they have never been seen.
        assert not Pile.objects.filter(is_online=True).exists()
        assert set(ConnectorStatus.objects.values_list("state", flat=True)) == {"offline"}
        assert Customer.objects.filter(phone="+8613800000001").exists()
        assert Station.objects.count() == 2
        # Drivers who want something.
        assert sorted(InvoiceApplication.objects.values_list("state", flat=True)) == [
            "applied",
            "issued",
            "rejected",
        ]
        assert sorted(Feedback.objects.values_list("state", flat=True)) == ["answered", "open"]
        assert [activity.title for activity in running()] == [asking.ACTIVITY]
        assert differences() == []
        # A run that was killed goes on: what is missing is added, and nothing else.
        kept = Order.objects.filter(request_key__startswith="seed:2").count()
        assert run("--tenant", "second", "--days", "1")["orders"] == 0
        assert run("--tenant", "second", "--days", "3")["orders"] >= 10
        assert Order.objects.filter(request_key__startswith="seed:2").count() >= kept + 10
        assert differences() == []
        assert Order.objects.filter(coupon_discount__gt=0, coupon__state="used").exists()
        # The company paid for its drivers, one of whom has a limit, and nothing of it was theirs.
        members = Order.objects.filter(
            state=OrderState.COMPLETED,
            request_key__startswith="seed:2",
            customer__phone__in=EnterpriseMember.objects.values("phone"),
        )
        limited = EnterpriseMember.objects.exclude(monthly_limit=None).get()
        assert set(members.exclude(customer__phone=limited.phone).values_list("payer", flat=True)) == {
            "enterprise"
        }
        paid = Order.objects.filter(payer="enterprise", enterprise__name=COMPANY)
        assert paid.filter(enterprise_discount__gt=0).exists()
        assert not paid.exclude(paid_principal=0, coupon_discount=0).exists()
        spent = paid.aggregate(
            spent=Sum("paid_enterprise"), back=Sum("refunded_electricity") + Sum("refunded_service")
        )
        account = EnterpriseAccount.objects.get()
        assert account.principal == TOP_UP - spent["spent"] + spent["back"]
        assert account.held == 0
        # The day before yesterday is reconciled: two payments are nobody's, all else agrees.
        day = ChannelDay.objects.get()
        assert day.day == business_day(opened_at) - timedelta(days=2)
        assert (day.their_payments, day.differences_open) == (day.our_payments + 2, 2)
        assert day.our_payments > 0
        assert set(EnergyDay.objects.values_list("day", "differences_open")) == {(day.day, 0)}
        # Closed at the end; then history is over, and a run that asks for more of it adds nothing to closed days.
        last = business_day(opened_at) - timedelta(days=1)
        assert run("--tenant", "second", "--days", "3", "--close")["orders"] == 0
        assert books.closed_through() == min(last, books.closable_until())
        assert run("--tenant", "second", "--days", "5", "--close")["orders"] == 0
        assert differences() == []


def test_a_pile_that_goes_while_its_charge_is_seeded_goes_before_or_after(committed: Tenant) -> None:
    connector = factories.a_connector()
    customer = factories.a_customer("100.00")
    pile = connector.pile
    Pile.objects.filter(pk=pile.pk).update(is_online=True, connection_id="lost")
    schema, gun = current_schema(), Gun(connector.code, Decimal(120))

    def seeded() -> str:
        def start() -> str:
            with transaction.atomic():
                return seeding._start(customer, gun, "seed:race", now()).order_no

        try:
            return run_in_schema(schema, start)
        finally:
            connection.close()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("select exists (select from pg_locks where not granted)")
            return bool(cursor.fetchone()[0])

    with seeding.quiet(), ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert piles_offline(connection_ids={pile.pile_code: "lost"}) == [pile.pile_code]
            order = pool.submit(seeded)
            wait_for("the seeding to wait for the pile", waits, 30)
        order_no = order.result(30)
    assert Order.objects.get().order_no == order_no
    pile.refresh_from_db()
    assert not pile.is_online
    assert ConnectorStatus.objects.get(connector=connector).state == "offline"


def test_nothing_is_seeded_where_nobody_pays_by_sandbox(
    committed: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECHARGE_CHANNELS", [])
    with pytest.raises(CommandError, match="RECHARGE_CHANNELS"):
        call_command("seed_demo")
    connection.set_schema_to_public()
    assert not Tenant.objects.filter(code="demo").exists()


GUNS = [Gun(f"310101000000{number:02d}01", Decimal(120)) for number in range(1, 5)]


def test_a_day_is_always_planned_alike_and_uses_nothing_twice_at_a_time() -> None:
    wanted = {"tenant": "demo", "day": date(2026, 3, 1), "count": 60, "guns": GUNS, "recent": True}
    planned = charges_of(**wanted)
    assert planned == charges_of(**wanted)
    assert planned != charges_of(**{**wanted, "day": date(2026, 3, 2)})
    assert len(planned) > 40
    assert len({charge.key for charge in planned}) == len(planned)
    for user in ("gun", "driver"):
        by_user: dict[object, list[tuple[datetime, datetime]]] = {}
        for charge in planned:
            by_user.setdefault(getattr(charge, user), []).append((charge.starts_at, charge.ends_at))
        for times in by_user.values():
            assert all(end < start for (_, end), (start, _) in pairwise(times))
    older = charges_of(**{**wanted, "recent": False})
    assert not {charge.driver for charge in planned} & {charge.driver for charge in older}


def test_energy_falls_into_the_half_hours_it_was_used_in() -> None:
    begin = datetime(2026, 3, 1, 21, 45, tzinfo=SHANGHAI)  # Shanghai: flat until 22:00, then valley
    used = energies(
        begin=begin,
        end=begin + timedelta(hours=1),
        average_kw=Decimal(60),
        tariff=tariff("上海 工商业两部制"),
    )
    assert used == {RateClass.FLAT: Decimal("15.0000"), RateClass.VALLEY: Decimal("45.0000")}


def test_a_limited_record_costs_no_more_than_its_limit() -> None:
    begin = datetime(2026, 3, 1, 10, 10, tzinfo=SHANGHAI)
    report = record_of(
        transaction_no="1" * 32,
        gun=GUNS[0],
        begin=begin,
        end=begin + timedelta(hours=1),
        average_kw=Decimal(60),
        tariff=tariff("深圳 尖峰平谷"),
        limit=Decimal(30),
    )
    assert Decimal("29.80") < report.total_amount <= Decimal("29.90")
    assert report.meter_end - report.meter_start == report.total_energy_kwh
    assert sum(period.energy_kwh for period in report.periods.values()) == report.total_energy_kwh


@pytest.mark.parametrize("name", ["上海 工商业两部制", "杭州 大工业分时", "深圳 尖峰平谷"])
def test_tariffs_have_a_day_and_four_classes(name: str) -> None:
    found = tariff(name)
    assert len(found.slots) == 48
    assert set(found.slots) == {RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY}


def test_the_small_set_is_small() -> None:
    per_day = sum(tenant.charges_per_day for tenant in TENANTS)
    assert 190 <= per_day * seeding.RECENT_DAYS <= 240
    assert sum(len(tenant.stations) for tenant in TENANTS) == 6
