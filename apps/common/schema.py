"""Entering a tenant's schema.

The schema is state of one thread's database connection. Enter it inside the thread that does the work and
outside `atomic()`: commit hooks and task headers read it at commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connection
from django_tenants.utils import get_public_schema_name, schema_context

T = TypeVar("T")

__all__ = ["current_schema", "in_public", "run_in_schema", "schema_context"]


def current_schema() -> str:
    """Return the schema name that this thread's connection works in."""
    return str(connection.schema_name)  # type: ignore[attr-defined]


def in_public() -> bool:
    """Return whether this thread works in the platform's own schema."""
    return current_schema() == get_public_schema_name()


def run_in_schema(schema: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call `function` with this thread's connection in `schema`, and return its result."""
    with schema_context(schema):
        return function(*args, **kwargs)
