"""A driver's refunds: principal back to the payments it came from, and orders back to the wallet."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext
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
    page_by_id,
    page_of,
    query,
)
from apps.orders import refunds as order_refunds
from apps.orders.enums import OrderRefundState
from apps.orders.models import OrderRefund
from apps.wallet import refunds
from apps.wallet.enums import PartState, RefundState
from apps.wallet.models import WalletRefund, WalletRefundPart

MOST_REASON = 200


# --- The wallet's principal -------------------------------------------------------------------------------


class RefundInput(serializers.Serializer[Any]):
    """`amount` is left out for all of the principal."""

    amount = AmountIn(required=False, allow_null=True)
    reason = serializers.CharField(max_length=MOST_REASON)


class StepOutput(serializers.Serializer[Any]):
    """One step on the way: `done` steps have a time, the first that is not done is where it stands."""

    step = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field named like the serializer's option
    done = serializers.BooleanField()
    at = serializers.DateTimeField(allow_null=True)


class RefundPartOutput(serializers.Serializer[Any]):
    """What goes back to one top-up. The channel itself may take days until the money shows."""

    recharge_no = serializers.CharField(source="recharge.recharge_no")
    channel = serializers.CharField(source="recharge.channel")
    amount = MoneyOut()
    by_hand = serializers.BooleanField(source="manual")
    state = serializers.SerializerMethodField()
    state_label = serializers.SerializerMethodField()
    paid_at = serializers.DateTimeField(source="done_at", allow_null=True)

    def get_state(self, part: WalletRefundPart) -> str:
        """`waiting`, `paid` or `given_back`: why a part waits is the operator's business."""
        return {PartState.DONE: "paid", PartState.GIVEN_BACK: "given_back"}.get(
            PartState(part.state), "waiting"
        )

    def get_state_label(self, part: WalletRefundPart) -> str:
        """In words."""
        if part.state == PartState.DONE:
            return str(part.get_state_display())  # type: ignore[attr-defined]
        if part.state == PartState.GIVEN_BACK:
            return str(part.get_state_display())  # type: ignore[attr-defined]
        return _("to be transferred by the operator") if part.manual else _("on its way")


class RefundOutput(serializers.Serializer[Any]):
    """`amount` = paid + given_back once it is over. `bonus_forfeited` goes with it, by the operator's rule."""

    refund_no = serializers.CharField()
    amount = MoneyOut()
    bonus_forfeited = MoneyOut()
    paid = MoneyOut()
    given_back = MoneyOut()
    state = serializers.ChoiceField(choices=RefundState.choices)
    state_label = serializers.SerializerMethodField()
    can_cancel = serializers.SerializerMethodField()
    reason = serializers.CharField()
    review_reason = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)

    def get_state_label(self, refund: WalletRefund) -> str:
        """In words; what comes back to review is still on its way for the driver."""
        if refund.state == RefundState.RETURNED:
            return str(RefundState.EXECUTING.label)
        return str(refund.get_state_display())  # type: ignore[attr-defined]

    def get_can_cancel(self, refund: WalletRefund) -> bool:
        """Only before the review, and only one's own."""
        return refund.state == RefundState.APPLIED and refund.applied_by_kind == "customer"

    def get_review_reason(self, refund: WalletRefund) -> str:
        """Why it was rejected; other words of the reviewer stay inside."""
        return refund.review_reason if refund.given_back else ""


class RefundDetailOutput(RefundOutput):
    steps = serializers.SerializerMethodField()
    parts = serializers.SerializerMethodField()

    def get_steps(self, refund: WalletRefund) -> list[dict[str, Any]]:
        """Applied, reviewed, paid."""
        return StepOutput(steps_of(refund), many=True).data

    def get_parts(self, refund: WalletRefund) -> list[dict[str, Any]]:
        """Each with its top-up, newest first."""
        rows = refund.parts.select_related("recharge").exclude(state=PartState.REPLACED).order_by("id")
        return RefundPartOutput(rows, many=True).data


