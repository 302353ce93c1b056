"""`push_prices`, `reboot_piles`, `pile_status`: who is chosen, what is printed, exit codes."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from apps.common.management.base import BadArguments
from apps.piles.enums import CommandState, ConnectorState, PileState
from apps.piles.models import CommandBatch, ConnectorStatus, PileCommand
from apps.piles.services import set_state
from apps.tenancy.models import Tenant
from tests import factories
from tests.ykc_server.harness import CODE, OTHER_CODE, make_pile, run, running
from ykc_server.protocol.messages import RebootAck

SENDING = ("reboot_piles", "push_prices")


def call(name: str, *args: str) -> tuple[int, Any]:
    """Exit code and JSON answer."""
    out, code = StringIO(), 0
    try:
        call_command(name, "--tenant=alpha", "--json", *args, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(out.getvalue())


@pytest.mark.parametrize("name", SENDING)
def test_a_dry_run_names_the_piles_and_sends_nothing(tenant: Any, name: str) -> None:
    pile, other = factories.a_pile(), factories.a_pile()
    retired = factories.a_pile(station=pile.station)
    set_state(pile=retired, state=PileState.RETIRED)
    station = f"--station={pile.station.station_no}"
    assert call(name, station, "--dry-run") == (0, {"piles": [pile.pile_code], "dry_run": True})
    everyone = sorted([pile.pile_code, other.pile_code])
    assert call(name, "--dry-run") == (0, {"piles": everyone, "dry_run": True})
    assert CommandBatch.objects.count() == 0


@pytest.mark.parametrize("name", [*SENDING, "pile_status"])
def test_piles_that_are_not_there(tenant: Any, name: str) -> None:
    for wrong in ("--station=NONE", "--pile=99999999999999"):
        with pytest.raises(BadArguments):
            call(name, wrong)
    with pytest.raises(BadArguments):
        call_command(name, "--tenant=nobody")


def test_nothing_to_send_is_exit_code_1(tenant: Any) -> None:
    factories.a_pile(priced=False)
    code, answer = call("push_prices")
    assert (code, answer["error"]) == (1, "piles.nothing_to_send")


@pytest.mark.parametrize("name", SENDING)
def test_piles_that_do_not_answer_are_exit_code_1(
    tenant: Any, name: str, django_capture_on_commit_callbacks: Any
) -> None:
    pile = factories.a_pile()
    with django_capture_on_commit_callbacks():
        code, answer = call(name, "--wait=0", "--reason=夜间")
    assert (code, answer["piles"], answer["not_done"][0]["pile"]) == (1, 1, pile.pile_code)
    assert PileCommand.objects.get().reason == "夜间"


def test_piles_reboot_and_say_so(committed: Tenant) -> None:
    make_pile()
    make_pile(OTHER_CODE)

    async def go(code: str, result: str) -> tuple[int, Any]:
        async with running() as host:
            wire = await host.pile(code)
            asked = asyncio.create_task(
                host.query(committed.schema_name, lambda: call("reboot_piles", f"--pile={code}", "--now"))
            )
            assert (await wire.expect("reboot")).value("mode") == 1
            wire.send(RebootAck.make(pile_no=code, result=result))
            return await asked

    code, answer = run(go(CODE, "success"))
    assert (code, answer["not_done"]) == (0, [])
    assert answer["commands"] == {"total": 1, "done": 1, "failed": 0, "open": 0}
    code, answer = run(go(OTHER_CODE, "fail"))
    assert (code, answer["not_done"][0]["state"]) == (1, CommandState.REFUSED)


def test_status_counts_and_tells_trouble(tenant: Any) -> None:
    good, broken, away = factories.a_pile(guns=2), factories.a_pile(), factories.a_pile(online=False)
    code, answer = call("pile_status", f"--pile={good.pile_code}")
    assert (code, answer["online"], answer["troubled"], answer["guns"]["idle"]) == (0, 1, 0, 2)
    ConnectorStatus.objects.filter(connector__pile=broken).update(state=ConnectorState.FAULT)
    code, answer = call("pile_status", "--troubled")
    assert code == 1
    told = {row["pile"]: row["trouble"] for row in answer["rows"]}
    assert told == {broken.pile_code: "fault", away.pile_code: "offline"}
    set_state(pile=away, state=PileState.DISABLED)
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("pile_status", "--tenant=alpha", stdout=out)
    assert end.value.code == 1
    assert "2 of 3 online, 1 with trouble" in out.getvalue()
    assert f"{good.pile_code} online  01:idle 02:idle" in out.getvalue()
