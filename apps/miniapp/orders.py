"""A driver's orders and their bills."""

from __future__ import annotations

from datetime import date
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers.models import Payer
from apps.miniapp.api import (
    RATE_CLASS_LABELS,
    DriverView,
    EnergyOut,
    MoneyOut,
    PageInput,
    PriceOut,
    described,
    page_by_id,
    page_of,
    query,
)
from apps.orders.enums import OrderGroup, OrderState
from apps.orders.models import BillLine, Order
from apps.orders.selectors import group_counts, order_of, orders_of, owed_of
from apps.orders.wording import bill_sentences
from apps.pricing.tariff import RateClass


class OrdersInput(PageInput):
    state = serializers.ChoiceField(choices=OrderState.choices, required=False)
    group = serializers.ChoiceField(choices=OrderGroup.choices, required=False)
    month = serializers.RegexField(
        r"^20[0-9]{2}-(0[1-9]|1[0-2])$", required=False, help_text="in which they began, such as 2026-11"
    )

    def validate_month(self, value: str) -> date:
        """Return its first day."""
        return date.fromisoformat(f"{value}-01")


class CountsOutput(serializers.Serializer[Any]):
    charging = serializers.IntegerField()
    to_pay = serializers.IntegerField(help_text="with a debt: it is taken first from the next top-up")
    done = serializers.IntegerField()


class OrderOutput(serializers.Serializer[Any]):
    order_no = serializers.CharField()
    state = serializers.ChoiceField(choices=OrderState.choices)
    state_label = serializers.CharField(source="get_state_display")
    station_no = serializers.CharField(source="station.station_no")
    station_name = serializers.CharField(source="station.name")
    connector_code = serializers.CharField(source="connector.code")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    energy_kwh = EnergyOut()
    payable = MoneyOut()
    payer = serializers.ChoiceField(choices=Payer.choices)
    payer_label = serializers.CharField(source="get_payer_display")
    debt = MoneyOut(help_text="what the wallet lacked at settlement")
    owed = MoneyOut(help_text="what of it is still to be paid")


class BillLineOutput(serializers.Serializer[Any]):
    """One rate class: energy × price, each fee rounded half up to the fen."""

    rate_class = serializers.ChoiceField(choices=[item.value for item in RateClass])
    rate_class_label = serializers.SerializerMethodField()
    energy_kwh = EnergyOut()
    electricity_price = PriceOut()
    service_price = PriceOut()
    electricity_fee = MoneyOut()
    service_fee = MoneyOut()
    total = serializers.SerializerMethodField()

    def get_rate_class_label(self, line: BillLine) -> str:
        """The class in words."""
        return str(RATE_CLASS_LABELS[RateClass(line.rate_class)])

    def get_total(self, line: BillLine) -> str:
        """Both fees, yuan."""
        return f"{line.electricity_fee + line.service_fee:.2f}"


class OrderDetailOutput(OrderOutput):
    settled_at = serializers.DateTimeField(allow_null=True)
    preset_amount = MoneyOut(allow_null=True)
    preset_energy_kwh = EnergyOut(allow_null=True, source="limit_energy_kwh")
    preset_minutes = serializers.IntegerField(allow_null=True, source="limit_minutes")
    preset_soc_percent = serializers.IntegerField(allow_null=True, source="limit_soc_percent")
    plate = serializers.CharField()
    hold_amount = MoneyOut(
        source="own_hold", allow_null=True, help_text="null where it is the enterprise's money"
    )
    stop_reason = serializers.CharField()
    stop_reason_label = serializers.CharField(source="get_stop_reason_display")
    fail_reason = serializers.CharField()
    electricity_fee = MoneyOut()
    service_fee = MoneyOut()
    enterprise_discount = MoneyOut()
    coupon_id = serializers.CharField(allow_null=True)
    coupon_discount = MoneyOut()
    electricity_payable = MoneyOut()
    service_payable = MoneyOut()
    paid_principal = MoneyOut()
    paid_bonus = MoneyOut()
    paid_enterprise = MoneyOut()
    lines = BillLineOutput(many=True)
    explanation = serializers.SerializerMethodField()

    def get_explanation(self, order: Order) -> list[str]:
        """The bill's arithmetic in sentences, so that anybody can check it."""
        return bill_sentences(order)


ORDER = {
    "order_no": "C261120120000000001",
    "state": "completed",
    "state_label": "已完成",
    "station_no": "S0001",
    "station_name": "滨江公园充电站",
    "connector_code": "3201060000000101",
    "created_at": "2026-11-20T12:00:00+08:00",
    "started_at": "2026-11-20T12:00:05+08:00",
    "ended_at": "2026-11-20T12:40:00+08:00",
    "energy_kwh": "12.3456",
    "payable": "15.50",
    "payer": "wallet",
    "payer_label": "本人钱包",
    "debt": "0.00",
    "owed": "0.00",
}
LINE = {
    "rate_class": "flat",
    "rate_class_label": "平",
    "energy_kwh": "12.3456",
    "electricity_price": "0.80",
    "service_price": "0.4555",
    "electricity_fee": "9.88",
    "service_fee": "5.62",
    "total": "15.50",
}


class OrdersView(DriverView):
    @described(
        "The driver's orders, newest first",
        parameters=[OrdersInput],
        output=page_of("OrderPage", OrderOutput),
        example={"items": [ORDER], "next_cursor": "1024"},
        errors=[400, 401, 403],
        operation_id="orders",
        tags=["orders"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        data = query(request, OrdersInput)
        narrowing = {name: data.get(name) for name in ("state", "group", "month")}
        return page_by_id(orders_of(customer=self.customer, **narrowing), data, OrderOutput)


class OrderCountsView(DriverView):
    @described(
        "How many orders each group has",
        output=CountsOutput,
        example={"charging": 1, "to_pay": 0, "done": 23},
        errors=[401, 403],
        operation_id="order_counts",
        tags=["orders"],
    )
    def get(self, request: Request) -> Response:
        """Each order is in one group."""
        return Response(CountsOutput(group_counts(customer=self.customer)).data)


class OrderView(DriverView):
    @described(
        "One order with its bill",
        output=OrderDetailOutput,
        example={
            **ORDER,
            "settled_at": "2026-11-20T12:40:02+08:00",
            "preset_amount": "50.00",
            "preset_energy_kwh": "30.0000",
            "preset_minutes": None,
            "preset_soc_percent": None,
            "plate": "苏A12345",
            "hold_amount": "50.00",
            "stop_reason": "customer",
            "stop_reason_label": "用户停止",
            "fail_reason": "",
            "electricity_fee": "9.88",
            "service_fee": "5.62",
            "enterprise_discount": "0.00",
            "coupon_id": None,
            "coupon_discount": "0.00",
            "electricity_payable": "9.88",
            "service_payable": "5.62",
            "paid_principal": "15.50",
            "paid_bonus": "0.00",
            "paid_enterprise": "0.00",
            "lines": [LINE],
            "explanation": ["平：12.3456 kWh × 0.80 = 9.88 元电费，× 0.4555 = 5.62 元服务费"],
        },
        errors=[401, 403, 404],
        operation_id="order",
        tags=["orders"],
    )
    def get(self, request: Request, order_no: str) -> Response:
        """Fees are 0.00 until the order is settled."""
        order: Any = order_of(customer=self.customer, order_no=order_no)
        order.owed = owed_of(order)
        return Response(OrderDetailOutput(order).data)
