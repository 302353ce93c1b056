"""A tenant's connections to providers, as the apps that own them tell: what there is, and whether it works.

The platform sees names and results here and never a secret; changing them is the tenant's own page, by its staff or
on a support visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from apps.common.schema import run_in_schema
from apps.tenancy.errors import ConnectionGone
from apps.tenancy.models import Tenant


@dataclass(frozen=True, slots=True)
class Connection:
    """One set of credentials or one address: `number` is its id within its kind."""

    number: str
    name: str
    detail: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test found; `cause` says in words why it does not work."""

    ok: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of provider. Both functions are called inside the tenant's schema; `test` talks to the provider."""

    code: str
    title: Any
    found: Callable[[], Iterable[Connection]]
    test: Callable[[str], Outcome | None]
    """Takes the number of a connection; None when there is no such one."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a sort of provider known."""
    _kinds[kind.code] = kind


def of_tenant(tenant: Tenant) -> list[tuple[Kind, list[Connection]]]:
    """Return every sort of provider with the tenant's connections."""
    return run_in_schema(
        tenant.schema_name,
        lambda: [(kind, list(kind.found())) for kind in _kinds.values()],
    )


def test(*, tenant: Tenant, kind: str, number: str) -> Outcome:
    """Ask a provider whether a tenant's connection works. Raises ConnectionGone. Not inside a transaction."""
    known = _kinds.get(kind)
    outcome = run_in_schema(tenant.schema_name, known.test, number) if known else None
    if outcome is None:
        raise ConnectionGone
    return outcome
