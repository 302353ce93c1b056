"""Another phone number for the same account: a code to the present one, a code to the new one."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import signing
from apps.miniapp.api import IDEMPOTENCY_KEY, DriverView, address_of, body, described
from apps.miniapp.auth import CUSTOMER, RESEND_AFTER_S, CustomerOutput, SmsCodeOutput
from apps.miniapp.once import once
from apps.notifications import codes

PRESENT, NEW = "present", "new"


class PhoneCodeInput(serializers.Serializer[Any]):
    to = serializers.ChoiceField(choices=[PRESENT, NEW], help_text="the present number, or the new one")
    phone = serializers.CharField(max_length=32, required=False, help_text="the new number")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The new number is named, the present one is known."""
        if (attrs["to"] == NEW) != ("phone" in attrs):
            raise serializers.ValidationError({"phone": self.fields["phone"].error_messages["required"]})
        return attrs


class PhoneInput(serializers.Serializer[Any]):
    phone = serializers.CharField(max_length=32)
    present_code = serializers.RegexField(r"^[0-9]{6}$")
    new_code = serializers.RegexField(r"^[0-9]{6}$")


class PhoneCodeView(DriverView):
    @described(
        "Send a code to change the phone number",
        request=PhoneCodeInput,
        request_example={"to": "new", "phone": "13800000002"},
        output=SmsCodeOutput,
        example={"expires_in_s": 300, "resend_after_s": 60},
        errors=[400, 401, 403, 409, 429],
        operation_id="phone_code",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """Sent at most once a minute to a number; an earlier code is void."""
        data = body(request, PhoneCodeInput)
        address = address_of(request)
        if data["to"] == PRESENT:
            signing.send_present_code(customer=self.customer, address=address)
        else:
            signing.send_new_code(customer=self.customer, phone=data["phone"], address=address)
        answer = {"expires_in_s": codes.CODE_SECONDS, "resend_after_s": RESEND_AFTER_S}
        return Response(SmsCodeOutput(answer).data)


class PhoneView(DriverView):
    @described(
        "Change the phone number",
        parameters=[IDEMPOTENCY_KEY],
        request=PhoneInput,
        request_example={"phone": "13800000002", "present_code": "012345", "new_code": "543210"},
        output=CustomerOutput,
        example={**CUSTOMER, "phone": "+8613800000002"},
        errors=[400, 401, 403, 409, 429],
        operation_id="phone",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """Other devices are signed out. A number that another account has is refused: accounts are not joined."""
        data = body(request, PhoneInput)

        def change() -> dict[str, Any]:
            customer = signing.change_phone(session=self.session, address=address_of(request), **data)
            return dict(CustomerOutput(customer).data)

        return once(request, self.customer, change)
