"""Packages: what a tenant lacks vanishes and refuses, and what it may have is counted, also by two at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import RequestFactory
from django.utils import translation

from apps.accounts.models import User
from apps.accounts.permissions import meaningful
from apps.backoffice.models import Approval
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.coupons import services as coupons
from apps.customers import cards, enterprises
from apps.piles import services as piles
from apps.piles.enums import PileState
from apps.piles.models import Pile
from apps.pricing import services as pricing
from apps.pricing.tariff import ClassPrice, RateClass
from apps.sites import services as sites
from apps.tenancy import features
from apps.tenancy.errors import FeatureMissing, LimitReached
from apps.tenancy.features import BY_CODE, FEATURES
from apps.tenancy.models import Package, Tenant
from apps.wallet import bonus
from apps.wallet.services import account_of
from chargeplat.menus import tenant_navigation
from tests import factories
from tests.staff import a_user, boss, signed_in


def give(tenant: Tenant, *features: str, **limits: int) -> Tenant:
    """Put the tenant and this thread's connection on a package of its own."""
    package, _ = Package.objects.update_or_create(
        code="test", defaults={"name": "测试版", "features": list(features), **limits}
    )
    tenant.package = package
    tenant.save()
    found = Tenant.objects.select_related("package").get(pk=tenant.pk)
    connection.set_tenant(found)
    return found


def refused(function: Callable[[], object]) -> str:
    with pytest.raises(DomainError) as error, transaction.atomic():
        function()
    return error.value.code


def test_every_pattern_of_a_feature_fits_a_permission(tenant: Tenant) -> None:
    known = meaningful(tenant_site)
    for feature in FEATURES:
        for pattern in feature.permissions:
            owned = [name for name in known if features.fnmatchcase(name, pattern)]
            assert owned, f"{feature.code}: {pattern}"
            assert {features.feature_of(name) for name in owned} == {feature.code}


def test_presets_are_there_and_name_real_features(tenant: Tenant) -> None:
    found = {one.code: one for one in Package.objects.all()}
    assert [(one.code, one.name, one.max_piles) for one in found.values()] == [
        ("basic", "基础版", 50),
        ("standard", "标准版", 500),
        ("flagship", "旗舰版", 10_000),
        ("pioneer", "开拓版", None),
    ]
    assert set(found["pioneer"].features) == set(BY_CODE)
    assert found["basic"].features == []


def test_what_a_package_lacks_vanishes_and_refuses(tenant: Tenant) -> None:
    customer, station = factories.a_customer(), factories.a_station()
    enterprise = factories.an_enterprise()
    template = factories.a_coupon_template()
    tier = factories.a_tier()
    user = a_user(superuser=True)
    give(tenant, *BY_CODE)
    everything = links(user)
    client = signed_in(user)
    gone = {
        "/admin/coupons/coupon/",
        "/admin/coupons/coupontemplate/",
        "/admin/marketing/activity/",
        "/admin/wallet/bonustier/",
        "/admin/customers/enterprise/",
        "/admin/customers/enterprisemember/",
        "/admin/customers/card/",
        "/admin/piles/offlinecard/",
        "/admin/pricing/retailprice/",
        "/admin/piles/pile/inspector/",
    }
    assert gone <= everything
    assert {client.get(path).status_code for path in gone} == {200}
    assert [one.pk for one in coupons.claimable()] == [template.pk]
    assert [one.pk for one in bonus.tiers_now(at=factories.now())] == [tier.pk]

    give(tenant)
    money = {"/admin/wallet/enterpriseaccount/", "/admin/orders/enterprisecharge/"}
    assert everything - links(user) == gone | money
    assert {client.get(path).status_code for path in gone} == {403}
    assert client.get("/admin/search/?s=coupon&extended=1").status_code == 200
    assert not list(coupons.claimable())
    assert bonus.tiers_now(at=factories.now()) == []
    price = {"starts_at": factories.now(), "actor": factories.SYSTEM, "station": station}
    for deed in (
        lambda: coupons.claim(customer=customer, template_id=template.pk, request_key="k"),
        lambda: coupons.give(
            template_id=template.pk, customers=[customer], actor=factories.SYSTEM, batch="b"
        ),
        lambda: enterprises.add_members(
            enterprise=enterprise, phones=["13900001234"], actor=factories.SYSTEM
        ),
        lambda: cards.add_card(customer=customer, logical_no="1", physical_no="1"),
        lambda: pricing.set_retail_price(
            prices={RateClass.FLAT: ClassPrice(Decimal(1), Decimal(1))}, **price
        ),  # type: ignore[arg-type]
    ):
        assert refused(deed) == FeatureMissing.code
    assert pricing.set_retail_price(prices={}, **price).pk, "ending retail prices is free"  # type: ignore[arg-type]


