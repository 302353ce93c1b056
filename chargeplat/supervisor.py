"""``make run``: the whole system on one machine, from nothing to ``chargeplat ready``.

Starts PostgreSQL and Valkey (unless DATABASE_URL and REDIS_URL name others), migrates, seeds a small demo business,
then keeps the processes of a real deployment running: web, gateway, worker, beat, and a simulated fleet with its
drivers, who top up through sandboxes of the payment providers. The rest of the demo's 30 days is filled in the
background. Ctrl-C or SIGTERM stops everything within five seconds.

A child that ends is started again, with a growing pause. Children die with the supervisor, also when it is killed
with -9; should one survive, the next start finds it in ``children.json`` and ends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import environ

from chargeplat import embedded, miniprogram
from chargeplat.embedded import BASE_DIR, EmbeddedError, ProcessMark, socket_accepts, tail, wait_until

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 2.5  # then SIGKILL; with the servers' own stop it stays below five seconds
SERVERS_STOP_TIMEOUT_S = 1.5  # then PostgreSQL recovers at the next start, and loses nothing
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # a child that ran this long begins again with the shortest pause
LOG_LIMIT_BYTES = 20_000_000
PYTHON = sys.executable
QUIET = {"LOG_LEVEL": "WARNING"}  # only progress, no log of what is seeded
MIGRATED = b"- seeding a small set\n"
BACKGROUND = ("seed", "pages")  # whose progress is told
MANAGE = [PYTHON, str(BASE_DIR / "manage.py")]


class StartError(RuntimeError):
    """The system cannot start; the message is for the person at the console."""


class Stop(BaseException):
    """Somebody asked us to stop."""


@dataclass
class Child:
    """One process of the system: how to start it, and how to see that it works."""

    name: str
    command: list[str]
    is_ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    restart: bool = True
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = 0.5
    start_again_at: float | None = None


class Supervisor:
    def __init__(self) -> None:
        self.state = embedded.ensure_state_dir()
        self.logs = self.state / "logs"
        self.port = int(os.environ.get("PORT") or 8000)
        self.ykc_port = int(os.environ.get("YKC_PORT") or 9988)
        self.sandbox_port = int(os.environ.get("SANDBOX_PORT") or 0)
        self.fleet = int(os.environ.get("FLEET") or 8)
        self.services = embedded.services()
        self.wanted_services = [
            name
            for name, variable in ((embedded.POSTGRES, "DATABASE_URL"), (embedded.VALKEY, "REDIS_URL"))
            if not os.environ.get(variable)
        ]
        self.children: list[Child] = []
        self.began = time.monotonic()

    # -- the whole life

    def run(self) -> int:
        """Start, watch until asked to stop, stop. Returns the exit code."""
        os.environ.update(PORT=str(self.port), YKC_PORT=str(self.ykc_port), PYTHONUNBUFFERED="1")
        self.logs.mkdir(mode=0o755, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._only_one())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _ask_to_stop)
            try:
                self._end_leftovers()
                self._check_ports()
                self._start_sandbox()
                ready_made = not self._start_servers() and self._is_prepared()
                # What a start costs is mostly the imports of all processes: let them overlap.
                if ready_made:
                    self._start_children(fleet=True)
                demo = self._prepare(None if ready_made else self._start_children)
                if not ready_made:
                    self._start_fleet()
                self._await_ready(self.children)
                self._print_block(demo)
                self._fill_in_background()
                self._watch()
            except Stop:
                self.say("stopping")
                return 0
            except (StartError, EmbeddedError) as error:
                self.say(f"cannot start: {error}")
                return 1
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                self._stop_all()
        return 0

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"[{time.monotonic() - self.began:5.1f} s] {text}", flush=True)

    # -- starting

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        with open(self.state / "supervisor.lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise SystemExit(
                    f"chargeplat runs already (process {lock.read().strip()}) with the state in {self.state}.\n"
                    "Stop it, or give this one a CHARGEPLAT_STATE, PORT and YKC_PORT of its own."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def _end_leftovers(self) -> None:
        for name, (pid, started) in _read_json(self.state / "children.json").items():
            mark = ProcessMark(pid, started)
            if mark.alive:
                self.say(f"ending {name} (process {pid}), left over from a killed run")
                mark.end(signal.SIGTERM, STOP_TIMEOUT_S, group=True)

    def _check_ports(self) -> None:
        wanted = [("PORT", self.port), ("YKC_PORT", self.ykc_port)]
        if self.sandbox_port:
            wanted.append(("SANDBOX_PORT", self.sandbox_port))
        for variable, port in wanted:
            # A socket of a run that has just ended may take a moment to go.
            if not wait_until(functools.partial(_is_free, port), 2):
                raise StartError(f"port {port} is in use; choose another: make run {variable}={port + 1}")

    def _start_sandbox(self) -> None:
        """The providers' sandboxes, on the port of the run before if it is free: merchant accounts name it.

        Before everything else: it needs no database, and the demo's merchant accounts need its keys.
        """
        place = self.state / "sandbox"
        place.mkdir(mode=0o700, exist_ok=True)
        kept = _read_json(place / "port.json").get("port", 0)
        if not self.sandbox_port:
            self.sandbox_port = kept if kept and _is_free(kept) else _free_port()
        (place / "port.json").write_text(json.dumps({"port": self.sandbox_port}))
        url = os.environ["SANDBOX_URL"] = f"http://127.0.0.1:{self.sandbox_port}"
        for variable, address in {
            "WECHAT_OPEN_URL": f"{url}/wechat",
            "WECHAT_API_URL": f"{url}/wechat",
            "ALIPAY_AUTH_URL": f"{url}/alipay/oauth2/publicAppAuthorize.htm",
            "ALIPAY_GATEWAY_URL": f"{url}/alipay/gateway.do",
        }.items():
            os.environ.setdefault(variable, address)
        os.environ.setdefault("ROBOT_HOSTS", f"127.0.0.1:{self.sandbox_port}")
        command = [
            *MANAGE,
            "run_sandbox",
            "--port",
            str(self.sandbox_port),
            "--keys",
            str(place / "keys.json"),
        ]
        command += ["--orders", str(place / "orders"), "--merchant", "demo", "--merchant", "second"]
        ready = functools.partial(socket_accepts, ("127.0.0.1", self.sandbox_port))
        sandbox = Child("sandbox", command, ready)
        self.children.append(sandbox)
        self._start(sandbox)

    def _start_servers(self) -> bool:
        """Returns whether the database is new."""
        if self.wanted_services:
            self.services.start(*self.wanted_services)
            self.say(f"{' and '.join(self.wanted_services)} running in {self.services.dir}")
        if embedded.POSTGRES in self.wanted_services:
            return self.services.ensure_database()
        return _ensure_given_database(os.environ["DATABASE_URL"])

    def _prepare(self, when_migrated: Callable[[], None] | None) -> dict[str, str]:
        """Migrate and seed in one process of its own: Django's imports are paid once, and not by the supervisor."""
        log = self.logs / "prepare.log"
        command = [PYTHON, "-m", "chargeplat.supervisor", "prepare"]
        with subprocess.Popen(
            command, cwd=BASE_DIR, env=os.environ | QUIET, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=embedded.die_with_parent(signal.SIGKILL),
        ) as process, open(log, "wb") as file:  # fmt: skip
            assert process.stdout
            try:
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    if line.startswith(b"- "):
                        self.say(line[2:].decode(errors="replace").rstrip())
                    if line == MIGRATED and when_migrated:
                        when_migrated()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise StartError(f"preparing the database failed, see {log}\n{tail(log)}")
        (self.state / "prepared").write_text(_migrations_digest())
        found: dict[str, str] = _read_json(self.state / "demo.json")
        return found

    def _is_prepared(self) -> bool:
        """Whether the embedded database is as this code wants it, so that processes may start before we look."""
        marker = self.state / "prepared"
        return (
            embedded.POSTGRES in self.wanted_services
            and marker.exists()
            and marker.read_text() == _migrations_digest()
        )

    def _start_children(self, *, fleet: bool = False) -> None:
        host = os.environ.get("HOST") or "127.0.0.1"
        celery = [PYTHON, "-m", "celery", "-A", "chargeplat"]
        schedule = str(self.state / "beat-schedule")
        started = [
            Child(
                "web",
                [PYTHON, "-m", "daphne", "-b", host, "-p", str(self.port), "chargeplat.asgi:application"],
                lambda: _http_answers(self.port),
                {"DB_POOL": "true"},
            ),
            Child(
                "gateway", [*MANAGE, "run_ykc_server"], lambda: socket_accepts(("127.0.0.1", self.ykc_port))
            ),
            Child(
                "worker",
                [
                    *celery,
                    "worker",
                    "-Q",
                    "money,push,default,exports",
                    "-c",
                    "2",
                    "-l",
                    "INFO",
                    "--without-mingle",
                    "--without-gossip",
                ],
                lambda: self._log_says("worker", r" ready\."),
            ),
            Child(
                "beat",
                [*celery, "beat", "-s", schedule, "-l", "INFO"],
                lambda: self._log_says("beat", r"(?i)beat.*starting"),
            ),
        ]
        self.children += started
        for child in started:
            self._start(child)
        if fleet:
            self._start_fleet()

    def _start_fleet(self) -> None:
        if self.fleet:
            command = [*MANAGE, "simulate_piles", "--tenant", "demo", "--count", str(self.fleet)]
            command += ["--port", str(self.ykc_port), "--state", str(self.state / "fleet.json")]
            fleet = Child("fleet", command, lambda: self._log_says("fleet", r"\b(\d+) of \1 piles online"))
            # Not at a pile that somebody dials in by hand: it stays free for them.
            command = [*MANAGE, "simulate_drivers", "--tenant", "demo", "--count", str(self.fleet)]
            drivers = Child("drivers", command, lambda: self._log_says("drivers", "on their way"))
            self.children += [fleet, drivers]
            self._start(fleet)
            self._start(drivers)

    def _start(self, child: Child) -> None:
        log = self.logs / f"{child.name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with open(log, "ab") as file:
            file.write(f"--- {time.strftime('%F %T')} {' '.join(child.command)}\n".encode())
            file.flush()
            child.process = subprocess.Popen(
                child.command, cwd=BASE_DIR, env=os.environ | child.environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, start_new_session=True, preexec_fn=embedded.die_with_parent(signal.SIGTERM),
            )  # fmt: skip
        child.started_at, child.start_again_at = time.monotonic(), None
        self._note_children()

    def _note_children(self) -> None:
        marks = {}
        for child in self.children:
            if child.process and child.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    mark = ProcessMark.of(child.process.pid)
                    marks[child.name] = [mark.pid, mark.started]
        new = self.state / "children.json.new"
        new.write_text(json.dumps(marks))
        new.replace(self.state / "children.json")

    def _await_ready(self, children: list[Child]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        waiting = list(children)
        while waiting:
            for child in list(waiting):
                assert child.process
                if child.process.poll() is not None:
                    log = self.logs / f"{child.name}.log"
                    raise StartError(
                        f"{child.name} ended with code {child.process.returncode}, see {log}\n{tail(log)}"
                    )
                if child.is_ready():
                    self.say(f"{child.name} ready (process {child.process.pid})")
                    waiting.remove(child)
            if waiting and time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                raise StartError(f"not ready after {READY_TIMEOUT_S} s: {names}; see {self.logs}")
            time.sleep(0.1)

    def _log_says(self, name: str, pattern: str) -> bool:
        """Whether the child wrote it since its last start."""
        log = (self.logs / f"{name}.log").read_text(errors="replace")
        return bool(re.search(pattern, log.rpartition("\n--- ")[2]))

    def _print_block(self, demo: dict[str, str]) -> None:
        site = f"http://demo.localhost:{self.port}"
        rows = {
            "Back office": f"{site}/admin/",
            "Second tenant": f"http://second.localhost:{self.port}/admin/",
            "Platform": f"http://localhost:{self.port}/admin/",
            "Driver API": f"{site}/api/v1/docs/",
            "Mini-program": f"{site}/h5/ (its pages for browsers, built in the background)",
            "Piles dial in": f"127.0.0.1:{self.ykc_port}",
            "Pay top-ups": f"{os.environ['SANDBOX_URL']}/ (instead of WeChat and Alipay on the phone)",
            "Sandbox API": f"{os.environ['SANDBOX_URL']}/wechatpay/_sandbox/state, /alipay/…, /dingtalk/…",
            **demo,
            "SMS codes": f"{self.state / 'sms.log'}",
            "Mails": f"{self.state / 'mail'}",
            "Logs": f"{self.logs}",
        }
        width = max(len(key) for key in rows)
        lines = ["", *(f"  {key:<{width}}  {value}" for key, value in rows.items()), "", "chargeplat ready"]
        print("\n".join(lines), flush=True)

    # -- running

    def _fill_in_background(self) -> None:
        days = os.environ.get("DEMO_DAYS") or "30"
        command = ["nice", "-n", "10", *MANAGE, "seed_demo", "--days", days, "--close"]
        seed = Child("seed", command, lambda: True, QUIET, restart=False)
        command = ["nice", "-n", "15", PYTHON, "-m", "chargeplat.miniprogram"]
        pages = Child("pages", command, lambda: True, restart=False)
        self.children.append(seed)
        self._start(seed)
        if os.environ.get("BUILD_PAGES") != "0":
            self.children.append(pages)
            self._start(pages)

    def _watch(self) -> None:
        told: dict[str, str] = {}
        while True:
            time.sleep(0.2)
            for name in self.services.dead():
                self.say(f"{name} ended by itself; starting it again")
                self.services.start(name)
            for child in list(self.children):
                self._look_after(child)
            for name in BACKGROUND:
                line = tail(self.logs / f"{name}.log", 1)
                if line.startswith("- ") and line != told.get(name):
                    told[name] = line
                    self.say(line[2:])

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.start_again_at is not None:
            if now >= child.start_again_at:
                self._start(child)
            return
        assert child.process
        code = child.process.poll()
        if code is None:
            return
        # What it left behind (a worker's pool) goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        if not child.restart:
            self.children.remove(child)
            if code and code != miniprogram.NO_NODE:
                log = self.logs / f"{child.name}.log"
                self.say(f"{child.name} ended with code {code}, see {log}\n{tail(log)}")
            return
        if now - child.started_at > STEADY_S:
            child.pause_s = 0.5
        self.say(f"{child.name} ended with code {code}; starting it again in {child.pause_s:g} s")
        child.start_again_at = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    # -- stopping

    def _stop_all(self) -> None:
        running = [child.process for child in self.children if child.process]
        for process in running:
            process.terminate()  # not its group: a worker lets its pool finish what it is at
        wait_until(lambda: all(process.poll() is not None for process in running), STOP_TIMEOUT_S)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.children = []
        self._note_children()
        if self.services.owned:
            self.services.stop(SERVERS_STOP_TIMEOUT_S)
        self.say("stopped")


def _ask_to_stop(number: int, frame: FrameType | None) -> None:
    raise Stop


def _migrations_digest() -> str:
    digest = hashlib.sha256((BASE_DIR / "requirements.txt").read_bytes())
    for path in sorted(BASE_DIR.glob("apps/*/migrations/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _is_free(port: int) -> bool:
    return not socket_accepts(("127.0.0.1", port))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _http_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _ensure_given_database(url: str) -> bool:
    """Create the database that DATABASE_URL names when its server does not have it; True when this call made it."""
    import psycopg
    from psycopg import sql

    config = environ.Env.db_url_config(url)
    server = {
        "host": config["HOST"],
        "port": config["PORT"],
        "user": config["USER"],
        "password": config["PASSWORD"],
    }
    try:
        with psycopg.connect(**server, dbname="postgres", autocommit=True, connect_timeout=10) as connection:
            found = connection.execute(
                "select 1 from pg_database where datname = %s", [config["NAME"]]
            ).fetchone()
            if not found:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(config["NAME"])))
            return not found
    except psycopg.OperationalError as error:
        raise StartError(f"the server of DATABASE_URL does not answer: {error}") from None


def prepare() -> None:
    """Migrate every schema and seed the small set; lines that begin with "- " are shown on the console."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")
    import django
    from django.core.management import call_command

    django.setup()
    print("- migrating", flush=True)
    call_command("migrate_tenants")
    print(MIGRATED.decode(), end="", flush=True)
    call_command("seed_demo", small=True)

    from apps.common.schema import schema_context
    from apps.piles.models import Connector
    from apps.tenancy.selectors import tenant_of_code

    with schema_context(tenant_of_code("demo").schema_name):
        # The fleet plays the first piles by code.
        gun = (
            Connector.objects.filter(pile__protocol="ykc")
            .order_by("code")
            .values_list("code", flat=True)
            .first()
        )
    demo = {
        "Staff": f"admin / {os.environ.get('DEMO_PASSWORD') or 'chargeplat-demo'} (second person: reviewer)",
        "Franchisee": "franchisee, the same password: sees one station",
        "Driver": "+8613800000001, or any other number",
        "Gun to try": gun or "none: make one in the back office",
    }
    (embedded.state_dir() / "demo.json").write_text(json.dumps(demo, ensure_ascii=False))


def main() -> int:
    """Entry point of ``python -m chargeplat.supervisor``; an ``.env`` file beside manage.py is read first."""
    if (BASE_DIR / ".env").is_file():
        environ.Env.read_env(str(BASE_DIR / ".env"))
    if sys.argv[1:] == ["prepare"]:
        prepare()
        return 0
    return Supervisor().run()


if __name__ == "__main__":
    sys.exit(main())
