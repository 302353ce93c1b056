from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from apps.notifications import sms
from apps.notifications.channels.console import ConsoleSms


def test_console_appends_a_line_for_each_code(tenant, settings, tmp_path: Path) -> None:
    settings.SMS_LOG = tmp_path / "state" / "sms.log"
    sms.send_code(phone="+8613800000001", code="012345")
    sms.send_code(phone="+8613800000002", code="999999")
    assert settings.SMS_LOG.read_text() == "+8613800000001 012345\n+8613800000002 999999\n"
    assert settings.SMS_LOG.stat().st_mode & 0o777 == 0o600


def test_lines_of_threads_do_not_mix(settings, tmp_path: Path) -> None:
    settings.SMS_LOG = tmp_path / "sms.log"
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: ConsoleSms().send(
                    phone=f"+86138{number:08d}", template="code", params={"code": f"{number:06d}"}
                ),
                range(200),
            )
        )
    lines = settings.SMS_LOG.read_text().splitlines()
    assert sorted(lines) == [f"+86138{number:08d} {number:06d}" for number in range(200)]
