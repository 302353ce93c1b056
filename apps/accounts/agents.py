"""Which browser on which machine, from what a browser says of itself: enough to tell one's devices apart."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext, pgettext_lazy

BROWSERS: tuple[tuple[str, Any], ...] = (
    ("MicroMessenger", pgettext_lazy("sign-in", "WeChat")),
    ("AlipayClient", pgettext_lazy("sign-in", "Alipay")),
    ("DingTalk", "DingTalk"),
    ("Edg", "Edge"),
    ("QQBrowser", "QQ"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""In the order in which they hide one another: every Edge says that it is a Chrome and a Safari too."""
MACHINES = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def words(agent: str) -> str:
    """Return a User-Agent as "Chrome · Windows"; one that nobody knows by its beginning, none as "unknown"."""
    found = [next((str(name) for mark, name in known if mark in agent), "") for known in (BROWSERS, MACHINES)]
    return " · ".join(part for part in found if part) or agent[:40] or gettext("unknown")
