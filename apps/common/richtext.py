"""Texts with headings, lists and links that staff write and drivers read: nothing in them can run."""

from __future__ import annotations

import re
from collections.abc import Collection

import nh3

TAGS = {
    *("p", "div", "br", "hr", "h1", "h2", "h3", "h4", "blockquote", "pre"),
    *("strong", "b", "em", "i", "u", "del", "sub", "sup", "ul", "ol", "li", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
SCHEMES = {"https", "tel", "mailto"}
GONE_WITH_CONTENT = {"script", "style", "iframe", "object", "svg", "math", "template"}


PICTURE_STYLE = "max-width:100%;height:auto"
"""No picture is wider than what it stands in, whatever its own size; nothing else of its looks is kept."""

_PICTURE = re.compile(r'<img(?: [a-z]+="[^"]*")*>')  # as nh3 writes it: quotes in values are escaped


def clean(html: str, *, pictures: Collection[str] = ()) -> str:
    """Return the text with the tags, attributes and addresses that are allowed, everything else taken out.

    Nothing that is left loads from elsewhere; links do not tell where somebody came from. Pictures are those whose
    address is, to the letter, one of `pictures`; they keep their description (alt).
    """

    def allowed(tag: str, attribute: str, value: str) -> str | None:
        return None if (tag, attribute) == ("img", "src") and value not in pictures else value

    cleaned = nh3.clean(
        html,
        tags=TAGS | {"img"},
        attributes={**ATTRIBUTES, "img": {"src", "alt"}},
        attribute_filter=allowed,
        set_tag_attribute_values={"img": {"style": PICTURE_STYLE}},
        url_schemes=SCHEMES,
        clean_content_tags=GONE_WITH_CONTENT,
        link_rel="noopener noreferrer nofollow",
    )
    return _PICTURE.sub(lambda found: found[0] if ' src="' in found[0] else "", cleaned).strip()


def is_blank(html: str) -> bool:
    """Return whether nothing would be read or seen; of a clean text."""
    return (
        not nh3.clean(html, tags={"img"}, attributes={}).replace("&nbsp;", " ").replace("\xa0", " ").strip()
    )
