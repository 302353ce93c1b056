"""Columns of money and energy say their unit, whoever wrote the list."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.backoffice import shown
from apps.backoffice.units import UnitColumn, with_unit
from apps.orders.models import EnergyDay, Order
from apps.wallet.models import Recharge
from tests import factories
from tests.staff import boss


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0, "0 分钟"),
        (59, "59 分钟"),
        (65, "1 小时 05 分"),
        (2879, "47 小时 59 分"),
        (2880, "2 天 0 小时"),
        (20392, "14 天 3 小时"),
    ],
)
def test_long_times_are_told_in_days(minutes: int, words: str) -> None:
    assert shown.duration(timedelta(minutes=minutes)) == words


def test_percentages_are_shown_as_people_write_them() -> None:
    assert [shown.plain(Decimal(text)) for text in ("15.0000", "12.5000", "100.0000", "0.0000")] == [
        "15",
        "12.5",
        "100",
        "0",
    ]


def test_money_and_energy_are_headed_by_their_unit(tenant: Any) -> None:
    assert with_unit(Recharge, "amount") == UnitColumn("amount", "金额（元）", 2)
    assert with_unit(EnergyDay, "billed_kwh") == UnitColumn("billed_kwh", "计费电量（度）", 4)
    for column in ("state", "no_such_field", "__str__"):
        assert with_unit(Recharge, column) == column
    order = Order(electricity_fee=None)
    assert with_unit(Order, "electricity_fee")(order) == "–"


def test_such_a_column_still_sorts(tenant: Any) -> None:
    for balance in ("5.00", "30.00", "7.50"):
        factories.a_customer(balance=balance)
    page = boss().get("/admin/wallet/recharge/?o=-2")
    assert [str(row.amount) for row in page.context_data["cl"].result_list] == ["30.00", "7.50", "5.00"]
    html = page.content.decode()
    assert "金额（元）" in html
    assert 'class="field-amount' in html
    assert "30.00" in html
