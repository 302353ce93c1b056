"""A driver's money: balance, statement, top-ups."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.time import now
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
    page_by_id,
    page_of,
    query,
)
from apps.wallet import bonus, recharges, services
from apps.wallet.enums import ChannelName, RechargeState
from apps.wallet.errors import RechargeNotFound
from apps.wallet.merchants import available_channels
from apps.wallet.models import Recharge
from apps.wallet.selectors import statement


class WalletOutput(serializers.Serializer[Any]):
    """`available` = principal + bonus; what running charges hold and what waits for a refund is not in it."""

    available = MoneyOut()
    principal = MoneyOut()
    bonus = MoneyOut()
    held = MoneyOut()
    frozen = MoneyOut()
    debt = MoneyOut()


class StatementLineOutput(serializers.Serializer[Any]):
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field named like the serializer's option
    reference = serializers.CharField()
    change = MoneyOut()
    at = serializers.DateTimeField()


class TierOutput(serializers.Serializer[Any]):
    """A bonus that a top-up of at least `threshold` yuan gets; only the largest, and those that come on top."""

    name = serializers.CharField()
    threshold = MoneyOut()
    bonus = MoneyOut()
    comes_on_top = serializers.BooleanField(source="is_additional")
    ends_at = serializers.DateTimeField(allow_null=True)


class ChannelOutput(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=ChannelName.choices)
    label = serializers.CharField()  # type: ignore[assignment]  # a field named like the serializer's option


class RechargeOptionsOutput(serializers.Serializer[Any]):
    """What a driver can choose from: amounts between the limits, and the ways to pay."""

    minimum = MoneyOut()
    maximum = MoneyOut()
    channels = ChannelOutput(many=True)
    tiers = TierOutput(many=True)


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
    expires_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)


class NewRechargeOutput(RechargeOutput):
    """`payment` is what the channel's cashier on the phone wants: the arguments of `wx.requestPayment` or
    `my.tradePay`. Empty when the top-up is paid already.
    """

    payment = serializers.DictField()


WALLET = {
    "available": "84.50",
    "principal": "84.50",
    "bonus": "0.00",
    "held": "0.00",
    "frozen": "0.00",
    "debt": "0.00",
}
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
    "expires_at": "2026-11-20T12:14:00+08:00",
    "paid_at": None,
}
OPTIONS = {
    "minimum": "1.00",
    "maximum": "5000.00",
    "channels": [{"channel": "wechatpay", "label": "微信支付"}],
    "tiers": [
        {"name": "充100送5", "threshold": "100.00", "bonus": "5.00", "comes_on_top": False, "ends_at": None}
    ],
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


class RechargeOptionsView(DriverView):
    @described(
        "What a top-up may be",
        output=RechargeOptionsOutput,
        example=OPTIONS,
        errors=[401, 403],
        operation_id="wallet_recharge_options",
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """Limits, ways to pay, and the bonuses that this driver can still get."""
        wallet = services.wallet_of(customer=self.customer)
        options = {
            "minimum": recharges.RECHARGE_MINIMUM,
            "maximum": recharges.RECHARGE_MAXIMUM,
            "channels": [
                {"channel": name, "label": ChannelName(name).label} for name in available_channels()
            ],
            "tiers": bonus.tiers_now(at=now(), wallet=wallet),
        }
        return Response(RechargeOptionsOutput(options).data)


class RechargesView(DriverView):
    @described(
        "Top-ups, newest first",
        parameters=[PageInput],
        output=page_of("RechargePage", RechargeOutput),
        example={"items": [RECHARGE], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="wallet_recharges",
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """All of them, also those that were not paid in time."""
        data = query(request, PageInput)
        rows = Recharge.objects.filter(wallet__customer=self.customer)
        return page_by_id(rows, data, RechargeOutput)

    @described(
        "Begin a top-up",
        request=RechargeInput,
        request_example={"amount": "100.00", "channel": "sandbox"},
        parameters=[IDEMPOTENCY_KEY],
        output=NewRechargeOutput,
        status=201,
        example={**RECHARGE, "payment": {"recharge_no": RECHARGE["recharge_no"], "amount": "100.00"}},
        errors=[400, 401, 403, 409, 503],
        operation_id="wallet_recharge",
        tags=["wallet"],
    )
    def post(self, request: Request) -> Response:
        """The money is there when the channel says that it was paid; ask for the top-up to see.

        Who pays is known from the sign-in with the app that is paid in. After a 503 send the same request with the
        same key again: it is the same top-up, and cannot be paid twice. `customers.consent_needed`: `data.agreements`
        are to be agreed to (/me/consents) first.
        """
        key = idempotency_key(request)
        data = body(request, RechargeInput)
        recharge = recharges.create_recharge(
            customer=self.customer, amount=data["amount"], channel=data["channel"], request_key=key
        )
        payment = recharges.prepare_payment(recharge=recharge)
        recharge.refresh_from_db()
        return Response({**RechargeOutput(recharge).data, "payment": dict(payment)}, status=201)


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
        recharge = recharges.pay_sandbox(customer=self.customer, recharge_no=recharge_no)
        return Response(RechargeOutput(recharge).data)
