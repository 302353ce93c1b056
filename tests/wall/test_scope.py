"""Inside a tenant: every page as every role, and as somebody who sees one station of two.

The other station's rows are the wall's stock, made in alpha itself; what is asked for is everything that the wall
knows to be there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from apps.accounts.enums import Scope
from apps.accounts.models import Department, SignInRecord, StaffSession, User
from apps.accounts.permissions import name_of
from apps.accounts.roles import ROLES
from apps.backoffice import scope
from apps.backoffice.models import Approval, AuditEntry
from apps.backoffice.one_row import OneRowAdmin
from apps.backoffice.sites import tenant_site
from apps.franchisees.models import FranchiseeAccount
from apps.orders.models import Order
from apps.piles.models import CommandBatch
from apps.pricing.models import PriceTemplate
from apps.sites import services
from apps.sites.models import Station
from chargeplat.menus import tenant_navigation
from tests import factories
from tests.staff import a_user, boss, signed_in
from tests.wall.stock import SECRET, Stock, digest, id_of, stock
from tests.wall.test_tenant_wall import (
    FRANCHISEE_TABS,
    NUMBERS_ONLY,
    PILE_TABS,
    STANDARD,
    STATION_TABS,
    TENANT_MODELS,
    TENANT_PAGES,
    filled_in,
    object_pages,
    shown,
)

REACHES = [Scope.STATIONS, Scope.DEPARTMENT, Scope.SELF, Scope.FRANCHISEE]


def with_role(code: str, **fields: Any) -> User:
    user = a_user(**fields)
    user.groups.add(Group.objects.get(standard__code=code))
    return User.objects.get(pk=user.pk)


def held(code: str) -> set[str]:
    rows = Group.objects.get(standard__code=code).permissions.select_related("content_type")
    return {name_of(one) for one in rows}


def ids() -> dict[str, object]:
    return {
        f"{model._meta.app_label}/{model._meta.model_name}": id_of(model) for model in tenant_site._registry
    }


def limited() -> set[str]:
    return {f"{one._meta.app_label}/{one._meta.model_name}" for one in scope.limited_models()}


@pytest.fixture
def foreign(tenant: Any) -> Stock:
    """Another station of the same tenant, with a row of everything."""
    return stock()


@pytest.fixture
def mine(tenant: Any) -> Station:
    return a_station_of_mine()


def a_station_of_mine() -> Station:
    station = factories.a_station(station_no="MINE0001", name="我的站")
    factories.a_pile(station=station, guns=1)
    return station


def sees_only(station: Station, reach: Scope) -> User:
    """An administrator's permissions, for one station."""
    head = Department.objects.create(name="华东")
    below = Department.objects.create(name="上海", parent=head)
    user = with_role("administrator", scope=reach, department=head)
    if reach == Scope.STATIONS:
        services.give_stations(user=user, stations=[station])
    elif reach == Scope.DEPARTMENT:
        Station.objects.filter(pk=station.pk).update(department=below)
    elif reach == Scope.FRANCHISEE:
        FranchiseeAccount.objects.create(franchisee=factories.a_franchisee(station), user=user)
    else:
        Station.objects.filter(pk=station.pk).update(keeper=user)
    return user


def test_every_page_says_how_its_rows_are_seen() -> None:
    undeclared = [model._meta.label for model in tenant_site._registry if not scope.is_declared(model)]
    assert undeclared == []


# --- Roles ---

