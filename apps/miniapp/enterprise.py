"""The enterprise at whose discount a driver charges, and whether it pays."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.time import now
from apps.coupons.wording import percent_words
from apps.customers import enterprises
from apps.customers.models import DiscountBase, EnterpriseMember, Payer
from apps.miniapp.api import DriverView, MoneyOut, body, described
from apps.orders import payers
from apps.sites import hours


class JoinInput(serializers.Serializer[Any]):
    code = serializers.RegexField(
        r"^[0-9A-Za-z -]{4,20}$", help_text="the invitation code that the enterprise gave the driver"
    )


class PayerInput(serializers.Serializer[Any]):
    payer = serializers.ChoiceField(choices=Payer.choices)


class QuotaOutput(serializers.Serializer[Any]):
    """What the driver may still charge at the enterprise's cost in this calendar month, yuan."""

    limit = MoneyOut(allow_null=True, help_text="the driver's own per month; null for none")
    used = MoneyOut(help_text="by charges that began this month, running ones with what they hold")
    left = MoneyOut(
        allow_null=True, help_text="the least of all limits, those for everybody too; null for none"
    )


class PayingOutput(serializers.Serializer[Any]):
    """How the enterprise pays for its members."""

    payer = serializers.ChoiceField(choices=Payer.choices, help_text="what the driver chose")
    quota = QuotaOutput()
    hours = serializers.CharField(help_text="in which it pays, in words; empty for any")
    stations = serializers.ListField(
        child=serializers.CharField(), help_text="names of those at which it pays; empty for every one"
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
    paying = serializers.SerializerMethodField()

    @extend_schema_field(PayingOutput(allow_null=True))
    def get_paying(self, member: EnterpriseMember) -> dict[str, Any] | None:
        """Null where the enterprise has no account: the driver pays then."""
        enterprise = member.enterprise
        if not enterprises.pays_for(member):
            return None
        quota = payers.quota_of(member=member, customer=self.context["customer"], at=now())
        names = enterprise.stations.order_by("name").values_list("name", flat=True)
        paying = {
            "payer": member.payer,
            "quota": quota,
            "hours": hours.words(enterprise.pay_hours) if enterprise.pay_hours else "",
            "stations": list(names),
        }
        shown: dict[str, Any] = PayingOutput(paying).data
        return shown

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
    "paying": {
        "payer": "enterprise",
        "quota": {"limit": "1000.00", "used": "200.00", "left": "800.00"},
        "hours": "07:00-22:00",
        "stations": ["滨江公园充电站"],
    },
}


def _answer(view: DriverView, member: EnterpriseMember | None) -> Response:
    context = {"customer": view.customer}
    return Response(EnterpriseOutput({"membership": member}, context=context).data)


class EnterpriseView(DriverView):
    @described(
        "The driver's enterprise, and what it pays",
        output=EnterpriseOutput,
        example={"membership": MEMBERSHIP},
        errors=[401, 403],
        operation_id="enterprise",
        tags=["enterprise"],
    )
    def get(self, request: Request) -> Response:
        """One at most."""
        return _answer(self, enterprises.membership_of(customer=self.customer))


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
        return _answer(self, enterprises.join(customer=self.customer, code=data["code"]))


class PayerView(DriverView):
    @described(
        "Choose who pays",
        request=PayerInput,
        request_example={"payer": "enterprise"},
        output=EnterpriseOutput,
        example={"membership": MEMBERSHIP},
        errors=[400, 401, 403, 409],
        operation_id="enterprise_payer",
        tags=["enterprise"],
    )
    def post(self, request: Request) -> Response:
        """From the next start on, by card and by plugging in too; a start may say otherwise for itself."""
        data = body(request, PayerInput)
        return _answer(self, enterprises.choose_payer(customer=self.customer, payer=data["payer"]))


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
        return _answer(self, None)
