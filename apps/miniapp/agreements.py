"""The texts that drivers agree to, and what they said to them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import agreements
from apps.customers.models import Agreement, AgreementKind
from apps.miniapp.api import DriverView, OpenView, address_of, body, described


class AgreementOutput(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=AgreementKind.choices)
    version = serializers.IntegerField()
    title = serializers.CharField()
    changes = serializers.CharField(help_text="what is new in this version, may be empty")
    published_at = serializers.DateTimeField()


class AgreementTextOutput(AgreementOutput):
    body = serializers.CharField(help_text="HTML with headings, lists, tables and links; nothing in it runs")


class AgreementsOutput(serializers.Serializer[Any]):
    items = AgreementOutput(many=True)


class ConsentOutput(AgreementOutput):
    is_needed = serializers.BooleanField(help_text="whether the driver has to be asked")
    agreed_version = serializers.IntegerField(allow_null=True)
    agreed_at = serializers.DateTimeField(allow_null=True)


class ConsentsOutput(serializers.Serializer[Any]):
    items = ConsentOutput(many=True)


class VersionInput(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=AgreementKind.choices)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class ConsentInput(serializers.Serializer[Any]):
    agreements = VersionInput(many=True, allow_empty=False)


AGREEMENT = {
    "kind": "privacy",
    "version": 2,
    "title": "隐私政策",
    "changes": "增加了停车减免所需的车牌信息",
    "published_at": "2026-11-20T12:00:00+08:00",
}
CONSENT = {**AGREEMENT, "is_needed": True, "agreed_version": 1, "agreed_at": "2026-10-01T09:00:00+08:00"}


class AgreementsView(OpenView):
    @described(
        "The agreements, each in its newest version",
        output=AgreementsOutput,
        example={"items": [AGREEMENT]},
        operation_id="agreements",
        tags=["app"],
    )
    def get(self, request: Request) -> Response:
        """Open to all: they are read before one signs in."""
        return Response(AgreementsOutput({"items": agreements.current()}).data)


class AgreementView(OpenView):
    @described(
        "The text of an agreement",
        output=AgreementTextOutput,
        example={**AGREEMENT, "body": "<h2>我们收集的信息</h2><p>…</p>"},
        errors=[404],
        operation_id="agreement",
        tags=["app"],
    )
    def get(self, request: Request, kind: str) -> Response:
        """Its newest version."""
        return Response(AgreementTextOutput(agreements.current_of(kind)).data)


class ConsentsView(DriverView):
    @described(
        "What the driver agreed to, and what has to be asked",
        output=ConsentsOutput,
        example={"items": [CONSENT]},
        errors=[401, 403],
        operation_id="consents",
        tags=["me"],
    )
    def get(self, request: Request) -> Response:
        """A new version asks again."""
        return _answer(agreements.standing_of(self.customer))

    @described(
        "Agree to agreements",
        request=ConsentInput,
        request_example={"agreements": [{"kind": "privacy", "version": 2}]},
        output=ConsentsOutput,
        example={
            "items": [
                {
                    **CONSENT,
                    "is_needed": False,
                    "agreed_version": 2,
                    "agreed_at": "2026-11-21T08:30:00+08:00",
                }
            ]
        },
        errors=[400, 401, 403, 404, 409, 429],
        operation_id="agree",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """To the newest version of each, all or none; agreed twice, the first time counts."""
        data = body(request, ConsentInput)
        found = agreements.agree(
            session=self.session,
            versions=[(one["kind"], one["version"]) for one in data["agreements"]],
            address=address_of(request),
            agent=request.headers.get("User-Agent", ""),
        )
        return _answer(found)


def _fields(agreement: Agreement) -> dict[str, Any]:
    return dict(AgreementOutput(agreement).data)


def _answer(standing: list[agreements.Standing]) -> Response:
    items = [
        {
            **_fields(one.agreement),
            "is_needed": one.is_needed,
            "agreed_version": one.latest.agreement.version if one.latest else None,
            "agreed_at": one.latest.agreed_at if one.latest else None,
        }
        for one in standing
    ]
    return Response(ConsentsOutput({"items": items}).data)