OWN_ROWS = {"files/exportjob"}
"""Pages that are open to all staff with what is their own."""
ONE_ROW = {
    f"{model._meta.app_label}/{model._meta.model_name}"
    for model, page in tenant_site._registry.items()
    if isinstance(page, OneRowAdmin)
}
"""Rules of the tenant: the menu entry opens the form, there is no list."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("code", [role.code for role in ROLES if role.in_tenants])
def test_a_role_opens_what_it_holds_and_nothing_else(foreign: Stock, code: str) -> None:
    client, may, rows = signed_in(with_role(code)), held(code), ids()
    for model in TENANT_MODELS:
        app, name = model.split("/")
        expected = 200 if {f"{app}.view_{name}", f"{app}.change_{name}"} & may or model in OWN_ROWS else 403
        page = client.get(f"/admin/{model}/", follow=model in ONE_ROW)
        assert page.status_code == expected, model
        if model in ONE_ROW and expected == 200:
            assert page.redirect_chain == [(f"/admin/{model}/{rows[model]}/change/", 302)]
        if model not in OWN_ROWS:  # the row is another's
            assert client.get(f"/admin/{model}/{rows[model]}/change/").status_code == expected, model
        if f"{app}.add_{name}" not in may:
            assert client.get(f"/admin/{model}/add/", follow=True).status_code == 403, model


@pytest.mark.parametrize("code", [role.code for role in ROLES if role.in_tenants])
def test_the_menu_of_a_role_has_no_dead_ends(tenant: Any, code: str, rf: Any) -> None:
    user = with_role(code)
    request = rf.get("/admin/")
    request.user = user
    links = [str(item["link"]) for group in tenant_navigation(request) for item in group["items"]]
    assert len(links) > 5
    client = signed_in(user)
    one_row = {link for link in links if link.strip("/").removeprefix("admin/") in ONE_ROW}
    opened = {link: client.get(link, follow=link in one_row) for link in links}
    assert {link: page.status_code for link, page in opened.items()} == dict.fromkeys(links, 200)
    for link in one_row:  # its form, not the start page that says it is not there
        assert [to.startswith(link) for to, _status in opened[link].redirect_chain] == [True]


@pytest.mark.timeout(300)
def test_who_may_only_look_presses_no_button(foreign: Stock, mine: Station) -> None:
    client, rows = signed_in(with_role("readonly")), ids()
    filled_in("sites/station", mine)  # makes what it names
    before = digest("t_alpha")
    looking = {"<path:object_id>/", "<path:object_id>/change/", "<path:object_id>/history/"}
    looking |= {
        "<path:object_id>/statement/",
        "<path:object_id>/cover/",
        *(f"<path:object_id>/{page}/" for page in (*PILE_TABS, *STATION_TABS, *FRANCHISEE_TABS)),
    }
    for model, page in object_pages(TENANT_MODELS):
        if page.replace("{id}", "<path:object_id>") in looking:
            continue
        path = f"/admin/{model}/{page.format(id=rows[model])}"
        for answer in (client.get(path), client.post(path, filled_in(model, mine))):
            assert answer.status_code in {403, 405}, (path, answer.status_code)
    assert digest("t_alpha") == before


# --- Scope ---


@pytest.mark.timeout(300)
@pytest.mark.parametrize("reach", REACHES)
def test_no_page_of_a_row_out_of_scope_opens(foreign: Stock, reach: Scope) -> None:
    rows, closed = ids(), limited()
    rows["accounts/user"] = User.objects.get(username="yi").pk
    rows["accounts/signinrecord"] = SignInRecord.objects.get(name="yi").pk
    rows["accounts/staffsession"] = StaffSession.objects.get(session_key="yi").pk
    rows["accounts/department"] = Department.objects.get(name=SECRET).pk
    rows["backoffice/approval"] = an_approval_on(foreign.settled).pk
    rows["backoffice/auditentry"] = AuditEntry.objects.get(action="sites.opened").pk
    mine = a_station_of_mine()
    client, everybody = signed_in(sees_only(mine, reach)), signed_in(with_role("administrator"))
    filled_in("sites/station", mine)  # makes what it names
    before = digest("t_alpha")
    for model, page in object_pages({name: TENANT_MODELS[name] for name in closed}):
        path = f"/admin/{model}/{page.format(id=rows[model])}"
        if "<id>" in page:
            continue
        refused = {404}
        if (
            reach == Scope.FRANCHISEE
        ):  # rows of most kinds are not even looked for; the short address leads to them
            refused = {403, 404, 302} if page == "{id}/" else {403, 404}
        for answer in (client.get(path), client.post(path, filled_in(model, mine))):
            assert answer.status_code in refused, (path, answer.status_code)
            assert shown(answer, foreign, asked=path) == [], path
        if page == "{id}/change/":
            assert everybody.get(path).status_code == 200, path
    password = client.get(f"/admin/accounts/user/{rows['accounts/user']}/password/")
    assert password.status_code in {403, 404}
    assert digest("t_alpha") == before


@pytest.mark.timeout(300)
@pytest.mark.parametrize("reach", REACHES)
def test_no_list_search_export_or_figure_tells_of_rows_out_of_scope(
    foreign: Stock, mine: Station, reach: Scope
) -> None:
    client, everybody = signed_in(sees_only(mine, reach)), signed_in(with_role("administrator"))
    # A role's name is no secret, and stands in the filter of staff.
    Group.objects.filter(name=SECRET).update(name="夜班")
    # Nor is that of a price template, in the filter of assignments.
    PriceTemplate.objects.filter(name=SECRET).update(name="夜间价")
    # Nor is what was asked for on the company's own rules.
    about_rules = list(Approval.objects.values_list("pk", flat=True))
    an_approval_on(foreign.settled)
    Approval.objects.filter(pk__in=about_rules).delete()
    closed, seen = limited(), set()
    paths = {
        f"/admin/{model}/{page}"
        for model in closed
        for page in STANDARD | TENANT_MODELS[model]
        if "<" not in page
    }
    own = {
        "/admin/",
        *(f"/{path}" for path in TENANT_PAGES.values() if path not in NUMBERS_ONLY),
        "/admin/display/",
        "/admin/display/data/",
    }
    own.add("/admin/overview/tree/?q=BETA")
    for path in sorted(paths | own):
        answer = client.get(path, follow=True)
        assert answer.status_code in {200, 403, 404, 405}, (path, answer.status_code)
        assert shown(answer, foreign) == [], path
        if shown(everybody.get(path, follow=True), foreign):
            seen.add(path)
    assert (own | {f"/admin/{model}/" for model in closed}) - seen == set()
    badges = [one.get("/admin/badges/").json()["badges"] for one in (client, everybody)]
    assert badges == [{}, {"/admin/piles/alarm/": 1}]
    order, pile = foreign.settled, foreign.settled.connector.pile
    for words, link in (
        (order.order_no, f"/admin/orders/order/{order.pk}/"),
        (pile.pile_code, f"/admin/piles/pile/{pile.pk}/"),
    ):
        path = f"/admin/search/?s={words}&extended=1"
        assert link in everybody.get(path).content.decode()
        assert link not in client.get(path).content.decode()


def an_approval_on(order: Order, operation: str = "orders.settle") -> Approval:
    template = Approval.objects.order_by("-pk").first()
    assert template is not None
    template.pk = None
    template.operation = operation
    template.object_kind, template.object_id = "orders.order", str(order.pk)
    template.object_name = order.order_no
    template.save()
    return template


def test_approvals_are_seen_with_what_they_are_about(foreign: Stock, mine: Station) -> None:
    user = sees_only(mine, Scope.STATIONS)
    other = an_approval_on(foreign.settled)
    own = an_approval_on(foreign.settled, "orders.other")
    Approval.objects.filter(pk=own.pk).update(requested_by_kind="staff", requested_by_id=str(user.pk))
    gun = mine.piles.get().connectors.get()
    near = an_approval_on(factories.a_charging_order(connector=gun))
    found = set(scope.narrow(Approval.objects.all(), user).values_list("pk", flat=True))
    assert {own.pk, near.pk} <= found
    assert other.pk not in found


def test_a_bulk_command_is_seen_by_who_sees_all_its_piles(foreign: Stock, mine: Station) -> None:
    user = sees_only(mine, Scope.STATIONS)
    assert not scope.narrow(CommandBatch.objects.all(), user).exists()
    services.give_stations(user=user, stations=Station.objects.all())
    assert scope.narrow(CommandBatch.objects.all(), User.objects.get(pk=user.pk)).exists()


def test_somebody_without_stations_sees_none(foreign: Stock) -> None:
    for reach in REACHES:
        user = with_role("administrator", scope=reach)
        for model in (Station, Order):
            assert not scope.narrow(model.objects.all(), user).exists(), reach


def test_a_superuser_sees_all_whatever_the_scope(foreign: Stock) -> None:
    user = a_user(superuser=True, scope=Scope.STATIONS)
    assert scope.narrow(Order.objects.all(), user).count() == Order.objects.count() > 0


# --- Who sets a scope ---


def edit(client: Client, user: User, **changes: Any) -> Any:
    form = {"username": user.username, "is_active": "on", "scope": user.scope} | changes
    return client.post(reverse("admin:accounts_user_change", args=[user.pk]), form)


def test_stations_are_given_on_the_page_of_a_person(tenant: Any, mine: Station) -> None:
    other, user = factories.a_station(station_no="OTHER01"), with_role("readonly")
    groups = [group.pk for group in user.groups.all()]
    for given in ([mine, other], [other], []):
        stations = [station.pk for station in given]
        answer = edit(boss(), user, scope="stations", given_stations=stations, groups=groups)
        assert answer.status_code == 302
        person = User.objects.get(pk=user.pk)
        assert scope.stations_of(person) == frozenset(stations)
        assert set(scope.narrow(Station.objects.all(), person)) == set(given)


def test_a_scope_by_department_names_one(tenant: Any) -> None:
    user = a_user()
    assert "请选择部门" in edit(boss(), user, scope="department").content.decode()
    assert User.objects.get(pk=user.pk).scope == Scope.ALL


def test_who_sees_some_stations_widens_no_scope(tenant: Any, mine: Station) -> None:
    user = sees_only(mine, Scope.STATIONS)
    other = factories.a_station(station_no="OTHER01")
    client = signed_in(user)
    groups = [group.pk for group in user.groups.all()]
    assert edit(client, user, scope="all", given_stations=[other.pk], groups=groups).status_code == 302
    person = User.objects.get(pk=user.pk)
    assert scope.stations_of(person) == frozenset({mine.pk})
    # Nor through an account that they make, a station that they move or a department that they shift.
    new = {
        "username": "fresh",
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
    }
    assert client.post("/admin/accounts/user/add/", new).status_code == 302
    assert scope.stations_of(User.objects.get(username="fresh")) == frozenset()
    assert client.get("/admin/sites/station/add/").status_code == 403
    assert client.get("/admin/accounts/department/add/").status_code == 403


def test_departments_make_no_circle(tenant: Any) -> None:
    top = Department.objects.create(name="总部")
    low = Department.objects.create(name="分部", parent=top)
    for parent in (top, low):
        answer = boss().post(
            f"/admin/accounts/department/{top.pk}/change/", {"name": "总部", "parent": parent.pk}
        )
        assert "部门不能隶属于自身或其下级部门" in answer.content.decode()
    assert Department.objects.get(pk=top.pk).parent is None


@pytest.mark.parametrize("page", ["orders/order", "piles/pile", "sites/station", "piles/alarm"])
def test_a_scope_costs_one_query(
    foreign: Stock, mine: Station, page: str, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    everybody, limited_to = signed_in(with_role("administrator")), signed_in(sees_only(mine, Scope.STATIONS))
    counts = []
    for client in (everybody, limited_to):
        client.get(f"/admin/{page}/")
        with django_assert_max_num_queries(60) as asked:
            assert client.get(f"/admin/{page}/").status_code == 200
        counts.append(len(asked.captured_queries))
    assert counts[1] <= counts[0] + 1
