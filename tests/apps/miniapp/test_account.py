"""The driver's own page: name, picture, a copy of the data, and the end of the account."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import transaction
from PIL import Image

from apps.backoffice.models import AuditEntry
from apps.common.time import now
from apps.customers import cards, data_export, enterprises
from apps.customers.models import (
    Card,
    Customer,
    CustomerIdentity,
    CustomerState,
    DataExport,
    DriverSession,
    Vehicle,
)
from apps.files.models import StoredFile
from apps.orders.models import Order
from apps.orders.settling import settle_record
from apps.wallet import ledger
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.ledger import credit, debit
from apps.wallet.models import JournalEntry
from apps.wallet.services import lock_wallet
from tests import factories
from tests.apps.miniapp.conftest import Caller, refusal
from tests.staff import boss

pytestmark = pytest.mark.usefixtures("tenant")
PHONE = "+8613900000001"
SIGN_IN_AGAIN = (401, "auth.invalid_token")


def key(word: object) -> dict[str, str]:
    return {"idempotency-key": f"key-{word}"}


def code_in(sms_log: Path) -> str:
    return sms_log.read_text().split()[-1]


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def give_bonus(customer: Customer, amount: str) -> None:
    with transaction.atomic():
        ledger.post(
            key=f"gift:{customer.pk}",
            kind=JournalKind.RECHARGE,
            wallet=lock_wallet(customer_id=customer.pk),
            reference="",
            lines=[
                debit(AccountKind.BONUS_EXPENSE, Decimal(amount)),
                credit(AccountKind.CUSTOMER_BONUS, Decimal(amount)),
            ],
        )


def test_a_driver_says_who_they_are(app_of: Any) -> None:
    app = app_of(factories.a_customer("0"))
    before = app.get("me").json()
    assert (before["language"], before["elder_mode"], before["avatar"]) == ("", None, "")
    body = {"nickname": " 小明 ", "language": "en", "elder_mode": True}
    answer = app.post("me/profile", body)
    assert answer.status_code == 200
    after = app.get("me").json()
    assert (after["nickname"], after["language"], after["elder_mode"]) == ("小明", "en", True)
    for wrong in ({"nickname": "a\u202eb"}, {"nickname": "x" * 31}, {"language": "fr"}, {"elder_mode": None}):
        assert refusal(app.post("me/profile", body | wrong)) == (400, "invalid"), wrong


def picture(size: tuple[int, int] = (600, 400)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "green").save(out, "PNG")
    return out.getvalue()


def upload(app: Caller, data: bytes, word: object) -> str:
    """Ask for a ticket and upload with it; the number to confirm."""
    body = {"media_type": "image/png", "size": len(data)}
    ticket = app.post("me/avatar/ticket", body, **key(word)).json()
    file = io.BytesIO(data)
    file.name = "me.png"
    assert app.client.post(ticket["url"], {**ticket["fields"], "file": file}).status_code == 204
    return str(ticket["number"])


def test_a_driver_shows_a_picture(app_of: Any, anybody: Caller) -> None:
    app, other = app_of(factories.a_customer("0")), app_of(factories.a_customer("0"))
    number = upload(app, picture(), 1)
    assert refusal(other.post("me/avatar", {"number": number})) == (404, "files.not_found")
    address = app.post("me/avatar", {"number": number}).json()["avatar"]
    shown = anybody.client.get(address)
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/webp")
    assert content(shown)[:4] == b"RIFF"
    assert anybody.client.get(address.partition("?")[0]).status_code == 302, "staff have to sign in"
    assert boss().get(address.partition("?")[0]).status_code == 404, "and are not shown it"
    assert app.post("me/avatar", {"number": number}).status_code == 200, "done twice it is still done"
    second = upload(app, picture((300, 300)), 2)
    app.post("me/avatar", {"number": second})
    assert StoredFile.objects.filter(kind="avatar").count() == 1, "the one before is thrown away"
    disguised = upload(app, b"<html>" + b"x" * 500, 3)
    assert refusal(app.post("me/avatar", {"number": disguised})) == (415, "files.type_refused")
    repeated = app.post("me/avatar/ticket", {"media_type": "image/png", "size": 10}, **key(4))
    again = app.post("me/avatar/ticket", {"media_type": "image/png", "size": 10}, **key(4))
    assert again.json() == repeated.json()


def a_rich_driver() -> Customer:
    """A driver with a settled charge, a car, a card and an account at WeChat."""
    customer = factories.a_customer("100.00", phone=PHONE, nickname="小明")
    order = factories.a_charging_order(customer=customer)
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    cards.add_vehicle(customer=customer, plate="沪A12345")
    cards.add_card(customer=customer, logical_no="1001", physical_no="D14B0A51")
    CustomerIdentity.objects.create(
        customer=customer, provider="wechat", app_id="wx1", openid="o1", last_login_at=now()
    )
    return customer


def test_a_copy_of_ones_data(app_of: Any, anybody: Caller) -> None:
    customer = a_rich_driver()
    Order.objects.filter(customer=customer).update(plate="沪A12345")
    stranger = factories.a_customer("77.00", phone="+8613900007777")
    app = app_of(customer)
    assert app.get("me/data-export").json()["state"] == "none"
    asked = app.post("me/data-export")
    assert (asked.status_code, asked.json()["state"], asked.json()["url"]) == (202, "waiting", "")
    assert data_export.run_all() == 1
    assert data_export.run_all() == 0
    found = app.get("me/data-export").json()
    assert found["state"] == "done"
    archive = zipfile.ZipFile(io.BytesIO(content(anybody.client.get(found["url"]))))
    files = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    assert set(files) == {
        f"{name}.json"
        for name in (
            *("profile", "accounts", "vehicles", "cards", "consents", "devices", "coupons"),
            *("orders", "order-refunds", "wallet", "wallet-statement", "recharges", "wallet-refunds"),
            *("invoice-titles", "invoices", "feedback"),
        )
    }
    order = Order.objects.get(customer=customer)
    assert files["profile.json"][0]["phone"] == PHONE
    assert files["accounts.json"][0]["openid"] == "o1"
    assert [row["plate"] for row in files["vehicles.json"]] == ["沪A12345"]
    assert [(row["order_no"], row["payable"], row["plate"]) for row in files["orders.json"]] == [
        (order.order_no, str(order.payable), "沪A12345")
    ]
    assert files["wallet.json"][0]["principal"] == str(Decimal("100.00") - order.payable)
    assert sum(Decimal(row["change"]) for row in files["wallet-statement.json"]) == Decimal(
        files["wallet.json"][0]["principal"]
    )
    assert stranger.phone not in str(files)
    assert app.post("me/data-export").json()["asked_at"] == asked.json()["asked_at"], "once a day"
    assert DataExport.objects.count() == 1
    assert app_of(stranger).get("me/data-export").json()["state"] == "none"
    with time_machine.travel(datetime.now(UTC) + timedelta(days=8)):
        late = app_of(customer)
        assert late.get("me/data-export").json()["url"] == ""
        assert late.post("me/data-export").json()["state"] == "waiting"


def test_a_copy_whose_worker_died_is_written_again(app_of: Any) -> None:
    app = app_of(factories.a_customer("0"))
    app.post("me/data-export")
    DataExport.objects.update(state="running", attempts=1, started_at=now() - timedelta(minutes=5))
    assert data_export.run_all() == 0, "it may still be at work"
    DataExport.objects.update(started_at=now() - timedelta(minutes=11))
    assert data_export.run_all() == 1
    assert DataExport.objects.get().state == "done"
    DataExport.objects.update(state="running", attempts=3, started_at=now() - timedelta(minutes=11))
    assert data_export.run_all() == 0
    assert DataExport.objects.get().state == "failed"
    assert app.post("me/data-export").json()["state"] == "waiting", "a failed one may be asked for again"


def delete(app: Caller, sms_log: Path) -> Any:
    assert app.post("me/phone/code", {"to": "present"}).status_code == 200
    return app.post("me/deletion", {"code": code_in(sms_log)})


def reasons(app: Caller) -> list[str]:
    found = app.get("me/deletion").json()
    assert found["is_possible"] is not bool(found["reasons"])
    return [one["code"] for one in found["reasons"]]


def test_what_stands_against_deleting_an_account(app_of: Any, sms_log: Path) -> None:
    customer = factories.a_customer("20.00", phone=PHONE)
    app = app_of(customer)
    assert reasons(app) == ["balance"]
    order = factories.a_charging_order(customer=customer)
    assert reasons(app) == ["money_held", "charge_open"]
    settle_record(record_id=factories.a_record(order, {"flat": "50.0000"}).pk)
    assert reasons(app) == ["debt"]
    answer = delete(app, sms_log)
    assert refusal(answer) == (409, "customers.account_kept")
    assert answer.json()["data"]["reasons"] == "debt"
    assert "pay it first" in answer.json()["message"]
    assert app.get("me").json()["phone"] == PHONE
    topped = factories.a_customer("20.00")
    other = app_of(topped)
    other.post("wallet/recharges", {"amount": "50.00", "channel": "sandbox"}, **key("recharge")).json()
    assert reasons(other) == ["balance", "recharge_open"]
    other.post("wallet/refunds", {"amount": "20.00", "reason": "x"}, **key("refund"))
    assert "refund_open" in reasons(other)


def test_an_account_is_deleted_and_the_number_registers_anew(
    app_of: Any, anybody: Caller, sms_log: Path, django_capture_on_commit_callbacks: Any
) -> None:
    customer = a_rich_driver()
    company = factories.an_enterprise(customer)
    app = app_of(customer)
    number = upload(app, picture(), 1)
    app.post("me/avatar", {"number": number})
    wallet = lock_wallet(customer_id=customer.pk)
    ledger.post(  # the balance goes back as a refund would send it
        key="out",
        kind=JournalKind.REFUND_PAID,
        wallet=wallet,
        reference="",
        lines=[
            debit(AccountKind.CUSTOMER_PRINCIPAL, wallet.principal),
            credit(AccountKind.MANUAL_TRANSFER, wallet.principal),
        ],
    )
    give_bonus(customer, "6.00")
    assert reasons(app) == []
    assert refusal(app.post("me/deletion", {"code": "000000"})) == (400, "customers.code_wrong")
    with django_capture_on_commit_callbacks(execute=True):
        answer = delete(app, sms_log)
    assert (answer.status_code, answer.json()) == (200, {"is_deleted": True})
    assert not StoredFile.objects.filter(kind="avatar").exists()
    assert refusal(app.get("me")) == SIGN_IN_AGAIN

    customer.refresh_from_db()
    assert (customer.state, customer.phone, customer.nickname) == (
        CustomerState.DELETED,
        f"-{customer.pk}",
        "",
    )
    assert not CustomerIdentity.objects.exists()
    assert not Vehicle.objects.exists()
    assert Card.objects.get().state == "frozen"
    assert Order.objects.get().customer_id == customer.pk, "orders and books stay"
    assert JournalEntry.objects.filter(kind="bonus_forfeited").count() == 1
    wallet = lock_wallet(customer_id=customer.pk)
    assert (wallet.principal, wallet.bonus) == (0, 0)
    entry = AuditEntry.objects.get(action="customers.customer_deleted")
    assert (entry.actor_kind, entry.actor_id, PHONE[-4:] in str(vars(entry))) == (
        "customer",
        str(customer.pk),
        False,
    )
    page = boss().get(f"/admin/customers/customer/{customer.pk}/change/").content.decode()
    assert "已注销" in page
    assert PHONE.removeprefix("+86") not in page

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2)):
        assert anybody.post("auth/sms-code", {"phone": PHONE}).status_code == 200
        login = anybody.post("auth/login", {"phone": PHONE, "code": code_in(sms_log)})
        assert login.status_code == 200
        assert Caller(login.json()["token"]).get("orders").json()["items"] == []
    new = Customer.objects.get(phone=PHONE)
    assert new.pk != customer.pk
    assert enterprises.enterprise_of(customer=new) == company, "members are the company's list"
    assert not DriverSession.objects.filter(customer=customer, ended_at=None).exists()
