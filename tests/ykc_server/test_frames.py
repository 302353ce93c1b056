from io import StringIO
from pathlib import Path

from django.core.management import call_command

from ykc_server.frames import SENT
from ykc_server.protocol import BY_NAME, Direction

PAGE = Path(__file__).parents[2] / "docs" / "supported-frames.md"


def test_the_page_is_what_the_code_says():
    out = StringIO()
    call_command("ykc", "frames", "--markdown", stdout=out)
    assert PAGE.read_text() == out.getvalue(), "run `make frames`"


def test_every_frame_has_one_row_that_says_what_is_done():
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| 0x")]
    assert sorted(row[1].strip("`") for row in rows) == sorted(BY_NAME)
    assert all(row[6].removesuffix(" |") for row in rows)
    down = {name for name, cls in BY_NAME.items() if cls.spec.direction is Direction.DOWN}
    assert set(SENT) == down


def test_a_list_for_the_console():
    out = StringIO()
    call_command("ykc", "frames", stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == len(BY_NAME)
    assert lines[0] == "0x01 up   login 充电桩登录认证"
