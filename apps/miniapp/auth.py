"""Signing in by text message, and who is signed in. What every way of signing in answers is here too."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from django.core.cache import cache
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import agreements, services, sessions
from apps.customers.errors import SessionOver
from apps.customers.models import Customer, DriverSession, SignInMethod
from apps.customers.profile import avatar_address
from apps.miniapp.api import (
    AddressThrottle,
    DriverView,
    OpenView,
    address_of,
    body,
    described,
    idempotency_key,
)
from apps.miniapp.authentication import refresh_token_for, token_for
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
    language = serializers.CharField(help_text="zh-hans, en, or empty: as the phone has it")
    elder_mode = serializers.BooleanField(allow_null=True, help_text="null: as the tenant's /app says")
    avatar = serializers.SerializerMethodField(
        help_text="path of a small picture, good for two hours, or empty"
    )
    created_at = serializers.DateTimeField()

    def get_avatar(self, customer: Customer) -> str:
        """A signed path."""
        return avatar_address(customer)


class TokensOutput(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="for the Authorization header of every request")
    expires_at = serializers.DateTimeField()
    refresh_token = serializers.CharField(help_text="for the next pair of tokens; it works once")
    refresh_expires_at = serializers.DateTimeField()
    device = serializers.CharField(help_text="number of this device among /me/devices")


class LoginOutput(TokensOutput):
    customer = CustomerOutput()


class MeOutput(CustomerOutput):
    live_order_no = serializers.CharField(allow_null=True)
    consent_needed = serializers.BooleanField(help_text="whether /me/consents has something to ask")


CUSTOMER: dict[str, Any] = {
    "phone": "+8613800000001",
    "nickname": "",
    "language": "",
    "elder_mode": None,
    "avatar": "",
    "created_at": "2026-11-20T12:00:00+08:00",
}


TOKENS = {
    "token": "eyJhbGci…",
    "expires_at": "2026-11-27T12:00:00+08:00",
    "refresh_token": "eyJhbGci…",
    "refresh_expires_at": "2027-02-18T12:00:00+08:00",
    "device": "0b0d8f7e5a514f0c9a64f2a3f9f4d1aa",
}
LOGIN = {**TOKENS, "customer": CUSTOMER}
REPEATED_S = 300


def tokens_of(session: DriverSession) -> dict[str, Any]:
    """Return what TokensOutput shows: a new access token, and the newest refresh token."""
    token = token_for(session.customer, session)
    return {
        "token": str(token),
        "expires_at": datetime.fromtimestamp(token["exp"], UTC),
        "refresh_token": str(refresh_token_for(session)),
        "refresh_expires_at": session.expires_at,
        "device": session.number.hex,
    }


def signed_in(request: Request, customer: Customer, method: str, *proofs: str) -> Response:
    """Open a session and answer with its tokens. `proofs` are what `repeated` gets when this request comes again."""
    agent = request.headers.get("User-Agent", "")
    session = sessions.open_session(
        customer=customer, method=method, agent=agent, address=address_of(request)
    )
    if "Idempotency-Key" in request.headers:
        cache.set(_mark(request, proofs), session.number, REPEATED_S)
    return Response(LoginOutput({**tokens_of(session), "customer": customer}).data)


def repeated(request: Request, *proofs: str) -> Response | None:
    """Return the answer of a sign-in that was done with this key and these proofs already; None for a new one.

    Codes work once: an app whose answer was lost asks again within five minutes.
    """
    number = cache.get(_mark(request, proofs)) if "Idempotency-Key" in request.headers else None
    if number is None:
        return None
    try:
        session = sessions.of_number(number)
    except SessionOver:
        return None
    return Response(LoginOutput({**tokens_of(session), "customer": session.customer}).data)


def _mark(request: Request, proofs: tuple[str, ...]) -> str:
    words = "\0".join((idempotency_key(request), request.path, *proofs))
    return f"signed-in:{hashlib.sha256(words.encode()).hexdigest()}"


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
        example=LOGIN,
        errors=[400, 403, 429],
        operation_id="auth_login",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """A token is good for one tenant only. An Idempotency-Key makes it safe to ask again."""
        data = body(request, LoginInput)
        proofs = (data["phone"], data["code"])
        if answer := repeated(request, *proofs):
            return answer
        customer = services.sign_in(phone=data["phone"], code=data["code"], address=address_of(request))
        return signed_in(request, customer, SignInMethod.SMS, *proofs)


class MeView(DriverView):
    @described(
        "The driver who is signed in, and the charge that is going on",
        output=MeOutput,
        example={**CUSTOMER, "live_order_no": None, "consent_needed": False},
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
                "consent_needed": agreements.open_to(self.customer).exists(),
            }
        )
