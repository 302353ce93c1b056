"""The mini-program's pages for browsers, built once for all tests that look at them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "miniprogram"


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of pages for browsers, built if need be; two runs in one tree wait for each other.

    It is the folder that a running system of this tree serves under /h5/. Needs node; without it the test is skipped,
    in CI it fails.
    """
    if not shutil.which("npm"):
        if os.environ.get("CI"):
            pytest.fail("CI has no node: the mini-program was not built")
        pytest.skip("needs node")
    done = subprocess.run(
        [sys.executable, "-m", "chargeplat.miniprogram"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return SOURCE / "dist" / "h5"
