"""Where a driver is signed in: the next pair of tokens, signing out here and elsewhere."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import agents
from apps.customers import sessions
from apps.customers.errors import SessionOver, SessionUnknown
from apps.customers.models import SignInMethod
from apps.miniapp.api import (
    IDEMPOTENCY_KEY,
    AddressThrottle,
    DriverView,
    OpenView,
    body,
    described,
    idempotency_key,
)
from apps.miniapp.auth import TOKENS, TokensOutput, tokens_of
from apps.miniapp.authentication import InvalidToken, read_refresh_token


class RefreshInput(serializers.Serializer[Any]):
    refresh_token = serializers.CharField(max_length=2000)


class DeviceOutput(serializers.Serializer[Any]):
    number = serializers.CharField()
    is_this = serializers.BooleanField(help_text="whether it is the device that asks")
    name = serializers.CharField(help_text="app and machine in words")
    method = serializers.ChoiceField(choices=SignInMethod.choices)
    method_label = serializers.CharField()
    signed_in_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()


class DevicesOutput(serializers.Serializer[Any]):
    items = DeviceOutput(many=True)


DEVICE = {
    "number": TOKENS["device"],
    "is_this": True,
    "name": "微信 · iPhone",
    "method": "wechat",
    "method_label": "微信",
    "signed_in_at": "2026-11-20T12:00:00+08:00",
    "last_used_at": "2026-11-21T08:30:00+08:00",
}


class RefreshView(OpenView):
    throttle_classes = [AddressThrottle]

    @described(
        "The next pair of tokens",
        parameters=[IDEMPOTENCY_KEY],
        request=RefreshInput,
        request_example={"refresh_token": "eyJhbGci…"},
        output=TokensOutput,
        example=TOKENS,
        errors=[400, 401, 403, 429],
        operation_id="auth_refresh",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """A refresh token works once; the same request (by its key) is answered again.

        One that comes again with another key was stolen: whoever has it, and its owner, have to sign in anew.
        """
        data = body(request, RefreshInput)
        try:
            number, generation = read_refresh_token(data["refresh_token"])
        except InvalidToken:  # without a scheme of its own to sign in by, DRF would make it a 403
            raise SessionOver from None
        session = sessions.refresh(number=number, generation=generation, request_key=idempotency_key(request))
        return Response(TokensOutput(tokens_of(session)).data)


class LogoutView(DriverView):
    @described(
        "Sign out on this device",
        output=DevicesOutput,
        example={"items": []},
        errors=[401, 403, 429],
        operation_id="auth_logout",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """Its tokens are worth nothing from now on. Answers with the devices that are left."""
        sessions.end(self.session)
        return _devices(self)


class DevicesView(DriverView):
    @described(
        "The devices that one is signed in on",
        output=DevicesOutput,
        example={"items": [DEVICE]},
        errors=[401, 403],
        operation_id="devices",
        tags=["auth"],
    )
    def get(self, request: Request) -> Response:
        """The last used one first; ten at most."""
        return _devices(self)


class SignOutDeviceView(DriverView):
    @described(
        "Sign out on another device",
        output=DevicesOutput,
        example={"items": [DEVICE]},
        errors=[401, 403, 404, 429],
        operation_id="device_sign_out",
        tags=["auth"],
    )
    def post(self, request: Request, number: str) -> Response:
        """Done twice it is still done. Answers with the devices that are left."""
        try:
            wanted = uuid.UUID(hex=number)
        except ValueError:
            raise SessionUnknown from None
        sessions.end_device(customer=self.customer, number=wanted)
        return _devices(self)


def _devices(view: DriverView) -> Response:
    items = [
        {
            "number": session.number.hex,
            "is_this": session.pk == view.session.pk,
            "name": agents.words(session.agent),
            "method": session.method,
            "method_label": session.get_method_display(),
            "signed_in_at": session.started_at,
            "last_used_at": session.seen_at,
        }
        for session in sessions.of_customer(view.customer)
    ]
    return Response(DevicesOutput({"items": items}).data)
