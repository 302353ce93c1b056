"""Messages to the driver."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.customers import inbox
from apps.customers.models import InboxKind, InboxMessage
from apps.miniapp.api import LARGEST_ID, DriverView, PageInput, described, page_by_id, page_of, query


class MessagesInput(PageInput):
    unread = serializers.BooleanField(default=False, help_text="only those that were not read")


class MessageOutput(serializers.Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=InboxKind.choices)
    title = serializers.SerializerMethodField()
    text = serializers.SerializerMethodField()
    reference = serializers.SerializerMethodField(
        help_text="number of what it is about: an order, a refund of the wallet, an invoice application, a feedback,"
        " or the id of a coupon"
    )
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)

    def get_title(self, message: InboxMessage) -> str:
        """In the reader's language."""
        return inbox.title_of(message)

    def get_reference(self, message: InboxMessage) -> str:
        """What a tap on it opens."""
        return inbox.about(message)

    def get_text(self, message: InboxMessage) -> str:
        """In the reader's language."""
        return inbox.text_of(message)


class UnreadOutput(serializers.Serializer[Any]):
    unread = serializers.IntegerField()


MESSAGE = {
    "id": "1024",
    "kind": "charge_ended",
    "title": "账单已出",
    "text": "滨江公园充电站：12.3456 kWh，15.50 元。",
    "reference": "C261120120000000001",
    "created_at": "2026-11-20T12:40:02+08:00",
    "read_at": None,
}


class MessagesView(DriverView):
    @described(
        "Messages to the driver, newest first",
        parameters=[MessagesInput],
        output=page_of("MessagePage", MessageOutput),
        example={"items": [MESSAGE], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="messages",
        tags=["messages"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        data = query(request, MessagesInput)
        return page_by_id(
            inbox.messages_of(customer=self.customer, unread=data["unread"]), data, MessageOutput
        )


class UnreadView(DriverView):
    @described(
        "How many messages the driver has not read",
        output=UnreadOutput,
        example={"unread": 2},
        errors=[401, 403],
        operation_id="messages_unread",
        tags=["messages"],
    )
    def get(self, request: Request) -> Response:
        """For the mark on a tab."""
        return Response(UnreadOutput({"unread": inbox.unread_count(customer=self.customer)}).data)


class ReadView(DriverView):
    @described(
        "Mark a message as read",
        output=MessageOutput,
        example={**MESSAGE, "read_at": "2026-11-20T12:41:00+08:00"},
        errors=[401, 403, 404],
        operation_id="message_read",
        tags=["messages"],
    )
    def post(self, request: Request, message_id: int) -> Response:
        """Again changes nothing."""
        found = inbox.read(customer=self.customer, message_id=min(message_id, LARGEST_ID))
        return Response(MessageOutput(found).data)


class ReadAllView(DriverView):
    @described(
        "Mark all messages as read",
        output=UnreadOutput,
        example={"unread": 0},
        errors=[401, 403],
        operation_id="messages_read",
        tags=["messages"],
    )
    def post(self, request: Request) -> Response:
        """Answers with what is left unread: nothing, but for what came meanwhile."""
        inbox.read_all(customer=self.customer)
        return Response(UnreadOutput({"unread": inbox.unread_count(customer=self.customer)}).data)
