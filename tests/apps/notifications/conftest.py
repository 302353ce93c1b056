"""The sandboxes of those who carry messages, and a mail server, each on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.messaging import CARRIERS, Carrier
from sandbox.provider import Server
from sandbox.smtp import MailServer


@pytest.fixture(scope="session")
def carriers() -> Iterator[tuple[dict[str, Any], str]]:
    """Every carrier by its name, and where they are served."""
    made: dict[str, Carrier] = {name: carrier() for name, carrier in CARRIERS.items()}
    with Server({f"/{name}": carrier for name, carrier in made.items()}) as server:
        yield made, server.url


@pytest.fixture
def world(carriers: tuple[dict[str, Any], str], settings: Any, tmp_path: Any) -> Iterator[dict[str, Any]]:
    """The carriers, with settings that lead to them."""
    made, url = carriers
    settings.SMS_ALIYUN_URL = f"{url}/aliyun-sms/"
    settings.SMS_TENCENT_URL = f"{url}/tencent-sms/"
    settings.ROBOT_HOSTS = [url.removeprefix("http://")]
    settings.OUTGOING_PRIVATE_HOSTS = ["127.0.0.1"]
    settings.MESSAGE_TIMEOUT_S = (5.0, 20.0)
    settings.SMS_LOG = tmp_path / "sms.log"
    yield {**made, "url": url}
    for carrier in made.values():
        carrier.control("POST reset", {})


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer(accounts={"post@alpha.test": "geheim"}) as server:
        yield server
