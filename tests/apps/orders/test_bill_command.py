"""`manage.py bill` as anybody runs it: a process of its own, with no database to be had."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

from tests import oracle
from tests.apps.orders.sessions import random_session

ROOT = Path(__file__).parents[3]


# Servers that nobody listens at: the command would fail if it asked for one.
NO_SERVERS = {
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "only to let the settings load",
}


def run_bill(source: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "bill", source],
        cwd=ROOT,
        env=os.environ | NO_SERVERS,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_one_bill_per_line_without_a_database():
    rng = Random(20260303)
    sessions = [random_session(rng) for _ in range(200)]
    result = run_bill("-", "\n".join(json.dumps(session) for session in sessions).encode())
    assert (result.returncode, result.stderr) == (0, b"")
    bills = [json.loads(line) for line in result.stdout.splitlines()]
    for bill in bills:
        assert bill.pop("explanation")
    assert bills == [oracle.bill(session) for session in sessions]


def test_bad_lines_answer_in_their_place_and_the_exit_code_is_1(tmp_path):
    good = json.dumps(random_session(Random(1))).encode()
    lines = [b"{", good, b"", b"[1]", b"\xff\xfe\x00", b"[" * 100_000, good]
    tmp_path.joinpath("sessions.jsonl").write_bytes(b"\n".join(lines))
    result = run_bill(str(tmp_path / "sessions.jsonl"))
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert [list(answer) == ["error"] for answer in answers] == [True, False, True, True, True, False]
    assert answers[2] == {"error": "session is not an object"}
    assert answers[1] == answers[5]
