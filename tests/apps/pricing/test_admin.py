"""The editor of prices, assigning, and the bar of a day."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from apps.backoffice.models import AuditEntry
from apps.common.time import SHANGHAI
from apps.pricing import services
from apps.pricing.bar import bar
from apps.pricing.models import PriceAssignment, PricePush, PriceTemplate, PriceVersion
from apps.pricing.tariff import RateClass
from tests import factories
from tests.staff import a_user, boss, signed_in

SLOTS = "3" * 16 + "2" * 16 + "1" * 16
FORM = {
    "name": "上海",
    "note": "",
    "slots": SLOTS,
    "sharp_electricity": "1.5",
    "sharp_service": "0.4",
    "peak_electricity": "1.2",
    "peak_service": "0.4",
    "flat_electricity": "0.81234",
    "flat_service": "0.4",
    "valley_electricity": "0.3",
    "valley_service": "0.4",
    "deep_valley_electricity": "",
    "deep_valley_service": "",
}
NEW = "/admin/pricing/pricetemplate/new/"


def test_a_template_is_made_with_its_first_version(tenant: Any) -> None:
    answer = boss().post(NEW, FORM)
    version = PriceVersion.objects.get()
    assert answer.headers["location"] == f"/admin/pricing/pricetemplate/{version.template_id}/change/"
    assert (version.template.name, version.number, version.slots) == ("上海", 1, SLOTS)
    assert version.flat_electricity == Decimal("0.81234")
    assert version.deep_valley_electricity is None
    entry = AuditEntry.objects.get(action="pricing.pricetemplate_version_added")
    assert entry.changes["tariff"][1]["prices"]["peak"] == {"electricity": "1.20000", "service": "0.40000"}


def test_a_new_version_starts_from_the_last_and_leaves_it_alone(tenant: Any) -> None:
    old = factories.a_price()
    client = boss()
    page = f"/admin/pricing/pricetemplate/{old.template_id}/version/"
    form = client.get(page).context_data["form"]
    assert form["sharp_electricity"].value() == "1.50"
    assert form["valley_service"].value() == "0.305"
    assert form["slots"].value() == old.slots
    assert client.post(page, FORM).status_code == 302
    numbers = PriceVersion.objects.order_by("number").values_list("number", "sharp_electricity", "slots")
    assert list(numbers) == [(1, Decimal("1.50000"), old.slots), (2, Decimal("1.50000"), SLOTS)]


def test_a_version_that_somebody_saved_meanwhile_is_told(tenant: Any) -> None:
    old, client = factories.a_price(), boss()
    page = f"/admin/pricing/pricetemplate/{old.template_id}/version/"
    assert client.get(page).context_data["based_on"] == 1
    client.post(page, {**FORM, "based_on": "1"})
    answer = client.post(page, {**FORM, "based_on": "1", "peak_service": "0.9"})
    assert "期间已有人保存了版本 v2" in answer.content.decode()
    assert PriceVersion.objects.count() == 2
    assert client.post(page, {**FORM, "based_on": answer.context_data["based_on"]}).status_code == 302
    assert PriceVersion.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"slots": "3" * 47}, "须覆盖 48 个半小时。"),
        ({"slots": "5" * 48}, "须覆盖 48 个半小时。"),
        ({"slots": "4" * 48}, "以下费率已使用但没有价格：深谷"),
        ({"deep_valley_service": "0.1"}, "同一费率的电费与服务费须同时填写或同时留空。"),
        ({"peak_service": "-1"}, "确保该值大于或等于0。"),
        ({"peak_service": "0.123456"}, "小数"),
        ({"peak_service": ""}, "必填"),
        ({"name": ""}, "必填"),
    ],
)
def test_wrong_prices_are_refused(tenant: Any, changes: dict[str, str], error: str) -> None:
    answer = boss().post(NEW, {**FORM, **changes})
    assert answer.status_code == 200
    assert error in answer.content.decode()
    assert PriceTemplate.objects.count() == 0


def test_two_templates_have_two_names(tenant: Any) -> None:
    client = boss()
    client.post(NEW, FORM)
    assert "已有同名电价方案。" in client.post(NEW, FORM).content.decode()
    assert PriceTemplate.objects.count() == 1


def test_prices_are_assigned_and_queued_for_the_piles(tenant: Any) -> None:
    pile = factories.a_pile(priced=False)
    version = factories.a_price()
    answer = boss().post(
        f"/admin/pricing/pricetemplate/{version.template_id}/assign/",
        {"_form_submitted": "True", "station": pile.station_id, "starts_at": "2030-01-01T08:30"},
    )
    assert answer.headers["HX-Redirect"].endswith(f"/{version.template_id}/change/")
    made = PriceAssignment.objects.get(version=version)
    assert (made.station, made.pile) == (pile.station, None)
    assert made.starts_at == datetime(2030, 1, 1, 8, 30, tzinfo=SHANGHAI)
    assert not PricePush.objects.exists()  # until then
    services.turn_prices(at=made.starts_at)
    assert PricePush.objects.get(version=version).pile == pile
    assert AuditEntry.objects.filter(action="pricing.pricetemplate_assigned").count() == 1


@pytest.mark.parametrize("place", [{}, {"pile_code": "99999999999999"}])
def test_a_place_is_needed(tenant: Any, place: dict[str, str]) -> None:
    version = factories.a_price()
    page = f"/admin/pricing/pricetemplate/{version.template_id}/assign/"
    answer = boss().post(page, {"_form_submitted": "True", **place})
    assert "HX-Redirect" not in answer.headers
    assert PriceAssignment.objects.count() == 0


def test_prices_need_their_permissions(tenant: Any) -> None:
    version = factories.a_price()
    client = signed_in(a_user("pricing.view_pricetemplate"))
    assert client.get(f"/admin/pricing/pricetemplate/{version.template_id}/change/").status_code == 200
    assert client.get(NEW).status_code == 403
    assert (
        client.post(f"/admin/pricing/pricetemplate/{version.template_id}/version/", FORM).status_code == 403
    )
    answer = client.post(
        f"/admin/pricing/pricetemplate/{version.template_id}/assign/", {"_form_submitted": "True"}
    )
    assert answer.status_code == 403
    assert PriceVersion.objects.count() == 1


def test_the_bar_of_a_day() -> None:
    shown = bar(factories.TARIFF, datetime(2026, 1, 1, 18, 15, tzinfo=SHANGHAI))
    assert [
        (segment.start, segment.end, segment.slots, segment.rate_class) for segment in shown.segments
    ] == [
        ("00:00", "08:00", 16, "valley"),
        ("08:00", "12:00", 8, "flat"),
        ("12:00", "18:00", 12, "peak"),
        ("18:00", "21:00", 6, "sharp"),
        ("21:00", "24:00", 6, "flat"),
    ]
    assert shown.current is not None
    assert (shown.current.rate_class, shown.current.total) == (RateClass.SHARP.value, Decimal("2.30000"))
    assert shown.now_percent == pytest.approx(76.04, abs=0.01)
    assert bar(factories.TARIFF).current is None
