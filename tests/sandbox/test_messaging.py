"""What the sandboxes of messages think of a time that a request was signed with."""

from __future__ import annotations

import time

import pytest

from sandbox.messaging import is_late


@pytest.mark.parametrize("stamp", ["", "²", "１７", "-1", "1e9", "9" * 14, "9" * 5000, "soon"])
def test_what_is_no_time_is_late(stamp: str) -> None:
    assert is_late(stamp, 10**15)


def test_a_time_is_late_beyond_its_tolerance_before_and_after_now() -> None:
    now = int(time.time())
    assert not is_late(f"{now}", 60)
    assert not is_late(f"{now * 1000}", 60, a_second=1000)
    assert is_late(f"{now - 100}", 60)
    assert is_late(f"{now + 100}", 60)
