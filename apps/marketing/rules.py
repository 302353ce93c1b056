"""What may stand in an activity's text. Pure: no tables, no clock."""

from __future__ import annotations

import nh3

TAGS = frozenset(
    {
        "a",
        "b",
        "blockquote",
        "br",
        "del",
        "div",
        "em",
        "h1",
        "h2",
        "h3",
        "i",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "u",
        "ul",
    }
)
"""Words, lists and links: nothing that loads from elsewhere, runs, or looks like a part of the app."""
SCHEMES = frozenset({"https", "tel"})


def clean_text(text: str) -> str:
    """Return a rich text with nothing but TAGS in it; links lead to https or a phone, without telling where from."""
    return nh3.clean(
        text,
        tags=set(TAGS),
        attributes={"a": {"href"}},
        url_schemes=set(SCHEMES),
        clean_content_tags={"script", "style", "iframe", "object", "svg", "math", "template"},
        link_rel="noopener noreferrer nofollow",
    ).strip()


def has_words(text: str) -> bool:
    """Return whether a clean text says anything."""
    return bool(nh3.clean(text, tags=set()).replace("&nbsp;", " ").replace("\xa0", " ").strip())
