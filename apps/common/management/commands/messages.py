"""Translations without GNU gettext: collect the source strings, merge them into the catalogues, compile these.

Source strings are English; `locale/zh_Hans` has to be complete. `--check` changes nothing and fails when a string has
no translation, when a placeholder was lost in one, or when a compiled catalogue is older than its text.
"""

from __future__ import annotations

import ast
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation.template import templatize

COMPLETE = "zh_Hans"
FOLDERS = ("apps", "chargeplat", "ykc_server", "templates")
LIBRARIES = (
    "unfold",
)  # has no Chinese of its own; what Django's catalogues do not have either is ours to translate
# Position of the string, of its plural and of its context among the arguments.
CALLS: dict[str, tuple[int, int | None, int | None]] = {
    "_": (0, None, None),
    "gettext": (0, None, None),
    "gettext_lazy": (0, None, None),
    "gettext_noop": (0, None, None),
    "ngettext": (0, 1, None),
    "ngettext_lazy": (0, 1, None),
    "pgettext": (1, None, 0),
    "pgettext_lazy": (1, None, 0),
    "npgettext": (1, 2, 0),
    "npgettext_lazy": (1, 2, 0),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")

Key = tuple[str | None, str, str | None]  # context, string, plural


class Command(BaseCommand):
    help = "Collect source strings into locale/*/LC_MESSAGES/django.po and compile these; --check only looks."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            "--dry-run",
            action="store_true",
            help="change nothing, exit 1 when something is missing",
        )

    def handle(self, *, check: bool, **options: Any) -> None:
        import polib  # a development requirement

        base = Path(settings.BASE_DIR)
        wanted = collect(base)
        problems: list[str] = []
        complete = base / "locale" / COMPLETE / "LC_MESSAGES" / "django.po"
        if not complete.exists():
            if check:
                raise CommandError(f"{complete.relative_to(base)} is missing: make messages")
            complete.parent.mkdir(parents=True, exist_ok=True)
            catalogue = polib.POFile()
            catalogue.metadata = {
                "Content-Type": "text/plain; charset=UTF-8",
                "Language": COMPLETE,
                "Plural-Forms": "nplurals=1; plural=0;",
            }
            catalogue.save(str(complete))
        for path in sorted(base.glob("locale/*/LC_MESSAGES/django.po")):
            language = path.parts[-3]
            catalogue = polib.pofile(str(path), wrapwidth=110)
            known: dict[Key, Any] = {
                (e.msgctxt, e.msgid, e.msgid_plural or None): e for e in catalogue if not e.obsolete
            }
            if check:
                problems += [
                    f"{language}: not in the catalogue: {key[1]!r} ({wanted[key]})"
                    for key in wanted.keys() - known
                ]
                problems += [
                    f"{language}: no longer used: {key[1]!r}" for key in known.keys() - wanted.keys()
                ]
            else:
                for key in known.keys() - wanted.keys():
                    catalogue.remove(known.pop(key))
                for key in sorted(wanted.keys() - known.keys(), key=lambda k: (wanted[k], k[1])):
                    context, text, plural = key
                    known[key] = polib.POEntry(
                        msgctxt=context,
                        msgid=text,
                        msgid_plural=plural or "",
                        msgstr_plural={0: ""} if plural else {},
                    )
                    catalogue.append(known[key])
                catalogue.save(str(path))
            if language == COMPLETE:
                problems += [
                    f"{language}: {fault}: {e.msgid!r}" for e in known.values() if (fault := fault_of(e))
                ]
            compiled = path.with_suffix(".mo")
            if not check:
                catalogue.save_as_mofile(str(compiled))
            elif not compiled.exists() or compiled.read_bytes() != catalogue.to_binary():
                problems.append(f"{language}: django.mo is not compiled from django.po: make messages")
        if problems:
            raise CommandError("\n".join(sorted(problems)))
        self.stdout.write(f"{len(wanted)} strings, all translated")


def collect(base: Path) -> dict[Key, str]:
    """Every translatable string of Python files and templates, with the file that has it first."""
    found: dict[Key, str] = {}
    for folder in FOLDERS:
        for path in sorted((base / folder).rglob("*")):
            for key in _strings(path):
                found.setdefault(key, str(path.relative_to(base)))
    known = _of_django()
    for name in LIBRARIES:
        folder_of = Path(str(import_module(name).__file__)).parent
        extra = f"{name}.contrib."
        parts = {app.removeprefix(extra) for app in settings.INSTALLED_APPS if app.startswith(extra)}
        for path in sorted(folder_of.rglob("*")):
            inside = path.relative_to(folder_of).parts
            if inside[0] == "contrib" and (len(inside) < 3 or inside[1] not in parts):
                continue
            for key in _strings(path):
                if key[:2] not in known:
                    found.setdefault(key, str(path.relative_to(folder_of.parent)))
    return found


def _strings(path: Path) -> Iterator[Key]:
    if path.suffix not in {".py", ".html", ".txt"} or "migrations" in path.parts:
        return
    source = path.read_text(encoding="utf-8")
    yield from _calls(source if path.suffix == ".py" else "\n".join(_template_calls(source)), path)


def _of_django() -> set[tuple[str | None, str]]:
    """What Django translates itself into the language that has to be complete."""
    import polib  # a development requirement

    folder = Path(django.__file__).parent
    catalogues = folder.rglob(f"locale/{COMPLETE}/LC_MESSAGES/django.mo")
    return {(entry.msgctxt, entry.msgid) for path in catalogues for entry in polib.mofile(str(path))}


def fault_of(entry: Any) -> str | None:
    """What is wrong with a translation, or None."""
    texts = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
    if entry.fuzzy or not texts or not all(texts):
        return "not translated"
    wanted = set(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
    if any(set(PLACEHOLDER.findall(text)) - wanted for text in texts) or (
        not entry.msgid_plural and set(PLACEHOLDER.findall(texts[0])) != wanted
    ):
        return "placeholders differ"
    return None


def _template_calls(source: str) -> Iterator[str]:
    """Django turns a template into filler with calls in between; each call is the shortest text that parses."""
    filler = templatize(source)
    for start in re.finditer(r"\b(?:n?p?gettext|_)\(", filler):
        for end in re.finditer(r"\)", filler[start.start() :]):
            call = filler[start.start() : start.start() + end.end()]
            try:
                ast.parse(call)
            except SyntaxError:
                continue
            yield call
            break


def _calls(code: str, path: Path) -> Iterator[Key]:
    for node in ast.walk(ast.parse(code, filename=str(path))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in CALLS:
            continue
        text, plural, context = (
            None if at is None or at >= len(node.args) else _literal(node.args[at]) for at in CALLS[name]
        )
        if text:
            yield context, text, plural


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
