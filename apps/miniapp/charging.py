"""Starting a charge, watching it and stopping it."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import vehicles
from apps.customers.models import Payer
from apps.miniapp.api import (
    IDEMPOTENCY_KEY,
    LARGEST_ID,
    AmountIn,
    DriverView,
    EnergyIn,
    EnergyOut,
    MoneyOut,
    Output,
    TenthsOut,
    body,
    described,
    idempotency_key,
)
from apps.miniapp.authentication import ticket_for
from apps.miniapp.stations import connector_code
from apps.orders import services
from apps.orders.enums import OrderState
from apps.orders.limits import LARGEST_MINUTES, Limits
from apps.orders.models import Order
from apps.orders.selectors import order_of, progress

MOST_GUNS = 4
"""On one car. YKC V1.6, 7.8 speaks of two; more than this is a mistake of the caller."""
_COUPON = re.compile(r"best|none|[1-9][0-9]{0,18}", re.ASCII)


@extend_schema_field(
    {
        "type": "string",
        "pattern": _COUPON.pattern,
        "examples": ["best"],
        "description": "a coupon's id (it is reserved), best (chosen at settlement) or none",
    }
)
class CouponIn(serializers.Field[int | str, str, str, Any]):
    """Which coupon a charge is to use."""

    default_error_messages = {"invalid": _('Send the id of a coupon as a string, "best" or "none".')}

    def to_internal_value(self, data: Any) -> int | str:
        """Return the id as a number, or the word."""
        if not isinstance(data, str) or not _COUPON.fullmatch(data):
            self.fail("invalid")
        return data if data in (services.BEST, services.NO_COUPON) else min(int(data), LARGEST_ID)


class ChargeInput(serializers.Serializer[Any]):
    """A charge that is to be quoted or started: where, and what ends it. Nothing of that: it charges until full."""

    connector_code = serializers.CharField(max_length=40)
    preset_amount = AmountIn(required=False, allow_null=True, default=None)
    preset_energy_kwh = EnergyIn(required=False, allow_null=True, default=None)
    preset_minutes = serializers.IntegerField(
        min_value=1, max_value=LARGEST_MINUTES, required=False, allow_null=True, default=None
    )
    preset_soc_percent = serializers.IntegerField(
        min_value=1,
        max_value=100,
        required=False,
        allow_null=True,
        default=None,
        help_text="state of charge at which to stop, where the car tells it",
    )
    further_connectors = serializers.ListField(
        child=serializers.CharField(max_length=40),
        max_length=MOST_GUNS - 1,
        default=list,
        help_text="other guns of the same charger that charge the same car; see `parallel_connectors` of a gun",
    )
    coupon = CouponIn(required=False, default=services.BEST)
    payer = serializers.ChoiceField(
        choices=Payer.choices,
        required=False,
        allow_null=True,
        default=None,
        help_text="whose money pays; without it, as the driver chose on the enterprise's page",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Codes as 16 digits, and the limits in one."""
        attrs["codes"] = [
            connector_code(code) for code in (attrs["connector_code"], *attrs["further_connectors"])
        ]
        attrs["limits"] = Limits(
            attrs["preset_energy_kwh"], attrs["preset_minutes"], attrs["preset_soc_percent"]
        )
        return attrs


class StartInput(ChargeInput):
    vehicle_id = serializers.RegexField(
        r"^[1-9][0-9]{0,18}$",
        required=False,
        allow_null=True,
        default=None,
        help_text="one of the driver's vehicles, for parking; without one it is the default vehicle",
    )


class ProgressOutput(Output):
    """A charge at one moment; the WebSocket sends the same. Drop what has a lower sequence than you have."""

    order_no = serializers.CharField()
    state = serializers.ChoiceField(choices=OrderState.choices)
    state_label = serializers.CharField()
    connector_code = serializers.CharField()
    further_connectors = serializers.ListField(child=serializers.CharField())
    station_name = serializers.CharField()
    waiting_for_plug = serializers.BooleanField()
    stop_requested = serializers.BooleanField()
    fail_reason = serializers.CharField()
    energy_kwh = EnergyOut()
    amount = MoneyOut()
    settled = serializers.BooleanField()
    soc_percent = serializers.IntegerField()
    power_kw = TenthsOut()
    voltage_v = TenthsOut()
    current_a = TenthsOut()
    minutes = serializers.IntegerField()
    remaining_minutes = serializers.IntegerField()
    hold_amount = MoneyOut(allow_null=True, help_text="null where it is the enterprise's money")
    preset_amount = MoneyOut(allow_null=True)
    preset_energy_kwh = EnergyOut(allow_null=True)
    preset_minutes = serializers.IntegerField(allow_null=True)
    preset_soc_percent = serializers.IntegerField(allow_null=True)
    plate = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    reported_at = serializers.DateTimeField(allow_null=True)
    sequence = serializers.IntegerField()


