"""What an app shows before anybody signs in: whose it is, what is on, which agreements hold."""

from __future__ import annotations

from typing import Any

from django.conf import settings as configured
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import agreements, app_settings, subscriptions
from apps.customers.models import HomePage, IdentityProvider, SignInMethod
from apps.miniapp.agreements import AGREEMENT, AgreementOutput
from apps.miniapp.api import OpenView, described
from apps.tenancy.branding import logo_address
from apps.tenancy.features import tenant_here


class WayOutput(serializers.Serializer[Any]):
    way = serializers.ChoiceField(choices=SignInMethod.choices)
    app_id = serializers.CharField(help_text="of the mini-program, empty for text messages")


class SubscriptionOutput(serializers.Serializer[Any]):
    provider = serializers.ChoiceField(choices=IdentityProvider.choices)
    event = serializers.ChoiceField(choices=[(name, one.title) for name, one in subscriptions.EVENTS.items()])
    template_id = serializers.CharField()


class AppOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    logo = serializers.CharField(help_text="path of a PNG on this host, empty for none")
    colour = serializers.CharField()
    service_phone = serializers.CharField()
    service_hours = serializers.CharField()
    about = serializers.CharField()
    filing_number = serializers.CharField()
    home = serializers.ChoiceField(choices=HomePage.choices)
    elder_mode = serializers.BooleanField(help_text="large texts for whoever has not chosen")
    languages = serializers.ListField(child=serializers.CharField())
    sign_in = WayOutput(many=True)
    features = serializers.ListField(
        child=serializers.CharField(), help_text="coupons, enterprises, vehicles"
    )
    agreements = AgreementOutput(many=True)
    subscriptions = SubscriptionOutput(
        many=True, help_text="what a mini-program asks for when a charge starts, at most three at once"
    )


class AppView(OpenView):
    @described(
        "The app: name, colours, service phone, what is on, ways to sign in, agreements",
        output=AppOutput,
        example={
            "name": "绿能充电",
            "logo": "/logo/demo/0123456789abcdef.png",
            "colour": "#0e9f6e",
            "service_phone": "400-800-1234",
            "service_hours": "7×24 小时",
            "about": "……",
            "filing_number": "沪ICP备00000000号-1X",
            "home": "list",
            "elder_mode": False,
            "languages": ["zh-hans", "en"],
            "sign_in": [{"way": "sms", "app_id": ""}, {"way": "wechat", "app_id": "wx0123456789abcdef"}],
            "features": ["coupons", "vehicles"],
            "agreements": [AGREEMENT],
            "subscriptions": [{"provider": "wechat", "event": "charge_ended", "template_id": "zmMAK…"}],
        },
        operation_id="app",
        tags=["app"],
    )
    def get(self, request: Request) -> Response:
        """Open to all; the first call of an app."""
        tenant, found = tenant_here(), app_settings.current()
        return Response(
            AppOutput(
                {
                    "name": tenant.name if tenant else "",
                    "logo": logo_address(tenant) if tenant else "",
                    "colour": (tenant.colour if tenant else "") or configured.BRAND_COLOUR["500"],
                    "service_phone": found.service_phone,
                    "service_hours": found.service_hours,
                    "about": found.about,
                    "filing_number": found.filing_number,
                    "home": found.home,
                    "elder_mode": found.elder_mode,
                    "languages": app_settings.languages(found),
                    "sign_in": app_settings.ways(),
                    "features": app_settings.on(found),
                    "agreements": agreements.current(),
                    "subscriptions": subscriptions.asked_for(),
                }
            ).data
        )
