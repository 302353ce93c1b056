"""A tenant's billing policy: what it changes in a settlement, and who changes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.backoffice.models import AuditEntry
from apps.common.schema import schema_context
from apps.common.time import now
from apps.orders.audit import DEFAULT_RULES, Rules
from apps.orders.enums import EnergyRule, OrderState
from apps.orders.models import BillingPolicy, Order
from apps.orders.selectors import billing_policy
from apps.orders.settling import settle_record
from apps.piles.models import Telemetry
from apps.piles.partitions import ensure_partitions
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.ledger import credit, debit, post
from apps.wallet.services import lock_wallet
from tests import factories
from tests.staff import a_user, boss, signed_in


def page() -> str:
    return f"/admin/orders/billingpolicy/{BillingPolicy.objects.get().pk}/change/"


def settled(order: Order, energies: dict[str, str], **changes: object) -> Order:
    settle_record(record_id=factories.a_record(order, energies, **changes).pk)
    order.refresh_from_db()
    return order


def codes(order: Order) -> list[str]:
    return [finding["code"] for finding in order.findings]


def test_every_tenant_has_one_with_the_fields_defaults(tenant: Any, other_tenant: Any) -> None:
    assert BillingPolicy.objects.count() == 1
    assert billing_policy().rules() == DEFAULT_RULES == Rules()
    with schema_context(other_tenant.schema_name):
        assert BillingPolicy.objects.count() == 1
    BillingPolicy.objects.all().delete()
    assert billing_policy().rules() == DEFAULT_RULES


@pytest.mark.parametrize(
    "change",
    [
        {"single": False},
        {"bonus_ratio": Decimal("1.01")},
        {"bonus_ratio": Decimal(-1)},
        {"sum_tolerance_kwh": Decimal(0)},
    ],
)
def test_the_database_refuses_what_cannot_be(tenant: Any, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BillingPolicy.objects.update(**change)


def with_losses(order: Order, loss: str) -> dict[str, object]:
    report = factories.a_report(order, {"flat": "10.0000"})
    flat = replace(report.periods["flat"], loss_energy_kwh=Decimal(loss))
    return {"periods": {**report.periods, "flat": flat}, "total_loss_energy_kwh": Decimal(loss)}


@pytest.mark.parametrize(
    ("rule", "loss", "energy", "payable"),
    [
        (EnergyRule.METERED, "11.0000", "10.0000", "12.00"),
        (EnergyRule.LOSS, "11.0000", "11.0000", "13.20"),
        (EnergyRule.LOSS, "0.0000", "10.0000", "12.00"),  # a pile that does not fill it in
    ],
)
def test_which_energy_is_billed(tenant: Any, rule: str, loss: str, energy: str, payable: str) -> None:
    BillingPolicy.objects.update(energy_rule=rule)
    order = factories.a_charging_order()
    settled(order, {"flat": "10.0000"}, **with_losses(order, loss))
    assert order.state == OrderState.COMPLETED
    assert (order.energy_kwh, order.payable) == (Decimal(energy), Decimal(payable))


def test_thresholds_decide_what_is_held(tenant: Any) -> None:
    backwards = {"total_energy_kwh": Decimal("10.5000"), "meter_end": Decimal("1010.5000")}
    order = settled(factories.a_charging_order(), {"flat": "10.0000"}, **backwards)
    assert order.state == OrderState.ABNORMAL
    BillingPolicy.objects.update(sum_tolerance_kwh=Decimal(1))
    order = settled(factories.a_charging_order(), {"flat": "10.0000"}, **backwards)
    assert order.state == OrderState.COMPLETED
    (finding,) = [one for one in order.findings if one["code"] == "periods_differ_from_total"]
    assert (finding["verdict"], finding["data"]["tolerance"]) == ("flagged", "0.0005")


@pytest.mark.parametrize(
    ("pay_order", "ratio", "principal", "bonus"),
    [
        ("principal_first", "0.50", "12.00", "0.00"),
        ("bonus_first", "0.50", "0.00", "12.00"),
        ("ratio", "0.30", "8.40", "3.60"),
        ("ratio", "0.00", "12.00", "0.00"),
    ],
)
def test_which_money_pays(tenant: Any, pay_order: str, ratio: str, principal: str, bonus: str) -> None:
    BillingPolicy.objects.update(pay_order=pay_order, bonus_ratio=Decimal(ratio))
    customer = factories.a_customer("50.00")
    with transaction.atomic():
        wallet = lock_wallet(customer_id=customer.pk)
        lines = [
            debit(AccountKind.BONUS_EXPENSE, Decimal("20.00")),
            credit(AccountKind.CUSTOMER_BONUS, Decimal("20.00")),
        ]
        post(key="bonus", kind=JournalKind.RECHARGE, wallet=wallet, reference="bonus", lines=lines)
    order = settled(factories.a_charging_order(customer=customer), {"flat": "10.0000"})
    assert (order.paid_principal, order.paid_bonus) == (Decimal(principal), Decimal(bonus))


def sample(order: Order, energy: str, ago: timedelta, **changes: Any) -> None:
    moment = now() - ago
    ensure_partitions(at=moment)
    values = {
        "at": moment,
        "connector_id": order.connector_id,
        "kind": 0x13,
        "transaction_no": order.transaction_no,
        "energy_kwh": Decimal(energy),
    }
    Telemetry.objects.bulk_create([Telemetry(**{**values, **changes})])


def test_the_record_is_compared_with_the_reports_while_charging(tenant: Any) -> None:
    order = factories.a_charging_order()
    sample(order, "19.9000", timedelta(seconds=30))
    sample(order, "20.0000", timedelta(seconds=15))
    sample(order, "0.0000", timedelta(seconds=2))  # a meter that was set back at the end
    sample(order, "99.0000", timedelta(seconds=20), transaction_no="1" * 32)
    sample(order, "99.0000", timedelta(seconds=21), kind=0x23)
    settled(order, {"flat": "20.1000"})
    assert (order.verdict, codes(order)) == ("ok", [])

    order = factories.a_charging_order()
    sample(order, "20.0000", timedelta(seconds=15))
    settled(order, {"flat": "10.0000"})
    assert (order.verdict, codes(order), order.state) == (
        "flagged",
        ["less_than_samples"],
        OrderState.COMPLETED,
    )

    order = factories.a_charging_order()
    sample(order, "20.0000", timedelta(seconds=15))
    settled(order, {"flat": "40.0000"})
    assert (order.verdict, codes(order)) == ("flagged", ["more_than_samples"])


# --- Page -------------------------------------------------------------------------------------------------


def form(**changes: str) -> dict[str, str]:
    policy = BillingPolicy.objects.get()
    names = [field.name for field in policy._meta.fields if field.name not in ("id", "single", "updated_at")]
    return {name: str(getattr(policy, name)) for name in names} | changes


def test_a_change_is_in_the_audit_log(tenant: Any) -> None:
    client = signed_in(a_user("orders.view_billingpolicy", "orders.change_billingpolicy"))
    answer = client.post(page(), form(pay_order="ratio", bonus_ratio="0.30", meter_tolerance_kwh="0.0500"))
    assert answer.status_code == 302
    policy = billing_policy()
    assert (policy.pay_order, policy.bonus_ratio) == ("ratio", Decimal("0.30"))
    assert policy.rules().meter_tolerance_kwh == Decimal("0.05")
    entry = AuditEntry.objects.get(action="orders.billingpolicy_changed")
    assert entry.changes == {
        "pay_order": ["principal_first", "ratio"],
        "bonus_ratio": ["0.00", "0.30"],
        "meter_tolerance_kwh": ["0.0100", "0.0500"],
    }


def test_who_may_only_look_changes_nothing(tenant: Any) -> None:
    client = signed_in(a_user("orders.view_billingpolicy"))
    assert client.get(page()).status_code == 200
    assert client.post(page(), form(pay_order="ratio")).status_code == 403
    assert billing_policy().pay_order == "principal_first"


@pytest.mark.parametrize(
    "wrong",
    [
        {"bonus_ratio": "1.01"},
        {"bonus_ratio": "-0.01"},
        {"bonus_ratio": "viel"},
        {"bonus_ratio": "0.333"},
        {"meter_tolerance_kwh": "-1"},
        {"meter_tolerance_kwh": "NaN"},
        {"meter_tolerance_kwh": "1e9"},
        {"power_margin_percent": "101"},
        {"amount_per_period_yuan": "-0.01"},
        {"clock_exact_s": "-5"},
        {"clock_exact_s": "99999999999"},
        {"sum_tolerance_kwh": "0.0001"},
        {"energy_rule": "guess"},
        {"pay_order": ""},
    ],
)
def test_bad_values_are_refused(tenant: Any, wrong: dict[str, str]) -> None:
    before = BillingPolicy.objects.values().get()
    answer = boss().post(page(), form(**wrong))
    assert answer.status_code == 200
    assert answer.context["errors"]
    assert BillingPolicy.objects.values().get() == before
