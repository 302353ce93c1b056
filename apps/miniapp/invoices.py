"""A driver's invoices: titles, the orders that can be invoiced, applications and what became of them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.files import content, links
from apps.invoices import services, titles
from apps.invoices.enums import InvoiceKind, InvoiceState, TitleKind
from apps.invoices.errors import TitleNotFound
from apps.invoices.models import InvoiceApplication, InvoiceTitle
from apps.invoices.selectors import (
    invoice_of,
    invoice_policy,
    invoiceable,
    invoices_of,
    parts_of,
    title_of,
)
from apps.miniapp.api import (
    IDEMPOTENCY_KEY,
    LARGEST_ID,
    OPTIONAL_KEY,
    DriverView,
    EnergyOut,
    MoneyOut,
    PageInput,
    body,
    described,
    idempotency_key,
    page_by_id,
    page_of,
    query,
)
from apps.miniapp.once import once

# --- Titles -----------------------------------------------------------------------------------------------


class TitleInput(serializers.Serializer[Any]):
    """A company has its whole name and its tax number (18 characters, GB 32100); a person a name only."""

    kind = serializers.ChoiceField(choices=TitleKind.choices)
    name = serializers.CharField(max_length=100)
    tax_no = serializers.CharField(max_length=20, required=False, allow_blank=True)
    address = serializers.CharField(max_length=100, required=False, allow_blank=True)
    phone = serializers.CharField(max_length=30, required=False, allow_blank=True)
    bank = serializers.CharField(max_length=100, required=False, allow_blank=True)
    bank_account = serializers.CharField(max_length=40, required=False, allow_blank=True)
    email = serializers.EmailField(required=False, allow_blank=True)
    is_default = serializers.BooleanField(required=False)


class TitleOutput(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    kind = serializers.ChoiceField(choices=TitleKind.choices)
    kind_label = serializers.CharField(source="get_kind_display")
    name = serializers.CharField()
    tax_no = serializers.CharField()
    address = serializers.CharField()
    phone = serializers.CharField()
    bank = serializers.CharField()
    bank_account = serializers.CharField()
    email = serializers.CharField()
    is_default = serializers.BooleanField()


class TitlesOutput(serializers.Serializer[Any]):
    items = TitleOutput(many=True)


TITLE = {
    "id": "7",
    "kind": "company",
    "kind_label": "企业单位",
    "name": "上海测试出行有限公司",
    "tax_no": "91350100M000100Y43",
    "address": "",
    "phone": "",
    "bank": "",
    "bank_account": "",
    "email": "fapiao@example.com",
    "is_default": True,
}
_TITLE_IN = {name: TITLE[name] for name in ("kind", "name", "tax_no", "email", "is_default")}


class TitlesView(DriverView):
    @described(
        "The driver's invoice titles, the default first",
        output=TitlesOutput,
        example={"items": [TITLE]},
        errors=[401, 403],
        operation_id="invoice_titles",
        tags=["invoices"],
    )
    def get(self, request: Request) -> Response:
        """All of them: there are 20 at most."""
        rows = InvoiceTitle.objects.filter(customer=self.customer)
        return Response(TitlesOutput({"items": rows}).data)

    @described(
        "Keep an invoice title",
        request=TitleInput,
        request_example=_TITLE_IN,
        output=TitleOutput,
        status=201,
        example=TITLE,
        errors=[400, 401, 403, 409],
        operation_id="invoice_title_add",
        tags=["invoices"],
    )
    def post(self, request: Request) -> Response:
        """The same kind, name and tax number again is the title that is there, with the other fields new."""
        title = titles.add_title(customer=self.customer, values=body(request, TitleInput))
        return Response(TitleOutput(title).data, status=201)


class TitleView(DriverView):
    @described(
        "One invoice title",
        output=TitleOutput,
        example=TITLE,
        errors=[401, 403, 404],
        operation_id="invoice_title",
        tags=["invoices"],
    )
    def get(self, request: Request, title_id: str) -> Response:
        """As it is now."""
        return Response(TitleOutput(title_of(customer=self.customer, title_id=_number(title_id))).data)

    @described(
        "Change an invoice title",
        request=TitleInput,
        request_example=_TITLE_IN,
        output=TitleOutput,
        example=TITLE,
        errors=[400, 401, 403, 404],
        operation_id="invoice_title_change",
        tags=["invoices"],
    )
    def post(self, request: Request, title_id: str) -> Response:
        """All fields anew. Applications keep the title that they were made with."""
        values = body(request, TitleInput)
        title = titles.change_title(customer=self.customer, title_id=_number(title_id), values=values)
        return Response(TitleOutput(title).data)


class RemoveTitleView(DriverView):
    @described(
        "Forget an invoice title",
        parameters=[OPTIONAL_KEY],
        output=TitlesOutput,
        example={"items": []},
        errors=[400, 401, 403, 404, 409],
        operation_id="invoice_title_remove",
        tags=["invoices"],
    )
    def post(self, request: Request, title_id: str) -> Response:
        """Answers with those that are left."""

        def remove() -> dict[str, Any]:
            titles.remove_title(customer=self.customer, title_id=_number(title_id))
            rows = InvoiceTitle.objects.filter(customer=self.customer)
            return dict(TitlesOutput({"items": rows}).data)

        return once(request, self.customer, remove, may_lack_key=True)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > LARGEST_ID:
        raise TitleNotFound
    return int(text)


# --- What can be invoiced ---------------------------------------------------------------------------------


class InvoiceOptionsOutput(serializers.Serializer[Any]):
    """What this operator offers."""

    enabled = serializers.BooleanField(source="is_enabled")
    kinds = serializers.SerializerMethodField()
    minimum_amount = MoneyOut()
    most_orders = serializers.IntegerField()
    days = serializers.IntegerField(help_text="so many days after settlement an order can be invoiced")
    notice = serializers.CharField()

    def get_kinds(self, policy: Any) -> list[str]:
        """`ordinary`, and `special` where it is offered."""
        kinds = [InvoiceKind.ORDINARY.value]
        return [*kinds, InvoiceKind.SPECIAL.value] if policy.allows_special else kinds


class InvoiceOrderOutput(serializers.Serializer[Any]):
    """An order with what of it can be invoiced: paid from topped-up money, after refunds."""

    order_no = serializers.CharField()
    station_name = serializers.CharField()
    settled_at = serializers.DateTimeField()
    energy_kwh = EnergyOut()
    payable = MoneyOut()
    electricity = MoneyOut()
    service = MoneyOut()
    amount = MoneyOut()


INVOICE_ORDER = {
    "order_no": "C261120120000000001",
    "station_name": "滨江公园充电站",
    "settled_at": "2026-11-20T12:40:02+08:00",
    "energy_kwh": "12.3456",
    "payable": "15.50",
    "electricity": "9.88",
    "service": "5.62",
    "amount": "15.50",
}


class InvoiceOptionsView(DriverView):
    @described(
        "What can be asked for",
        output=InvoiceOptionsOutput,
        example={
            "enabled": True,
            "kinds": ["ordinary", "special"],
            "minimum_amount": "0.00",
            "most_orders": 50,
            "days": 365,
            "notice": "",
        },
        errors=[401, 403],
        operation_id="invoice_options",
        tags=["invoices"],
    )
    def get(self, request: Request) -> Response:
        """The operator's rules."""
        return Response(InvoiceOptionsOutput(invoice_policy()).data)


