"""Every page of the sidebars, in a real browser at 1440 px: its list, the first row, the form that adds one.

None writes an error to the console, asks another host, is answered with an error, has a serious or critical finding of
axe that is not allowed below, or shows English to a Chinese operator.
"""

from __future__ import annotations

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from tests.browser.chromium import EXECUTABLE, chromium, person, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.live.system import LiveSystem

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"
BROWSERS = 2
SIDEBAR = "#nav-sidebar"
"""The same on every page, and half of its elements: axe looks at it once in each walk."""

ALLOWED: dict[tuple[str, str], str] = {
    (
        "aria-input-field-name",
        "select2-",
    ): "Django's own choice by search (select2): its label is the field's",
    (
        "label",
        ".select2-search__field",
    ): "Django's own choice by search (select2): named by the field around it",
    (
        "list",
        ".select2-selection__rendered",
    ): "Django's own choice by search (select2): the field to type in stands in the list of what is chosen",
}
"""(rule of axe, what the finding's selector contains) → why it stays. At most ten."""

NAMES = {
    *(
        "admin",
        "reviewer",
        "franchisee",
        "chargeplat",
        "demo",
        "second",
        "platform",
        "localhost",
        "sandbox",
        "Chrome · Linux",
    ),
    *(
        "ykc",
        "kWh",
        "Ctrl + K",
        "esc",
        "Excel",
        "Excel (xlsx)",
        "Excel（xlsx）",
    ),
    *("AccessKey ID", "AccessKey Secret"),  # what the SMS provider's own Chinese console calls them
}
"""Texts without a Chinese character that are names or units."""

AXE = """
async (known) => {
  await document.fonts.ready; // an icon whose font is not there yet is a word of little contrast
  const found = await axe.run({ include: [["html"]], exclude: known.map((part) => [part]) }, {
    resultTypes: ["violations"],
    preload: false, // its rules look at the page, not at style sheets and films
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
  });
  return found.violations
    .filter((one) => one.impact === "serious" || one.impact === "critical")
    .flatMap((one) => one.nodes.map((node) => [one.id, node.target.join(" "), node.html.slice(0, 160)]));
}
"""
TEXTS = """
() => {
  const found = new Set();
  const skipped = ".material-symbols-outlined, script, style, code, pre, textarea, .bo-mono, .bo-hex, .bo-diff"
    + ", .field-changes_shown, .field-actor_name"; // names of the log as they were written
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const words = walker.currentNode.textContent.trim();
    if (words && !walker.currentNode.parentElement.closest(skipped)) found.add(words.replace(/\\s+/g, " "));
  }
  for (const name of ["placeholder", "title", "aria-label", "alt"]) {
    for (const one of document.body.querySelectorAll(`[${name}]`)) found.add(one.getAttribute(name).trim());
  }
  return [...found];
}
"""
FIELDS = """
() => [...document.querySelectorAll("#content-main form [name]")].map((field) => field.name)
"""
ROW = """
(list) => [...document.querySelectorAll("#result_list tbody a, .bo-gun")]
  .map((link) => link.getAttribute("href") || "")
  .map((link) => (link ? new URL(link, location.href).pathname : ""))
  .find((link) => link.startsWith(list) && link !== list && !link.endsWith("/add/")) || ""
"""


def is_english(text: str) -> bool:
    """Whether a text has words that an operator would have to translate; codes, names and units are none."""
    if re.search(r"[\u4e00-\u9fff]", text):
        return bool(re.search(r"\b[a-z]{3,} [a-z]{3,}\b", text))
    if text in NAMES or re.search(r"[0-9_/@:.#{}=<>-]", text):
        return False
    return bool(re.search(r"\b[A-Za-z]?[a-z]{2,}\b", text))


def findings(page: Page, known: list[str], *, with_axe: bool) -> list[str]:
    """What is wrong with the page that is open; `known`: parts that axe has seen on another page."""
    wrong = [
        f"axe {rule}: {selector} {html}"
        for rule, selector, html in (page.evaluate(AXE, known) if with_axe else ())
        if not any(rule == allowed and part in selector for allowed, part in ALLOWED)
    ]
    return wrong + [f"English: {text}" for text in page.evaluate(TEXTS) if is_english(text)]


def walk(base: str, share: int) -> tuple[dict[str, list[str]], int]:
    """Sign in with a browser of its own, open everything that every so-manieth link of the sidebar leads to.

    Returns {page: what is wrong} and how many pages were opened.
    """
    wrong: dict[str, list[str]] = defaultdict(list)
    opened: set[str] = set()
    with chromium() as browser, person(browser, base) as (page, watch):
        page.context.add_init_script(path=AXE_FILE_PATH)
        sign_in(page, "admin", PASSWORD)
        links = page.eval_on_selector_all(
            "#nav-sidebar-apps a", "all => all.map((link) => new URL(link.href).pathname)"
        )

        def visit(path: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
            """Look at a page; axe only where it has a field that is not among those seen. Returns its fields."""
            opened.add(path)
            watch.faults.clear()
            page.goto(path, wait_until="domcontentloaded")
            fields = frozenset(page.evaluate(FIELDS))
            known = [SIDEBAR] if len(opened) > 1 else []
            wrong[path] += findings(page, known, with_axe=not seen or not fields <= seen) + watch.faults
            return fields

        for link in links[share::BROWSERS]:
            visit(link)
            row = page.evaluate(ROW, link)
            adds = page.locator(f"a[href^='{link}add/']").count() > 0
            fields = visit(row) if row else frozenset()
            if adds:
                visit(f"{link}add/", fields)
    return {path: faults for path, faults in wrong.items() if faults}, len(opened)


def walk_all(base: str) -> tuple[dict[str, list[str]], int]:
    """Walk with several browsers at once, for a page's time is half the server's and half the browser's."""
    with ThreadPoolExecutor(BROWSERS) as pool:
        shares = list(pool.map(walk, [base] * BROWSERS, range(BROWSERS)))
    return {path: faults for wrong, _ in shares for path, faults in wrong.items()}, sum(
        opened for _, opened in shares
    )


def test_every_page_of_the_tenants_sidebar(base: str) -> None:
    wrong, opened = walk_all(base)
    assert wrong == {}
    assert opened > 90


def test_every_page_of_the_platforms_sidebar(live_system: LiveSystem) -> None:
    wrong, opened = walk_all(f"http://localhost:{live_system.site.port}")
    assert wrong == {}
    assert opened > 10


def test_what_is_allowed_is_little_and_has_reasons() -> None:
    assert len(ALLOWED) <= 10
    assert all(len(reason) > 20 for reason in ALLOWED.values())
