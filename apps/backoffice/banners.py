"""What has to be said above every page of a back office: apps register who says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Banner:
    """A line above every page, in one of `shown.TONES`, perhaps with a button that leads to (or posts to) `link`."""

    text: str
    tone: str = "warning"
    button: str = ""
    link: str = ""
    posts: bool = False


_sources: list[Callable[[HttpRequest], list[Banner]]] = []


def add_source(function: Callable[[HttpRequest], list[Banner]]) -> None:
    """Have `function` say what stands above every page of a signed-in person; best without a query."""
    _sources.append(function)


def banners(request: HttpRequest) -> list[Banner]:
    """Return the lines above this page."""
    return [one for source in _sources for one in source(request)]
