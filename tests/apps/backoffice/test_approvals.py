"""Four eyes: who may decide what, executed once, and void when its object changed."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections

from apps.backoffice import approvals
from apps.backoffice.approvals import (
    Operation,
    Policy,
    approve,
    needs_second_person,
    reject,
    request,
    set_policy,
)
from apps.backoffice.audit import verify_chain
from apps.backoffice.enums import ApprovalRule, ApprovalState
from apps.backoffice.errors import (
    AlreadyDecided,
    AlreadyRequested,
    ApprovalNotFound,
    NotAPerson,
    NotYours,
    ObjectChanged,
    PolicyFixed,
    PolicyInvalid,
    ReasonMissing,
    RequestAltered,
    SamePerson,
)
from apps.backoffice.models import Approval, ApprovalPolicy, AuditEntry
from apps.common.errors import DomainError
from apps.common.ids import SYSTEM, Actor
from apps.common.schema import schema_context
from apps.sites.models import Station
from tests import factories
from tests.staff import a_user, signed_in

ZHANG, WANG, LI = (
    Actor("staff", number, name) for number, name in (("9001", "张三"), ("9002", "王芳"), ("9003", "李四"))
)
RENAME = "test.rename"
PAGE = "/admin/backoffice/approval/"
RULES = "/admin/backoffice/approvalpolicy/"


class NameTaken(DomainError):
    code = "test.name_taken"
    message = "这个名字有人用了"


def rename(payload: dict[str, Any], actor: Actor) -> None:
    station = Station.objects.get(pk=payload["approval"]["object_id"])
    station.name = payload["name"]
    station.notice = f"{payload['approval']['requested_by']}+{payload['approval']['approved_by']}"
    station.save()
    if payload["name"] == "taken":
        raise NameTaken


@pytest.fixture(autouse=True)
def operation(monkeypatch: pytest.MonkeyPatch) -> Operation:
    monkeypatch.setattr(approvals, "_operations", dict(approvals._operations))
    return approvals.register(
        Operation(RENAME, "改名", "sites.change_station", execute=rename, rule=ApprovalRule.ALWAYS)
    )


def asked(name: str = "新名", **options: Any) -> tuple[Station, Approval]:
    station = factories.a_station(name="旧名")
    return station, request(
        RENAME, station, {"name": name}, ZHANG, "改一下", changes={"name": ["旧名", name]}, **options
    )


def name_of(station: Station) -> str:
    return Station.objects.values_list("name", flat=True).get(pk=station.pk)


def test_it_waits_until_a_second_person_approves(tenant: Any) -> None:
    station, approval = asked()
    assert (approval.state, name_of(station)) == (ApprovalState.PENDING, "旧名")
    done = approve(approval.pk, WANG, "好的", address="10.0.0.9")
    assert (done.state, done.decided_by_name, done.decision) == (ApprovalState.EXECUTED, "王芳", "好的")
    station.refresh_from_db()
    assert (station.name, station.notice) == ("新名", "张三+王芳")
    entries = AuditEntry.objects.filter(object_kind="sites.station", object_id=str(station.pk)).order_by("id")
    assert [(entry.action, entry.actor_name, entry.reason) for entry in entries] == [
        ("backoffice.approval_requested", "张三", "改一下"),
        ("backoffice.approval_approved", "王芳", "好的"),
    ]
    assert entries[1].changes["name"] == ["旧名", "新名"]
    assert entries[1].changes["state"] == ["pending", "executed"]
    assert entries[1].address == "10.0.0.9"
    assert entries[0].changes["digest"] == entries[1].changes["digest"] == [None, approval.digest]
    assert verify_chain() == []


def test_who_asked_does_not_decide(tenant: Any) -> None:
    station, approval = asked()
    for decide in (approve, reject):
        with pytest.raises(SamePerson):
            decide(approval.pk, ZHANG, "自己来")
    with pytest.raises(NotAPerson):
        approve(approval.pk, SYSTEM)
    with pytest.raises(NotAPerson):
        approve(approval.pk, Actor("customer", "2", "王芳"))
    approval.refresh_from_db()
    assert (approval.state, name_of(station)) == (ApprovalState.PENDING, "旧名")


def test_people_without_a_number_are_told_apart_by_name(tenant: Any) -> None:
    station = factories.a_station()
    approval = request(RENAME, station, {"name": "x"}, Actor("staff", "", "shell"), "r")
    with pytest.raises(SamePerson):
        approve(approval.pk, Actor("staff", "", "shell"))
    assert approve(approval.pk, Actor("staff", "", "other")).state == ApprovalState.EXECUTED


def test_it_is_executed_once(tenant: Any) -> None:
    station, approval = asked()
    approve(approval.pk, WANG)
    Station.objects.filter(pk=station.pk).update(name="后来")
    assert approve(approval.pk, WANG).state == ApprovalState.EXECUTED  # a double click
    with pytest.raises(AlreadyDecided):
        approve(approval.pk, LI)
    with pytest.raises(AlreadyDecided):
        reject(approval.pk, LI, "晚了")
    assert name_of(station) == "后来"


def test_a_rejected_one_is_not_executed(tenant: Any) -> None:
    station, approval = asked()
    with pytest.raises(ReasonMissing):
        reject(approval.pk, WANG, " ")
    assert reject(approval.pk, WANG, "名字不对").state == ApprovalState.REJECTED
    assert reject(approval.pk, WANG, "名字不对").state == ApprovalState.REJECTED
    with pytest.raises(AlreadyDecided):
        approve(approval.pk, WANG)
    assert name_of(station) == "旧名"


def test_only_who_asked_withdraws(tenant: Any) -> None:
    _station, approval = asked()
    with pytest.raises(NotYours):
        approvals.withdraw(approval.pk, WANG)
    assert approvals.withdraw(approval.pk, ZHANG).state == ApprovalState.WITHDRAWN
    with pytest.raises(AlreadyDecided):
        approve(approval.pk, WANG)


def test_a_changed_object_makes_it_void(tenant: Any) -> None:
    station, approval = asked()
    Station.objects.filter(pk=station.pk).update(notice="别人改过")
    with pytest.raises(ObjectChanged):
        approve(approval.pk, WANG)
    approval.refresh_from_db()
    assert (approval.state, name_of(station)) == (ApprovalState.STALE, "旧名")
    assert AuditEntry.objects.filter(action="backoffice.approval_voided").count() == 1
    again = request(RENAME, station, {"name": "新名"}, ZHANG, "再来")
    assert approve(again.pk, WANG).state == ApprovalState.EXECUTED


def test_a_vanished_object_makes_it_void(tenant: Any) -> None:
    station, approval = asked()
    station.delete()
    with pytest.raises(ObjectChanged):
        approve(approval.pk, WANG)
    approval.refresh_from_db()
    assert approval.state == ApprovalState.STALE


def test_an_altered_request_is_not_executed(tenant: Any) -> None:
    station, approval = asked()
    Approval.objects.filter(pk=approval.pk).update(payload={"name": "偷换"})
    with pytest.raises(RequestAltered):
        approve(approval.pk, WANG)
    approval.refresh_from_db()
    assert (approval.state, name_of(station)) == (ApprovalState.FAILED, "旧名")


def test_a_rule_that_says_no_leaves_nothing_behind(tenant: Any) -> None:
    station, approval = asked("taken")
    done = approve(approval.pk, WANG)
    assert (done.state, done.error, name_of(station)) == (ApprovalState.FAILED, "这个名字有人用了", "旧名")


def test_one_request_at_a_time_for_an_object(tenant: Any) -> None:
    station, approval = asked()
    with pytest.raises(AlreadyRequested) as error:
        request(RENAME, station, {"name": "又一个"}, LI, "我也要")
    assert error.value.data == {"who": "张三"}
    reject(approval.pk, WANG, "不")
    assert request(RENAME, station, {"name": "又一个"}, LI, "我也要").state == ApprovalState.PENDING


def test_it_needs_a_reason_and_must_exist(tenant: Any) -> None:
    with pytest.raises(ReasonMissing):
        request(RENAME, factories.a_station(), {"name": "x"}, ZHANG, "  ")
    with pytest.raises(ApprovalNotFound):
        approve(987654321, WANG)
    assert Approval.objects.count() == 0


def test_without_need_of_a_second_person_it_is_executed_at_once(tenant: Any) -> None:
    ApprovalPolicy.objects.create(operation=RENAME, rule=ApprovalRule.ABOVE, threshold=Decimal(10))
    station, approval = asked(amount=Decimal("10.00"))
    assert (approval.state, approval.second_person) == (ApprovalState.EXECUTED, False)
    station.refresh_from_db()
    assert (station.name, station.notice) == ("新名", "张三+")
    other, waiting = asked(amount=Decimal("-10.01"))
    assert (waiting.state, name_of(other)) == (ApprovalState.PENDING, "旧名")
    with pytest.raises(NameTaken):
        asked("taken", amount=Decimal(1))
    assert Approval.objects.count() == 2


@pytest.mark.parametrize(
    ("rule", "threshold", "amount", "needed"),
    [
        ("always", None, None, True),
        ("always", None, "0.01", True),
        ("never", None, "999999", False),
        ("never", None, None, False),
        ("above", "100", "100.00", False),
        ("above", "100", "100.01", True),
        ("above", "100", "-100.01", True),
        ("above", "0", "0.00", False),
        ("above", "100", None, True),
    ],
)
def test_when_a_second_person_is_needed(
    tenant: Any, rule: str, threshold: str | None, amount: str | None, needed: bool
) -> None:
    limit = Decimal(threshold) if threshold else None
    ApprovalPolicy.objects.create(operation=RENAME, rule=rule, threshold=limit)
    assert needs_second_person(RENAME, Decimal(amount) if amount else None) is needed


def test_a_reviewer_is_another_person_where_the_rule_says_so(tenant: Any) -> None:
    approvals.check_reviewer(RENAME, ZHANG, WANG)
    approvals.check_reviewer(RENAME, Actor("customer", "9001", "张三"), ZHANG)
    with pytest.raises(SamePerson):
        approvals.check_reviewer(RENAME, ZHANG, ZHANG)
    with pytest.raises(NotAPerson):
        approvals.check_reviewer(RENAME, ZHANG, SYSTEM)
    ApprovalPolicy.objects.create(operation=RENAME, rule=ApprovalRule.ABOVE, threshold=Decimal(5))
    approvals.check_reviewer(RENAME, ZHANG, ZHANG, Decimal(5))
    with pytest.raises(SamePerson):
        approvals.check_reviewer(RENAME, ZHANG, ZHANG, Decimal("5.01"))


# --- The rules themselves ---------------------------------------------------------------------------------


def test_which_rule_is_looser() -> None:
    always, never = Policy(ApprovalRule.ALWAYS), Policy(ApprovalRule.NEVER)
    low, high = (Policy(ApprovalRule.ABOVE, Decimal(limit)) for limit in (0, 100))
    ladder = [always, low, high, never]
    for place, policy in enumerate(ladder):
        assert [policy.looser_than(other) for other in ladder] == [place > n for n in range(4)]


def test_a_stricter_rule_holds_at_once_and_a_looser_one_waits(tenant: Any) -> None:
    words = {"code": RENAME, "actor": ZHANG, "reason": "试试"}
    waiting = set_policy(rule=ApprovalRule.ABOVE, threshold=Decimal(50), **words)
    assert waiting is not None
    assert waiting.state == ApprovalState.PENDING
    assert approvals.policy_of(RENAME) == Policy(ApprovalRule.ALWAYS)
    with pytest.raises(SamePerson):
        approve(waiting.pk, ZHANG)
    approve(waiting.pk, WANG)
    assert approvals.policy_of(RENAME) == Policy(ApprovalRule.ABOVE, Decimal("50.00"))

    assert set_policy(rule=ApprovalRule.ABOVE, threshold=Decimal(20), **words) is None
    assert approvals.policy_of(RENAME) == Policy(ApprovalRule.ABOVE, Decimal("20.00"))
    entry = AuditEntry.objects.get(action="backoffice.approvalpolicy_changed")
    assert (entry.actor_name, entry.changes) == ("张三", {"threshold": ["50.00", "20"]})


def test_a_rule_that_was_tightened_meanwhile_voids_the_loosening(tenant: Any) -> None:
    ApprovalPolicy.objects.create(operation=RENAME, rule=ApprovalRule.ABOVE, threshold=Decimal(10))
    waiting = set_policy(code=RENAME, rule=ApprovalRule.ABOVE, threshold=Decimal(20), actor=ZHANG, reason="r")
    set_policy(code=RENAME, rule=ApprovalRule.ALWAYS, threshold=None, actor=LI, reason="r")
    with pytest.raises(ObjectChanged):
        approve(waiting.pk, WANG)  # type: ignore[union-attr]
    assert approvals.policy_of(RENAME) == Policy(ApprovalRule.ALWAYS)


def test_the_rule_about_rules_is_fixed(tenant: Any) -> None:
    with pytest.raises(PolicyFixed):
        set_policy(
            code=approvals.LOOSEN.code, rule=ApprovalRule.NEVER, threshold=None, actor=ZHANG, reason="r"
        )
    ApprovalPolicy.objects.create(operation=approvals.LOOSEN.code, rule=ApprovalRule.NEVER)
    assert needs_second_person(approvals.LOOSEN.code) is True


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [("above", None), ("always", "1"), ("never", "1"), ("above", "-1"), ("above", "NaN"), ("above", "1e12")],
)
def test_an_invalid_rule_is_refused(tenant: Any, rule: str, threshold: str | None) -> None:
    limit = None if threshold is None else Decimal(threshold)
    with pytest.raises(PolicyInvalid):
        set_policy(code=RENAME, rule=ApprovalRule(rule), threshold=limit, actor=ZHANG, reason="r")
    with pytest.raises(ReasonMissing):
        set_policy(code=RENAME, rule=ApprovalRule.NEVER, threshold=None, actor=ZHANG, reason="")
    assert ApprovalPolicy.objects.count() == 0


# --- At once ----------------------------------------------------------------------------------------------


def at_once(*calls: Any) -> list[Any]:
    """Run every call at the same moment in a thread of its own; returns results and domain errors."""
    schema = connection.schema_name
    barrier = threading.Barrier(len(calls))
    found: list[Any] = [None] * len(calls)

    def run(place: int, call: Any) -> None:
        try:
            with schema_context(schema):
                barrier.wait(timeout=20)
                found[place] = call()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            found[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_two_approvers_at_once_execute_once(committed: Any) -> None:
    station, approval = asked()
    people = [Actor("staff", str(n), f"人{n}") for n in range(9002, 9008)]
    found = at_once(*[lambda who=who: approve(approval.pk, who) for who in people])
    done = [one for one in found if isinstance(one, Approval)]
    assert len(done) == 1
    assert [type(one) for one in found if one is not done[0]] == [AlreadyDecided] * 5
    assert AuditEntry.objects.filter(action="backoffice.approval_approved").count() == 1
    station.refresh_from_db()
    assert station.notice == f"张三+{done[0].decided_by_name}"
    assert verify_chain() == []


def test_two_requests_at_once_make_one(committed: Any) -> None:
    station = factories.a_station()
    found = at_once(
        *[
            lambda who=who: request(RENAME, station, {"name": who.name}, who, "快")
            for who in (ZHANG, WANG, LI)
        ]
    )
    assert sorted(type(one).__name__ for one in found) == ["AlreadyRequested", "AlreadyRequested", "Approval"]
    assert Approval.objects.count() == 1


def test_approving_and_rejecting_at_once_ends_one_way(committed: Any) -> None:
    station, approval = asked()
    found = at_once(lambda: approve(approval.pk, WANG), lambda: reject(approval.pk, LI, "不"))
    assert sorted(type(one).__name__ for one in found) == ["AlreadyDecided", "Approval"]
    approval.refresh_from_db()
    assert name_of(station) == ("新名" if approval.state == ApprovalState.EXECUTED else "旧名")


# --- Pages ------------------------------------------------------------------------------------------------


def page_of(approval: Approval, deed: str = "") -> str:
    return f"{PAGE}{approval.pk}/{deed + '/' if deed else 'change/'}"


def test_the_page_shows_what_changes_and_offers_to_decide(tenant: Any) -> None:
    station, approval = asked()
    second = signed_in(a_user("backoffice.view_approval", "sites.change_station", display_name="二人"))
    text = second.get(page_of(approval)).content.decode()
    assert "<del>旧名</del>" in text
    assert "<ins>新名</ins>" in text
    assert f"/admin/sites/station/{station.pk}/change/" in text
    assert page_of(approval, "approve") in text
    answer = second.post(page_of(approval, "approve"), {"_form_submitted": "on", "reason": ""})
    assert answer.headers["hx-redirect"] == page_of(approval)
    approval.refresh_from_db()
    assert (approval.state, approval.decided_by_name) == (ApprovalState.EXECUTED, "二人")
    assert name_of(station) == "新名"
    assert page_of(approval, "approve") not in second.get(page_of(approval)).content.decode()


def test_nobody_decides_without_the_operations_permission(tenant: Any) -> None:
    station, approval = asked()
    reader = signed_in(a_user("backoffice.view_approval"))
    assert reader.get(page_of(approval)).status_code == 200
    for deed in ("approve", "reject"):
        assert page_of(approval, deed) not in reader.get(page_of(approval)).content.decode()
        answer = reader.post(page_of(approval, deed), {"_form_submitted": "on", "reason": "x"})
        assert answer.status_code in (403, 302), deed
    approval.refresh_from_db()
    assert (approval.state, name_of(station)) == (ApprovalState.PENDING, "旧名")


def test_not_even_a_superuser_approves_their_own_request(tenant: Any) -> None:
    user = a_user(superuser=True)
    client = signed_in(user)
    station = factories.a_station(name="旧名")
    approval = request(RENAME, station, {"name": "新名"}, Actor("staff", str(user.pk), str(user)), "r")
    assert page_of(approval, "approve") not in client.get(page_of(approval)).content.decode()
    client.post(page_of(approval, "approve"), {"_form_submitted": "on", "reason": ""})
    assert name_of(station) == "旧名"
    assert page_of(approval, "withdraw") in client.get(page_of(approval)).content.decode()
    client.post(page_of(approval, "withdraw"), {"_form_submitted": "on", "reason": ""})
    approval.refresh_from_db()
    assert approval.state == ApprovalState.WITHDRAWN


def test_the_overview_counts_what_waits_for_the_person(tenant: Any) -> None:
    asked()
    decider = signed_in(a_user("backoffice.view_approval", "sites.change_station"))
    reader = signed_in(a_user("backoffice.view_approval"))
    todo = {
        client: [
            item.count for item in client.get("/admin/").context["todo"] if item.link == f"{PAGE}?whose=mine"
        ]
        for client in (decider, reader)
    }
    assert list(todo.values()) == [[1], [0]]
    assert decider.get(f"{PAGE}?whose=mine").context["cl"].result_count == 1
    assert reader.get(f"{PAGE}?whose=mine").context["cl"].result_count == 0


def test_rules_are_set_in_a_dialog(tenant: Any) -> None:
    client = signed_in(a_user("backoffice.view_approvalpolicy", "backoffice.set_approvalpolicy"))
    assert "改名" in client.get(RULES).content.decode()
    form = {"_form_submitted": "on", "operation": RENAME, "rule": "above", "threshold": "30", "reason": "忙"}
    assert client.post(f"{RULES}set/", form).headers["hx-redirect"] == RULES
    waiting = Approval.objects.get()
    assert (waiting.operation, waiting.changes) == (
        "backoffice.loosen_policy",
        {"second person": ["always", "above"], "threshold": [None, "30"]},
    )
    for wrong in (
        {"threshold": ""},
        {"threshold": "-1"},
        {"operation": "backoffice.loosen_policy"},
        {"reason": ""},
    ):
        answer = client.post(f"{RULES}set/", {**form, **wrong})
        assert "hx-redirect" not in answer.headers, wrong
    approve(waiting.pk, WANG)
    assert approvals.policy_of(RENAME) == Policy(ApprovalRule.ABOVE, Decimal("30.00"))

    reader = signed_in(a_user("backoffice.view_approvalpolicy"))
    assert reader.post(f"{RULES}set/", form).status_code == 403
