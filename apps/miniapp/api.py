"""What all views of the driver API share: reading a request, showing numbers, pages, and how errors are described."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils.text import format_lazy
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_field,
    inline_serializer,
)
from redis.exceptions import RedisError
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ParseError, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle
from rest_framework.utils.formatting import lazy_format
from rest_framework.utils.json import strict_constant
from rest_framework.views import APIView

from apps.backoffice.people import client_address
from apps.common import limits
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.money import AmountError, parse_decimal
from apps.common.time import now
from apps.customers.models import Customer, DriverSession
from apps.orders.limits import LARGEST_ENERGY_KWH
from apps.pricing.tariff import ClassPrice, RateClass

log = structlog.get_logger(__name__)

LARGEST_BODY = 64_000
LARGEST_AMOUNT = Decimal("999999.99")
LARGEST_ID = 2**63 - 1
WRITES_A_MINUTE = 120
PAGE = 20
LARGEST_PAGE = 50
_KEY = re.compile(r"[!-~]{1,64}")

RATE_CLASS_LABELS = {
    RateClass.SHARP: _("sharp"),
    RateClass.PEAK: _("peak"),
    RateClass.FLAT: _("flat"),
    RateClass.VALLEY: _("valley"),
    RateClass.DEEP_VALLEY: _("deep valley"),
}

Row = TypeVar("Row")


class IdempotencyKeyMissing(DomainError):
    code = "idempotency.key_missing"
    message = _(
        "Send an Idempotency-Key header of 1 to 64 visible ASCII characters, a new one for each request."
    )


# --- Requests ---------------------------------------------------------------------------------------------


class StrictJsonParser(JSONParser):
    """JSON in UTF-8 (RFC 8259), of a size that a driver's app has reason to send."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return what the body says; raises ParseError for anything else, NaN and bottomless nesting included."""
        raw = stream.read(LARGEST_BODY + 1)
        if len(raw) > LARGEST_BODY:
            raise ParseError(_("The request is too large."))
        try:
            return json.loads(raw.decode(), parse_constant=strict_constant)
        except (ValueError, RecursionError):
            raise ParseError(_("The request is not valid JSON.")) from None


class AlwaysJson(DefaultContentNegotiation):
    """Answers are JSON, whatever the Accept header says."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the only renderer."""
        (renderer,) = renderers
        return renderer, renderer.media_type


