"""The mini-program: its own tests, its types against the API, and what is built for browsers, WeChat and Alipay."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.miniprogram.pages import ROOT, SOURCE

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("miniprogram")]
LARGEST_FIRST_PAGE = 400_000


def npm(*arguments: str) -> str:
    """Run a script of the mini-program; returns what it said."""
    done = subprocess.run(
        ["npm", "run", "-s", *arguments], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pages_for_browsers_are_small_and_load_nothing_from_elsewhere(built: Path) -> None:
    """What index.html names is what the first page loads; the chunks of other pages come when they are opened."""
    entry = (built / "index.html").read_text()
    named = re.findall(r'(?:src|href)="\./([^"]+)"', entry)
    assert len(named) >= 3
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', entry)
    first = sum((built / f"{name}.gz").stat().st_size for name in named)
    home = list((built / "assets").glob("pages-index-index*.gz"))
    assert home
    assert first + sum(path.stat().st_size for path in home) < LARGEST_FIRST_PAGE
    for path in built.rglob("*.gz"):
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()


def test_nothing_is_built_again_when_nothing_changed(built: Path) -> None:
    before = (built / "index.html").stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "chargeplat.miniprogram"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "up to date" in done.stdout
    assert (built / "index.html").stat().st_mtime_ns == before


def test_without_node_it_says_so(built: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chargeplat.miniprogram"],
        cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.startswith("- no node here: /h5/ has no pages until there is node")


def test_the_lock_names_no_registry(built: Path) -> None:
    assert '"resolved"' not in (SOURCE / "package-lock.json").read_text()


def test_the_types_fit_the_api(built: Path) -> None:
    npm("type-check")


def test_its_own_tests(built: Path) -> None:
    assert re.search(r"Tests\s+\d+ passed \(\d+\)", re.sub(r"\x1b\[[0-9;]*m", "", npm("test")))


def test_the_folders_for_wechat_and_alipay_load(built: Path) -> None:
    npm("build:mp-weixin")
    npm("build:mp-alipay")
    assert re.search(r"^1\d\d passed, 0 failed$|^[2-9]\d\d passed, 0 failed$", npm("smoke"), re.MULTILINE)
