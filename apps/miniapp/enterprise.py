"""The enterprise at whose discount a driver charges."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.coupons.wording import percent_words
from apps.customers import enterprises
from apps.customers.models import DiscountBase, EnterpriseMember
from apps.miniapp.api import DriverView, body, described


class JoinInput(serializers.Serializer[Any]):
    code = serializers.RegexField(
        r"^[0-9A-Za-z -]{4,20}$", help_text="the invitation code that the enterprise gave the driver"
    )


class MembershipOutput(serializers.Serializer[Any]):
    name = serializers.CharField(source="enterprise.name")
    is_active = serializers.BooleanField(
        source="enterprise.is_active", help_text="false: the enterprise gives no discount at the moment"
    )
    percent_off = serializers.SerializerMethodField()
    applies_to = serializers.ChoiceField(choices=DiscountBase.choices, source="enterprise.applies_to")
    applies_to_label = serializers.CharField(source="enterprise.get_applies_to_display")
    since = serializers.DateTimeField(source="updated_at")

    def get_percent_off(self, member: EnterpriseMember) -> str:
        """20 means that 80 percent are paid."""
        return percent_words(str(member.enterprise.percent_off))


class EnterpriseOutput(serializers.Serializer[Any]):
    membership = MembershipOutput(allow_null=True)


MEMBERSHIP = {
    "name": "顺风物流",
    "is_active": True,
    "percent_off": "20",
    "applies_to": "service",
    "applies_to_label": "服务费",
    "since": "2026-11-20T12:00:00+08:00",
}


def _answer(member: EnterpriseMember | None) -> Response:
    return Response(EnterpriseOutput({"membership": member}).data)


class EnterpriseView(DriverView):
    @described(
        "The enterprise at whose discount the driver charges",
        output=EnterpriseOutput,
        example={"membership": MEMBERSHIP},
        errors=[401, 403],
        operation_id="enterprise",
        tags=["enterprise"],
    )
    def get(self, request: Request) -> Response:
        """One at most."""
        return _answer(enterprises.membership_of(customer=self.customer))


class JoinView(DriverView):
    @described(
        "Join an enterprise",
        request=JoinInput,
        request_example={"code": "K7PX-29WM"},
        output=EnterpriseOutput,
        example={"membership": MEMBERSHIP},
        errors=[400, 401, 403, 404, 409],
        operation_id="enterprise_join",
        tags=["enterprise"],
    )
    def post(self, request: Request) -> Response:
        """From the next start on. Who is a member already stays one; another enterprise has to be left first."""
        data = body(request, JoinInput)
        return _answer(enterprises.join(customer=self.customer, code=data["code"]))


class LeaveView(DriverView):
    @described(
        "Leave the enterprise",
        output=EnterpriseOutput,
        example={"membership": None},
        errors=[401, 403],
        operation_id="enterprise_leave",
        tags=["enterprise"],
    )
    def post(self, request: Request) -> Response:
        """A running charge keeps its discount. Again changes nothing."""
        enterprises.leave(customer=self.customer)
        return _answer(None)