class InvoiceOrdersView(DriverView):
    @described(
        "Orders that can be invoiced, newest first",
        parameters=[PageInput],
        output=page_of("InvoiceOrderPage", InvoiceOrderOutput),
        example={"items": [INVOICE_ORDER], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="invoice_orders",
        tags=["invoices"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        data = query(request, PageInput)
        rows = invoiceable(customer=self.customer, policy=invoice_policy())
        return page_by_id(rows, data, InvoiceOrderOutput, lambda found: [_order(one) for one in found])


def _order(order: Any) -> dict[str, Any]:
    electricity, service = parts_of(order)
    return {
        "order_no": order.order_no,
        "station_name": order.station.name,
        "settled_at": order.settled_at,
        "energy_kwh": order.energy_kwh,
        "payable": order.payable,
        "electricity": electricity,
        "service": service,
        "amount": electricity + service,
    }


# --- Applications -----------------------------------------------------------------------------------------


class InvoiceInput(serializers.Serializer[Any]):
    title_id = serializers.RegexField(r"^[1-9][0-9]{0,18}$", help_text="`id` of a title")
    kind = serializers.ChoiceField(choices=InvoiceKind.choices)
    order_nos = serializers.ListField(
        child=serializers.RegexField(r"^[0-9A-Za-z_-]{1,32}$"), min_length=1, max_length=200
    )
    email = serializers.EmailField(required=False, allow_blank=True)
    remark = serializers.CharField(max_length=100, required=False, allow_blank=True)

    def validate_title_id(self, value: str) -> int:
        """Return the id as a number that the database can hold."""
        return min(int(value), LARGEST_ID)


class InvoiceOutput(serializers.Serializer[Any]):
    invoice_no = serializers.CharField(help_text="20 digits once it is issued")
    application_no = serializers.CharField()
    kind = serializers.ChoiceField(choices=InvoiceKind.choices)
    kind_label = serializers.CharField(source="get_kind_display")
    state = serializers.ChoiceField(choices=InvoiceState.choices)
    state_label = serializers.CharField(source="get_state_display")
    title = serializers.CharField()
    tax_no = serializers.CharField()
    electricity = MoneyOut()
    service = MoneyOut()
    amount = MoneyOut()
    order_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    issued_on = serializers.DateField(allow_null=True)
    can_cancel = serializers.SerializerMethodField()
    can_download = serializers.SerializerMethodField()

    def get_can_cancel(self, invoice: InvoiceApplication) -> bool:
        """Before the review."""
        return invoice.state == InvoiceState.APPLIED

    def get_can_download(self, invoice: InvoiceApplication) -> bool:
        """Whether the detail has a link to its file."""
        return invoice.file is not None


class InvoiceLineOutput(serializers.Serializer[Any]):
    """One line: its amount includes the tax."""

    name = serializers.CharField()
    tax_rate = serializers.CharField(source="rate")
    tax = MoneyOut()
    amount = MoneyOut()


class InvoiceItemOutput(serializers.Serializer[Any]):
    order_no = serializers.CharField(source="order.order_no")
    station_name = serializers.CharField(source="order.station.name")
    electricity = MoneyOut()
    service = MoneyOut()


class InvoiceDetailOutput(InvoiceOutput):
    email = serializers.CharField()
    remark = serializers.CharField(source="reason")
    reason = serializers.SerializerMethodField()
    lines = InvoiceLineOutput(many=True)
    orders = InvoiceItemOutput(source="items", many=True)
    file_url = serializers.SerializerMethodField(help_text="opens without a token for two hours; empty: none")
    file_type = serializers.SerializerMethodField()
    red_no = serializers.CharField(help_text="number of the red invoice that reversed it")

    def get_reason(self, invoice: InvoiceApplication) -> str:
        """Why it was rejected, could not be issued, or is reversed."""
        if invoice.state in (InvoiceState.REJECTED, InvoiceState.CANCELLED):
            return invoice.review_reason
        return invoice.red_reason or invoice.fail_reason

    def get_file_url(self, invoice: InvoiceApplication) -> str:
        """Address of the file on this host."""
        return links.signed_path(invoice.file) if invoice.file else ""

    def get_file_type(self, invoice: InvoiceApplication) -> str:
        """`pdf`, `ofd`, or empty."""
        return content.EXTENSIONS[invoice.file.media_type] if invoice.file else ""


INVOICE = {
    "invoice_no": "",
    "application_no": "V261121090000000001",
    "kind": "ordinary",
    "kind_label": "数电普票",
    "state": "applied",
    "state_label": "待审核",
    "title": "上海测试出行有限公司",
    "tax_no": "91350100M000100Y43",
    "electricity": "9.88",
    "service": "5.62",
    "amount": "15.50",
    "order_count": 1,
    "created_at": "2026-11-21T09:00:00+08:00",
    "issued_on": None,
    "can_cancel": True,
    "can_download": False,
}
DETAIL = {
    **INVOICE,
    "email": "fapiao@example.com",
    "remark": "",
    "reason": "",
    "lines": [
        {"name": "充电电费", "tax_rate": "0.130", "tax": "1.14", "amount": "9.88"},
        {"name": "充电服务费", "tax_rate": "0.130", "tax": "0.65", "amount": "5.62"},
    ],
    "orders": [
        {
            "order_no": "C261120120000000001",
            "station_name": "滨江公园充电站",
            "electricity": "9.88",
            "service": "5.62",
        }
    ],
    "file_url": "",
    "file_type": "",
    "red_no": "",
}
ISSUED = {
    **DETAIL,
    "invoice_no": "26312000000000000017",
    "state": "issued",
    "state_label": "已开票",
    "issued_on": "2026-11-22",
    "can_cancel": False,
    "can_download": True,
    "file_url": "/files/0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11/?s=1vOa2b:3Jw",
    "file_type": "pdf",
}


class InvoicesView(DriverView):
    @described(
        "The driver's invoices, newest first",
        parameters=[PageInput],
        output=page_of("InvoicePage", InvoiceOutput),
        example={"items": [INVOICE], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="invoices",
        tags=["invoices"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        return page_by_id(invoices_of(customer=self.customer), query(request, PageInput), InvoiceOutput)

    @described(
        "Ask for an invoice",
        request=InvoiceInput,
        request_example={
            "title_id": "7",
            "kind": "ordinary",
            "order_nos": ["C261120120000000001"],
            "email": "fapiao@example.com",
        },
        parameters=[IDEMPOTENCY_KEY],
        output=InvoiceDetailOutput,
        status=201,
        example=DETAIL,
        errors=[400, 401, 403, 404, 409],
        operation_id="invoice_apply",
        tags=["invoices"],
    )
    def post(self, request: Request) -> Response:
        """One invoice over all orders named. The same request again answers with the same application."""
        key = idempotency_key(request)
        data = body(request, InvoiceInput)
        made = services.apply(
            customer=self.customer,
            title_id=data["title_id"],
            order_nos=data["order_nos"],
            kind=data["kind"],
            email=data.get("email", ""),
            remark=data.get("remark", ""),
            applied_by=self.actor,
            request_key=key,
        )
        return Response(_detail(self, made.application_no), status=201)


class InvoiceView(DriverView):
    @described(
        "One invoice",
        output=InvoiceDetailOutput,
        example=ISSUED,
        errors=[401, 403, 404],
        operation_id="invoice",
        tags=["invoices"],
    )
    def get(self, request: Request, application_no: str) -> Response:
        """With its lines, its orders and a link to its file."""
        return Response(_detail(self, application_no))


class CancelInvoiceView(DriverView):
    @described(
        "Withdraw an application for an invoice",
        output=InvoiceDetailOutput,
        example={**DETAIL, "state": "cancelled", "state_label": "已撤销", "can_cancel": False},
        errors=[401, 403, 404, 409],
        operation_id="invoice_cancel",
        tags=["invoices"],
    )
    def post(self, request: Request, application_no: str) -> Response:
        """Before the review. Repeating it changes nothing."""
        services.cancel(customer=self.customer, application_no=application_no)
        return Response(_detail(self, application_no))


def _detail(view: DriverView, application_no: str) -> Any:
    return InvoiceDetailOutput(invoice_of(customer=view.customer, application_no=application_no)).data