def test_what_an_enterprise_has_can_go_back_without_the_feature(tenant: Tenant) -> None:
    account = account_of(enterprise=factories.a_paying_enterprise())
    client = signed_in(user := a_user(superuser=True))
    page = f"/admin/wallet/enterpriseaccount/{account.pk}/"
    assert f"{page}deposit/" in client.get(f"{page}change/").content.decode()
    give(tenant)
    assert "/admin/wallet/enterpriseaccount/" in links(user)
    html = client.get(f"{page}change/").content.decode()
    assert f"{page}withdraw/" in html
    assert f"{page}deposit/" not in html
    sent = {"_form_submitted": "True", "amount": "1.00", "number": "N1", "reason": "x"}
    assert client.post(f"{page}deposit/", sent).status_code == 403
    client.post(f"{page}withdraw/", sent)
    assert Approval.objects.get(state="pending").operation == "wallet.enterprise_withdrawal"


def links(user: Any) -> set[str]:
    request = RequestFactory().get("/admin/")
    request.user = type(user).objects.get(pk=user.pk)
    return {entry["link"] for group in tenant_navigation(request) for entry in group["items"]}


def test_without_a_package_nothing_is_asked(tenant: Tenant, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert features.has("marketing")
        features.check_room("piles", used=lambda: 1 // 0)


def test_limits_hold(tenant: Tenant) -> None:
    station = factories.a_station()
    give(tenant, max_stations=1, max_piles=3, max_staff=2)
    words = {"station": station, "kind": "dc", "power_kw": Decimal(60), "gun_count": 1}

    def batch(count: int) -> list[int]:
        first = "33010100000000"
        made = piles.create_piles(first_code=first, count=count, actor=factories.SYSTEM, **words)  # type: ignore[arg-type]
        return list(made)

    assert batch(2) == [2]
    assert batch(3) == [1], "two of the three are there already"
    assert refused(lambda: batch(4)) == LimitReached.code
    assert Pile.objects.count() == 3
    one_more = {"pile_code": "33010100000009", "actor": factories.SYSTEM, **words}
    assert refused(lambda: piles.create_pile(**one_more)) == LimitReached.code  # type: ignore[arg-type]
    retired = Pile.objects.order_by("pk").first()
    piles.set_state(pile=retired, state=PileState.RETIRED)
    piles.create_pile(**one_more)  # type: ignore[arg-type]
    assert refused(lambda: piles.set_state(pile=retired, state=PileState.IN_SERVICE)) == LimitReached.code

    with pytest.raises(LimitReached) as error:
        sites.check_room()
    with translation.override("zh-hans"):
        assert str(error.value).startswith("您的套餐上限为：充电站 1，当前已有 1。")

    client = boss()  # the first of two
    a_user(is_active=False)
    new = {"usable_password": "true", "password1": "a long correct one", "password2": "a long correct one"}
    for name, fits in (("second", True), ("third", False)):
        client.post("/admin/accounts/user/add/", {"username": name, **new})
        assert User.objects.filter(username=name).exists() is fits


def test_two_at_once_do_not_pass_a_limit(committed: Tenant) -> None:
    station = factories.a_station()
    give(committed, max_piles=1)
    start, outcomes = threading.Barrier(2), []
    schema = committed.schema_name

    def work(code: str) -> None:
        connection.set_schema(schema)
        start.wait(10)
        try:
            piles.create_pile(
                station=station,
                pile_code=code,
                kind="dc",
                power_kw=Decimal(60),
                gun_count=1,
                actor=factories.SYSTEM,
            )
            outcomes.append("made")
        except DomainError as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(f"3301010000000{n}",)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["made", "tenancy.limit_reached"]
    assert Pile.objects.count() == 1
