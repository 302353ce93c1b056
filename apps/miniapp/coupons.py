"""Coupons: what can be claimed, what a driver has, and what fits a gun."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.time import now
from apps.coupons import services
from apps.coupons.enums import CouponBase, CouponKind, CouponState
from apps.coupons.models import Coupon, CouponTemplate
from apps.coupons.rules import Rule
from apps.coupons.selectors import claimed_by, coupons_of
from apps.coupons.wording import limit_words, saving_words
from apps.miniapp.api import (
    IDEMPOTENCY_KEY,
    LARGEST_ID,
    DriverView,
    MoneyOut,
    PageInput,
    PublicView,
    body,
    described,
    idempotency_key,
    page_by_id,
    page_of,
    query,
)
from apps.miniapp.stations import connector_code
from apps.piles.selectors import connector_by_code
from apps.sites.models import Station
from apps.sites.selectors import station_shown


class RuleOutput(serializers.Serializer[Any]):
    """What a coupon saves, and where and when; amounts in yuan, percentages as decimal strings."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=CouponKind.choices)
    applies_to = serializers.ChoiceField(choices=CouponBase.choices)
    spend = serializers.CharField()
    save = serializers.CharField()  # type: ignore[assignment]  # a field named like the serializer's method
    percent_off = serializers.CharField()
    cap = serializers.CharField(allow_null=True)
    saving = serializers.SerializerMethodField()
    times = serializers.SerializerMethodField()
    stations = serializers.ListField(child=serializers.CharField())

    def get_saving(self, rule: dict[str, Any]) -> str:
        """The saving in words."""
        return saving_words(rule["terms"])

    def get_times(self, rule: dict[str, Any]) -> str:
        """Days of the week and times of day in words; empty: always."""
        return limit_words(rule["terms"])


class OfferOutput(RuleOutput):
    id = serializers.CharField()
    first_day = serializers.DateField(allow_null=True)
    last_day = serializers.DateField(allow_null=True)
    days_valid = serializers.IntegerField(allow_null=True)
    left = serializers.IntegerField(allow_null=True, help_text="how many are left; null: unlimited")
    claimed = serializers.IntegerField(help_text="how many the driver has claimed")
    per_customer = serializers.IntegerField()
    can_claim = serializers.BooleanField()


class OffersOutput(serializers.Serializer[Any]):
    items = OfferOutput(many=True)


class CouponOutput(RuleOutput):
    id = serializers.CharField()
    state = serializers.ChoiceField(choices=CouponState.choices)
    state_label = serializers.CharField()
    first_day = serializers.DateField()
    last_day = serializers.DateField(allow_null=True)
    order_no = serializers.CharField()
    saved = MoneyOut()


class UsableOutput(serializers.Serializer[Any]):
    items = CouponOutput(many=True)


class ClaimInput(serializers.Serializer[Any]):
    template_id = serializers.RegexField(r"^[1-9][0-9]{0,18}$", help_text="`id` of an offer")

    def validate_template_id(self, value: str) -> int:
        """Return the id as a number that the database can hold."""
        return min(int(value), LARGEST_ID)


class CouponsInput(PageInput):
    state = serializers.ChoiceField(choices=CouponState.choices, required=False)


RULE = {
    "name": "新客立减",
    "kind": "threshold",
    "applies_to": "service",
    "spend": "10.00",
    "save": "5.00",
    "percent_off": "0.0000",
    "cap": None,
    "saving": "服务费满 10.00 元减 5.00 元",
    "times": "周六/周日 18:00–23:00",
    "stations": ["滨江公园充电站"],
}
OFFER = {
    **RULE,
    "id": "7",
    "first_day": None,
    "last_day": "2026-12-31",
    "days_valid": 30,
    "left": 120,
    "claimed": 0,
    "per_customer": 1,
    "can_claim": True,
}
COUPON = {
    **RULE,
    "id": "1024",
    "state": "available",
    "state_label": "可用",
    "first_day": "2026-11-20",
    "last_day": "2026-12-19",
    "order_no": "",
    "saved": "0.00",
}


class OffersView(DriverView):
    @described(
        "Coupons that can be claimed now",
        output=OffersOutput,
        example={"items": [OFFER]},
        errors=[401, 403],
        operation_id="coupon_offers",
        tags=["coupons"],
    )
    def get(self, request: Request) -> Response:
        """Those that end first at the top."""
        offers = list(services.claimable())
        had = claimed_by(customer=self.customer, template_ids=[offer.pk for offer in offers])
        shown = [offer_fields(offer, had.get(offer.pk, 0)) for offer in offers]
        return Response(OffersOutput({"items": shown}).data)


