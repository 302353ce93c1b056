"""Decode, inspect and encode YKC frames. Needs neither database nor Redis."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ykc_server.inspector import BadHex, Inspection, build, describe, inspect_frame, parse_hex
from ykc_server.protocol import BY_NAME, FieldError, ProtocolError


class Command(BaseCommand):
    help = "Show YKC frames as JSON, or make them from it."
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

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "encode":
            self.stdout.write(encode(options).hex().upper())
        elif options["action"] == "inspect":
            self.inspect(options)
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

    def print(self, description: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(description, ensure_ascii=False))


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