class TicketOutput(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    url = serializers.CharField()
    expires_in_s = serializers.IntegerField()


PROGRESS = {
    "order_no": "C261120120000000001",
    "state": "charging",
    "state_label": "充电中",
    "connector_code": "3201060000000101",
    "further_connectors": [],
    "station_name": "滨江公园充电站",
    "waiting_for_plug": False,
    "stop_requested": False,
    "fail_reason": "",
    "energy_kwh": "12.3456",
    "amount": "15.50",
    "settled": False,
    "soc_percent": 56,
    "power_kw": "60.0",
    "voltage_v": "400.0",
    "current_a": "150.0",
    "minutes": 12,
    "remaining_minutes": 40,
    "hold_amount": "50.00",
    "preset_amount": "50.00",
    "preset_energy_kwh": "30.0000",
    "preset_minutes": None,
    "preset_soc_percent": None,
    "plate": "苏A12345",
    "started_at": "2026-11-20T12:00:05+08:00",
    "reported_at": "2026-11-20T12:12:00+08:00",
    "sequence": 1795147920000,
}
STARTING = {
    **PROGRESS,
    "state": "starting",
    "state_label": "启动中",
    "energy_kwh": "0.0000",
    "amount": "0.00",
}


class ChargesView(DriverView):
    @described(
        "Start a charge",
        request=StartInput,
        request_example={
            "connector_code": "3201060000000101",
            "preset_amount": "50.00",
            "preset_energy_kwh": "30",
            "vehicle_id": "7",
            "coupon": "best",
            "further_connectors": ["3201060000000102"],
        },
        parameters=[IDEMPOTENCY_KEY],
        output=ProgressOutput,
        status=201,
        example={**STARTING, "further_connectors": ["3201060000000102"]},
        errors=[400, 401, 403, 404, 409],
        operation_id="charges_start",
        tags=["charging"],
    )
    def post(self, request: Request) -> Response:
        """Money is set aside: `preset_amount`, or without it all that is available up to the operator's maximum.

        The charge ends with the first of what is preset: the pile knows the money, and we stop it at the rest.
        With `further_connectors` one car charges over several guns of one charger: one order, one hold, one bill.
        A chosen coupon is reserved until the bill; without a choice the best one is taken then. Where the driver's
        enterprise pays, its money is held, within its limits, and no coupon is taken.
        `customers.consent_needed`: `data.agreements` are to be agreed to (/me/consents); then ask again, same key.
        """
        key = idempotency_key(request)
        data = body(request, StartInput)
        order = services.start_charge(
            customer=self.customer,
            connector_code=data["codes"][0],
            preset_amount=data["preset_amount"],
            limits=data["limits"],
            further_connectors=data["codes"][1:],
            coupon=data["coupon"],
            payer=data["payer"],
            plate=vehicles.plate_for(customer=self.customer, vehicle_id=data["vehicle_id"]),
            request_key=key,
            actor=self.actor,
        )
        return Response(_picture(self, order.order_no), status=201)


class ChargeView(DriverView):
    @described(
        "The live picture of a charge",
        output=ProgressOutput,
        example=PROGRESS,
        errors=[401, 403, 404],
        operation_id="charge",
        tags=["charging"],
    )
    def get(self, request: Request, order_no: str) -> Response:
        """`amount` is the pile's estimate until `settled`."""
        return Response(_picture(self, order_no))


class StopView(DriverView):
    @described(
        "Stop a charge",
        output=ProgressOutput,
        example={**PROGRESS, "state": "stopping", "state_label": "停止中", "stop_requested": True},
        errors=[401, 403, 404],
        operation_id="charge_stop",
        tags=["charging"],
    )
    def post(self, request: Request, order_no: str) -> Response:
        """Asking again changes nothing. The bill comes with the pile's record, usually within seconds."""
        services.stop_charge(order_no=order_no, customer=self.customer, actor=self.actor)
        return Response(_picture(self, order_no))


class TicketView(DriverView):
    @described(
        "A ticket for the WebSocket of a charge",
        output=TicketOutput,
        status=201,
        example={
            "ticket": "eyJhbGci…",
            "url": "/ws/v1/charges/C261120120000000001/?ticket=eyJhbGci…",
            "expires_in_s": 30,
        },
        errors=[401, 403, 404],
        operation_id="charge_ticket",
        tags=["charging"],
    )
    def post(self, request: Request, order_no: str) -> Response:
        """Good once and for 30 seconds. `url` sends a picture at once and one after every change."""
        order = order_of(customer=self.customer, order_no=order_no)
        ticket = ticket_for(self.customer, order.order_no, self.session)
        answer = {
            "ticket": str(ticket),
            "url": f"/ws/v1/charges/{order.order_no}/?ticket={ticket}",
            "expires_in_s": int(ticket.lifetime.total_seconds()),
        }
        return Response(TicketOutput(answer).data, status=201)


def picture(order: Order) -> dict[str, Any]:
    """Return the live picture of an order as REST and WebSocket show it."""
    return ProgressOutput.of(progress(order=order))


def _picture(view: DriverView, order_no: str) -> dict[str, Any]:
    return picture(order_of(customer=view.customer, order_no=order_no))
