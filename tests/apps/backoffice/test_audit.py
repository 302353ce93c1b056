"""The audit log: chained, append-only, and one chain however many write at once."""

from __future__ import annotations

import json
import re
import threading
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils.functional import SimpleLazyObject

from apps.accounts.models import Department
from apps.backoffice.audit import Break, entry_hash, record, verify_chain
from apps.backoffice.cells import cell
from apps.backoffice.models import AuditEntry
from apps.common.ids import SYSTEM, Actor
from apps.common.schema import schema_context
from tests import factories
from tests.staff import a_user, boss, form_of, signed_in

CLERK = Actor("staff", "7", "王芳")


def tamper(statement: str, *values: object) -> None:
    """Do what only somebody with the database's own password could do."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE backoffice_auditentry DISABLE TRIGGER ALL")
        cursor.execute(statement, values)
        cursor.execute("ALTER TABLE backoffice_auditentry ENABLE TRIGGER ALL")


def test_an_entry_says_who_did_what_to_what(tenant: Any) -> None:
    station = factories.a_station(name="人民广场站")
    entry = record(
        CLERK,
        "sites.closed",
        station,
        changes={"state": ["open", "closed"]},
        reason="检修",
        address="10.0.0.9",
    )
    entry.refresh_from_db()
    assert (entry.actor_kind, entry.actor_id, entry.actor_name, entry.address) == (
        "staff",
        "7",
        "王芳",
        "10.0.0.9",
    )
    assert (entry.object_kind, entry.object_id, entry.object_name) == (
        "sites.station",
        str(station.pk),
        "人民广场站",
    )
    assert (entry.action, entry.changes, entry.reason) == (
        "sites.closed",
        {"state": ["open", "closed"]},
        "检修",
    )


def test_each_entry_holds_the_hash_before_it(tenant: Any) -> None:
    entries = [record(SYSTEM, f"deed.{n}", None) for n in range(4)]
    assert entries[0].previous_hash == ""
    assert [entry.previous_hash for entry in entries[1:]] == [entry.hash for entry in entries[:3]]
    assert len({entry.hash for entry in entries}) == 4
    assert verify_chain() == []


def test_values_that_json_does_not_know_keep_their_hash(tenant: Any) -> None:
    from datetime import date
    from decimal import Decimal

    from apps.common.time import now

    entry = record(
        CLERK, "deed", None, changes={"a": [Decimal("1.20"), now()], "b": [date(2026, 1, 2), None]}
    )
    entry.refresh_from_db()
    assert entry.changes["a"][0] == "1.20"
    assert entry.changes["b"] == ["2026-01-02", None]
    assert entry.hash == entry_hash(entry)


@pytest.mark.parametrize(
    "statement", ["UPDATE backoffice_auditentry SET reason = 'x'", "DELETE FROM backoffice_auditentry"]
)
def test_the_database_refuses_to_change_an_entry(tenant: Any, statement: str) -> None:
    record(SYSTEM, "deed", None)
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_changed_entry_is_found(tenant: Any) -> None:
    entries = [record(SYSTEM, f"deed.{n}", None) for n in range(3)]
    tamper("UPDATE backoffice_auditentry SET reason = 'other' WHERE id = %s", entries[1].pk)
    assert verify_chain() == [Break(entries[1].pk, "hash")]


def test_a_changed_entry_with_a_new_hash_breaks_the_link(tenant: Any) -> None:
    entries = [record(SYSTEM, f"deed.{n}", None) for n in range(3)]
    forged = entries[1]
    forged.reason = "other"
    tamper(
        "UPDATE backoffice_auditentry SET reason = 'other', hash = %s WHERE id = %s",
        entry_hash(forged),
        forged.pk,
    )
    assert verify_chain() == [Break(entries[2].pk, "link")]


def test_a_removed_entry_is_found(tenant: Any) -> None:
    entries = [record(SYSTEM, f"deed.{n}", None) for n in range(3)]
    tamper("DELETE FROM backoffice_auditentry WHERE id = %s", entries[1].pk)
    assert verify_chain() == [Break(entries[2].pk, "link")]


def test_writers_at_the_same_time_make_one_chain(committed: Any) -> None:
    schema = connection.schema_name
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with schema_context(schema):
                barrier.wait(timeout=20)
                for n in range(10):
                    record(Actor("staff", name, name), f"deed.{n}", None)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert AuditEntry.objects.count() == 40
    assert verify_chain() == []


def test_the_command_fails_on_a_broken_chain(tenant: Any, capsys: Any) -> None:
    entry = record(SYSTEM, "deed", None)
    schema = connection.schema_name
    call_command("verify_audit", "--tenant", "alpha")
    assert f"alpha: 1 entries, 0 breaks, head {entry.hash}" in capsys.readouterr().out
    with schema_context(schema):
        tamper("UPDATE backoffice_auditentry SET actor_name = 'x' WHERE id = %s", entry.pk)
    with pytest.raises(SystemExit) as stop:
        call_command("verify_audit", "--tenant", "alpha", "--json")
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out) == {
        "tenant": "alpha",
        "entries": 1,
        "head": entry.hash,
        "head_found": None,
        "breaks": [{"entry": entry.pk, "kind": "hash"}],
    }


def test_the_command_misses_an_end_that_was_cut_off(tenant: Any, capsys: Any) -> None:
    first, last = record(SYSTEM, "deed", None), record(SYSTEM, "deed", None)
    schema = connection.schema_name
    call_command("verify_audit", "--tenant", "alpha", "--head", last.hash)
    with schema_context(schema):
        tamper("DELETE FROM backoffice_auditentry WHERE id = %s", last.pk)
    call_command("verify_audit", "--tenant", "alpha", "--head", first.hash)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        call_command("verify_audit", "--tenant", "alpha", "--head", last.hash)
    assert stop.value.code == 1
    assert "the entry of --head is not in the log any more" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--tenant", "nobody"], ["--head", "x"]])
def test_the_command_says_what_it_cannot_look_at(tenant: Any, words: list[str]) -> None:
    with pytest.raises(CommandError) as error:
        call_command("verify_audit", *words)
    assert error.value.returncode == 2


def test_the_page_shows_before_and_after(tenant: Any) -> None:
    tariff = {"prices": {"peak": {"electricity": "1.20000"}, "flat": {"electricity": "0.80000"}}}
    dearer = {"prices": {"peak": {"electricity": "1.30000"}, "flat": {"electricity": "0.80000"}}}
    order = factories.a_started_order()
    entry = record(
        CLERK,
        "orders.order_changed",
        order,
        changes={
            "state": ["charging", "abnormal"],
            "tariff": [tariff, dearer],
            "ended_at": [None, "2026-11-28T04:00:00+00:00"],
            "note": ["<b>x</b>", ""],
        },
    )
    text = boss().get(f"/admin/backoffice/auditentry/{entry.pk}/change/").content.decode()
    shown = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>', text)
    assert sorted(shown) == [
        ("基础电价 › 价格 › 峰 › 电费", "<del>1.20000</del>", "<ins>1.30000</ins>"),
        ("备注", "<del>&lt;b&gt;x&lt;/b&gt;</del>", "–"),
        ("状态", "<del>充电中</del>", "<ins>异常</ins>"),
        ("结束时间", "–", "<ins>2026-11-28 12:00:00</ins>"),
    ]


def test_sign_ins_and_sign_outs_are_kept_with_the_address(tenant: Any, tenant_client: Any) -> None:
    user = a_user()
    page = "/admin/login/"
    tenant_client.post(page, {"username": user.username, "password": "wrong"}, REMOTE_ADDR="203.0.113.5")
    tenant_client.post(
        page, {"username": user.username, "password": "correct horse"}, REMOTE_ADDR="203.0.113.5"
    )
    tenant_client.post("/admin/logout/", REMOTE_ADDR="203.0.113.6")
    rows = AuditEntry.objects.order_by("id").values_list("action", "actor_id", "actor_name", "address")
    assert list(rows) == [
        ("accounts.sign_in_failed", "", user.username, "203.0.113.5"),
        ("accounts.signed_in", str(user.pk), user.username, "203.0.113.5"),
        ("accounts.signed_out", str(user.pk), user.username, "203.0.113.6"),
    ]
    assert verify_chain() == []


def test_a_change_in_a_form_is_kept_before_and_after(tenant: Any) -> None:
    station = factories.a_station(name="旧名", notice="")
    client = boss()
    page = f"/admin/sites/station/{station.pk}/change/"
    form = form_of(client, page) | {"name": "新名"}
    assert client.post(page, form).status_code == 302
    entry = AuditEntry.objects.get(action="sites.station_changed")
    assert entry.changes == {"name": ["旧名", "新名"]}
    assert entry.object_id == str(station.pk)

    assert client.post(page, form).status_code == 302
    assert AuditEntry.objects.filter(action="sites.station_changed").count() == 1


def test_an_export_is_kept(tenant: Any) -> None:
    factories.a_customer("0")
    client = boss()
    answer = client.get("/admin/customers/customer/export/?state__exact=active")
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    entry = AuditEntry.objects.get(action="customers.customer_exported")
    assert entry.changes == {"rows": [None, 1], "filter": [None, "state__exact=active"]}


def test_formulas_and_long_numbers_stay_text_in_an_export(tenant: Any) -> None:
    order = factories.a_started_order(customer=factories.a_customer(nickname="=1+1"))
    rows = boss().get("/admin/customers/customer/export/").content.decode("utf-8-sig").splitlines()
    assert rows[1].startswith("'=1+1,")
    orders = boss().get("/admin/orders/order/export/").content.decode("utf-8-sig")
    assert f"\t{order.transaction_no}" in orders


def test_no_cell_is_a_formula_whatever_its_kind() -> None:
    assert cell(Department(name="=1+1")) == "'=1+1"
    assert cell(SimpleLazyObject(lambda: "+1")) == "'+1"
    assert [cell(value) for value in (None, Decimal("-1.50"), -2, date(2026, 1, 2))] == [
        "",
        "-1.50",
        "-2",
        "2026-01-02",
    ]


def test_the_history_of_an_object_is_its_part_of_the_log(tenant: Any) -> None:
    station = factories.a_station()
    client = signed_in(a_user("sites.view_station", "backoffice.view_auditentry"))
    answer = client.get(f"/admin/sites/station/{station.pk}/history/", follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain == [
        (f"/admin/backoffice/auditentry/?object_kind__exact=sites.station&object_id__exact={station.pk}", 302)
    ]


def test_the_log_says_in_words_who_did_what_to_what(tenant: Any) -> None:
    station = factories.a_station()
    entry = record(Actor("command", name="x"), "sites.station_changed", station, changes={"name": ["a", "b"]})
    client = boss()
    page = client.get(f"/admin/backoffice/auditentry/{entry.pk}/change/").content.decode()
    content = page.partition('id="content"')[2]
    assert "命令行" in content
    assert str(station._meta.verbose_name) in content
    assert ">command<" not in content
    listed = client.get("/admin/backoffice/auditentry/?actor_kind__exact=command").content.decode()
    assert "名称" in listed.partition("field-changes_shown")[2].partition("</td>")[0]
    assert "没有" in client.get("/admin/backoffice/auditentry/?actor_kind__exact=pile").content.decode()
