"""Signing in by WeChat and Alipay. Their account alone makes no customer: a phone number is proved with it once."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.phones import normalize_phone
from apps.customers import services, signing
from apps.customers.alipay import LONGEST_PHONE
from apps.customers.errors import PhoneNeeded
from apps.customers.models import IdentityProvider
from apps.miniapp.api import IDEMPOTENCY_KEY, AddressThrottle, OpenView, address_of, body, described
from apps.miniapp.api import idempotency_key as key_of
from apps.miniapp.auth import LOGIN, LoginOutput, repeated, signed_in
from apps.miniapp.authentication import BindingTicket, binding_ticket_for, read_binding_ticket


class WechatInput(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=256, help_text="of `wx.login`")
    phone_code = serializers.CharField(
        max_length=256, required=False, help_text="of the phone number button (`getPhoneNumber`)"
    )


class AlipayInput(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=256, help_text="of `my.getAuthCode`")
    phone = serializers.CharField(
        max_length=LONGEST_PHONE,
        required=False,
        help_text="the whole text that `my.getPhoneNumber` gave, as it is",
    )


class BindInput(serializers.Serializer[Any]):
    """One of three proofs of the number: WeChat's button, Alipay's answer, or a sign-in code by text message."""

    ticket = serializers.CharField(max_length=2000, help_text="`data.bind_ticket` of the refusal")
    phone_code = serializers.CharField(max_length=256, required=False)
    phone_response = serializers.CharField(max_length=LONGEST_PHONE, required=False)
    phone = serializers.CharField(max_length=32, required=False, help_text="with `code`")
    code = serializers.RegexField(r"^[0-9]{6}$", required=False, help_text="of /auth/sms-code")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one proof."""
        given = [name for name in ("phone_code", "phone_response", "phone", "code") if name in attrs]
        if given not in (["phone_code"], ["phone_response"], ["phone", "code"]):
            raise serializers.ValidationError(
                {"phone": _("Send phone_code, phone_response, or phone and code.")}
            )
        return attrs


def _enter(request: Request, provider: str, code: str, proof: str | None) -> Response:
    key_of(request)
    if answer := repeated(request, code):
        return answer
    account = signing.account_of(provider=provider, code=code)
    if proof is not None:
        customer = signing.bind(account=account, phone=signing.phone_of(account=account, proof=proof))
        return signed_in(request, customer, provider, code)
    known = signing.customer_of(account)
    if known is None:
        raise PhoneNeeded(
            bind_ticket=str(binding_ticket_for(account)),
            expires_in_s=int(BindingTicket.lifetime.total_seconds()),
        )
    return signed_in(request, known, provider, code)


class WechatView(OpenView):
    throttle_classes = [AddressThrottle]

    @described(
        "Sign in with the WeChat mini-program; the first time with a phone number",
        parameters=[IDEMPOTENCY_KEY],
        request=WechatInput,
        request_example={"code": "0b3TJd0w3", "phone_code": "e31968a7f94"},
        output=LoginOutput,
        example=LOGIN,
        errors=[400, 403, 404, 429, 503],
        operation_id="auth_wechat",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """Without `phone_code` an account that is new here is refused with `customers.phone_needed` and a ticket."""
        data = body(request, WechatInput)
        return _enter(request, IdentityProvider.WECHAT, data["code"], data.get("phone_code"))


class AlipayView(OpenView):
    throttle_classes = [AddressThrottle]

    @described(
        "Sign in with the Alipay mini-program; the first time with a phone number",
        parameters=[IDEMPOTENCY_KEY],
        request=AlipayInput,
        request_example={
            "code": "4b203fe6c11548bcabd8da5bb087a83b",
            "phone": '{"response": "…", "sign": "…"}',
        },
        output=LoginOutput,
        example=LOGIN,
        errors=[400, 403, 404, 429, 503],
        operation_id="auth_alipay",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """Without `phone` an account that is new here is refused with `customers.phone_needed` and a ticket."""
        data = body(request, AlipayInput)
        return _enter(request, IdentityProvider.ALIPAY, data["code"], data.get("phone"))


class BindView(OpenView):
    throttle_classes = [AddressThrottle]

    @described(
        "Bind a phone number to the account of a refused sign-in, and sign in",
        parameters=[IDEMPOTENCY_KEY],
        request=BindInput,
        request_example={"ticket": "eyJhbGci…", "phone": "13800000001", "code": "012345"},
        output=LoginOutput,
        example=LOGIN,
        errors=[400, 403, 404, 429, 503],
        operation_id="auth_bind_phone",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """The customer of that number is the same whichever way they signed in before."""
        data = body(request, BindInput)
        key_of(request)
        if answer := repeated(request, data["ticket"]):
            return answer
        account = read_binding_ticket(data["ticket"])
        if "code" in data:
            phone = normalize_phone(data["phone"])
            services.check_code(
                purpose=services.SIGN_IN, phone=phone, code=data["code"], address=address_of(request)
            )
        else:
            proof = data.get("phone_code") or data["phone_response"]
            phone = signing.phone_of(account=account, proof=proof)
        customer = signing.bind(account=account, phone=phone)
        return signed_in(request, customer, account.provider, data["ticket"])