def steps_of(refund: WalletRefund) -> list[dict[str, Any]]:
    """Return how far a refund has come, as the driver sees it."""
    steps = [_step("applied", pgettext("refund", "Applied for"), refund.created_at)]
    if refund.state == RefundState.CANCELLED:
        return [*steps, _step("cancelled", pgettext("refund", "Withdrawn"), refund.closed_at)]
    reviewed_at = refund.reviewed_at if refund.state != RefundState.APPLIED else None
    if refund.state == RefundState.REJECTED:
        return [*steps, _step("rejected", pgettext("refund", "Rejected"), refund.closed_at)]
    steps.append(_step("reviewed", pgettext("refund", "Reviewed"), reviewed_at))
    return [*steps, _step("paid", pgettext("refund", "Paid back"), refund.closed_at)]


def _step(step: str, label: str, at: Any) -> dict[str, Any]:
    return {"step": step, "label": label, "done": at is not None, "at": at}


REFUND = {
    "refund_no": "W261120130000000001",
    "amount": "80.00",
    "bonus_forfeited": "4.00",
    "paid": "0.00",
    "given_back": "0.00",
    "state": "applied",
    "state_label": "待审核",
    "can_cancel": True,
    "reason": "不再使用",
    "review_reason": "",
    "created_at": "2026-11-20T13:00:00+08:00",
    "closed_at": None,
}
DETAIL = {
    **REFUND,
    "steps": [
        {"step": "applied", "label": "已申请", "done": True, "at": "2026-11-20T13:00:00+08:00"},
        {"step": "reviewed", "label": "已审核", "done": False, "at": None},
        {"step": "paid", "label": "已退回", "done": False, "at": None},
    ],
    "parts": [
        {
            "recharge_no": "R261120115900000001",
            "channel": "wechatpay",
            "amount": "80.00",
            "by_hand": False,
            "state": "waiting",
            "state_label": "退款处理中",
            "paid_at": None,
        }
    ],
}


