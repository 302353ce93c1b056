"""Staff start a charge for a driver from the page of a gun or a pile: looked at first, once, with a reason, audited."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.common.time import business_day, day_bounds, now
from apps.customers.models import Customer, CustomerState
from apps.orders import services
from apps.orders.models import Order
from apps.piles.enums import CommandKind, PileState
from apps.piles.models import Connector, Pile, PileCommand
from apps.sites import hours
from apps.sites.models import Station
from tests import factories
from tests.staff import a_user, boss, signed_in

MAY = ("orders.start_order", "orders.view_order", "piles.view_connector", "piles.view_pile")
PHONE = "13912345678"


@pytest.fixture
def driver(tenant: Any) -> Customer:
    return factories.a_customer("100.00", phone=f"+86{PHONE}", nickname="小明")


@pytest.fixture
def gun(tenant: Any) -> Connector:
    return factories.a_connector()


def page(gun: Connector) -> str:
    return f"/admin/piles/connector/{gun.pk}/start/"


def asked(gun: Connector, **words: str) -> dict[str, str]:
    return {"phone": PHONE, "gun": gun.code, "preset_amount": "30", "reason": "车主手机没电", **words}


def confirmation(client: Client, path: str, sent: dict[str, str]) -> dict[str, str]:
    """What the second step's form holds, as a browser would send it."""
    html = client.post(path, sent).content.decode()
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html)
    found = {name: value for name, value in fields if name != "csrfmiddlewaretoken"}
    assert {"confirmed", "request_key"} <= set(found), html
    return found


def test_a_charge_is_looked_at_then_started_once(driver: Customer, gun: Connector) -> None:
    user = a_user(*MAY, display_name="王芳")
    client = signed_in(user)
    assert gun.code in client.get(page(gun)).content.decode()
    shown = client.post(page(gun), asked(gun)).content.decode()
    assert "小明" in shown
    assert "139****5678" in shown
    assert not Order.objects.exists(), "nothing is started before it is confirmed"
    sent = confirmation(client, page(gun), asked(gun))
    assert sent["phone"] == PHONE
    answers = [client.post(page(gun), sent, REMOTE_ADDR="203.0.113.7") for _ in range(2)]
    order = Order.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {f"/admin/orders/order/{order.pk}/change/"}
    assert (order.customer, order.connector, order.source, order.state) == (driver, gun, "staff", "starting")
    assert (order.preset_amount, order.hold_amount) == (Decimal("30.00"), Decimal("30.00"))
    assert PileCommand.objects.filter(kind=CommandKind.START).count() == 1
    entry = AuditEntry.objects.get(action="orders.order_started")
    assert (entry.actor_name, entry.reason, entry.address) == ("王芳", "车主手机没电", "203.0.113.7")
    assert (entry.object_id, entry.changes["customer"]) == (str(order.pk), [None, "139****5678"])
    assert "王芳" in client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()


def test_of_two_presses_at_once_one_is_written_down(driver: Customer, gun: Connector) -> None:
    """The second press comes when the first one has started the order and written nothing yet."""
    user = a_user(*MAY)
    client = signed_in(user)
    sent = confirmation(client, page(gun), asked(gun))
    key = f"staff-{user.pk}-{sent['request_key']}"
    services.start_charge(
        customer=driver, connector_code=gun.code, request_key=key, preset_amount=Decimal(30)
    )
    for _ in range(2):
        client.post(page(gun), sent)
    assert Order.objects.count() == 1
    assert AuditEntry.objects.filter(action="orders.order_started").count() == 1


def test_the_whole_number_is_shown_to_who_may_see_it(driver: Customer, gun: Connector) -> None:
    masked = signed_in(a_user(*MAY)).post(page(gun), asked(gun)).context_data["phone"]
    whole = signed_in(a_user(*MAY, "customers.view_phone")).post(page(gun), asked(gun)).context_data["phone"]
    assert (masked, whole) == ("139****5678", f"+86{PHONE}")


