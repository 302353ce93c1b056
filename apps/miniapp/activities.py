"""Activities: news of the operator, with coupons that can be claimed there."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.coupons.selectors import claimed_by
from apps.coupons.services import claimable
from apps.files import links
from apps.marketing import texts
from apps.marketing.enums import BannerLink
from apps.marketing.errors import ActivityNotFound
from apps.marketing.models import Activity
from apps.marketing.selectors import banners, running, running_activity
from apps.miniapp.api import LARGEST_ID, PageInput, PublicView, described, page_by_id, page_of, query
from apps.miniapp.coupons import OFFER, OfferOutput, offer_fields

MOST_BANNERS = 10


class ActivityOutput(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    title = serializers.CharField()
    summary = serializers.CharField()
    cover_url = serializers.SerializerMethodField(
        help_text="opens without a token for two hours; empty: none"
    )
    thumbnail_url = serializers.SerializerMethodField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()

    def get_cover_url(self, activity: Activity) -> str:
        """The whole picture, on this host."""
        return links.signed_path(activity.cover) if activity.cover else ""

    def get_thumbnail_url(self, activity: Activity) -> str:
        """A small one."""
        return links.signed_path(activity.cover, thumbnail=True) if activity.cover else ""


class BannerOutput(ActivityOutput):
    link = serializers.ChoiceField(
        choices=BannerLink.choices,
        source="banner_link",
        help_text="a page of the app to open instead of the activity; empty: the activity",
    )


class BannersOutput(serializers.Serializer[Any]):
    items = BannerOutput(many=True)


class ActivityDetailOutput(ActivityOutput):
    text = serializers.SerializerMethodField(
        help_text="HTML of a few harmless tags; links lead to https or tel, pictures are on this host like the cover"
    )
    coupons = OfferOutput(many=True, source="offers", help_text="claimed by POST /coupons with the `id`")

    def get_text(self, activity: Activity) -> str:
        """With pictures that open without a token for two hours."""
        return texts.for_drivers(activity.text)


_COVER = "/files/0b5c0f5e-8f0c-4d57-9d5c-1b7f4d0a8c11/"
ACTIVITY = {
    "id": "3",
    "title": "国庆充电季",
    "summary": "服务费立减，先到先得",
    "cover_url": f"{_COVER}?s=1vOa2b:3Jw",
    "thumbnail_url": f"{_COVER}thumbnail/?s=1vOa2b:3Jw",
    "starts_at": "2026-10-01T00:00:00+08:00",
    "ends_at": "2026-10-08T00:00:00+08:00",
}


class ActivitiesView(PublicView):
    @described(
        "Activities that are on now, newest first",
        parameters=[PageInput],
        output=page_of("ActivityPage", ActivityOutput),
        example={"items": [ACTIVITY], "next_cursor": None},
        errors=[400, 401, 403],
        operation_id="activities",
        tags=["activities"],
    )
    def get(self, request: Request) -> Response:
        """One page; `next_cursor` leads to the next one. No token is needed."""
        return page_by_id(running(), query(request, PageInput), ActivityOutput)


class BannersView(PublicView):
    @described(
        "Activities for the top of the app",
        output=BannersOutput,
        example={"items": [{**ACTIVITY, "link": "recharge"}]},
        errors=[401, 403],
        operation_id="activity_banners",
        tags=["activities"],
    )
    def get(self, request: Request) -> Response:
        """In the operator's order, ten at most; each has a cover. No token is needed."""
        return Response(BannersOutput({"items": banners()[:MOST_BANNERS]}).data)


class ActivityView(PublicView):
    @described(
        "One activity with its coupons",
        output=ActivityDetailOutput,
        example={**ACTIVITY, "text": "<p>国庆期间服务费<strong>立减 5 元</strong>。</p>", "coupons": [OFFER]},
        errors=[401, 403, 404],
        operation_id="activity",
        tags=["activities"],
    )
    def get(self, request: Request, activity_id: str) -> Response:
        """Coupons that can be claimed now; without a token none are said to be claimed before."""
        if not (activity_id.isascii() and activity_id.isdecimal()) or int(activity_id) > LARGEST_ID:
            raise ActivityNotFound
        activity = running_activity(activity_id=int(activity_id))
        offers = list(claimable().filter(activities=activity))
        driver = getattr(request.user, "customer", None)
        had = claimed_by(customer=driver, template_ids=[one.pk for one in offers]) if driver else {}
        activity.offers = [offer_fields(one, had.get(one.pk, 0)) for one in offers]  # type: ignore[attr-defined]
        return Response(ActivityDetailOutput(activity).data)
