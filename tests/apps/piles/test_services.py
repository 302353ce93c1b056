from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.errors import InvalidInput
from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.piles import gateway, services, signals
from apps.piles.commands import (
    COMMANDS,
    MoveLock,
    ReadRealtime,
    Reboot,
    SetBillingModel,
    SetQr,
    SetWork,
    StartCharge,
    StopCharge,
    SyncTime,
    UpdateFirmware,
    from_payload,
)
from apps.piles.enums import AlarmKind, CommandKind, CommandState, ConnectorState
from apps.piles.errors import PileCodeTaken
from apps.piles.models import Alarm, Connector, ConnectorStatus, Pile, PileCommand
from apps.piles.reports import ConnectorReport
from apps.tenancy.selectors import routes
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")
CODE = "32010600000001"


def make(code=CODE, guns=2, station=None):
    return services.create_pile(
        station=station or factories.a_station(),
        pile_code=code,
        kind="dc",
        power_kw=Decimal(120),
        gun_count=guns,
        actor=SYSTEM,
    )


def test_a_pile_comes_with_connectors_status_and_a_route():
    make()
    assert list(Connector.objects.values_list("code", flat=True)) == [f"{CODE}01", f"{CODE}02"]
    assert set(ConnectorStatus.objects.values_list("state", flat=True)) == {"offline"}
    assert routes("pile", [CODE]) == {CODE: "t_alpha"}


def test_a_code_is_registered_once():
    make()
    with pytest.raises(PileCodeTaken):
        make()
    assert Pile.objects.count() == 1


@pytest.mark.parametrize(
    ("code", "guns"), [("123", 1), ("3201060000000x", 1), ("３２０１０６０００００００１", 1), (CODE, 0)]
)
def test_codes_and_guns_that_cannot_be(code, guns):
    with pytest.raises(InvalidInput):
        make(code, guns)


def test_piles_in_bulk_are_idempotent():
    station = factories.a_station()
    create = lambda count: sum(  # noqa: E731
        services.create_piles(
            station=station,
            first_code=CODE,
            count=count,
            gun_count=2,
            kind="dc",
            power_kw=Decimal(60),
            actor=SYSTEM,
        )
    )
    assert [create(3), create(5), create(5)] == [3, 2, 0]
    assert (Pile.objects.count(), Connector.objects.count(), ConnectorStatus.objects.count()) == (5, 10, 10)


def send(pile, command):
    return gateway.send(pile=pile, command=command, actor=SYSTEM)


@pytest.mark.parametrize(
    "command",
    [
        StartCharge(transaction_no="1" * 32, connector_no="01", balance=Decimal("12.34")),
        StopCharge(connector_no="02", transaction_no="1" * 32),
        SetBillingModel(billing_model_no="0001", tariff=factories.TARIFF.to_json()),
        SyncTime(),
        ReadRealtime(connector_no="01"),
        SetWork(is_locked=True, max_power_percent=30),
        Reboot(when_idle=False),
        UpdateFirmware(server_id=7, host="10.0.0.9", port=21, path="/v5.bin", for_ac=True, power_kw=7),
        MoveLock(connector_no="01", up=False),
        SetQr(prefix="https://q.example/", with_gun_no=False),
    ],
)
def test_a_command_survives_its_row(command):
    row = send(make(), command)
    assert from_payload(row.kind, PileCommand.objects.get(pk=row.pk).payload) == command
    assert set(COMMANDS) == set(CommandKind.values)


def test_a_command_to_a_pile_that_is_not_connected_is_undelivered(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        row = send(make(), SyncTime())
    row.refresh_from_db()
    assert (row.state, row.result) == (CommandState.UNDELIVERED, {"reason": "offline"})


def test_an_answer_closes_the_newest_command_that_fits():
    pile = make()
    old, new = send(pile, StopCharge(connector_no="01")), send(pile, StopCharge(connector_no="01"))
    other = send(pile, StopCharge(connector_no="02"))
    services.command_answered(pile_code=CODE, kind=CommandKind.STOP, connector_no="01", accepted=True)
    states = dict(PileCommand.objects.values_list("pk", "state"))
    assert states == {old.pk: "pending", new.pk: "done", other.pk: "pending"}


def test_an_answer_that_nobody_awaits_changes_nothing():
    make()
    assert (
        services.command_answered(pile_code=CODE, kind=CommandKind.STOP, connector_no="01", accepted=True)
        is None
    )


def test_commands_expire_after_their_deadline():
    row = send(make(), StopCharge(connector_no="01"))
    assert services.expire_commands(at=now() + timedelta(seconds=29)) == 0
    assert services.expire_commands(at=now() + timedelta(seconds=31)) == 1
    row.refresh_from_db()
    assert row.state == CommandState.EXPIRED


def test_a_late_disconnect_does_not_end_a_newer_connection():
    pile = make()
    factories.put_online(pile)
    Pile.objects.update(connection_id="new")
    assert services.piles_offline(connection_ids={CODE: "old"}) == []
    assert services.piles_offline(connection_ids={CODE: "new"}) == [CODE]
    assert set(ConnectorStatus.objects.values_list("state", flat=True)) == {"offline"}
    assert Alarm.objects.get().kind == "pile_offline"


def test_piles_of_a_dead_gateway_go_offline():
    pile = make()
    factories.put_online(pile)
    assert services.watch_silent_piles(silent_after=timedelta(seconds=90)) == 0
    Pile.objects.update(last_seen_at=now() - timedelta(seconds=91))
    assert services.watch_silent_piles(silent_after=timedelta(seconds=90)) == 1


def report(state, bits=0):
    return ConnectorReport(
        pile_code=CODE,
        connector_no="01",
        state=state,
        transaction_no="",
        energy_kwh=Decimal(0),
        fault_bits=bits,
        reported_at=now(),
    )


def test_a_fault_raises_one_alarm_until_it_is_gone():
    make()
    for _ in range(2):
        services.connectors_changed(reports=[report(ConnectorState.FAULT, 0x0401)])
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.count, alarm.detail) == (AlarmKind.PILE_FAULT, 2, {"fault_bits": "0x0401"})
    services.connectors_changed(reports=[report(ConnectorState.IDLE)])
    alarm.refresh_from_db()
    assert alarm.closed_at is not None


def test_many_changes_are_told_together(django_capture_on_commit_callbacks, django_assert_num_queries):
    told = []
    follow = lambda report, **_: told.append((report.connector_no, report.state))  # noqa: E731
    make(guns=3)
    services.connectors_changed(
        reports=[replace(report(ConnectorState.FAULT, 1), connector_no=number) for number in ("03", "02")]
    )
    changed = [replace(report(ConnectorState.IDLE), connector_no=number) for number in ("01", "02")]
    signals.connector_changed.connect(follow)
    try:
        with (
            django_capture_on_commit_callbacks(execute=True),
            django_assert_num_queries(3),
        ):  # two of them savepoints
            services.connectors_changed(reports=changed)
    finally:
        signals.connector_changed.disconnect(follow)
    assert told == [("01", ConnectorState.IDLE), ("02", ConnectorState.IDLE)]
    still_open = Alarm.objects.filter(closed_at=None).values_list("connector_no", flat=True)
    assert list(still_open) == ["03"]


def test_piles_are_seen_together(django_assert_num_queries):
    piles, other, at = [make(CODE), make("32010600000002")], make("32010600000003"), now()
    with django_assert_num_queries(3):  # two of them savepoints
        services.piles_seen([pile.pk for pile in piles], at=at)
    assert set(Pile.objects.filter(last_seen_at=at)) == set(piles)
    other.refresh_from_db()
    assert other.last_seen_at is None