def test_a_pile_offers_its_guns_and_no_other(driver: Customer, gun: Connector) -> None:
    pile = factories.a_pile(guns=2)
    client, path = signed_in(a_user(*MAY)), f"/admin/piles/pile/{pile.pk}/start/"
    assert path in client.get(f"/admin/piles/pile/{pile.pk}/change/").content.decode()
    html = client.get(path).content.decode()
    for one in pile.connectors.all():
        assert one.code in html
    assert "gun" in client.post(path, asked(gun)).context_data["form"].errors
    second = pile.connectors.order_by("code").last()
    client.post(path, confirmation(client, path, asked(second)))
    assert Order.objects.get().connector == second


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("phone", {"phone": "13900000000"}),
        ("phone", {"phone": ""}),
        ("preset_amount", {"preset_amount": "0"}),
        ("preset_amount", {"preset_amount": "1.001"}),
        ("reason", {"reason": "  "}),
    ],
)
def test_what_is_wrong_is_told(driver: Customer, gun: Connector, field: str, words: dict[str, str]) -> None:
    answer = signed_in(a_user(*MAY)).post(page(gun), asked(gun, **words))
    assert list(answer.context_data["form"].errors) == [field]
    assert "request_key" not in answer.content.decode()


def test_the_rules_of_every_start_hold(driver: Customer, gun: Connector) -> None:
    client = signed_in(a_user(*MAY))
    path = page(gun)

    def told(**words: str) -> str:
        answer = client.post(path, confirmation(client, path, asked(gun, **words)))
        return " ".join(answer.context_data["form"].non_field_errors())

    assert "余额不足" in told(preset_amount="100.01")
    Pile.objects.filter(pk=gun.pile_id).update(state=PileState.DISABLED)
    assert told() != ""
    Pile.objects.filter(pk=gun.pile_id).update(state=PileState.IN_SERVICE)
    Customer.objects.filter(pk=driver.pk).update(state=CustomerState.BLOCKED)
    assert "不能充电" in told()
    assert not Order.objects.exists()
    assert not AuditEntry.objects.filter(action="orders.order_started").exists()


def test_a_number_that_is_not_the_confirmed_drivers_starts_nothing(driver: Customer, gun: Connector) -> None:
    other = factories.a_customer("100.00", phone="+8613900007777", nickname="小红")
    client = signed_in(a_user(*MAY))
    sent = confirmation(client, page(gun), asked(gun))
    answer = client.post(page(gun), {**sent, "phone": "13900007777"})
    assert "小红" in answer.content.decode(), "it is asked again"
    assert not Order.objects.exists()
    assert other.orders.count() == 0


def test_outside_the_opening_hours_the_order_keeps_the_reason(
    driver: Customer, gun: Connector, time_machine: Any
) -> None:
    Station.objects.filter(pk=gun.pile.station_id).update(opening_hours="08:00-20:00")
    tomorrow = day_bounds(business_day(now()) + timedelta(days=1))[0]
    time_machine.move_to(tomorrow.replace(hour=23))
    factories.put_online(gun.pile)
    client = signed_in(a_user(*MAY))
    assert hours.words("08:00-20:00") in client.get(page(gun)).content.decode()
    client.post(page(gun), confirmation(client, page(gun), asked(gun)))
    event = Order.objects.get().events.get(kind="started_outside_hours")
    assert event.data["reason"] == "车主手机没电"
    time_machine.move_to(tomorrow.replace(hour=9))
    assert hours.words("08:00-20:00") not in client.get(page(gun)).content.decode()


@pytest.mark.parametrize("missing", ["orders.start_order", "piles.view_connector"])
def test_it_takes_a_permission_of_its_own(driver: Customer, gun: Connector, missing: str) -> None:
    client = signed_in(a_user(*(one for one in MAY if one != missing), "orders.stop_order"))
    for answer in (client.get(page(gun)), client.post(page(gun), {**asked(gun), "confirmed": driver.pk})):
        assert answer.status_code == 403
    assert not Order.objects.exists()


def test_no_account_of_a_franchisee_spends_a_drivers_money(driver: Customer, gun: Connector) -> None:
    user = factories.a_franchisees_account(factories.a_franchisee(gun.pile.station))
    user.groups.add(Group.objects.get(standard__code="administrator"))
    client = signed_in(User.objects.get(pk=user.pk))
    assert client.get(f"/admin/piles/connector/{gun.pk}/change/").status_code == 200
    assert client.get(page(gun)).status_code == 403
    assert page(gun) not in client.get(f"/admin/piles/connector/{gun.pk}/change/").content.decode()


def test_a_deleted_account_is_nobody(driver: Customer, gun: Connector) -> None:
    Customer.objects.filter(pk=driver.pk).update(state=CustomerState.DELETED)
    assert "phone" in boss().post(page(gun), asked(gun)).context_data["form"].errors
