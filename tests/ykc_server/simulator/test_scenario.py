"""Scenarios over real sockets: every fault happens, and every record is confirmed in the end."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.ykc_server.simulator.wire import PILE_NO, platform, start, until
from ykc_server.protocol.messages import Login, TransactionRecord
from ykc_server.simulator import Fleet, Habits, SimulatedPile
from ykc_server.simulator.scenario import KINDS, BadScenario, Fault, Run, Scenario, load

ALL_FAULTS = Path(__file__).parents[3] / "scenarios" / "all-faults.toml"


def play(*faults, seconds=3.0, charge=False):
    """Run a scenario over one pile; returns the summary, and what the platform heard as (connection, message)."""

    async def scenario():
        pile = SimulatedPile(PILE_NO, habits=Habits(timedelta(0)), time_scale=60)
        async with platform() as (port, log):
            run = Run(
                Scenario(seconds=seconds, settle_s=25, interval_s=1, faults=faults),
                fleet := Fleet([pile], "127.0.0.1", port),
                lines.append,
            )
            task = asyncio.create_task(run.run())
            if charge:
                await until(lambda: pile.billing and fleet.online)
                log[0][0].send(start())
            return await task, log

    lines = []
    summary, log = asyncio.run(scenario())
    assert any("online=1" in line for line in lines)
    return summary, log


def records(log):
    return [message for _, message in log if isinstance(message, TransactionRecord)]


def test_the_ready_scenario_has_every_fault_and_profiles_of_all_versions():
    scenario = load(ALL_FAULTS)
    assert {fault.kind for fault in scenario.faults} == set(KINDS)
    assert {"dc_v15", "v17", "five_prices"} <= set(scenario.profiles)
    assert scenario.seconds == 90


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seconds = ", "Invalid value"),
        ("colour = 1", "no setting 'colour'"),
        ("[profiles]\nnone = 1", "no profile 'none'"),
        ("[[fault]]\nkind = 'fire'\nevery_s = 1", "no fault 'fire'"),
        ("[[fault]]\nkind = 'bad_crc'", "fault 1 needs either every_s or at_s"),
        ("[[fault]]\nkind = 'bad_crc'\nevery_s = 1\nat_s = [2]", "fault 1 needs either"),
        ("[[fault]]\nevery_s = 1", "missing 1 required positional argument: 'kind'"),
        ("[[fault]]\nkind = 'bad_crc'\nevery_s = 1\nodds = 2", "fault 1: no setting 'odds'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(BadScenario, match=reason):
        load(path)


def test_a_charge_is_sent_and_confirmed_and_the_piles_are_counted():
    summary, log = play(charge=True)
    assert (summary["records_sent"], summary["records_confirmed"], summary["records_waiting"]) == (1, 1, 0)
    assert summary["transactions"] == ["1".zfill(32)]
    assert (summary["piles"], summary["starts"], summary["charging"]) == (1, 1, 0)
    assert summary["faults"] == {}
    assert len(records(log)) == 1


def test_bad_checksums_rubbish_and_torn_and_glued_frames_hide_nothing():
    kinds = ("bad_crc", "rubbish", "torn_segments", "glued_frames")
    summary, log = play(*(Fault(kind, at_s=(1.0,), seconds=2) for kind in kinds), charge=True)
    assert summary["faults"] == dict.fromkeys(kinds, 1)
    assert summary["records_confirmed"] == len(records(log)) == 1
    buffer = log[0][0].line.buffer
    assert buffer.dropped >= 16
    assert buffer.bad_crc >= 1


def test_duplicates_lost_confirmations_and_cuts_send_a_record_again_as_it_was():
    kinds = ("duplicate_record", "lost_confirmation", "cut_before_confirmation")
    summary, log = play(
        *(Fault(kind, at_s=(0.5,)) for kind in kinds),
        Fault("power_cut", at_s=(2.0, 3.0, 4.0, 5.0, 6.0, 7.0), seconds=0.1),
        seconds=9,
        charge=True,
    )
    assert summary["faults"] == {**dict.fromkeys(kinds, 1), "power_cut": 1}
    assert summary["records_sent"] == summary["records_confirmed"] == 1
    assert len(records(log)) >= 3
    assert len({message.encode(b"\0\0") for message in records(log)}) == 1


def test_a_charge_without_a_line_is_sent_after_the_return():
    summary, log = play(Fault("offline_charge", at_s=(1.0,), seconds=6), seconds=9)
    assert summary["faults"] == {"offline_charge": 1}
    [record] = records(log)
    assert record.value("start_mode") == 4
    assert record.value("transaction_no").startswith(PILE_NO + "01")
    assert [type(message) for _, message in log].count(Login) == 2


def test_a_twin_logs_in_with_the_same_code():
    _, log = play(Fault("second_login", at_s=(1.0,)))
    logins = [(line, message) for line, message in log if isinstance(message, Login)]
    assert [message.value("software_version") for _, message in logins[:2]] == ["SIM-1.0", "TWIN"]
    assert logins[0][0] is not logins[1][0]


def test_a_storm_and_a_drift_and_silence_to_starts():
    summary, log = play(
        Fault("reconnect_storm", at_s=(1.0,), seconds=0.1),
        Fault("clock_drift", every_s=0.5, until_s=2),
        Fault("unanswered_starts", at_s=(0.1,), seconds=1),
        Fault("late_record", at_s=(0.1,), seconds=1),
        Fault("bad_crc", share=0, every_s=1),
    )  # fmt: skip
    assert summary["dials"] == 2
    assert summary["faults"]["clock_drift"] >= 1
    assert "bad_crc" not in summary["faults"]


def test_a_scenario_can_be_ended_early():
    async def scenario():
        async with platform() as (port, _log):
            run = Run(Scenario(seconds=600), Fleet([SimulatedPile(PILE_NO)], "127.0.0.1", port), str)
            task = asyncio.create_task(run.run())
            await until(lambda: run.fleet.online)
            run.end_now()
            async with asyncio.timeout(10):
                return await task

    assert asyncio.run(scenario())["seconds"] < 10


def test_the_same_seed_chooses_the_same_piles():
    def chosen(seed):
        piles = [SimulatedPile(f"{number:014}") for number in range(50)]
        scenario = replace(load(ALL_FAULTS), seed=seed)
        run = Run(scenario, Fleet(piles, "127.0.0.1", 1), str)
        return [[client.pile.pile_no for client in some] for some in run._chosen]

    assert chosen(1) == chosen(1) != chosen(2)
