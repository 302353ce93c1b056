"""Work that is handed over: a broker that is away stops nobody."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from apps.common.queue import enqueue
from apps.notifications import services, tasks
from apps.notifications.enums import Medium, MessageState
from apps.notifications.models import Message
from tests import broker


def test_a_broker_that_is_away_is_told_and_not_raised(tenant: Any) -> None:
    with broker.dead():
        assert enqueue(tasks.deliver_due) is False
    with broker.in_memory() as queue:
        assert enqueue(tasks.deliver_due) is True
        assert [one["task"] for one in queue.messages()] == ["notifications.deliver_due"]


def test_a_message_is_kept_for_the_scheduler(tenant: Any, django_capture_on_commit_callbacks: Any) -> None:
    with broker.dead(), django_capture_on_commit_callbacks(execute=True):
        services.post(medium=Medium.MAIL, to="boss@alpha.test", subject="s", text="t")
    assert Message.objects.get().state == MessageState.WAITING


def test_few_tries_are_made() -> None:
    """Kombu's own would be tries for six seconds, in a request or with a pile waiting."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    pauses = [
        options["interval_start"] + options["interval_step"] * number
        for number in range(options["max_retries"])
    ]
    assert sum(min(pause, options["interval_max"]) for pause in pauses) <= 1
    assert options["socket_connect_timeout"] <= 1
