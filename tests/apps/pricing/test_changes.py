"""Large changes of prices need a second person; small ones do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.backoffice.approvals import approve
from apps.backoffice.enums import ApprovalRule, ApprovalState
from apps.backoffice.errors import ObjectChanged, ReasonMissing, SamePerson
from apps.backoffice.models import Approval, ApprovalPolicy, AuditEntry
from apps.common.ids import Actor
from apps.common.time import SHANGHAI, now
from apps.pricing import services
from apps.pricing.changes import change_percent, request_assignment
from apps.pricing.models import PriceAssignment, PriceVersion
from apps.pricing.selectors import effective_version
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from tests import factories
from tests.staff import a_user, signed_in

ZHANG, WANG = Actor("staff", "9001", "张三"), Actor("staff", "9002", "王芳")
FLAT, PEAK, SHARP, VALLEY = RateClass.FLAT, RateClass.PEAK, RateClass.SHARP, RateClass.VALLEY


def priced(rate_class: RateClass, electricity: str, service: str) -> Tariff:
    """The tariff of the factories with another price for one class."""
    price = ClassPrice(Decimal(electricity), Decimal(service))
    return replace(factories.TARIFF, prices={**factories.TARIFF.prices, rate_class: price})


@pytest.mark.parametrize(
    ("new", "percent"),
    [
        (factories.TARIFF, "0.00"),
        (priced(FLAT, "0.88000", "0.40000"), "10.00"),
        (priced(FLAT, "0.80000", "0.50000"), "25.00"),  # a quarter of the service fee
        (priced(FLAT, "0.80000", "0.20000"), "50.00"),  # downwards too
        (priced(FLAT, "0.90000", "0.30000"), "25.00"),  # the sum stays
        (priced(VALLEY, "0.30501", "0.30500"), "0.00"),  # 0.003 %
        (replace(factories.TARIFF, slots=(SHARP,) * 48), "391.80"),  # no price changes, but a valley is gone
    ],
)
def test_how_much_prices_change(new: Tariff, percent: str) -> None:
    assert change_percent(factories.TARIFF, new) == Decimal(percent)


def test_from_nothing_is_more_than_any_percentage() -> None:
    free = priced(FLAT, "0.80000", "0.00000")
    assert change_percent(free, factories.TARIFF) is None
    assert change_percent(factories.TARIFF, free) == Decimal("100.00")
    unused = replace(factories.TARIFF, slots=(FLAT,) * 48)
    dear = replace(unused, prices={**unused.prices, SHARP: ClassPrice(Decimal(9), Decimal(9))})
    assert change_percent(unused, dear) == Decimal("0.00")  # a class without a half hour


@pytest.fixture
def pile(tenant: Any) -> Any:
    return factories.a_pile()


def in_force(pile: Any) -> PriceVersion | None:
    return effective_version(pile_id=pile.pk, station_id=pile.station_id, at=now() + timedelta(seconds=5))


def asked(at: Any, tariff: Tariff, **words: Any) -> Approval:
    version = factories.a_price(tariff)
    return request_assignment(
        **{
            "version": version,
            "station": at.station,
            "starts_at": now(),
            "actor": ZHANG,
            "reason": "调价",
            **words,
        }
    )


def test_a_small_change_applies_at_once_and_needs_no_reason(pile: Any) -> None:
    approval = asked(pile, priced(FLAT, "0.96000", "0.40000"), reason="")  # exactly 20 %
    assert (approval.state, approval.amount, approval.second_person) == (
        ApprovalState.EXECUTED,
        Decimal("20.00"),
        False,
    )
    assert in_force(pile).flat_electricity == Decimal("0.96000")


def test_a_large_change_waits_for_a_second_person(pile: Any) -> None:
    before = in_force(pile)
    with pytest.raises(ReasonMissing):
        asked(pile, priced(FLAT, "0.96100", "0.40000"), reason=" ")
    approval = asked(pile, priced(FLAT, "0.96100", "0.40000"))
    assert (approval.state, approval.amount) == (ApprovalState.PENDING, Decimal("20.12"))
    assert approval.changes["prices"][0]["flat"] == {"electricity": "0.80000", "service": "0.40000"}
    assert approval.changes["prices"][1]["flat"] == {"electricity": "0.96100", "service": "0.40000"}
    assert "periods" not in approval.changes
    assert in_force(pile) == before
    with pytest.raises(SamePerson):
        approve(approval.pk, ZHANG)
    approve(approval.pk, WANG)
    assert in_force(pile).flat_electricity == Decimal("0.96100")
    assert PriceAssignment.objects.latest("id").created_by == "王芳"


def test_the_threshold_is_the_tenants(pile: Any) -> None:
    ApprovalPolicy.objects.create(operation="pricing.assign", rule=ApprovalRule.ABOVE, threshold=Decimal(5))
    assert asked(pile, priced(FLAT, "0.88000", "0.40000")).state == ApprovalState.PENDING
    ApprovalPolicy.objects.update(rule=ApprovalRule.NEVER, threshold=None)
    other = factories.a_pile()
    assert asked(other, priced(FLAT, "9.00000", "0.40000")).state == ApprovalState.EXECUTED


def test_a_first_price_has_nothing_to_compare_with(tenant: Any) -> None:
    bare = factories.a_pile(priced=False)
    assert asked(bare, factories.TARIFF).state == ApprovalState.EXECUTED


def test_one_pile_is_compared_with_its_own_price(pile: Any) -> None:
    factories.a_price(priced(FLAT, "1.60000", "0.40000"), pile=pile)
    small = asked(pile, priced(FLAT, "1.70000", "0.40000"), station=None, pile=pile)
    assert (small.state, small.amount) == (ApprovalState.EXECUTED, Decimal("6.25"))
    assert small.object_kind == "piles.pile"


def test_another_price_meanwhile_voids_it(pile: Any) -> None:
    approval = asked(pile, priced(FLAT, "1.60000", "0.40000"))
    other = factories.a_price(priced(FLAT, "0.85000", "0.40000"))
    services.assign(version=other, station=pile.station, starts_at=now(), actor=WANG)
    with pytest.raises(ObjectChanged):
        approve(approval.pk, WANG)
    assert in_force(pile) == other


def test_an_approval_that_comes_late_changes_nothing_that_was(pile: Any) -> None:
    early = now() - timedelta(hours=3)
    approval = asked(pile, priced(FLAT, "1.60000", "0.40000"), starts_at=early)
    approve(approval.pk, WANG)
    made = PriceAssignment.objects.latest("id")
    assert made.starts_at > approval.requested_at
    later = datetime(2035, 1, 1, tzinfo=SHANGHAI)
    approval = asked(pile, priced(FLAT, "3.20000", "0.40000"), starts_at=later)
    approve(approval.pk, WANG)
    assert PriceAssignment.objects.latest("id").starts_at == later


def test_the_dialog_and_the_inbox(pile: Any) -> None:
    version = factories.a_price(priced(FLAT, "1.60000", "0.40000"))
    client = signed_in(
        a_user(
            "pricing.view_pricetemplate",
            "pricing.add_priceassignment",
            "pricing.view_pricepush",
            display_name="赵六",
        )
    )
    page = f"/admin/pricing/pricetemplate/{version.template_id}/assign/"
    form = {"_form_submitted": "on", "station": pile.station_id}
    assert client.post(page, form).headers["hx-redirect"]
    assert Approval.objects.count() == 0  # without a reason
    client.post(page, {**form, "reason": "夏季电价"})
    approval = Approval.objects.get()
    assert (approval.state, approval.requested_by_name, approval.reason) == (
        ApprovalState.PENDING,
        "赵六",
        "夏季电价",
    )
    assert AuditEntry.objects.filter(action="pricing.pricetemplate_assigned").count() == 0

    second = signed_in(a_user("backoffice.view_approval", "pricing.approve_assignment"))
    text = second.get(f"/admin/backoffice/approval/{approval.pk}/change/").content.decode()
    assert "100.00 %" in text
    assert "<del>0.80000</del>" in text
    assert "<ins>1.60000</ins>" in text
    second.post(f"/admin/backoffice/approval/{approval.pk}/approve/", {"_form_submitted": "on", "reason": ""})
    assert in_force(pile) == version