class DriverThrottle(BaseThrottle):
    """So many requests a minute from one driver, and of those WRITES_A_MINUTE writes.

    Where nobody signed in they are counted by IP address, behind which many may be. Without Redis nobody is counted,
    and nobody is sent away.
    """

    refusal: limits.Refusal | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count the request; False when the minute is full."""
        customer = getattr(request.user, "customer", None)
        method = str(request.method)
        if customer is None:
            address, limit = address_of(request), settings.ADDRESS_REQUESTS_PER_MINUTE
            windows = [limits.Window("public-requests", address, 60, limit)]
        else:
            number, limit = str(customer.pk), settings.DRIVER_REQUESTS_PER_MINUTE
            windows = [limits.Window("driver-requests", number, 60, limit)]
            if method not in SAFE_METHODS and hasattr(view, method.lower()):
                windows.append(limits.Window("driver-writes", number, 60, WRITES_A_MINUTE))
        try:
            self.refusal = limits.take(windows, at=now())
        except RedisError as error:
            log.warning("requests_not_counted", error=str(error))
        return self.refusal is None

    def wait(self) -> float | None:
        """Seconds until there is room."""
        return self.refusal.retry_after_s if self.refusal else None


class DriverView(APIView):
    """A view for signed-in drivers. Reads only what its serializers name; everything wrong is a 400."""

    throttle_classes: Sequence[Any] = [DriverThrottle]
    parser_classes = [StrictJsonParser]
    content_negotiation_class = AlwaysJson

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        """Take UTF-8 for granted: a charset of the client's choice may be no text encoding at all."""
        request.encoding = "utf-8"
        return super().initialize_request(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer a wrong content type as bad input, and tell when to come back."""
        if isinstance(exc, UnsupportedMediaType):
            exc = ParseError(_("Send the request as application/json."))
        response = super().handle_exception(exc)
        if isinstance(exc, DomainError) and "retry_after_s" in exc.data:
            response["Retry-After"] = str(exc.data["retry_after_s"])
        return response

    @property
    def customer(self) -> Customer:
        """The driver who calls."""
        customer: Customer = self.request.user.customer  # type: ignore[union-attr]
        return customer

    @property
    def session(self) -> DriverSession:
        """Where the driver is signed in."""
        session: DriverSession = self.request.user.session  # type: ignore[union-attr]
        return session

    @property
    def actor(self) -> Actor:
        """The driver as an actor."""
        return Actor("customer", str(self.customer.pk), str(self.customer))


class OpenView(DriverView):
    """A view for everybody: nobody is looked up, so a token that is no longer good is no obstacle."""

    authentication_classes: Sequence[Any] = []
    permission_classes = [AllowAny]


class PublicView(DriverView):
    """A view that needs no token, and takes none that is not good."""

    permission_classes = [AllowAny]


class AddressThrottle(BaseThrottle):
    """At most 60 requests a minute from one IP address, whatever becomes of them."""

    refusal: limits.Refusal | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count the request; False when the minute is full."""
        window = limits.Window("auth-requests", address_of(request), 60, 60)
        self.refusal = limits.take([window], at=now())
        return self.refusal is None

    def wait(self) -> float | None:
        """Seconds until there is room."""
        return self.refusal.retry_after_s if self.refusal else None


class UnknownPathView(OpenView):
    """Whatever is no path of the API: 404 in the one error shape."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse before anything else is looked at."""
        raise NotFound


def address_of(request: Request) -> str:
    """Return the client's IP address, or "unknown"."""
    return client_address(request._request) or "unknown"  # noqa: SLF001 - DRF wraps Django's request


def body(request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the checked fields of a request's body; raises ValidationError."""
    return _checked(serializer, request.data)


def query(request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the checked parameters of a request's URL; raises ValidationError."""
    return _checked(serializer, request.query_params)


def _checked(kind: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    # The rules are those of the class: to copy all its fields for each request takes longer than to look at the data.
    try:
        values: dict[str, Any] = _input(kind).run_validation(data)
    except serializers.ValidationError as error:
        if isinstance(error.detail, list):  # of the whole, such as null
            raise serializers.ValidationError({api_settings.NON_FIELD_ERRORS_KEY: error.detail}) from None
        raise
    return values


@cache
def _input(kind: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    made = kind()
    _speak_each_language(made)
    return made


def _speak_each_language(field: serializers.Field[Any, Any, Any, Any]) -> None:
    """Have a field's validators say what is wrong in the language of each reader: DRF's texts keep the first one's."""
    for validator in field.validators:
        message = getattr(validator, "message", None)
        if isinstance(message, lazy_format):
            validator.message = format_lazy(message.format_string, *message.args, **message.kwargs)  # type: ignore[attr-defined]
    for inner in (*getattr(field, "fields", {}).values(), getattr(field, "child", None)):
        if inner is not None:
            _speak_each_language(inner)


def idempotency_key(request: Request) -> str:
    """Return the request's Idempotency-Key; raises IdempotencyKeyMissing for none or an unfit one."""
    key = request.headers.get("Idempotency-Key", "")
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyMissing
    return key


# --- Numbers ----------------------------------------------------------------------------------------------


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^[0-9]{1,6}(\.[0-9]{1,2})?$",
        "examples": ["50.00"],
        "description": "yuan",
    }
)
class AmountIn(serializers.Field[Decimal, str, str, Any]):
    """Yuan above zero as a decimal string. A JSON number is refused: it may have been rounded on its way."""

    default_error_messages = {
        "invalid": _('Send an amount of yuan as a string such as "50.00".'),
        "range": _("The amount must be from 0.01 to {largest}."),
    }

    def to_internal_value(self, data: Any) -> Decimal:
        """Return the amount with two places."""
        try:
            amount = parse_decimal(data, 2)
        except AmountError:
            self.fail("invalid")
        if not 0 < amount <= LARGEST_AMOUNT:
            self.fail("range", largest=LARGEST_AMOUNT)
        return amount


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^[0-9]{1,4}(\.[0-9]{1,4})?$",
        "examples": ["30"],
        "description": "kWh",
    }
)
class EnergyIn(serializers.Field[Decimal, str, str, Any]):
    """kWh above zero as a decimal string."""

    default_error_messages = {
        "invalid": _('Send an energy in kWh as a string such as "30.5".'),
        "range": _("The energy must be above 0 and at most {largest} kWh."),
    }

    def to_internal_value(self, data: Any) -> Decimal:
        """Return the energy with four places."""
        try:
            energy = parse_decimal(data, 4)
        except AmountError:
            self.fail("invalid")
        if not 0 < energy <= LARGEST_ENERGY_KWH:
            self.fail("range", largest=LARGEST_ENERGY_KWH)
        return energy


@extend_schema_field(
    {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$", "examples": ["12.30"], "description": "yuan"}
)
class MoneyOut(serializers.Field[Any, Any, str, Any]):
    """Yuan with two places."""

    def to_representation(self, value: Decimal) -> str:
        """Return "12.30"."""
        return f"{value:.2f}"


@extend_schema_field(
    {"type": "string", "pattern": r"^[0-9]+\.[0-9]{2,5}$", "examples": ["1.2345"], "description": "yuan/kWh"}
)
class PriceOut(serializers.Field[Any, Any, str, Any]):
    """Yuan per kWh with all its significant places, 2 to 5."""

    def to_representation(self, value: Decimal) -> str:
        """Return "1.20", "1.2345"."""
        return price_text(value)


@extend_schema_field(
    {"type": "string", "pattern": r"^[0-9]+\.[0-9]{4}$", "examples": ["12.3456"], "description": "kWh"}
)
class EnergyOut(serializers.Field[Any, Any, str, Any]):
    """kWh with four places."""

    def to_representation(self, value: Decimal) -> str:
        """Return "12.3456"."""
        return f"{value:.4f}"


@extend_schema_field({"type": "string", "pattern": r"^[0-9]+\.[0-9]$", "examples": ["60.0"]})
class TenthsOut(serializers.Field[Any, Any, str, Any]):
    """A measured number with one place."""

    def to_representation(self, value: Decimal) -> str:
        """Return "60.0"."""
        return f"{value:.1f}"


def price_text(price: Decimal) -> str:
    """Return a price with 2 to 5 places: trailing zeros beyond the second place are cut."""
    whole, _point, places = f"{price:.5f}".partition(".")
    return f"{whole}.{places.rstrip('0'):0<2}"


# What is shown often and much of: each field is read as it is, from a mapping or from an attribute. DRF looks at each
# value of each row whether it may be called and whether it may be missing, which takes longer than to show it, and
# copies all fields for every answer. Here nothing may be missing, nothing is called, and one serializer, which keeps
# nothing of what it shows, is used for all answers. (A docstring would be in the description of each subclass.)
SHOWN_AS_THEY_ARE: dict[type[serializers.Field[Any, Any, Any, Any]], Sequence[type]] = {
    serializers.CharField: (str,),
    serializers.ChoiceField: (str, int),
    serializers.BooleanField: (bool,),
    serializers.IntegerField: (int,),
}
"""Fields of DRF that would answer with just the same value."""


class Output(serializers.Serializer[Any]):
    @classmethod
    def of(cls, instance: Any) -> dict[str, Any]:
        """Return what is shown of an instance."""
        return _output(cls).to_representation(instance)

    @cached_property
    def _columns(self) -> list[tuple[str, list[str], Callable[[Any], Any], Sequence[type]]]:
        return [
            (one.field_name, one.source_attrs, one.to_representation, SHOWN_AS_THEY_ARE.get(type(one), ()))
            for one in self._readable_fields
        ]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the fields in their order; None stays None."""
        shown: dict[str, Any] = {}
        for name, sources, represent, plain in self._columns:
            value = instance
            for source in sources:
                value = value[source] if isinstance(value, dict) else getattr(value, source)
            shown[name] = value if value is None or type(value) in plain else represent(value)
        return shown


@cache
def _output(kind: type[Output]) -> Output:
    return kind()


@extend_schema_field(OpenApiTypes.STR)
class LabelOut(serializers.Field[Any, Any, str, Any]):
    """What a value of `choices` is called, in the reader's language."""

    def __init__(self, choices: type[models.TextChoices] | type[models.IntegerChoices], **more: Any) -> None:
        super().__init__(**more)
        self._labels = dict(choices.choices)
        self._translated: dict[str | None, dict[Any, str]] = {}

    def to_representation(self, value: Any) -> str:
        """Return the label."""
        language = get_language()
        if language not in self._translated:
            self._translated[language] = {one: str(label) for one, label in self._labels.items()}
        return self._translated[language].get(value) or str(value)


class PriceOutput(Output):
    """Electricity fee, service fee and their sum, yuan/kWh."""

    electricity = PriceOut()
    service = PriceOut()
    total = PriceOut()
    rate_class = serializers.ChoiceField(choices=[item.value for item in RateClass])
    rate_class_label = serializers.CharField()


def price_fields(rate_class: RateClass, price: ClassPrice) -> dict[str, Any]:
    """Return a class's price as PriceOutput shows it."""
    return {
        "electricity": price.electricity,
        "service": price.service,
        "total": price.total,
        "rate_class": rate_class.value,
        "rate_class_label": RATE_CLASS_LABELS[rate_class],
    }


# --- Pages ------------------------------------------------------------------------------------------------


class PageInput(serializers.Serializer[Any]):
    """Where a page of a list begins."""

    cursor = serializers.RegexField(
        r"^[0-9]{1,19}$",
        required=False,
        help_text="next_cursor of the page before; none for the first page",
    )
    limit = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE, default=PAGE)

    def validate_cursor(self, value: str) -> int:
        """Return the cursor as the id that it is."""
        if int(value) > LARGEST_ID:
            raise serializers.ValidationError(_("This is no cursor of ours."))
        return int(value)


def page(
    rows: Sequence[Row], limit: int, key: Callable[[Row], int], serializer: type[serializers.Serializer[Any]]
) -> Response:
    """Answer up to `limit` of `rows`, which hold one more if there is a next page."""
    shown = rows[:limit]
    next_cursor = str(key(shown[-1])) if len(rows) > limit else None
    return Response({"items": serializer(shown, many=True).data, "next_cursor": next_cursor})


def page_by_id(
    rows: QuerySet[Any],
    data: Mapping[str, Any],
    serializer: type[serializers.Serializer[Any]],
    shaped: Callable[[list[Any]], Sequence[Any]] = list,
) -> Response:
    """Answer the page of `rows` that `data` (PageInput) asks for, newest first by id, each row as `shaped` makes it."""
    if data.get("cursor") is not None:
        rows = rows.filter(id__lt=data["cursor"])
    found = list(rows.order_by("-id")[: data["limit"] + 1])
    shown = found[: data["limit"]]
    next_cursor = str(shown[-1].pk) if len(found) > len(shown) else None
    return Response({"items": serializer(shaped(shown), many=True).data, "next_cursor": next_cursor})


def page_of(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """Return the description of a page of items."""
    fields = {"items": item(many=True), "next_cursor": serializers.CharField(allow_null=True)}
    return inline_serializer(name=name, fields=fields)


# --- Description ------------------------------------------------------------------------------------------


class ErrorOutput(serializers.Serializer[Any]):
    """The one shape of every error: a stable code, a sentence for people, and facts for both."""

    code = serializers.CharField()
    message = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]  # a field named like the serializer's property


class DriverScheme(OpenApiAuthenticationExtension):
    """How DriverAuthentication looks in the description."""

    target_class = "apps.miniapp.authentication.DriverAuthentication"
    name = "driver"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    required=True,
    description="A new value for each intent, the same for each repetition of it: what was done already is "
    "answered again, not done again.",
    pattern=_KEY.pattern,
)

