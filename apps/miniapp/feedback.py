"""Feedback: a driver writes with photos, reads the answers, writes again."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers.feedback import services
from apps.customers.feedback.models import EntryKind, Feedback, FeedbackEntry, FeedbackKind, FeedbackState
from apps.files import content, links
from apps.miniapp.api import (
    IDEMPOTENCY_KEY,
    DriverView,
    PageInput,
    body,
    described,
    idempotency_key,
    page_by_id,
    page_of,
    query,
)
from apps.miniapp.stations import connector_code
from apps.orders.selectors import order_of
from apps.piles.selectors import connector_by_code
from apps.sites.selectors import station_shown

MOST_TEXT = 1000


class PhotoInput(serializers.Serializer[Any]):
    """What will be uploaded."""

    media_type = serializers.ChoiceField(choices=sorted(content.PICTURES))
    size = serializers.IntegerField(min_value=1, max_value=services.PHOTO.max_bytes, help_text="bytes")
    name = serializers.CharField(max_length=200, required=False, default="photo")


class PhotoTicketOutput(serializers.Serializer[Any]):
    """POST multipart to `url` (on this host where it is a path) with all `fields`, then `file`."""

    number = serializers.CharField(help_text="names the photo when the feedback is sent")
    url = serializers.CharField()
    fields = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]  # the form's own word
    expires_at = serializers.DateTimeField()


class _Written(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=MOST_TEXT)
    photos = serializers.ListField(
        child=serializers.UUIDField(),
        max_length=services.MOST_PHOTOS,
        required=False,
        help_text="`number` of each upload",
    )


class ReplyInput(_Written):
    """What is to be added."""


class FeedbackInput(_Written):
    """At most one of `order_no`, `connector_code` and `station_no` is needed: the others follow."""

    kind = serializers.ChoiceField(choices=FeedbackKind.choices)
    order_no = serializers.RegexField(r"^[0-9A-Za-z_-]{1,32}$", required=False)
    connector_code = serializers.CharField(max_length=32, required=False)
    station_no = serializers.RegexField(r"^[0-9A-Za-z_-]{1,32}$", required=False)


class FeedbackOutput(serializers.Serializer[Any]):
    feedback_no = serializers.CharField()
    kind = serializers.ChoiceField(choices=FeedbackKind.choices)
    kind_label = serializers.CharField(source="get_kind_display")
    state = serializers.ChoiceField(choices=FeedbackState.choices)
    state_label = serializers.CharField(source="get_state_display")
    text = serializers.CharField()
    station_name = serializers.SerializerMethodField()
    order_no = serializers.CharField()
    connector_code = serializers.CharField()
    created_at = serializers.DateTimeField()
    answered_at = serializers.DateTimeField(allow_null=True)

    def get_station_name(self, feedback: Feedback) -> str:
        """Where it is about, if it is about a place."""
        return feedback.station.name if feedback.station else ""


class FeedbackPhotoOutput(serializers.Serializer[Any]):
    """Addresses that open without a token for two hours."""

    url = serializers.SerializerMethodField()
    thumbnail_url = serializers.SerializerMethodField()

    def get_url(self, photo: Any) -> str:
        """The whole picture."""
        return links.signed_path(photo.file)

    def get_thumbnail_url(self, photo: Any) -> str:
        """A small one."""
        return links.signed_path(photo.file, thumbnail=True)


class FeedbackEntryOutput(serializers.Serializer[Any]):
    """Who of the staff wrote is the operator's business."""

    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField()
    text = serializers.CharField()
    photos = FeedbackPhotoOutput(many=True, source="photos.all")

    def get_by(self, entry: FeedbackEntry) -> str:
        """`driver` or `operator`."""
        return "driver" if entry.kind == EntryKind.ASKED else "operator"


class FeedbackDetailOutput(FeedbackOutput):
    entries = FeedbackEntryOutput(source="seen", many=True)


FEEDBACK = {
    "feedback_no": "B261120130000000001",
    "kind": "device",
    "kind_label": "设备故障",
    "state": "answered",
    "state_label": "已回复",
    "text": "2 号枪插不进去",
    "station_name": "滨江公园充电站",
    "order_no": "",
    "connector_code": "3201060000000102",
    "created_at": "2026-11-20T13:00:00+08:00",
    "answered_at": "2026-11-20T13:20:00+08:00",
}
_PHOTO = "/files/0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11/"
DETAIL = {
    **FEEDBACK,
    "entries": [
        {
            "by": "driver",
            "at": "2026-11-20T13:00:00+08:00",
            "text": "2 号枪插不进去",
            "photos": [
                {"url": f"{_PHOTO}?s=1vOa2b:3Jw", "thumbnail_url": f"{_PHOTO}thumbnail/?s=1vOa2b:3Jw"}
            ],
        },
        {"by": "operator", "at": "2026-11-20T13:20:00+08:00", "text": "已安排维修，抱歉。", "photos": []},
    ],
}


