"""Processes to be killed, ready at once: a parent that has loaded Django forks one for each call.

A new Python takes three seconds until it has read the project. The parent has no threads and no connections, so what it
forks is as good as new; it works with the servers of the process that started it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from typing import Any

from chargeplat.embedded import BASE_DIR

LONGEST_S = 60


class Forks:
    """Calls `main(arguments)` of a module in a process of its own."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, module: str, *arguments: object, settings: Mapping[str, Any] | None = None
    ) -> tuple[int, str]:
        """Return the exit code (minus the signal that ended it) and what it wrote; `settings` are set in it only.

        One that takes longer than LONGEST_S ends by SIGALRM. Raises RuntimeError when the parent died.
        """
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        with tempfile.NamedTemporaryFile() as output:
            call = {
                "module": module,
                "arguments": [str(one) for one in arguments],
                "settings": dict(settings or {}),
                "output": output.name,
            }
            self._parent.stdin.write(f"{json.dumps(call)}\n")
            self._parent.stdin.flush()
            watch = Timer(2 * LONGEST_S, self._parent.kill)
            watch.start()
            try:
                answer = self._parent.stdout.readline()
            finally:
                watch.cancel()
            said = Path(output.name).read_text()
        if not answer:
            raise RuntimeError(f"the parent of {module} died: {said}")
        return int(answer), said

    def close(self) -> None:
        """End the parent."""
        self._parent.stdin.close()  # type: ignore[union-attr]
        self._parent.wait(10)
        self._parent.stdout.close()  # type: ignore[union-attr]


def main() -> None:
    """Fork a process for each line, and answer with how it ended."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "chargeplat.settings"
    import django
    from django.conf import settings

    settings.CELERY_TASK_ALWAYS_EAGER = settings.CELERY_TASK_EAGER_PROPAGATES = True
    django.setup()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _be(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _be(call: dict[str, Any]) -> None:
    """Do what is called for, and end; what the parent has to say to its starter is not for this process."""
    from django.conf import settings

    signal.alarm(LONGEST_S)
    with open(call["output"], "w") as output, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    code = 1
    try:
        for name, value in call["settings"].items():
            setattr(settings, name, value)
        importlib.import_module(call["module"]).main(call["arguments"])
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it was, this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
