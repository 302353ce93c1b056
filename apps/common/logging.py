"""structlog for every process: events and facts, with secrets masked."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(r"(password|secret|token|authorization|cookie|code)$", re.IGNORECASE)
_PHONE = re.compile(r"(\+?\d{0,3}1\d{2})\d{4}(\d{4})")
_OPEN = {"pile_code", "error_code", "stop_code", "connector_code", "tenant_code"}


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide secrets by key and the middle of phone numbers."""
    for key, value in event.items():
        if key not in _OPEN and _SECRET.search(key):
            event[key] = "***"
        elif "phone" in key and isinstance(value, str):
            event[key] = _PHONE.sub(r"\1****\2", value)
    return event


def configure(options: dict[str, Any]) -> None:
    """Set up logging once per process. `options`: level, and json (one object per line) or readable lines."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        mask,
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if options["json"]
        # The default prints every local variable, secrets included, and takes a second for each refused request.
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structlog": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                    "foreign_pre_chain": shared,
                }
            },
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structlog"}},
            "root": {"handlers": ["console"], "level": options["level"]},
            "loggers": {
                "celery.app.trace": {"level": "WARNING"},  # a line per task, thousands a day
                "celery.beat": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "daphne": {"level": "WARNING"},
                "django.channels.server": {"level": "WARNING"},
                "urllib3": {"level": "WARNING"},
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