OPTIONAL_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Makes it safe to ask again: with the same key the answer comes again.",
    pattern=_KEY.pattern,
)

_ERRORS = {
    400: ("Bad input", "invalid", "有字段不正确。", {"fields": {"phone": ["该字段不能为空。"]}}),
    401: ("No token, or one that is not good here", "auth.invalid_token", "请重新登录。", {}),
    403: ("Not for this account", "customers.blocked", "账号已被停用，请联系运营商。", {}),
    404: ("No such thing, or somebody else's", "not_found", "未找到。", {}),
    409: ("A rule of the business says no", "piles.busy", "该枪正在使用，请换一把枪。", {}),
    415: (
        "A file of a type that is not taken",
        "files.type_refused",
        "仅支持：jpg、png、webp。",
        {"allowed": "jpg"},
    ),
    503: ("A provider is away", "wallet.channel_busy", "支付渠道暂无响应，请稍后重试。", {}),
    429: ("Too many requests; see Retry-After", "throttled", "请求过于频繁，请稍后再试。", {}),
}


def described(
    summary: str,
    *,
    output: Any = None,
    errors: Sequence[int] = (),
    status: int = 200,
    example: Any = None,
    request: Any = None,
    request_example: Any = None,
    parameters: Sequence[Any] = (),
    **more: Any,
) -> Callable[[Any], Any]:
    """Describe one operation: its answer, its errors in the one shape, and an example of each."""
    responses: dict[int, Any] = {
        status: OpenApiResponse(output, examples=[OpenApiExample("example", example)] if example else [])
    }
    for code in sorted({*errors, 429}):
        description, word, message, data = _ERRORS[code]
        error = OpenApiExample("example", {"code": word, "message": message, "data": data})
        responses[code] = OpenApiResponse(ErrorOutput, description=description, examples=[error])
    examples = [OpenApiExample("request", request_example, request_only=True)] if request_example else None
    return extend_schema(
        summary=summary,
        request=request,
        responses=responses,
        parameters=[*parameters],
        examples=examples,
        **more,
    )