class RefundsView(DriverView):
    @described(
        "Refunds of the wallet, newest first",
        parameters=[PageInput],
        output=page_of("WalletRefundPage", RefundOutput),
        example={"items": [REFUND], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="wallet_refunds",
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        data = query(request, PageInput)
        rows = WalletRefund.objects.filter(wallet__customer=self.customer)
        return page_by_id(rows, data, RefundOutput)

    @described(
        "Ask for principal back",
        request=RefundInput,
        request_example={"amount": "80.00", "reason": "不再使用"},
        parameters=[IDEMPOTENCY_KEY],
        output=RefundDetailOutput,
        status=201,
        example=DETAIL,
        errors=[400, 401, 403, 409],
        operation_id="wallet_refund",
        tags=["wallet"],
    )
    def post(self, request: Request) -> Response:
        """The money is frozen at once, and goes back to the top-ups it came from when the operator has agreed."""
        key = idempotency_key(request)
        data = body(request, RefundInput)
        refund = refunds.apply(
            customer=self.customer,
            amount=data.get("amount"),
            reason=data["reason"],
            applied_by=self.actor,
            request_key=key,
        )
        return Response(RefundDetailOutput(refund).data, status=201)


class RefundView(DriverView):
    @described(
        "One refund of the wallet",
        output=RefundDetailOutput,
        example=DETAIL,
        errors=[401, 403, 404],
        operation_id="wallet_refund_state",
        tags=["wallet"],
    )
    def get(self, request: Request, refund_no: str) -> Response:
        """How far it has come, and what of it went where."""
        refund = refunds.of_customer(customer=self.customer, refund_no=refund_no)
        return Response(RefundDetailOutput(refund).data)


class CancelRefundView(DriverView):
    @described(
        "Withdraw a refund of the wallet",
        output=RefundDetailOutput,
        example={**DETAIL, "state": "cancelled", "state_label": "已撤销", "can_cancel": False},
        errors=[401, 403, 404, 409],
        operation_id="wallet_refund_cancel",
        tags=["wallet"],
    )
    def post(self, request: Request, refund_no: str) -> Response:
        """Before the review; the money is back in the wallet at once. Repeating it changes nothing."""
        refund = refunds.cancel(refund_no=refund_no, customer=self.customer, actor=self.actor)
        return Response(RefundDetailOutput(refund).data)


# --- Orders -----------------------------------------------------------------------------------------------


class OrderRefundInput(serializers.Serializer[Any]):
    """Fees to give back, yuan; without both, all that is left."""

    electricity = AmountIn(required=False, allow_null=True)
    service = AmountIn(required=False, allow_null=True)
    reason = serializers.CharField(max_length=MOST_REASON)


class OrderRefundOutput(serializers.Serializer[Any]):
    """Once it is done: `principal` + `bonus` + `debt` (called off) = `electricity` + `service`."""

    refund_no = serializers.CharField()
    order_no = serializers.CharField(source="order.order_no")
    electricity = MoneyOut()
    service = MoneyOut()
    principal = MoneyOut()
    bonus = MoneyOut()
    debt = MoneyOut()
    state = serializers.ChoiceField(choices=OrderRefundState.choices)
    state_label = serializers.CharField(source="get_state_display")
    can_cancel = serializers.SerializerMethodField()
    reason = serializers.CharField()
    review_reason = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)

    def get_can_cancel(self, refund: OrderRefund) -> bool:
        """Only before the review, and only one's own."""
        return refund.state == OrderRefundState.APPLIED and refund.applied_by_kind == "customer"

    def get_review_reason(self, refund: OrderRefund) -> str:
        """Why it was rejected."""
        return refund.review_reason if refund.state == OrderRefundState.REJECTED else ""


ORDER_REFUND = {
    "refund_no": "F261120130000000001",
    "order_no": "C261120120000000001",
    "electricity": "9.88",
    "service": "5.62",
    "principal": "0.00",
    "bonus": "0.00",
    "debt": "0.00",
    "state": "applied",
    "state_label": "待审核",
    "can_cancel": True,
    "reason": "充电异常",
    "review_reason": "",
    "created_at": "2026-11-20T13:00:00+08:00",
    "closed_at": None,
}


class OrderRefundsView(DriverView):
    @described(
        "Refunds of orders, newest first",
        parameters=[PageInput],
        output=page_of("OrderRefundPage", OrderRefundOutput),
        example={"items": [ORDER_REFUND], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="order_refunds",
        tags=["orders"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        data = query(request, PageInput)
        rows = OrderRefund.objects.filter(order__customer=self.customer).select_related("order")
        return page_by_id(rows, data, OrderRefundOutput)


class RefundOrderView(DriverView):
    @described(
        "Ask for an order's fees back",
        request=OrderRefundInput,
        request_example={"reason": "充电异常"},
        parameters=[IDEMPOTENCY_KEY],
        output=OrderRefundOutput,
        status=201,
        example=ORDER_REFUND,
        errors=[400, 401, 403, 404, 409],
        operation_id="order_refund",
        tags=["orders"],
    )
    def post(self, request: Request, order_no: str) -> Response:
        """The operator decides. The money goes to the wallet, in the shares of principal and bonus that paid."""
        key = idempotency_key(request)
        data = body(request, OrderRefundInput)
        electricity, service = data.get("electricity"), data.get("service")
        if electricity is not None or service is not None:
            electricity, service = electricity or Decimal(0), service or Decimal(0)
        refund = order_refunds.apply(
            order_no=order_no,
            electricity=electricity,
            service=service,
            reason=data["reason"],
            applied_by=self.actor,
            request_key=key,
            customer=self.customer,
        )
        return Response(OrderRefundOutput(refund).data, status=201)


class OrderRefundView(DriverView):
    @described(
        "One refund of an order",
        output=OrderRefundOutput,
        example=ORDER_REFUND,
        errors=[401, 403, 404],
        operation_id="order_refund_state",
        tags=["orders"],
    )
    def get(self, request: Request, refund_no: str) -> Response:
        """What was decided, and where the money went."""
        refund = order_refunds.of_customer(customer=self.customer, refund_no=refund_no)
        return Response(OrderRefundOutput(refund).data)


class CancelOrderRefundView(DriverView):
    @described(
        "Withdraw a refund of an order",
        output=OrderRefundOutput,
        example={**ORDER_REFUND, "state": "cancelled", "state_label": "已撤销", "can_cancel": False},
        errors=[401, 403, 404, 409],
        operation_id="order_refund_cancel",
        tags=["orders"],
    )
    def post(self, request: Request, refund_no: str) -> Response:
        """Before the review. Repeating it changes nothing."""
        refund = order_refunds.cancel(refund_no=refund_no, customer=self.customer, actor=self.actor)
        return Response(OrderRefundOutput(refund).data)
