"""The driver's own page: name, picture, language, a copy of the data, and the end of the account."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import data_export, deletion, profile
from apps.customers.kinds import AVATAR
from apps.customers.models import AppLanguage, DataExport, DataExportState
from apps.files.content import PICTURES
from apps.miniapp.api import IDEMPOTENCY_KEY, DriverView, address_of, body, described
from apps.miniapp.auth import CUSTOMER, CustomerOutput
from apps.miniapp.once import once

LANGUAGES = [choice for choice in AppLanguage.values if choice]
NUMBER = "0b0d8f7e-5a51-4f0c-9a64-f2a3f9f4d1aa"


class ProfileInput(serializers.Serializer[Any]):
    nickname = serializers.CharField(max_length=30, allow_blank=True)
    language = serializers.ChoiceField(choices=LANGUAGES)
    elder_mode = serializers.BooleanField()

    def validate_nickname(self, value: str) -> str:
        """Nothing that does not print."""
        if not value.isprintable():
            raise serializers.ValidationError(_("Letters, digits and signs that can be printed are allowed."))
        return value


class AvatarTicketInput(serializers.Serializer[Any]):
    media_type = serializers.ChoiceField(choices=sorted(PICTURES))
    size = serializers.IntegerField(min_value=1, max_value=AVATAR.max_bytes, help_text="bytes")


class AvatarTicketOutput(serializers.Serializer[Any]):
    number = serializers.UUIDField(help_text="what /me/avatar is told after the upload")
    url = serializers.CharField(help_text="where to POST multipart: `fields`, then `file`")
    fields = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]
    expires_at = serializers.DateTimeField()


class AvatarInput(serializers.Serializer[Any]):
    number = serializers.UUIDField(help_text="of the ticket")


class ExportOutput(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=[*DataExportState.values, "none"])
    asked_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField(help_text="path of a ZIP with JSON files, good for two hours; empty for none")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="when the copy goes")


class ReasonOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    text = serializers.CharField()


class DeletionOutput(serializers.Serializer[Any]):
    is_possible = serializers.BooleanField()
    reasons = ReasonOutput(many=True)


class DeletionInput(serializers.Serializer[Any]):
    code = serializers.RegexField(r"^[0-9]{6}$", help_text="of /me/phone/code, sent to the present number")


class DeletedOutput(serializers.Serializer[Any]):
    is_deleted = serializers.BooleanField()


EXPORT = {
    "state": "done",
    "asked_at": "2026-11-20T12:00:00+08:00",
    "finished_at": "2026-11-20T12:00:04+08:00",
    "url": f"/files/{NUMBER}/?s=…",
    "expires_at": "2026-11-27T12:00:04+08:00",
}
BALANCE = {"code": "balance", "text": "钱包里还有余额，请先申请退款。"}


class ProfileView(DriverView):
    @described(
        "Change name, language and size of texts",
        request=ProfileInput,
        request_example={"nickname": "小明", "language": "zh-hans", "elder_mode": False},
        output=CustomerOutput,
        example={**CUSTOMER, "nickname": "小明", "language": "zh-hans", "elder_mode": False},
        errors=[400, 401, 403, 429],
        operation_id="profile",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """All three at once; done twice it is still done."""
        customer = profile.change(customer=self.customer, **body(request, ProfileInput))
        return Response(CustomerOutput(customer).data)


class AvatarTicketView(DriverView):
    @described(
        "A ticket to upload a picture of oneself",
        parameters=[IDEMPOTENCY_KEY],
        request=AvatarTicketInput,
        request_example={"media_type": "image/jpeg", "size": 120000},
        output=AvatarTicketOutput,
        example={
            "number": NUMBER,
            "url": "/files/upload/",
            "fields": {"token": "…"},
            "expires_at": "2026-11-20T12:10:00+08:00",
        },
        errors=[400, 401, 403, 429],
        operation_id="avatar_ticket",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """JPEG, PNG or WebP of at most 5 MB, within ten minutes."""
        data = body(request, AvatarTicketInput)

        def issue() -> dict[str, Any]:
            return dict(AvatarTicketOutput(profile.avatar_ticket(customer=self.customer, **data)).data)

        return once(request, self.customer, issue)


class AvatarView(DriverView):
    @described(
        "Show an uploaded picture as oneself",
        request=AvatarInput,
        request_example={"number": NUMBER},
        output=CustomerOutput,
        example={**CUSTOMER, "avatar": f"/files/{NUMBER}/thumbnail/?s=…"},
        errors=[400, 401, 403, 404, 409, 415, 429],
        operation_id="avatar",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """Others see it small and without metadata. The picture before is thrown away."""
        data = body(request, AvatarInput)
        customer = profile.set_avatar(customer=self.customer, number=data["number"])
        return Response(CustomerOutput(customer).data)


class ExportView(DriverView):
    @described(
        "The copy of one's data that was asked for",
        output=ExportOutput,
        example=EXPORT,
        errors=[401, 403],
        operation_id="data_export",
        tags=["me"],
    )
    def get(self, request: Request) -> Response:
        """`none` where none was asked for."""
        return _export(data_export.latest(customer=self.customer))

    @described(
        "Ask for a copy of one's data",
        output=ExportOutput,
        status=202,
        example={**EXPORT, "state": "waiting", "finished_at": None, "url": "", "expires_at": None},
        errors=[401, 403, 429],
        operation_id="ask_data_export",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """Written in the background. Within a day the same copy is given, however often it is asked for."""
        return _export(data_export.request(customer=self.customer), status=202)


class DeletionView(DriverView):
    @described(
        "Whether the account can be deleted",
        output=DeletionOutput,
        example={"is_possible": False, "reasons": [BALANCE]},
        errors=[401, 403],
        operation_id="deletion",
        tags=["me"],
    )
    def get(self, request: Request) -> Response:
        """Reasons against it in the order in which to clear them up."""
        reasons = deletion.standing_against(self.customer)
        return Response(DeletionOutput({"is_possible": not reasons, "reasons": reasons}).data)

    @described(
        "Delete the account for good",
        request=DeletionInput,
        request_example={"code": "012345"},
        output=DeletedOutput,
        example={"is_deleted": True},
        errors=[400, 401, 403, 409, 429],
        operation_id="delete_account",
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        """Number, name, picture, cars and devices are forgotten; the number can register anew.

        Orders and bookings stay without a name, as the law asks. Repeated, the answer is 401: there is nobody any more.
        """
        data = body(request, DeletionInput)
        deletion.delete_account(customer=self.customer, code=data["code"], address=address_of(request))
        return Response(DeletedOutput({"is_deleted": True}).data)


def _export(found: DataExport | None, status: int = 200) -> Response:
    url = data_export.address(found) if found else ""
    words = {
        "state": found.state if found else "none",
        "asked_at": found.asked_at if found else None,
        "finished_at": found.finished_at if found else None,
        "url": url,
        "expires_at": found.file.expires_at if found and found.file and url else None,
    }
    return Response(ExportOutput(words).data, status=status)
