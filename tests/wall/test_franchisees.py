"""The account of a franchisee at its own station: everything there is its to see, but for who drives and who pays.

The station is the wall's stock, which is the franchisee's own here. Whatever role such an account is given, no page,
list, search, file or socket tells a driver's name, number, plate or car, or shows what is the operator's own.
"""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.contrib.auth.models import Group

from apps.accounts import outsiders
from apps.accounts.enums import Scope
from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.backoffice.models import SavedFilter
from apps.backoffice.sites import tenant_site
from apps.customers.models import Customer
from apps.files import exports, services
from apps.files.models import ExportJob
from apps.franchisees.models import Franchisee
from apps.orders.models import Order, OrderEvent, TransactionRecord
from apps.piles.models import Alarm, PileCommand
from apps.sites.models import Station
from tests import factories
from tests.staff import TENANT_HOST, a_user, boss, form_of, signed_in
from tests.wall.stock import SECRET, Stock, id_of, stock
from tests.wall.test_scope import with_role
from tests.wall.test_tenant_wall import (
    STANDARD,
    TENANT_MODELS,
    TENANT_PAGES,
    object_pages,
    opened,
    text_of,
)

NAME, PLATE, VIN, CHIP = "张无忌先生", "沪A99011", "LSVAA4182E2000001", "0000000099010101"
PHONES = ("13900009999", "13900008888")
PURSES = ("<dt>冻结</dt>", "本金支付", "赠送金支付", "<dt>欠费</dt>", "支付明细")
"""What the page of an order says of hold, purses and payments."""
MONEY = ("本金", "赠", "欠费", "渠道", "未收")
"""Words of columns that are ours."""
OPEN = {
    "sites/station",
    "piles/pile",
    "piles/connector",
    "piles/alarm",
    "piles/pilecommand",
    "piles/commandbatch",
    "orders/order",
    "reports/financereport",
    "files/exportjob",
}
"""The pages of the role that accounts of franchisees have."""


def account_of(franchisee: Franchisee, *, role: str = "franchisee") -> User:
    user = factories.a_franchisees_account(franchisee)
    user.groups.set([Group.objects.get(standard__code=role)])
    return User.objects.get(pk=user.pk)


@pytest.fixture
def own(tenant: Any) -> Stock:
    """The stock, with drivers who are told apart from everything else."""
    found = stock()
    Customer.objects.update(nickname=NAME)
    Order.objects.update(vin=VIN, card_no=CHIP)
    OrderEvent.objects.filter(actor_kind="customer").update(actor_name=NAME)
    for record in TransactionRecord.objects.exclude(report=None):
        record.report = {**record.report, "vin": VIN, "physical_card_no": CHIP}
        record.save()
    return found


def told(text: str, asked: str = "") -> list[str]:
    """What of the drivers a text tells, but for what was in the question."""
    marks = (NAME, PLATE, VIN, CHIP, *PHONES)
    return [mark for mark in marks if mark in text and mark not in asked]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["franchisee", "administrator"])
def test_no_page_names_a_driver(own: Stock, role: str) -> None:
    client = signed_in(account_of(Franchisee.objects.get(), role=role))
    everybody, told_to_us = signed_in(with_role("administrator")), set()
    ids = {f"{one._meta.app_label}/{one._meta.model_name}": id_of(one) for one in tenant_site._registry}
    paths = [f"/admin/{model}/{page.format(id=ids[model])}" for model, page in object_pages(TENANT_MODELS)]
    for label, model in (("orders/order", Order), ("piles/pilecommand", PileCommand), ("piles/alarm", Alarm)):
        paths += [f"/admin/{label}/{row.pk}/change/" for row in model.objects.all()]
    paths += [
        f"/admin/{model}/{page}"
        for model, extra in TENANT_MODELS.items()
        for page in sorted(STANDARD | extra)
        if "<" not in page
    ]
    paths += [f"/{path}" for path in TENANT_PAGES.values()]
    paths += ["/admin/", "/admin/display/", "/admin/display/data/"]
    for path in paths:
        answer = client.get(path, follow=True)
        assert answer.status_code in {200, 403, 404, 405}, (path, answer.status_code)
        assert told(text_of(answer), asked=path) == [], path
        if path.startswith("/admin/orders/order/") and told(text_of(everybody.get(path, follow=True))):
            told_to_us.add(path)
    assert {"/admin/orders/order/", f"/admin/orders/order/{own.settled.pk}/change/"} <= told_to_us