class FeedbackPhotosView(DriverView):
    @described(
        "Get a ticket to upload a photo for feedback",
        request=PhotoInput,
        request_example={"media_type": "image/jpeg", "size": 240_000, "name": "gun.jpg"},
        output=PhotoTicketOutput,
        status=201,
        example={
            "number": "0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11",
            "url": "/files/upload/",
            "fields": {"token": "t_alpha/0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11:1vOa2b:3Jw"},
            "expires_at": "2026-11-20T13:10:00+08:00",
        },
        errors=[400, 401, 403, 429],
        operation_id="feedback_photo",
        tags=["feedback"],
    )
    def post(self, request: Request) -> Response:
        """Good for ten minutes and one picture (JPEG, PNG, WebP; 5 MB at most)."""
        data = body(request, PhotoInput)
        ticket = services.photo_ticket(
            media_type=data["media_type"], size=data["size"], name=data["name"], owner=self.actor
        )
        return Response(
            PhotoTicketOutput(
                {
                    "number": ticket.number,
                    "url": ticket.url,
                    "fields": ticket.fields,
                    "expires_at": ticket.expires_at,
                }
            ).data,
            status=201,
        )


class FeedbacksView(DriverView):
    @described(
        "The driver's feedback, newest first",
        parameters=[PageInput],
        output=page_of("FeedbackPage", FeedbackOutput),
        example={"items": [FEEDBACK], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="feedback",
        tags=["feedback"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        rows = services.feedbacks_of(customer=self.customer)
        return page_by_id(rows, query(request, PageInput), FeedbackOutput)

    @described(
        "Write to the operator",
        request=FeedbackInput,
        request_example={
            "kind": "device",
            "text": "2 号枪插不进去",
            "connector_code": "3201060000000102",
            "photos": ["0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11"],
        },
        parameters=[IDEMPOTENCY_KEY],
        output=FeedbackDetailOutput,
        status=201,
        example={
            **DETAIL,
            "state": "open",
            "state_label": "待回复",
            "answered_at": None,
            "entries": DETAIL["entries"][:1],
        },  # type: ignore[index]
        errors=[400, 401, 403, 404, 409, 429],
        operation_id="feedback_write",
        tags=["feedback"],
    )
    def post(self, request: Request) -> Response:
        """Ten a day at most. The same request again answers with the same feedback."""
        key = idempotency_key(request)
        data = body(request, FeedbackInput)
        made = services.write(
            customer=self.customer,
            kind=data["kind"],
            text=data["text"],
            photos=data.get("photos", ()),
            actor=self.actor,
            request_key=key,
            **self._about(data),
        )
        return Response(_detail(self, made.feedback_no), status=201)

    def _about(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return what it is about: an own order, else a gun, else a station. Raises for each that is not found."""
        about: dict[str, Any] = {}
        if "station_no" in data:
            about["station"] = station_shown(station_no=data["station_no"])
        if "connector_code" in data:
            connector = connector_by_code(code=connector_code(data["connector_code"]))
            about |= {"connector_code": connector.code, "station": connector.pile.station}
        if "order_no" in data:
            order = order_of(customer=self.customer, order_no=data["order_no"])
            about |= {
                "order_no": order.order_no,
                "connector_code": order.connector.code,
                "station": order.station,
            }
        return about


class FeedbackView(DriverView):
    @described(
        "One feedback with its answers",
        output=FeedbackDetailOutput,
        example=DETAIL,
        errors=[401, 403, 404],
        operation_id="feedback_one",
        tags=["feedback"],
    )
    def get(self, request: Request, feedback_no: str) -> Response:
        """Everything that was written, oldest first."""
        return Response(_detail(self, feedback_no))

    @described(
        "Write once more",
        request=ReplyInput,
        request_example={"text": "还是不行"},
        parameters=[IDEMPOTENCY_KEY],
        output=FeedbackDetailOutput,
        status=201,
        example=DETAIL,
        errors=[400, 401, 403, 404, 409],
        operation_id="feedback_reply",
        tags=["feedback"],
    )
    def post(self, request: Request, feedback_no: str) -> Response:
        """It is to be answered again, a closed one too."""
        key = idempotency_key(request)
        data = body(request, ReplyInput)
        services.reply(
            customer=self.customer,
            feedback_no=feedback_no,
            text=data["text"],
            photos=data.get("photos", ()),
            actor=self.actor,
            request_key=key,
        )
        return Response(_detail(self, feedback_no), status=201)


def _detail(view: DriverView, feedback_no: str) -> Any:
    return FeedbackDetailOutput(services.feedback_of(customer=view.customer, feedback_no=feedback_no)).data
