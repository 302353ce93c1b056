"""Signing in, and who is signed in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import services
from apps.miniapp.api import AddressThrottle, DriverView, OpenView, address_of, body, described
from apps.miniapp.authentication import token_for
from apps.notifications import codes
from apps.orders.enums import LIVE
from apps.orders.models import Order

RESEND_AFTER_S = 60


class SmsCodeInput(serializers.Serializer[Any]):
    phone = serializers.CharField(max_length=32)
    captcha = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class SmsCodeOutput(serializers.Serializer[Any]):
    expires_in_s = serializers.IntegerField()
    resend_after_s = serializers.IntegerField()


class LoginInput(serializers.Serializer[Any]):
    phone = serializers.CharField(max_length=32)
    code = serializers.RegexField(r"^[0-9]{6}$")


class CustomerOutput(serializers.Serializer[Any]):
    phone = serializers.CharField()
    nickname = serializers.CharField()
    created_at = serializers.DateTimeField()


class LoginOutput(serializers.Serializer[Any]):
    token = serializers.CharField()
    expires_at = serializers.DateTimeField()
    customer = CustomerOutput()


class MeOutput(CustomerOutput):
    live_order_no = serializers.CharField(allow_null=True)


CUSTOMER = {"phone": "+8613800000001", "nickname": "", "created_at": "2026-11-20T12:00:00+08:00"}


class SmsCodeView(OpenView):
    throttle_classes = [AddressThrottle]

    @described(
        "Send a sign-in code to a phone",
        request=SmsCodeInput,
        request_example={"phone": "13800000001"},
        output=SmsCodeOutput,
        example={"expires_in_s": 300, "resend_after_s": 60},
        errors=[400, 403, 429],
        operation_id="auth_sms_code",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """The answer is the same whether the number is known or not."""
        data = body(request, SmsCodeInput)
        services.request_code(
            phone=data["phone"], address=address_of(request), captcha_answer=data["captcha"]
        )
        answer = {"expires_in_s": codes.CODE_SECONDS, "resend_after_s": RESEND_AFTER_S}
        return Response(SmsCodeOutput(answer).data)


class LoginView(OpenView):
    throttle_classes = [AddressThrottle]

    @described(
        "Sign in with the code; the first time makes the account",
        request=LoginInput,
        request_example={"phone": "13800000001", "code": "012345"},
        output=LoginOutput,
        example={"token": "eyJhbGci…", "expires_at": "2026-11-27T12:00:00+08:00", "customer": CUSTOMER},
        errors=[400, 403, 429],
        operation_id="auth_login",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """A token is good for one tenant only."""
        data = body(request, LoginInput)
        customer = services.sign_in(phone=data["phone"], code=data["code"], address=address_of(request))
        token = token_for(customer)
        answer = {
            "token": str(token),
            "expires_at": datetime.fromtimestamp(token["exp"], UTC),
            "customer": customer,
        }
        return Response(LoginOutput(answer).data)


class MeView(DriverView):
    @described(
        "The driver who is signed in, and the charge that is going on",
        output=MeOutput,
        example={**CUSTOMER, "live_order_no": None},
        errors=[401, 403],
        operation_id="me",
        tags=["auth"],
    )
    def get(self, request: Request) -> Response:
        """`live_order_no` lets an app that was closed find its way back to the charge."""
        live = Order.objects.filter(customer=self.customer, state__in=LIVE).order_by("-id")
        return Response(
            {
                **CustomerOutput(self.customer).data,
                "live_order_no": live.values_list("order_no", flat=True).first(),
            }
        )
