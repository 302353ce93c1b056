"""Decode, inspect and encode YKC frames, which needs neither database nor Redis; replay an export to a gateway."""

import asyncio
import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.management.base import BadArguments
from apps.common.schema import schema_context
from apps.piles.services import ROUTE_KIND
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import routes
from ykc_server.frames import markdown
from ykc_server.inspector import BadHex, Inspection, build, describe, inspect_frame, parse_hex
from ykc_server.protocol import BY_NAME, FieldError, ProtocolError
from ykc_server.replay import BadExport, Line, play, read_export


class Command(BaseCommand):
    help = (
        "Show YKC frames as JSON, make them from it, or play an export to a gateway again. Exit code 1: bytes or "
        "fields that are no frame, or no gateway; 2: wrong arguments."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        decoder = actions.add_parser("decode", help="frame → JSON")
        decoder.add_argument(
            "hex", nargs="+", help="one frame in hex, or - for one frame per line of standard input"
        )
        inspector = actions.add_parser("inspect", help="every byte of a frame, good or bad")
        inspector.add_argument("hex", nargs="+", help="bytes in hex")
        inspector.add_argument("--json", action="store_true", help="as one JSON object")
        inspector.add_argument("--show-secrets", action="store_true", help="passwords too")
        encoder = actions.add_parser("encode", help="JSON → frame")
        encoder.add_argument("name", help=f"one of {', '.join(sorted(BY_NAME))}")
        encoder.add_argument("--fields", required=True, help='the object that decode prints as "fields"')
        encoder.add_argument("--sequence", default="0000", help="two bytes in hex, default 0000")
        encoder.add_argument("--extra", default="", help="bytes after the declared body, in hex")
        encoder.add_argument("--crc", choices=["ok", "swapped"], default="ok", help="order of the CRC bytes")
        player = actions.add_parser("replay", help="play the pile's side of an export to a gateway again")
        player.add_argument("file", type=Path, help="JSON lines, as a pile's timeline exports them")
        player.add_argument("--tenant", required=True, help="code of the test tenant that has the pile")
        player.add_argument("--host", default="127.0.0.1")
        player.add_argument("--port", type=int, default=9988)
        player.add_argument("--speed", type=float, default=1, help="times as fast as recorded; 0: at once")
        player.add_argument(
            "--pile-code", default="", help="pile of the tenant to put in place of the recorded one"
        )
        player.add_argument("--wait", type=float, default=3, help="seconds to wait for the last answers")
        player.add_argument(
            "--yes-this-is-a-test-tenant",
            action="store_true",
            help="needed: a replay makes orders, alarms and records as a pile does",
        )
        player.add_argument(
            "--dry-run", action="store_true", help="only say what would be sent, and connect to nobody"
        )
        frames = actions.add_parser("frames", help="all frames, and what is done with them")
        frames.add_argument("--markdown", action="store_true", help="as the page of the manual")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "frames":
            self.frames(options["markdown"])
        elif options["action"] == "encode":
            self.stdout.write(encode(options).hex().upper())
        elif options["action"] == "inspect":
            self.inspect(options)
        elif options["action"] == "replay":
            self.replay(options)
        elif options["hex"] == ["-"]:
            self.decode_lines(sys.stdin)
        else:
            try:
                self.print(describe(parse_hex(" ".join(options["hex"]))))
            except (ProtocolError, BadHex) as error:
                raise CommandError(str(error)) from None

    def decode_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            if line.strip():
                try:
                    self.print(describe(parse_hex(line)))
                except (ProtocolError, BadHex) as error:
                    self.print({"error": str(error), "offset": error.offset})

    def inspect(self, options: dict[str, Any]) -> None:
        try:
            frame = parse_hex(" ".join(options["hex"]))
        except BadHex as error:
            raise CommandError(str(error)) from None
        inspection = inspect_frame(frame, show_secrets=options["show_secrets"])
        if options["json"]:
            self.print(inspection.to_json())
        else:
            self.stdout.write("\n".join(table(inspection)))

    def replay(self, options: dict[str, Any]) -> None:
        lines = exported(options)
        if options["dry_run"]:
            ups = [line for line in lines if not line.is_down]
            self.stdout.write(f"{len(ups)} frames of pile {options['pile_code'] or ups[0].pile_code} to send")
            return
        try:
            played = asyncio.run(
                play(
                    lines,
                    host=options["host"],
                    port=options["port"],
                    speed=options["speed"],
                    wait_s=options["wait"],
                    pile_code=options["pile_code"],
                    told=self.stdout.write,
                )
            )
        except OSError as error:
            raise CommandError(f"no gateway at {options['host']}:{options['port']}: {error}") from None
        self.stdout.write(f"sent {played.sent}, received {len(played.received)}")
        if played.closed:
            self.stdout.write("the gateway closed the connection")
        for difference in played.differences:
            self.stdout.write(f"differs: {difference}")
        if not played.differences:
            self.stdout.write("answers as recorded")

    def frames(self, as_markdown: bool) -> None:
        if as_markdown:
            self.stdout.write(markdown(), ending="")
            return
        for name, cls in sorted(BY_NAME.items(), key=lambda one: (one[1].spec.kind, one[0])):
            self.stdout.write(f"0x{cls.spec.kind:02X} {cls.spec.direction.value:4} {name} {cls.spec.label}")

    def print(self, description: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(description, ensure_ascii=False))


def exported(options: dict[str, Any]) -> list[Line]:
    """Return the frames of the export, if they may be played.

    Raises:
        BadArguments: no test tenant, not its pile, several piles at once, or no export.
    """
    if not options["yes_this_is_a_test_tenant"]:
        raise BadArguments(
            "say --yes-this-is-a-test-tenant: a replay makes orders and records as a pile does"
        )
    if options["speed"] < 0:
        raise BadArguments("--speed must not be negative")
    try:
        with options["file"].open(encoding="utf-8") as file:
            lines = read_export(file)
    except (OSError, UnicodeDecodeError, BadExport) as error:
        raise BadArguments(f"{options['file']}: {error}") from None
    recorded = {line.pile_code for line in lines}
    if len(recorded) > 1:
        raise BadArguments(f"frames of several piles: {', '.join(sorted(recorded))}")
    code = options["pile_code"] or recorded.pop()
    with schema_context("public"):
        tenant = Tenant.objects.filter(code=options["tenant"]).first()
        owner = routes(ROUTE_KIND, [code]).get(code)
    if tenant is None:
        raise BadArguments(f"no tenant {options['tenant']}")
    if owner != tenant.schema_name:
        raise BadArguments(f"pile {code} is not registered at tenant {options['tenant']}")
    return lines


def table(inspection: Inspection) -> list[str]:
    """Return an inspection as lines of text: offset, bytes, field, value, meaning."""
    title = f"{inspection.name or 'unknown type'} {inspection.label} {inspection.direction}".strip()
    lines = [title, f"CRC {inspection.crc or 'missing'}"]
    if inspection.error:
        lines.append(f"error: {inspection.error}")
    for view in inspection.fields:
        value = "" if view.value is None else str(view.value)
        said = " ".join(part for part in (value, view.unit, view.meaning and f"({view.meaning})") if part)
        name = f"{view.name} {view.label}".strip()
        lines.append(f"{view.offset:4} {view.raw or '··' * view.length:<34} {name}: {said}")
    return lines


def encode(options: dict[str, Any]) -> bytes:
    """Return the frame that the options ask for.

    Raises:
        CommandError: something in them does not fit.
    """
    try:
        # A number like 50.00 written without quotes must not pass through binary floating point.
        fields = json.loads(options["fields"], parse_float=Decimal)
        if not isinstance(fields, dict):
            raise CommandError("--fields must be a JSON object")
        return build(
            options["name"],
            fields,
            sequence=parse_hex(options["sequence"]),
            extra=parse_hex(options["extra"]),
            crc_swapped=options["crc"] == "swapped",
        )
    except json.JSONDecodeError as error:
        raise CommandError(f"--fields is not JSON: {error}") from None
    except (FieldError, BadHex) as error:
        raise CommandError(str(error)) from None