def test_its_own_station_is_open_and_what_is_ours_is_not(own: Stock) -> None:
    client = signed_in(account_of(Franchisee.objects.get()))
    for model in TENANT_MODELS:
        page = client.get(f"/admin/{model}/", follow=True)
        assert page.status_code == (200 if model in OPEN else 403), model
    page = client.get(f"/admin/orders/order/{own.settled.pk}/change/").content.decode()
    assert own.settled.order_no in page
    assert own.settled.customer.masked_phone in page
    assert "应付" in page
    ours = boss().get(f"/admin/orders/order/{own.settled.pk}/change/").content.decode()
    for word in (*PURSES, 'bo-card-title">交易记录', "/admin/customers/customer/"):
        assert word in ours, word
        assert word not in page, word
    list_page = client.get("/admin/orders/order/").content.decode()
    assert own.settled.order_no in list_page
    assert own.settled.customer.masked_phone in list_page
    assert own.pile_code in client.get("/admin/piles/pile/").content.decode()


def test_whatever_the_role_holds_nothing_of_ours_opens(own: Stock) -> None:
    """Also with the administrator's role, given by mistake."""
    user = account_of(Franchisee.objects.get(), role="administrator")
    client = signed_in(user)
    for model in TENANT_MODELS:
        app, name = model.split("/")
        page = client.get(f"/admin/{model}/", follow=True)
        may = outsiders.may(f"{app}.view_{name}") or model == "files/exportjob"
        assert page.status_code == (200 if may else 403), model
    assert not user.has_perm("customers.view_phone")
    assert not user.has_perm("wallet.view_wallet")
    role = next(role for role in ROLES if role.code == "franchisee")
    assert {grant for grant in role.grants if not outsiders.may(grant)} == set()


def test_nobody_is_found_by_name_or_number(own: Stock) -> None:
    client, everybody = signed_in(account_of(Franchisee.objects.get())), boss()
    order_no, link = own.settled.order_no, f"/admin/orders/order/{own.settled.pk}/"
    for words in (NAME, NAME[:1], PHONES[0]):
        assert order_no in everybody.get("/admin/orders/order/", {"q": words}).content.decode(), words
        page = client.get("/admin/orders/order/", {"q": words})
        assert list(page.context_data["cl"].result_list) == [], words
        assert link not in client.get(f"/admin/search/?s={words}&extended=1").content.decode(), words
    for words in (order_no, own.settled.transaction_no, own.pile_code):
        page = client.get("/admin/orders/order/", {"q": words}).content.decode()
        assert order_no in page, words
    assert link in client.get(f"/admin/search/?s={order_no}&extended=1").content.decode()
    for lookup in ("customer__nickname__startswith", "customer__phone", "vin__startswith"):
        answer = client.get("/admin/orders/order/", {lookup: NAME[:1]})
        assert answer.status_code in {302, 400} or NAME[:1] not in str(
            [order.customer.nickname for order in answer.context_data["cl"].result_list]
        ), lookup


