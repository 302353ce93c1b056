"""Handing work to the task queue from where something else has been done already, and must not fail for it."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Task
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)


def enqueue(task: Task, *args: Any, countdown: float | None = None, **kwargs: Any) -> bool:
    """Send a task, and return whether a broker took it.

    One that is away is logged, within about a second (CELERY_BROKER_TRANSPORT_OPTIONS): whoever calls has a task of the
    scheduler that finds the same work, or tells the person who asked.
    """
    try:
        task.apply_async(args, kwargs, countdown=countdown)
    except (OperationalError, OSError) as error:
        log.warning("task_not_queued", task=task.name, error=str(error))
        return False
    return True
