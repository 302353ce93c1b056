"""What all journeys share: one browser, and the address of the demo tenant on the running system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.live.system import LiveSystem


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    with chromium() as started:
        yield started


@pytest.fixture
def base(live_system: LiveSystem) -> str:
    """The demo tenant's address."""
    return f"http://demo.localhost:{live_system.site.port}"
