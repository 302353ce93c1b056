"""What all commands have in common: their exit codes, and how they say that something is wrong.

0 done, and nothing found; 1 something was found, was refused or failed; 2 the arguments cannot be right, and nothing
was begun. With ``--json`` a refusal is one JSON object too, with the stable code of the error.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from apps.common.errors import DomainError

FOUND = 1
BAD_ARGUMENTS = 2


class BadArguments(CommandError):
    """What was asked for cannot be right: an unknown tenant, station or day. Nothing was begun."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args, returncode=BAD_ARGUMENTS)


def leave(
    command: BaseCommand, options: dict[str, Any], *, code: str, message: str, exit_code: int = FOUND
) -> NoReturn:
    """End a command that was refused: one JSON object with --json, a line on standard error without it."""
    if options["json"]:
        command.stdout.write(json.dumps({"error": code, "message": message}, ensure_ascii=False))
    else:
        command.stderr.write(message)
    sys.exit(exit_code)


def refused(
    command: BaseCommand, options: dict[str, Any], error: DomainError, *, exit_code: int = FOUND
) -> NoReturn:
    """End a command that a rule of the business refused."""
    leave(command, options, code=error.code, message=str(error), exit_code=exit_code)
