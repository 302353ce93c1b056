"""Activities: what may stand in their text, who publishes them, what drivers see and claim."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client

from apps.backoffice.models import AuditEntry
from apps.common.time import now
from apps.files.models import StoredFile
from apps.marketing import services
from apps.marketing.errors import NotPublishable
from apps.marketing.models import Activity
from tests import factories
from tests.apps.files.test_content import a_photo
from tests.apps.miniapp.conftest import Caller, refusal
from tests.staff import a_user, boss, signed_in, status_of

LIST = "/admin/marketing/activity/"
READ, CHANGE, PUBLISH = "marketing.view_activity", "marketing.change_activity", "marketing.publish_activity"


def app_of(customer: Any = None) -> Caller:
    from apps.miniapp.authentication import token_for

    return Caller(str(token_for(customer)) if customer else "", **{"accept-language": "en"})


def press(client: Any, activity: Activity, page: str, **words: str) -> Any:
    return client.post(f"{LIST}{activity.pk}/{page}/", {"_form_submitted": "True", **words})


def test_nothing_but_a_clean_text_is_stored(tenant: Any) -> None:
    activity = factories.an_activity(text="<p>好</p><script>alert(1)</script>")
    activity.refresh_from_db()
    assert activity.text == "<p>好</p>"


def test_written_given_a_cover_published_and_withdrawn(tenant: Any) -> None:
    offer = factories.a_coupon_template()
    client = boss()
    begins, ends = now() - timedelta(hours=1), now() + timedelta(days=7)
    sent = {
        "title": "国庆充电季",
        "summary": "先到先得",
        "text": "<div>立减<script>alert(1)</script></div>",
        "starts_at_0": f"{begins:%Y-%m-%d}",
        "starts_at_1": "00:00",
        "ends_at_0": f"{ends:%Y-%m-%d}",
        "ends_at_1": "00:00",
        "coupon_templates": [offer.pk],
        "is_banner": "on",
        "banner_link": "recharge",
        "position": "10",
    }
    assert client.post(f"{LIST}add/", sent).status_code == 302
    activity = Activity.objects.get()
    assert (activity.text, activity.is_published, list(activity.coupon_templates.all())) == (
        "<div>立减</div>",
        False,
        [offer],
    )
    press(client, activity, "publish")
    activity.refresh_from_db()
    assert not activity.is_published  # a banner needs a cover
    cover = f"{LIST}{activity.pk}/cover/"
    refused = client.post(cover, {"file": SimpleUploadedFile("a.png", b"<svg/>")})
    assert "JPEG" in refused.content.decode()
    for size in ((160, 90), (320, 180)):
        picture = SimpleUploadedFile("a.jpg", a_photo(size=size).getvalue())
        assert client.post(cover, {"file": picture}).status_code == 302
    activity.refresh_from_db()
    assert StoredFile.objects.get(kind="activity-cover") == activity.cover
    assert "/files/" in client.get(cover).content.decode()
    press(client, activity, "publish")
    app = app_of()
    (shown,) = app.get("activities/banners").json()["items"]
    assert shown["link"] == "recharge"
    assert (shown["title"], shown["summary"]) == ("国庆充电季", "先到先得")
    for address in (shown["cover_url"], shown["thumbnail_url"]):
        assert status_of(Client(headers={"host": "alpha.test"}), address) == 200
    assert press(client, activity, "withdraw", reason="").status_code == 200
    press(client, activity, "withdraw", reason="改期")
    assert app.get("activities").json()["items"] == []
    found = list(AuditEntry.objects.order_by("id").values_list("action", "reason"))
    assert ("marketing.activity_state_changed", "改期") in found


def test_what_cannot_be_published(tenant: Any) -> None:
    for fields in (
        {"text": "<div><br></div>"},
        {"is_banner": True},
        {"starts_at": now() - timedelta(days=2), "ends_at": now() - timedelta(days=1)},
    ):
        with pytest.raises(NotPublishable):
            services.publish(activity=factories.an_activity(**fields))
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.an_activity(starts_at=now(), ends_at=now() - timedelta(days=1))


def test_drivers_see_what_runs(tenant: Any) -> None:
    hour = timedelta(hours=1)
    shown = [factories.an_activity(is_published=True) for _ in range(3)]
    hidden = [
        factories.an_activity(),
        factories.an_activity(is_published=True, starts_at=now() + hour),
        factories.an_activity(is_published=True, starts_at=now() - 2 * hour, ends_at=now() - hour),
    ]
    app = app_of()
    first = app.get("activities", limit=2).json()
    rest = app.get("activities", limit=2, cursor=first["next_cursor"]).json()
    assert [row["id"] for row in first["items"] + rest["items"]] == [str(one.pk) for one in reversed(shown)]
    for activity in hidden:
        assert refusal(app.get(f"activities/{activity.pk}")) == (404, "marketing.activity_not_found")
    for number in ("x", "0", "9" * 30):
        assert refusal(app.get(f"activities/{number}")) == (404, "marketing.activity_not_found")


def test_banners_stand_in_their_order_and_have_a_cover(tenant: Any) -> None:
    last, first = (
        factories.an_activity(is_published=True, is_banner=True, position=place, cover=factories.a_picture())
        for place in (20, 10)
    )
    factories.an_activity(is_published=True, is_banner=True)
    factories.an_activity(is_published=True, cover=factories.a_picture())
    assert [row["id"] for row in app_of().get("activities/banners").json()["items"]] == [
        str(first.pk),
        str(last.pk),
    ]


def test_coupons_are_claimed_on_the_page(tenant: Any) -> None:
    offer, closed, elsewhere = (factories.a_coupon_template(is_active=on) for on in (True, False, True))
    activity = factories.an_activity(is_published=True)
    activity.coupon_templates.set([offer, closed])
    assert elsewhere.pk
    customer = factories.a_customer("0")
    app = app_of(customer)
    path = f"activities/{activity.pk}"
    (coupon,) = app.get(path).json()["coupons"]
    assert (coupon["id"], coupon["claimed"], coupon["can_claim"]) == (str(offer.pk), 0, True)
    claimed = app.post("coupons", {"template_id": coupon["id"]}, **{"idempotency-key": "k"})
    assert claimed.status_code == 201
    (coupon,) = app.get(path).json()["coupons"]
    assert (coupon["claimed"], coupon["can_claim"]) == (1, False)
    (coupon,) = app_of().get(path).json()["coupons"]
    assert (coupon["claimed"], coupon["can_claim"]) == (0, True)


def test_each_button_needs_its_permission(tenant: Any) -> None:
    activity = factories.an_activity(text="<p>好</p><script>x</script>")
    client = signed_in(a_user(READ))
    html = client.get(f"{LIST}{activity.pk}/change/").content.decode()
    assert "<p>好</p>" in html
    assert f"{LIST}{activity.pk}/publish/" not in html
    for page in ("publish", "withdraw"):
        assert press(client, activity, page, reason="x").status_code == 403
    picture = io.BytesIO(a_photo().getvalue())
    assert client.post(f"{LIST}{activity.pk}/cover/", {"file": picture}).status_code == 403
    assert press(signed_in(a_user(READ, CHANGE)), activity, "publish").status_code == 403
    press(signed_in(a_user(READ, PUBLISH)), activity, "publish")
    activity.refresh_from_db()
    assert activity.is_published


def test_found_by_words_and_state_and_exported(tenant: Any) -> None:
    draft, live = factories.an_activity(title="中秋"), factories.an_activity(title="国庆", is_published=True)
    client = signed_in(a_user(READ))
    for query, found, other in (
        ({"q": "中秋"}, draft, live),
        ({"state": "running"}, live, draft),
        ({"state": "draft"}, draft, live),
    ):
        html = client.get(LIST, query).content.decode()
        assert found.title in html
        assert f">{other.title}<" not in html
    assert "国庆" in client.get(f"{LIST}export/").content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(tenant: Any, django_assert_num_queries: Any, count: int) -> None:
    for place in range(count):
        one = factories.an_activity(
            is_published=True, is_banner=True, position=place, cover=factories.a_picture()
        )
        one.coupon_templates.set([factories.a_coupon_template() for _ in range(count)])
    app = app_of()
    app.get("activities")
    with django_assert_num_queries(4):  # three choose the tenant
        app.get("activities")
    with django_assert_num_queries(4):
        app.get("activities/banners")
    with django_assert_num_queries(6):
        app.get(f"activities/{one.pk}")
