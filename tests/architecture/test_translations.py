"""The Chinese catalogue is complete: every source string, its placeholders, and the compiled file."""

from __future__ import annotations

from pathlib import Path

import polib
import pytest
from django.core.management import call_command
from django.utils import translation
from django.utils.translation import gettext

from apps.common.management.commands.messages import COMPLETE, collect, fault_of

BASE = Path(__file__).parents[2]
CATALOGUE = BASE / "locale" / COMPLETE / "LC_MESSAGES" / "django.po"
THEME = [
    "Search apps and models...",
    "Type to search",
    "Apply Filters",
    "Reset filters",
    "Date from",
    "Date to",
    "Select action",
    "Run",
    "Cancel",
    "General",
    "Add row",
    "No results found",
    "Light",
    "Dark",
    "System",
    "Return to site",
    "More actions",
    "Select value",
    "Welcome back to",
]


def test_every_string_is_translated_and_compiled() -> None:
    call_command("messages", "--check")


def test_the_catalogue_has_the_strings_of_python_of_templates_and_of_the_theme() -> None:
    found = {key[1]: path for key, path in collect(BASE).items()}
    assert found["Settled"] == "apps/orders/wording.py"
    assert found["Stations today"] == "templates/admin/index.html"
    assert found["Apply Filters"].startswith("unfold/")
    assert "Filters" not in found  # Django says it in Chinese already


@pytest.mark.parametrize("text", THEME)
def test_the_theme_speaks_chinese(text: str) -> None:
    with translation.override("zh-hans"):
        assert gettext(text) != text


@pytest.mark.parametrize(
    ("text", "translated", "fault"),
    [
        ("Stop", "停止", None),
        ("Stop", "", "not translated"),
        ("%(n)s guns", "%(n)s 把枪", None),
        ("%(n)s guns", "把枪", "placeholders differ"),
        ("%(n)s guns", "%(m)s 把枪", "placeholders differ"),
    ],
)
def test_faults_of_an_entry_are_seen(text: str, translated: str, fault: str | None) -> None:
    assert fault_of(polib.POEntry(msgid=text, msgstr=translated)) == fault


def test_a_doubtful_entry_counts_as_missing() -> None:
    assert fault_of(polib.POEntry(msgid="Stop", msgstr="停止", flags=["fuzzy"])) == "not translated"


def test_the_catalogue_names_no_machine_and_no_place() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    assert "POT-Creation-Date" not in text
    assert "#: /" not in text
