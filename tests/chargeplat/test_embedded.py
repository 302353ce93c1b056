"""The embedded servers: who owns them, what survives, what does not."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chargeplat import embedded
from chargeplat.embedded import POSTGRES, VALKEY, ProcessMark, Services, wait_until

ROOT = Path(__file__).resolve().parents[2]
# Starts the servers, writes a row, says so, and waits to be killed.
OWNER = """
import sys, time, psycopg
from pathlib import Path
from chargeplat import embedded
services = embedded.Services(Path(sys.argv[1]))
services.start()
services.ensure_database()
with psycopg.connect(**services.dsn(), autocommit=True) as connection:
    connection.execute("create table if not exists kept (n int)")
    connection.execute("insert into kept values (1)")
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory of its own, near the other test servers'."""
    place = embedded.ensure_state_dir(embedded.state_dir() / "own")
    yield place
    for mark in marks(Services(place)):
        mark.end(signal.SIGKILL, 5)
    Services(place).remove()


def marks(services: Services) -> list[ProcessMark]:
    return [mark for name in (POSTGRES, VALKEY) if (mark := services._mark(name, "server"))]


def owner(state: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_they_die_with_a_killed_owner_and_what_was_committed_stays(state: Path) -> None:
    services = Services(state)
    with owner(state) as process:
        left = marks(services)
        assert [mark.alive for mark in left] == [True, True]
        process.kill()
    assert wait_until(lambda: not any(mark.alive for mark in left), 20)
    services.start()
    try:
        with psycopg.connect(**services.dsn()) as connection:
            assert connection.execute("select n from kept").fetchall() == [(1,)]
            assert connection.execute("show fsync").fetchone() == ("on",)
            assert connection.execute("show synchronous_commit").fetchone() == ("on",)
    finally:
        services.stop()
    assert services._records() == {}


def test_a_living_owners_servers_are_shared_and_left_alone(state: Path) -> None:
    with owner(state) as process:
        before = marks(Services(state))
        guest = Services(state)
        guest.start()
        assert guest.owned == {}
        guest.stop()
        assert [mark.alive for mark in before] == [True, True]
        process.terminate()


def test_a_server_killed_with_9_keeps_what_was_committed(state: Path) -> None:
    services = Services(state)
    services.start(POSTGRES)
    try:
        services.ensure_database()
        with psycopg.connect(**services.dsn(), autocommit=True) as connection:
            connection.execute("create table kept (n int)")
            connection.execute("insert into kept select generate_series(1, 100)")
        os.kill(services.owned[POSTGRES].pid, signal.SIGKILL)
        assert wait_until(lambda: services.dead() == [POSTGRES], 10)
        services.start(POSTGRES)
        with psycopg.connect(**services.dsn()) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (100,)
    finally:
        services.stop()


def test_nobody_else_may_enter_and_no_port_is_open(state: Path) -> None:
    services = Services(state)
    services.start(fast=True)
    try:
        assert stat.S_IMODE(services.socket_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(services.data_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(services.valkey_socket.stat().st_mode) == 0o700
        with psycopg.connect(**services.dsn("postgres")) as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("",)
    finally:
        services.stop()


def test_a_long_path_moves_the_sockets_and_a_deleted_state_begins_afresh(state: Path) -> None:
    long = state / ("long-" * 20)
    services = Services(long)
    assert services.dir.parent == Path("/var/tmp")
    try:
        services.start(POSTGRES, fast=True)
        assert services.ensure_database() is True
        assert services.ensure_database() is False
        services.stop()
        (long / "services.token").unlink()
        again = Services(long)
        again.start(POSTGRES, fast=True)
        assert again.ensure_database() is True
        again.stop()
    finally:
        services.remove()


def test_a_foreign_directory_in_the_place_of_ours_is_refused(state: Path, tmp_path: Path) -> None:
    long = state / ("evil-" * 20)
    services = Services(long)
    services.dir.symlink_to(tmp_path)
    try:
        with pytest.raises(embedded.EmbeddedError, match="is not ours"):
            services.start(VALKEY)
        assert list(tmp_path.iterdir()) == []
    finally:
        services.dir.unlink()


def test_the_development_secret_is_made_once(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEPLAT_STATE", str(state))
    first = embedded.development_secret()
    assert len(first) == 64
    assert embedded.development_secret() == first
    assert stat.S_IMODE((state / "secret_key").stat().st_mode) == 0o600


def test_urls_name_the_socket_and_the_logical_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEPLAT_STATE", "/tmp/cp")
    embedded._service_dir.cache_clear()
    assert embedded.redis_url(2) == "unix:///tmp/cp/valkey.sock?db=2"
    assert embedded.kombu_url(1) == "redis+socket:///tmp/cp/valkey.sock?virtual_host=1"
    assert embedded.database() == {
        "NAME": "chargeplat",
        "USER": "chargeplat",
        "PASSWORD": "",
        "HOST": "/tmp/cp/pg",
        "PORT": "5432",
    }
