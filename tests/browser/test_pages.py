"""Every page of the sidebars, in a real browser at 1440 px: its list, the first row, the form that adds one.

None writes an error to the console, asks another host, is answered with an error, has a serious or critical finding of
axe that is not allowed below, or shows English to a Chinese operator.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from tests.browser.chromium import EXECUTABLE, person, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.live.system import LiveSystem

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.timeout(420),
    pytest.mark.skipif(not EXECUTABLE.exists(), reason="Chromium is not installed"),
]
PASSWORD = "chargeplat-demo"

ALLOWED: dict[tuple[str, str], str] = {
    (
        "aria-input-field-name",
        "select2-",
    ): "Django's own choice by search (select2): its label is the field's",
    (
        "label",
        ".select2-search__field",
    ): "Django's own choice by search (select2): named by the field around it",
}
"""(rule of axe, what the finding's selector contains) → why it stays. At most ten."""

NAMES = {
    *(
        "admin",
        "reviewer",
        "chargeplat",
        "demo",
        "second",
        "platform",
        "localhost",
        "sandbox",
        "Chrome · Linux",
    ),
    *(
        "staff",
        "command",
        "pile",
        "vin",
        "ykc",
        "kWh",
        "Ctrl + K",
        "esc",
        "Excel",
        "Excel (xlsx)",
        "Excel（xlsx）",
    ),
    *("Domain", "Tenant", "Is primary"),  # columns of the tenancy library, on the platform's list of domains
}
"""Texts without a Chinese character that are names or units."""

AXE = """
async () => {
  const found = await axe.run(document, {
    resultTypes: ["violations"],
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


def findings(page: Page) -> list[str]:
    """What is wrong with the page that is open."""
    page.evaluate(AXE_SCRIPT)
    wrong = [
        f"axe {rule}: {selector} {html}"
        for rule, selector, html in page.evaluate(AXE)
        if not any(rule == allowed and part in selector for allowed, part in ALLOWED)
    ]
    return wrong + [f"English: {text}" for text in page.evaluate(TEXTS) if is_english(text)]


AXE_SCRIPT = AXE_FILE_PATH.read_text(encoding="utf-8")


def walk(page: Page, watch: Any) -> tuple[dict[str, list[str]], int]:
    """Open everything that the sidebar leads to; return {page: what is wrong} and how many pages were opened."""
    wrong: dict[str, list[str]] = defaultdict(list)
    links = page.eval_on_selector_all(
        "#nav-sidebar-apps a", "all => all.map((link) => new URL(link.href).pathname)"
    )
    opened: set[str] = set()

    def visit(path: str) -> None:
        opened.add(path)
        watch.faults.clear()
        page.goto(path, wait_until="domcontentloaded")
        wrong[path] += findings(page) + watch.faults

    for link in links:
        visit(link)
        row = page.evaluate(ROW, link)
        adds = page.locator(f"a[href^='{link}add/']").count() > 0
        if row:
            visit(row)
        if adds:
            visit(f"{link}add/")
    return {path: faults for path, faults in wrong.items() if faults}, len(opened)


def test_every_page_of_the_tenants_sidebar(browser: Browser, base: str) -> None:
    with person(browser, base) as (page, watch):
        sign_in(page, "admin", PASSWORD)
        wrong, opened = walk(page, watch)
    assert wrong == {}
    assert opened > 90


def test_every_page_of_the_platforms_sidebar(browser: Browser, live_system: LiveSystem) -> None:
    with person(browser, f"http://localhost:{live_system.site.port}") as (page, watch):
        sign_in(page, "admin", PASSWORD)
        wrong, opened = walk(page, watch)
    assert wrong == {}
    assert opened > 10


def test_what_is_allowed_is_little_and_has_reasons() -> None:
    assert len(ALLOWED) <= 10
    assert all(len(reason) > 20 for reason in ALLOWED.values())
