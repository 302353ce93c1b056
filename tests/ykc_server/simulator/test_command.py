import asyncio
import io
import os
import signal
from decimal import Decimal

import pytest
from django.core.management import CommandError

from apps.common.ids import SYSTEM
from apps.piles.enums import PileState
from apps.piles.models import Connector, Pile
from apps.piles.services import create_pile
from tests.factories import a_station
from ykc_server.management.commands.simulate_piles import Command, registered_piles
from ykc_server.simulator import SimulatedPile

OPTIONS = {"tenant": "alpha", "count": None, "speed": 2.0, "plug_after": 3, "unplug_after": 20}


def make_piles():
    station = a_station()
    for code, kind, power_kw, protocol in [
        ("32010600000003", "ac", "7.00", "ykc"),
        ("32010600000001", "dc", "120.00", "ykc"),
        ("32010600000002", "dc", "60.00", "ocpp16"),
        ("32010600000004", "dc", "60.00", "ykc"),
        ("32010600000005", "dc", "60.00", "ykc"),
    ]:
        create_pile(
            station=station,
            pile_code=code,
            kind=kind,
            power_kw=Decimal(power_kw),
            gun_count=2,
            actor=SYSTEM,
            protocol=protocol,
        )
    Pile.objects.filter(pile_code="32010600000004").update(state=PileState.RETIRED)
    Connector.objects.filter(code="3201060000000102").update(power_kw=Decimal("60.50"))


def test_registered_piles_become_simulated_ones(tenant):
    make_piles()
    first, second, third = registered_piles(OPTIONS)
    assert [pile.pile_no for pile in (first, second, third)] == [
        "32010600000001",
        "32010600000003",
        "32010600000005",
    ]
    assert {number: gun.power_w for number, gun in first.guns.items()} == {"01": 120_000, "02": 60_500}
    assert [(pile.is_ac, pile.time_scale) for pile in (first, second)] == [(False, 2.0), (True, 2.0)]
    assert [pile.pile_no for pile in registered_piles(OPTIONS | {"count": 1})] == ["32010600000001"]


def test_what_cannot_be_simulated_is_said(tenant):
    with pytest.raises(CommandError, match=r"^no tenant 'nobody'$"):
        registered_piles(OPTIONS | {"tenant": "nobody"})
    with pytest.raises(CommandError, match=r"^tenant 'alpha' has no YKC piles"):
        registered_piles(OPTIONS)


def test_the_command_ends_at_a_signal():
    out = io.StringIO()
    options = {"host": "127.0.0.1", "port": 1, "state": None}

    async def scenario():
        work = asyncio.create_task(Command(stdout=out).run([SimulatedPile("32010600000001")], options))
        async with asyncio.timeout(30):
            while not out.getvalue():  # noqa: ASYNC110 -- the command tells nobody but its output
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await work

    asyncio.run(scenario())
    assert out.getvalue() == "0 of 1 piles online\n"
