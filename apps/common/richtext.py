"""Texts with headings, lists and links that staff write and drivers read: nothing in them can run."""

from __future__ import annotations

import nh3

TAGS = {
    *("p", "div", "br", "hr", "h1", "h2", "h3", "h4", "blockquote", "pre"),
    *("strong", "b", "em", "i", "u", "del", "sub", "sup", "ul", "ol", "li", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
SCHEMES = {"https", "tel", "mailto"}
GONE_WITH_CONTENT = {"script", "style", "iframe", "object", "svg", "math", "template"}


def clean(html: str) -> str:
    """Return the text with the tags, attributes and addresses that are allowed, everything else taken out.

    Nothing that is left loads from elsewhere; links do not tell where somebody came from.
    """
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        clean_content_tags=GONE_WITH_CONTENT,
        link_rel="noopener noreferrer nofollow",
    ).strip()


def is_blank(html: str) -> bool:
    """Return whether nothing would be read."""
    return not nh3.clean(html, tags=set()).replace("&nbsp;", " ").replace("\xa0", " ").strip()
