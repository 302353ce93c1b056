"""Pages over five million entries (or orders) against the same pages over few, opened in turns.

python -m ykc_server.bench.money.pages WHAT ROUNDS [SHARE] prints one JSON object: page → [[ms of many, ms of few], …].
WHAT is `books`, or `office` for the pages over five million orders, or `near` for stations near a point.
Runs in a process of its own, because settings are read once: its state directory is that of the grown books.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from django.core.management import call_command

from chargeplat import embedded

OPENED = 15
WARM_UP = 3


def measure(
    what: str, say: Callable[[str], object], *, rounds: int, share: float
) -> dict[str, list[list[float]]]:
    """Open every page of both tenants `rounds` times `OPENED`; return the medians of each round, milliseconds.

    With a `share` of the rows (< 1) each is opened once, to try it out.
    """
    from ykc_server.bench.driver import near
    from ykc_server.bench.money import journal
    from ykc_server.bench.office import grow
    from ykc_server.bench.office.pages import OfficeVisits

    visits: dict[str, Visits]
    if what == "near":
        call_command("migrate_tenants", verbosity=0)
        return near.measure(say, rounds=rounds, share=share)
    if what == "office":
        call_command("migrate_tenants", verbosity=0)
        grow.prepare(say, share=share)
        many_code, few_code = grow.LARGE, grow.SMALL
        visits = {code: OfficeVisits(code) for code in (many_code, few_code)}
    else:
        journal.prepare(say, share=share)
        many_code, few_code = journal.MANY, journal.FEW
        visits = {code: BookVisits(code) for code in (many_code, few_code)}
    warm_up, opened = (WARM_UP, OPENED) if share >= 1 else (1, 1)
    figures: dict[str, list[list[float]]] = {}
    for name in visits[many_code].paths:
        for visit in visits.values():
            for _ in range(warm_up):
                visit.open(name)
        for _turn in range(rounds):
            taken: dict[str, list[float]] = {code: [] for code in visits}
            for _ in range(opened):
                for code, visit in visits.items():
                    taken[code].append(visit.open(name))
            figures.setdefault(name, []).append(
                [statistics.median(values) * 1e3 for values in taken.values()]
            )
        many, few = figures[name][-1]
        say(f"{name}: {many:.1f} ms with many, {few:.1f} ms with few")
    return figures


class Visits:
    """A member of staff of one tenant who opens pages, name → path."""

    client: Any
    paths: dict[str, str]

    def sign_in(self) -> None:
        """Sign in somebody with all rights in the entered tenant, with a second factor that lasts the whole day."""
        from apps.accounts.models import User
        from apps.accounts.signing import SECOND_AT

        user = User.objects.filter(username="bench").first()
        self.client.force_login(user or User.objects.create_superuser("bench", password=None))
        session = self.client.session
        session[SECOND_AT] = int(time.time()) + 86_400
        session.save()

    def headers(self, path: str) -> dict[str, str]:
        """What is sent besides."""
        return {}

    def open(self, name: str) -> float:
        """Open a page; return the seconds it took. Raises AssertionError when it is not shown."""
        path = self.paths[name]
        headers = self.headers(path)
        began = time.perf_counter()
        answer = self.client.get(path, headers=headers)
        taken = time.perf_counter() - began
        assert answer.status_code == 200, (name, answer.status_code)
        return taken


class BookVisits(Visits):
    """The pages of the books, and a driver's statement."""

    def __init__(self, code: str) -> None:
        from django.test import Client

        from apps.common.schema import schema_context
        from apps.miniapp.authentication import token_for
        from apps.tenancy.models import Tenant
        from apps.wallet.models import JournalEntry, Wallet
        from ykc_server.bench.money.journal import host_of

        self.client = Client(headers={"host": host_of(code)})
        with schema_context(Tenant.objects.get(code=code).schema_name):
            self.sign_in()
            wallet = Wallet.objects.select_related("customer").order_by("-pk").first()
            assert wallet is not None
            entries = JournalEntry.objects.order_by("business_day", "id")
            middle = entries.filter(business_day__gte=self._middle(entries)).first()
            own = entries.filter(wallet=wallet, business_day__gte=middle.business_day).first()
            assert own is not None
            token = token_for(wallet.customer)
        deep, own_deep = (f"{row.business_day}~{row.pk}" for row in (middle, own))
        journal, statement = "/admin/wallet/journalentry/", f"/admin/wallet/wallet/{wallet.pk}/statement/"
        day = middle.business_day
        self.driver = {"authorization": f"Bearer {token}"}
        self.paths = {
            "journal": journal,
            "journal, far back": f"{journal}?older={deep}",
            "journal of a day": f"{journal}?business_day_from={day}&business_day_to={day}",
            "journal of a kind": f"{journal}?kind__exact=recharge",
            "journal of a customer": f"{journal}?q={wallet.customer.nickname}",
            "journal of an account": f"{journal}?account=channel_clearing",
            "statement": statement,
            "statement, far back": f"{statement}?before={own_deep}",
            "statement in the mini-program": "/api/v1/wallet/statement",
        }

    @staticmethod
    def _middle(entries: Any) -> Any:
        first, last = entries.first(), entries.last()
        return first.business_day + (last.business_day - first.business_day) / 2

    def headers(self, path: str) -> dict[str, str]:
        """The driver signs in to the mini-program."""
        return self.driver if path.startswith("/api/") else {}


def in_own_process(
    say: Callable[[str], object], *, rounds: int, share: float, what: str = "books"
) -> dict[str, list[list[float]]]:
    """Measure in a process whose state directory is that of the grown books."""
    from ykc_server.management.commands.bench_data import STATE

    state = embedded.state_dir().with_name(STATE)
    environment = {
        **os.environ,
        "CHARGEPLAT_STATE": str(state),
        "DJANGO_SETTINGS_MODULE": "chargeplat.settings",
    }
    command = [sys.executable, "-m", __name__, what, str(rounds), str(share)]
    with subprocess.Popen(
        command, env=environment, cwd=embedded.BASE_DIR, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            if last:
                say(last)
            last = line.strip()
    if process.returncode:
        raise RuntimeError(f"pages were not measured: {last}")
    found: dict[str, list[list[float]]] = json.loads(last)
    return found


def main() -> None:
    """Start the servers of the grown books, measure, stop them."""
    import django

    services = embedded.services()
    services.start()
    try:
        services.ensure_database()
        django.setup()

        def say(text: str) -> None:
            print(text, flush=True)  # noqa: T201 - read by the process that started this one

        what, rounds = sys.argv[1], int(sys.argv[2])
        share = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
        say(json.dumps(measure(what, say, rounds=rounds, share=share)))
    finally:
        services.stop(patience_s=60)


if __name__ == "__main__":
    main()
