"""Kinds of files: what may be in one, how large it may be, who may open it. Apps register their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apps.files import content

MB = 1_000_000
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Kind:
    """What all files of one use have in common.

    Staff with `permission` (app.codename) may open them, and whoever uploaded one; `opens` takes the place of both.
    """

    name: str
    types: frozenset[str]
    max_bytes: int
    permission: str = ""
    opens: Callable[[Any, Any], bool] | None = None
    """(request, StoredFile) → whether this person may open it."""
    lifetime: timedelta | None = None
    """After it the file goes by itself; None: it stays."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Make a kind known. Its name is part of storage keys and never changes."""
    assert kind.name not in _kinds, f"two kinds of files are called {kind.name}"
    assert kind.types <= set(content.EXTENSIONS), "types that cannot be told by their content"
    _kinds[kind.name] = kind
    return kind


def get(name: str) -> Kind:
    """Return the kind of that name. Raises KeyError."""
    return _kinds[name]


PICTURE = register(Kind("picture", content.PICTURES, 5 * MB, "files.view_storedfile"))
DOCUMENT = register(Kind("document", content.PICTURES | {content.PDF}, 20 * MB, "files.view_storedfile"))
