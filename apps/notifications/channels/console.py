"""Text messages of development and tests: one line each in a file that people and tests can read."""

from __future__ import annotations

import os
from collections.abc import Mapping

from django.conf import settings


class ConsoleSms:
    """Appends `phone code`, or `phone name=value …` for other templates, to settings.SMS_LOG. Nothing is sent."""

    def send(self, *, phone: str, template: str, params: Mapping[str, str], out_id: str = "") -> str:
        """Write one line in one call, so that the lines of several processes never mix."""
        text = params["code"] if template == "code" else " ".join(f"{k}={v}" for k, v in params.items())
        settings.SMS_LOG.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(settings.SMS_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(log, f"{phone} {text}\n".encode())
        finally:
            os.close(log)
        return ""

    def check(self) -> None:
        """There is nobody to ask."""
