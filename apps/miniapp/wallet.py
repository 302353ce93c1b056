"""A driver's money: balance, statement, top-ups."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.miniapp.api import (
    IDEMPOTENCY_KEY,
    AmountIn,
    DriverView,
    MoneyOut,
    PageInput,
    body,
    described,
    idempotency_key,
    page,
    page_of,
    query,
)
from apps.wallet import recharges, services
from apps.wallet.channels import channel_for
from apps.wallet.enums import RechargeState
from apps.wallet.errors import RechargeNotFound
from apps.wallet.models import Recharge
from apps.wallet.selectors import statement


class WalletOutput(serializers.Serializer[Any]):
    """`available` = principal + bonus; what running charges hold is not in it."""

    available = MoneyOut()
    principal = MoneyOut()
    bonus = MoneyOut()
    held = MoneyOut()
    debt = MoneyOut()


class StatementLineOutput(serializers.Serializer[Any]):
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field named like the serializer's option
    reference = serializers.CharField()
    change = MoneyOut()
    at = serializers.DateTimeField()


class RechargeInput(serializers.Serializer[Any]):
    amount = AmountIn()
    channel = serializers.CharField(max_length=16)


class RechargeOutput(serializers.Serializer[Any]):
    recharge_no = serializers.CharField()
    amount = MoneyOut()
    bonus = MoneyOut()
    channel = serializers.CharField()
    state = serializers.ChoiceField(choices=RechargeState.choices)
    state_label = serializers.CharField(source="get_state_display")
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)


class NewRechargeOutput(RechargeOutput):
    """`payment` is what the channel's cashier on the phone wants."""

    payment = serializers.DictField()


WALLET = {"available": "84.50", "principal": "84.50", "bonus": "0.00", "held": "0.00", "debt": "0.00"}
STATEMENT_LINE = {
    "kind": "recharge",
    "label": "充值",
    "reference": "R261120115900000001",
    "change": "100.00",
    "at": "2026-11-20T11:59:30+08:00",
}
RECHARGE = {
    "recharge_no": "R261120115900000001",
    "amount": "100.00",
    "bonus": "0.00",
    "channel": "sandbox",
    "state": "created",
    "state_label": "待支付",
    "created_at": "2026-11-20T11:59:00+08:00",
    "paid_at": None,
}
PAID = {**RECHARGE, "state": "paid", "state_label": "已支付", "paid_at": "2026-11-20T11:59:30+08:00"}


class WalletView(DriverView):
    @described(
        "The wallet",
        output=WalletOutput,
        example=WALLET,
        errors=[401, 403],
        operation_id="wallet",
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """Principal and bonus apart; a debt is paid first from the next top-up."""
        return Response(WalletOutput(services.wallet_of(customer=self.customer)).data)


class StatementView(DriverView):
    @described(
        "Movements of the wallet, newest first",
        parameters=[PageInput],
        output=page_of("StatementPage", StatementLineOutput),
        example={"items": [STATEMENT_LINE], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="wallet_statement",
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """Top-ups add, charges take; money that is only set aside does not appear."""
        data = query(request, PageInput)
        limit = data["limit"]
        wallet = services.wallet_of(customer=self.customer)
        lines = statement(wallet=wallet, before_id=data.get("cursor"), limit=limit + 1)
        return page(lines, limit, lambda line: line.id, StatementLineOutput)


class RechargesView(DriverView):
    @described(
        "Begin a top-up",
        request=RechargeInput,
        request_example={"amount": "100.00", "channel": "sandbox"},
        parameters=[IDEMPOTENCY_KEY],
        output=NewRechargeOutput,
        status=201,
        example={**RECHARGE, "payment": {"recharge_no": RECHARGE["recharge_no"], "amount": "100.00"}},
        errors=[400, 401, 403, 409],
        operation_id="wallet_recharge",
        tags=["wallet"],
    )
    def post(self, request: Request) -> Response:
        """The money is there when the channel says that it was paid; ask for the top-up to see."""
        key = idempotency_key(request)
        data = body(request, RechargeInput)
        recharge = recharges.create_recharge(
            customer=self.customer, amount=data["amount"], channel=data["channel"], request_key=key
        )
        payment = channel_for(recharge.channel).create(recharge)
        return Response({**RechargeOutput(recharge).data, "payment": payment}, status=201)


class RechargeView(DriverView):
    @described(
        "One top-up",
        output=RechargeOutput,
        example=PAID,
        errors=[401, 403, 404],
        operation_id="wallet_recharge_state",
        tags=["wallet"],
    )
    def get(self, request: Request, recharge_no: str) -> Response:
        """Only the channel's word makes it paid."""
        recharge = Recharge.objects.filter(wallet__customer=self.customer, recharge_no=recharge_no).first()
        if recharge is None:
            raise RechargeNotFound
        return Response(RechargeOutput(recharge).data)


class SandboxPayView(DriverView):
    @described(
        "Pay a top-up of the sandbox channel",
        output=RechargeOutput,
        example=PAID,
        errors=[400, 401, 403, 404],
        operation_id="wallet_recharge_sandbox_pay",
        tags=["wallet"],
    )
    def post(self, request: Request, recharge_no: str) -> Response:
        """For demo and tests: refused wherever the sandbox channel is not enabled."""
        channel_for("sandbox")
        recharge = recharges.pay_sandbox(customer=self.customer, recharge_no=recharge_no)
        return Response(RechargeOutput(recharge).data)