def test_files_name_nobody_and_show_no_purse(own: Stock) -> None:
    user = account_of(Franchisee.objects.get())
    client = signed_in(user)
    asked = {"_form_submitted": "on", "format": "xlsx"}
    for model in ("orders/order", "reports/financereport", "piles/alarm"):
        csv = client.get(f"/admin/{model}/export/").content.decode()
        assert told(csv) == [], model
        for purse in MONEY:
            assert purse not in csv, (model, purse)
        assert client.post(f"/admin/{model}/export-file/", asked).status_code == 200
    jobs = list(ExportJob.objects.filter(actor_id=str(user.pk)).order_by("id"))
    assert len(jobs) == 3
    texts = []
    for job in jobs:
        exports.run_export(job.pk)
        job.refresh_from_db()
        assert job.file is not None, job.error
        with services.open_content(job.file) as file:
            book = openpyxl.load_workbook(io.BytesIO(file.read()))
        cells = [str(cell) for row in book.active.iter_rows(values_only=True) for cell in row]
        texts.append(" ".join(cells))
    assert [told(text) for text in texts] == [[], [], []]
    assert own.settled.order_no in texts[0]
    assert own.settled.customer.masked_phone in texts[0]
    assert not any(purse in text for text in texts for purse in MONEY)
    # The same list has them for us.
    assert "本金" in boss().get("/admin/orders/order/export/").content.decode()


def test_a_filter_that_we_share_is_not_shown(own: Stock) -> None:
    SavedFilter.objects.create(
        owner_id=1,
        owner_name="x",
        page="orders.order",
        name="张先生的订单",
        query=f"q={PHONES[0]}",
        is_shared=True,
    )
    client = signed_in(account_of(Franchisee.objects.get()))
    page = client.get("/admin/orders/order/").content.decode()
    assert PHONES[0] not in page
    assert "张先生" not in page
    assert "张先生" in boss().get("/admin/orders/order/").content.decode()
    client.post(
        "/admin/orders/order/save-filter/?state__exact=completed",
        {"_form_submitted": "on", "name": "已完成", "is_shared": "on"},
    )
    assert not SavedFilter.objects.get(name="已完成").is_shared
    assert "已完成" in client.get("/admin/orders/order/").content.decode()


def test_an_account_stays_the_franchisees(own: Stock) -> None:
    """No form of staff makes it one of ours, or one of ours a franchisee's."""
    user = account_of(Franchisee.objects.get())
    client, path = boss(), f"/admin/accounts/user/{user.pk}/change/"
    form = {**form_of(client, path), "display_name": "王五", "groups": [user.groups.get().pk]}
    sent = {**form, "scope": "all", "is_superuser": "on", "given_stations": [Station.objects.get().pk]}
    assert client.post(path, sent).status_code == 302
    user = User.objects.get(pk=user.pk)
    assert (user.display_name, user.scope, user.is_superuser) == ("王五", Scope.FRANCHISEE, False)
    assert user.is_outsider
    ours = a_user()
    path = f"/admin/accounts/user/{ours.pk}/change/"
    answer = client.post(path, {**form_of(client, path), "scope": "franchisee"})
    assert answer.status_code == 200
    assert "scope" in answer.context_data["adminform"].form.errors
    assert User.objects.get(pk=ours.pk).scope == Scope.ALL


def test_the_gun_wall_opens_for_its_own_station_only(committed: Any) -> None:
    mine, other = factories.a_station(), factories.a_station(name=SECRET)
    gun = factories.a_pile(station=mine).connectors.get()
    factories.a_pile(station=other)
    client = signed_in(account_of(factories.a_franchisee(mine)))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert f"gun-{gun.pk}" in str(opened(TENANT_HOST, session, mine.pk))
    assert opened(TENANT_HOST, session, other.pk) == 4404


def test_one_look_at_what_it_has_each_request(own: Stock, django_assert_max_num_queries: Any) -> None:
    counts = []
    for client in (signed_in(a_user("orders.view_order")), signed_in(account_of(Franchisee.objects.get()))):
        client.get("/admin/orders/order/")
        with django_assert_max_num_queries(60) as asked:
            assert client.get("/admin/orders/order/").status_code == 200
        counts.append(len(asked.captured_queries))
    assert counts[1] <= counts[0] + 1
