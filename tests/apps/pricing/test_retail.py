"""Retail prices: what drivers pay, what a pile is told, and the page with its preview."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.backoffice.approvals import approve
from apps.backoffice.enums import ApprovalState
from apps.backoffice.errors import ObjectChanged, SamePerson
from apps.backoffice.models import Approval, AuditEntry
from apps.common.ids import SYSTEM, Actor
from apps.common.time import SHANGHAI, now
from apps.pricing.models import PriceAssignment, RetailPrice
from apps.pricing.selectors import effective_prices, retail_prices, station_tariffs, station_versions
from apps.pricing.services import set_retail_price
from apps.pricing.tariff import LARGEST_BALANCE, ClassPrice, RateClass, Tariff, pile_balance
from tests import factories
from tests.staff import a_user, boss, signed_in

NEW = "/admin/pricing/retailprice/new/"
FLAT, PEAK = RateClass.FLAT, RateClass.PEAK


def two(flat: str, peak: str, slots: int = 24) -> Tariff:
    prices = {FLAT: ClassPrice(Decimal(flat), Decimal(0)), PEAK: ClassPrice(Decimal(peak), Decimal(0))}
    return Tariff(prices, tuple([FLAT] * slots + [PEAK] * (48 - slots)))


@pytest.mark.parametrize(
    ("pile", "sold", "hold", "balance"),
    [
        (two("1", "2"), two("1", "2"), "50.00", "50.00"),
        (two("1", "2"), two("2", "4"), "50.00", "25.00"),
        (two("1", "2"), two("2", "2"), "50.00", "25.00"),
        (two("1", "2"), two("0.5", "1"), "50.00", "100.00"),
        (two("1", "2"), two("3", "2"), "50.00", "16.66"),
        (two("1", "2", 48), two("1", "4", 48), "50.00", "50.00"),  # peak is in no half hour
        (two("0", "2"), two("1", "2"), "50.00", "50.00"),  # what the pile cannot count is watched
        (two("0", "0"), two("1", "2"), "50.00", "50.00"),
        (two("1", "2"), two("0", "0"), "50.00", "50.00"),
        (two("1", "2"), two("0", "4"), "50.00", "25.00"),
        (two("1", "2"), two("3", "2"), "0.01", "0.01"),
        (two("1", "2"), two("2", "4"), "0.00", "0.00"),
        (two("1000", "1000"), two("0.00001", "0.00001"), "50.00", str(LARGEST_BALANCE)),
    ],
)
def test_what_a_pile_is_told_for_a_hold(pile, sold, hold, balance):
    assert pile_balance(Decimal(hold), pile, sold) == Decimal(balance)


def test_the_latest_start_counts_and_empty_prices_end_it(tenant, django_assert_num_queries):
    station = factories.a_station()
    pile = factories.a_pile(station=station)
    noon = datetime(2026, 11, 10, 12, 0, tzinfo=SHANGHAI)
    factories.a_price(station=station)
    for hours, prices in (
        (0, {PEAK: ClassPrice(Decimal(1), Decimal(2))}),
        (2, {}),
        (1, {FLAT: ClassPrice(Decimal(3), Decimal(4))}),
    ):
        set_retail_price(
            station=station, prices=prices, starts_at=noon + timedelta(hours=hours), actor=SYSTEM
        )

    def at(hours):
        return retail_prices(station_ids=[station.pk], at=noon + timedelta(hours=hours)).get(station.pk)

    assert at(-0.1) is None
    assert list(at(0)) == [PEAK]
    assert list(at(1.5)) == [FLAT]
    assert at(2) is None
    later = now() + timedelta(days=400)
    set_retail_price(
        station=station, prices={PEAK: ClassPrice(Decimal(9), Decimal(1))}, starts_at=later, actor=SYSTEM
    )
    with django_assert_num_queries(1):
        version, tariff, sold = effective_prices(pile_id=pile.pk, station_id=station.pk, at=later)
    assert tariff == version.to_tariff()
    assert sold.prices[PEAK] == ClassPrice(Decimal(9), Decimal(1))
    assert sold.prices[FLAT] == tariff.prices[FLAT]


def test_a_list_shows_what_one_station_shows(tenant, django_assert_num_queries):
    noon = datetime(2026, 11, 10, 12, 0, tzinfo=SHANGHAI)
    plain, retail, planned, bare = (factories.a_station() for _ in range(4))
    for station in (plain, retail, planned):
        factories.a_price(station=station)
    usual = factories.TARIFF
    own = PriceAssignment.objects.filter(station__in=(plain, retail))
    own.update(starts_at=noon - timedelta(days=2))
    PriceAssignment.objects.filter(station=planned).update(starts_at=noon + timedelta(days=1))
    for ends_at, price in ((noon + timedelta(hours=1), "0.5"), (noon, "0.6")):
        PriceAssignment.objects.create(
            version=factories.a_price(usual.sold_at({FLAT: ClassPrice(Decimal(price), Decimal(0))})),
            station=plain,
            starts_at=noon - timedelta(hours=1),
            ends_at=ends_at,
            is_temporary=True,
        )
    prices = {PEAK: ClassPrice(Decimal("1.23456"), Decimal("0.10000"))}
    set_retail_price(station=retail, prices=prices, starts_at=noon - timedelta(hours=1), actor=SYSTEM)
    ids = [station.pk for station in (plain, retail, planned, bare)]
    for at in (noon - timedelta(hours=2), noon, noon + timedelta(hours=2), noon + timedelta(days=2)):
        with django_assert_num_queries(1):
            found = station_tariffs(station_ids=ids, at=at)
        versions = station_versions(station_ids=ids, at=at)
        assert plain.pk in versions
        assert bare.pk not in versions
        sold = retail_prices(station_ids=ids, at=at)
        assert found == {pk: one.to_tariff().sold_at(sold.get(pk, {})) for pk, one in versions.items()}
        assert (planned.pk in found) == (at > noon + timedelta(days=1))
    assert station_tariffs(station_ids=[], at=noon) == {}
    assert station_tariffs(station_ids=ids, at=noon)[plain.pk].prices[FLAT].electricity == Decimal("0.50000")
    assert station_tariffs(station_ids=ids, at=noon)[retail.pk].prices[PEAK] == prices[PEAK]


def test_retail_prices_never_change(tenant):
    factories.a_retail_price(factories.a_station(), {"flat": ("1", "1")})
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        RetailPrice.objects.update(note="x")


def form(place, **changes):
    return {
        "station": place.pk,
        "starts_at": "",
        "note": "节日",
        "peak_electricity": "1.2",
        "peak_service": "0.9",
        **changes,
    }


def test_the_preview_shows_bills_and_margins_and_saves_nothing(tenant):
    pile = factories.a_pile()
    page = boss().post(NEW, {**form(pile.station), "preview": ""})
    shown = page.context_data["preview"]
    (peak,) = [row for row in shown["rows"] if row.rate_class == "peak"]
    assert (peak.infrastructure, peak.before, peak.after, peak.margin) == (
        Decimal("1.80"),
        Decimal("1.80"),
        Decimal("2.10"),
        Decimal("0.30"),
    )
    assert (peak.bill_before, peak.bill_after) == (Decimal("72.00"), Decimal("84.00"))
    assert (shown["balance"], shown["below"], shown["uneven"]) == (Decimal("85.71"), [], True)
    assert "下发给充电桩的余额为 85.71 元" in page.content.decode()
    assert RetailPrice.objects.count() == 0


def test_saving_writes_the_row_and_the_audit_log(tenant):
    pile = factories.a_pile()
    answer = boss().post(NEW, {**form(pile.station, peak_service="0.7"), "save": ""})
    assert answer.status_code == 302
    row = RetailPrice.objects.get()
    assert row.prices == {"peak": {"electricity": "1.20000", "service": "0.70000"}}
    entry = AuditEntry.objects.get(action="pricing.retailprice_added")
    assert entry.changes["prices"] == [{}, row.prices]
    assert "峰 1.20+0.70" in boss().get("/admin/pricing/retailprice/").content.decode()
    assert "零售价" in boss().get(f"/admin/sites/station/{pile.station_id}/change/").content.decode()


def test_a_large_change_waits_for_a_second_person(tenant):
    """0.60 → 0.90 yuan of service is 50 %, more than the 20 % that one person may change."""
    station = factories.a_pile().station
    seller = a_user("pricing.add_retailprice", "pricing.view_retailprice", "backoffice.view_approval")
    page = signed_in(seller)
    unexplained = page.post(NEW, {**form(station, note=""), "save": ""})
    assert "note" in unexplained.context_data["form"].errors
    answer = page.post(NEW, {**form(station), "save": ""}, follow=True)
    assert "50.00 %" in answer.content.decode()
    assert RetailPrice.objects.count() == 0

    waiting = Approval.objects.get(operation="pricing.retail", state=ApprovalState.PENDING)
    assert waiting.amount == Decimal("50.00")
    before, after = waiting.changes["prices (yuan/kWh)"]
    assert (before["peak"]["service"], after["peak"]["service"]) == ("0.60000", "0.90000")
    assert before["flat"] == after["flat"]
    with pytest.raises(SamePerson):
        approve(waiting.pk, Actor("staff", str(seller.pk), str(seller)))
    again = page.post(NEW, {**form(station, peak_service="0.95"), "save": ""})
    assert again.context_data["form"].non_field_errors()

    asked_at = now()
    approve(waiting.pk, Actor("staff", "9002", "王芳"))
    row = RetailPrice.objects.get()
    assert row.prices["peak"]["service"] == "0.90000"
    assert (row.starts_at >= asked_at, row.created_by, row.note) == (True, waiting.requested_by_name, "节日")
    assert AuditEntry.objects.get(action="pricing.retailprice_added").actor_name == "王芳"


def test_a_request_is_void_once_other_prices_apply(tenant):
    station = factories.a_pile().station
    boss().post(NEW, {**form(station), "save": ""})
    waiting = Approval.objects.get(operation="pricing.retail")
    set_retail_price(station=station, prices={}, starts_at=now(), actor=SYSTEM)
    with pytest.raises(ObjectChanged):
        approve(waiting.pk, Actor("staff", "9002", "王芳"))
    assert not RetailPrice.objects.exclude(prices={}).exists()


def test_a_station_without_a_price_sells_nothing(tenant):
    station = factories.a_station()
    answer = boss().post(NEW, {**form(station), "save": ""})
    assert "station" in answer.context_data["form"].errors
    assert RetailPrice.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"station": "0"}, "station"),
        ({"peak_service": ""}, "peak_service"),
        ({"peak_service": "-1"}, "peak_service"),
        ({"peak_service": "abc"}, "peak_service"),
        ({"peak_service": "NaN"}, "peak_service"),
        ({"peak_service": "1000.00001"}, "peak_service"),
        ({"peak_electricity": "0.000001"}, "peak_electricity"),
        ({"starts_at": "2020-01-01T00:00"}, "starts_at"),
        ({"starts_at": "soon"}, "starts_at"),
    ],
)
def test_wrong_prices_are_marked(tenant, changes, field):
    pile = factories.a_pile()
    answer = boss().post(NEW, {**form(pile.station, **changes), "save": ""})
    assert field in answer.context_data["form"].errors
    assert RetailPrice.objects.count() == 0


def test_setting_needs_its_permission(tenant):
    pile = factories.a_pile()
    reader = signed_in(a_user("pricing.view_retailprice"))
    assert reader.get("/admin/pricing/retailprice/").status_code == 200
    assert reader.post(NEW, {**form(pile.station), "save": ""}).status_code == 403
    assert RetailPrice.objects.count() == 0
