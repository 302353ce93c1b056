"""Who makes invoices: one interface, behind which a tax service stands, or a person with the bureau's own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol

from apps.invoices.rules import Line


@dataclass(frozen=True)
class InvoiceRequest:
    """What is to be issued. `out_no` is our number: the same one never makes a second invoice."""

    out_no: str
    kind: str
    title: str
    tax_no: str
    email: str
    lines: Sequence[Line]
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Accepted:
    """It will be made; how it went is asked for later by our number or the provider's `serial`."""

    serial: str = ""


@dataclass(frozen=True)
class Refused:
    """It will not be made."""

    code: str
    message: str


class Outcome(StrEnum):
    """What became of a request."""

    PENDING = "pending"
    ISSUED = "issued"
    FAILED = "failed"
    VOID = "void"


@dataclass(frozen=True)
class Answer:
    """What a provider says of a request. `files` are addresses by type (pdf, ofd, xml)."""

    outcome: Outcome
    invoice_no: str = ""
    issued_on: date | None = None
    files: dict[str, str] = field(default_factory=dict)
    reason: str = ""


class InvoiceProvider(Protocol):
    """Makes invoices. Network calls: never inside a transaction."""

    name: str
    by_hand: bool
    """A person enters number and file; nothing is asked of anybody."""

    def issue(self, request: InvoiceRequest) -> Accepted | Refused:
        """Ask for an invoice, once for each `out_no`."""

    def query(self, out_no: str) -> Answer:
        """Ask what became of it."""

    def red(self, out_no: str, invoice_no: str, reason: str) -> Accepted | Refused:
        """Ask for the red invoice of all of an issued one, once for each `out_no`."""

    def query_red(self, out_no: str) -> Answer:
        """Ask what became of the red invoice."""


class ManualProvider:
    """Staff issue on the tax bureau's page (电子税务局) and enter the number and the file here."""

    name = "manual"
    by_hand = True

    def issue(self, request: InvoiceRequest) -> Accepted:
        """Take it: it waits for a person."""
        return Accepted(request.out_no)

    def query(self, out_no: str) -> Answer:
        """A person says, not a provider."""
        return Answer(Outcome.PENDING)

    def red(self, out_no: str, invoice_no: str, reason: str) -> Accepted:
        """Take it: it waits for a person."""
        return Accepted(out_no)

    def query_red(self, out_no: str) -> Answer:
        """A person says, not a provider."""
        return Answer(Outcome.PENDING)


PROVIDERS: dict[str, InvoiceProvider] = {ManualProvider.name: ManualProvider()}


def provider_here() -> InvoiceProvider:
    """Return who makes the current tenant's invoices."""
    return PROVIDERS[ManualProvider.name]