class StationOffersView(PublicView):
    @described(
        "Coupons that can be claimed now and are good at a station",
        output=OffersOutput,
        example={"items": [OFFER]},
        errors=[401, 403, 404],
        operation_id="station_coupons",
        tags=["coupons", "stations"],
    )
    def get(self, request: Request, station_no: str) -> Response:
        """For everybody; how many the driver has claimed is known of who is signed in only."""
        station = station_shown(station_no=station_no)
        offers = [
            offer
            for offer in services.claimable()
            if not (places := [place.pk for place in offer.stations.all()]) or station.pk in places
        ]
        had: dict[int, int] = {}
        if request.user:
            had = claimed_by(customer=self.customer, template_ids=[offer.pk for offer in offers])
        shown = [offer_fields(offer, had.get(offer.pk, 0)) for offer in offers]
        return Response(OffersOutput({"items": shown}).data)


class CouponsView(DriverView):
    @described(
        "The driver's coupons, newest first",
        parameters=[CouponsInput],
        output=page_of("CouponPage", CouponOutput),
        example={"items": [COUPON], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="coupons",
        tags=["coupons"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one."""
        data = query(request, CouponsInput)
        rows = coupons_of(customer=self.customer, state=data.get("state"))
        return page_by_id(rows, data, CouponOutput, coupons_fields)

    @described(
        "Claim a coupon",
        request=ClaimInput,
        request_example={"template_id": "7"},
        parameters=[IDEMPOTENCY_KEY],
        output=CouponOutput,
        status=201,
        example=COUPON,
        errors=[400, 401, 403, 404, 409],
        operation_id="coupons_claim",
        tags=["coupons"],
    )
    def post(self, request: Request) -> Response:
        """One for each request; the same request again answers with the same coupon."""
        key = idempotency_key(request)
        data = body(request, ClaimInput)
        coupon = services.claim(customer=self.customer, template_id=data["template_id"], request_key=key)
        return Response(CouponOutput(coupons_fields([coupon])[0]).data, status=201)


class UsableView(DriverView):
    @described(
        "The driver's coupons that a charge at a gun can use now",
        output=UsableOutput,
        example={"items": [COUPON]},
        errors=[401, 403, 404],
        operation_id="connector_coupons",
        tags=["coupons"],
    )
    def get(self, request: Request, code: str) -> Response:
        """Oldest first. Whether the bill reaches a coupon's spend is seen at settlement."""
        connector = connector_by_code(code=connector_code(code))
        found = services.usable(customer=self.customer, station_id=connector.pile.station_id, at=now())
        return Response(UsableOutput({"items": coupons_fields(found)}).data)


def offer_fields(offer: CouponTemplate, had: int) -> dict[str, Any]:
    """Return a template as OfferOutput shows it, with how many the driver had."""
    stations = list(offer.stations.all())  # prefetched
    left = None if offer.stock is None else offer.stock - offer.claimed
    return {
        **_rule_fields(offer.rule_of([station.pk for station in stations]), [one.name for one in stations]),
        "id": str(offer.pk),
        "first_day": offer.first_day,
        "last_day": offer.last_day,
        "days_valid": offer.days_valid,
        "left": left,
        "claimed": had,
        "per_customer": offer.per_customer,
        "can_claim": had < offer.per_customer and left != 0,
    }


def coupons_fields(coupons: list[Coupon]) -> list[dict[str, Any]]:
    """Return coupons as CouponOutput shows them; the names of all their stations are one query."""
    wanted = {pk for coupon in coupons for pk in coupon.terms.stations}
    names = dict(Station.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}
    return [
        {
            **_rule_fields(coupon.terms, [names.get(pk, "") for pk in coupon.terms.stations]),
            "id": str(coupon.pk),
            "state": coupon.state,
            "state_label": coupon.get_state_display(),
            "first_day": coupon.first_day,
            "last_day": coupon.last_day,
            "order_no": coupon.order_no,
            "saved": coupon.saved,
        }
        for coupon in coupons
    ]


def _rule_fields(rule: Rule, stations: list[str]) -> dict[str, Any]:
    return {
        "terms": rule,
        "name": rule.name,
        "kind": rule.kind,
        "applies_to": rule.applies_to,
        "spend": rule.spend,
        "save": rule.save,
        "percent_off": rule.percent_off,
        "cap": rule.cap,
        "stations": stations,
    }
