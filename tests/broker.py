"""The broker of tasks in trouble, or one whose messages a test reads. Tasks run at once in tests otherwise."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport.memory import Channel

from chargeplat.celery import app


@contextmanager
def sending_to(url: str) -> Iterator[None]:
    """Send tasks to this broker, without trying again."""
    once = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    wanted = {
        "task_always_eager": False,
        "broker_url": url,
        "task_publish_retry": False,
        "broker_transport_options": once,
    }
    before = {name: app.conf[name] for name in wanted}
    pool, app.amqp._producer_pool = app.amqp._producer_pool, None
    app.conf.update(wanted)
    try:
        yield
    finally:
        app.conf.update(before)
        app.amqp._producer_pool = pool


@contextmanager
def dead() -> Iterator[None]:
    """A broker that nobody listens for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with sending_to(f"redis://127.0.0.1:{taken.getsockname()[1]}/0"):
            yield


class Queue:
    """A broker in memory. `messages()` are what was sent since the last call: name, arguments, seconds from now."""

    def messages(self) -> list[dict[str, Any]]:
        """Take all messages."""
        found = []
        with app.connection_for_write() as connection:
            for name in list(Channel.queues):
                queue = connection.SimpleQueue(name)
                while True:
                    try:
                        message = queue.get(block=False)
                    except queue.Empty:
                        break
                    message.ack()
                    headers = message.headers
                    found.append({"task": headers["task"], "args": message.payload[0], "eta": headers["eta"]})
        return found


@contextmanager
def in_memory() -> Iterator[Queue]:
    """A broker whose messages the test reads; nothing runs."""
    with sending_to("memory://"):
        queue = Queue()
        queue.messages()
        yield queue
