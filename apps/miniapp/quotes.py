"""What a charge will cost, before it starts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers.models import Payer
from apps.miniapp.api import DriverView, EnergyOut, MoneyOut, body, described
from apps.miniapp.charging import ChargeInput
from apps.miniapp.orders import LINE, BillLineOutput
from apps.orders import quotes


class QuoteCouponOutput(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    name = serializers.CharField(source="terms.name")


class EnterpriseOfferOutput(serializers.Serializer[Any]):
    """What the driver's enterprise would pay of this charge."""

    name = serializers.CharField()
    left = MoneyOut(allow_null=True, help_text="of the month's limits; null for none")
    problem = serializers.CharField(help_text="why it does not pay, in words; empty where it does")


class QuoteOutput(serializers.Serializer[Any]):
    """A charge as it is expected at the guns' full power. The bill goes by what is really charged, and when."""

    hold_amount = MoneyOut(
        source="own_hold",
        allow_null=True,
        help_text="what a start would set aside; null where it is the enterprise's money",
    )
    available = MoneyOut(
        source="own_available",
        allow_null=True,
        help_text="of the driver's own money; null where the enterprise pays",
    )
    debt = MoneyOut(source="owed", help_text="what has to be paid before a start")
    can_pay = serializers.BooleanField()
    energy_kwh = EnergyOut(source="bill.energy_kwh")
    minutes = serializers.IntegerField()
    lines = BillLineOutput(many=True, source="bill.lines")
    electricity_fee = MoneyOut(source="bill.electricity_fee")
    service_fee = MoneyOut(source="bill.service_fee")
    enterprise = serializers.CharField(help_text="whose discount it is; empty for none")
    enterprise_discount = MoneyOut(source="discounts.enterprise_discount")
    coupon = QuoteCouponOutput(allow_null=True)
    coupon_discount = MoneyOut(source="discounts.coupon_discount")
    electricity_payable = MoneyOut(source="discounts.payable.electricity")
    service_payable = MoneyOut(source="discounts.payable.service")
    payable = MoneyOut(source="discounts.payable.total")
    from_principal = MoneyOut(source="payment.from_principal")
    from_bonus = MoneyOut(source="payment.from_bonus")
    from_enterprise = MoneyOut(source="payment.from_enterprise")
    shortfall = MoneyOut(source="payment.debt", help_text="what the payer lacks for it")
    payer = serializers.ChoiceField(choices=Payer.choices, help_text="whose money it would be")
    offer = EnterpriseOfferOutput(
        allow_null=True, help_text="null where the driver has no enterprise that pays"
    )
    explanation = serializers.ListField(child=serializers.CharField())


class QuotesView(DriverView):
    @described(
        "What a charge will cost",
        request=ChargeInput,
        request_example={
            "connector_code": "3201060000000101",
            "preset_energy_kwh": "12.3456",
            "coupon": "best",
        },
        output=QuoteOutput,
        example={
            "hold_amount": "84.50",
            "available": "84.50",
            "debt": "0.00",
            "can_pay": True,
            "energy_kwh": "12.3456",
            "minutes": 7,
            "lines": [LINE],
            "electricity_fee": "9.88",
            "service_fee": "5.62",
            "enterprise": "",
            "enterprise_discount": "0.00",
            "coupon": {"id": "1024", "name": "新客立减"},
            "coupon_discount": "5.00",
            "electricity_payable": "9.88",
            "service_payable": "0.62",
            "payable": "10.50",
            "from_principal": "10.50",
            "from_bonus": "0.00",
            "from_enterprise": "0.00",
            "shortfall": "0.00",
            "payer": "wallet",
            "offer": {"name": "顺风物流", "left": "800.00", "problem": ""},
            "explanation": ["平：12.3456 kWh × 0.80 = 9.88 元电费，× 0.4555 = 5.62 元服务费"],
        },
        errors=[400, 401, 403, 404, 409],
        operation_id="quotes",
        tags=["charging"],
    )
    def post(self, request: Request) -> Response:
        """Nothing is started, held or reserved. The steps are those of the bill; only the energy is a guess.

        `offer` is there whoever is to pay, so that a page can show both ways. Money of the enterprise goes without the
        driver's coupons.
        """
        data = body(request, ChargeInput)
        found = quotes.quote(
            customer=self.customer,
            codes=data["codes"],
            preset_amount=data["preset_amount"],
            limits=data["limits"],
            coupon=data["coupon"],
            payer=data["payer"],
        )
        return Response(QuoteOutput(found).data)
