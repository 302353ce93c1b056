"""What every payment channel can do, in words that are no provider's.

A channel is built from credentials and a base URL, speaks HTTP and nothing else: no database, no settings, no
retries. Its caller keeps these rules:

- the row with its unique number is written before the call;
- `Unknown` (a timeout, a 5xx, an answer that cannot be believed) is no failure: ask with `query` or `query_refund` by
  the same number, and repeat the call with the same number only; a new number is allowed after `Refused` alone;
- a notice only triggers: the order is locked, `Trade.must_pay` compares what was paid with what was asked, and an
  order moves forward only. Providers repeat notices and send them late, so `event_id` is stored under a unique key.

Money is yuan as Decimal with two places, numbers are strings, times are aware.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

# --- Errors: callers branch on the type ---------------------------------------------------------------------


class ChannelError(Exception):
    """Something that a payment channel said, or did not say."""


class NotConfigured(ChannelError):
    """Credentials are missing or cannot be read; `field` names them, never their value."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"payment channel is not configured: {field}")


class Refused(ChannelError):
    """The provider definitely did not do it. `code` is the provider's own word."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}" if message else code)


class AlreadyPaid(Refused):
    """The order cannot be made or closed because it is paid: query it."""


class BalanceShort(Refused):
    """The merchant's account cannot pay this refund now: keep it queued, same number later."""


class Unknown(ChannelError):
    """It may have happened or not. `cause` is for logs: timeout, connection, http_502, the provider's busy code."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(cause)


class BadSignature(Unknown):
    """An answer or notice that the provider did not sign, or signed too long ago.

    As an answer it leaves the outcome unknown; a notice is thrown away with `Channel.notice_refused`.
    """


class UnknownKey(BadSignature):
    """Signed with a key that is not in the list: the provider may have changed it."""


class Mismatch(Unknown):
    """Well signed, but about another merchant, app, number, currency or amount than ours: a person has to look."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"mismatch: {field}")


# --- What goes in -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOrder:
    """A payment to be made by a driver's phone."""

    out_trade_no: str
    amount: Decimal
    description: str
    payer: str  # the driver's id in the provider's app: openid, buyer_open_id or buyer_id
    notify_url: str  # absolute, without a query string
    expires_at: datetime

    def __post_init__(self) -> None:
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at: needs a time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """A part or all of one payment, to go back where it came from. `total` is the amount of the payment."""

    out_refund_no: str
    out_trade_no: str
    amount: Decimal
    total: Decimal
    reason: str = ""
    notify_url: str = ""


# --- What comes out -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An order that the provider knows and the phone can pay; `client_params` is handed to the phone as it is."""

    out_trade_no: str
    client_params: Mapping[str, str]


class TradeState(StrEnum):
    NOT_FOUND = "not_found"  # the provider never heard of it, or the driver never opened the cashier
    WAITING = "waiting"
    PAID = "paid"
    REFUNDED = "refunded"  # was paid; a part or all has gone back since
    CLOSED = "closed"  # can never be paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A payment as the provider sees it. What is not known yet is empty."""

    out_trade_no: str
    state: TradeState
    amount: Decimal | None = None
    channel_trade_no: str = ""
    paid_at: datetime | None = None
    payer: str = ""

    @property
    def paid(self) -> bool:
        """Whether money arrived, even if some of it has gone back."""
        return self.state in {TradeState.PAID, TradeState.REFUNDED}

    def must_pay(self, *, out_trade_no: str, amount: Decimal) -> None:
        """Raise Mismatch unless this is a payment of exactly this order and amount."""
        if self.out_trade_no != out_trade_no:
            raise Mismatch("out_trade_no")
        if not self.paid:
            raise Mismatch("state")
        if self.amount != amount:
            raise Mismatch("amount")


class RefundState(StrEnum):
    NOT_FOUND = "not_found"  # never received, or failed at once: send again under the same number
    PROCESSING = "processing"
    DONE = "done"
    CLOSED = "closed"  # did not happen and will not under this number
    ABNORMAL = "abnormal"  # the driver's account or card took no money: a person has to act at the provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund as the provider sees it. `amount` is None where the provider does not name this refund's own."""

    out_refund_no: str
    out_trade_no: str
    state: RefundState
    amount: Decimal | None = None
    channel_refund_no: str = ""
    done_at: datetime | None = None


class NoticeKind(StrEnum):
    PAYMENT = "payment"  # `trade` is paid
    REFUND = "refund"  # `refund` moved; where its amount is None, query it
    OTHER = "other"  # well signed and of no interest: accept it, so that it is not sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One believed message of the provider. `event_id` is the same when the provider sends it again."""

    event_id: str
    kind: NoticeKind
    trade: Trade | None = None
    refund: Refund | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeReply:
    """The HTTP answer to a notice."""

    status: int
    content_type: str
    body: bytes


class BillKind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRow:
    """One line of the provider's own bill of a day. `amount` is never negative.

    `fee` is what the provider keeps, in yuan with up to five places; negative where a refund gives it back.
    `refund_state` is what the bill says of a refund: done, still under way, or closed (no money moved).
    """

    kind: BillKind
    out_trade_no: str
    channel_trade_no: str
    amount: Decimal
    fee: Decimal
    at: datetime
    out_refund_no: str = ""
    channel_refund_no: str = ""
    refund_state: RefundState = RefundState.DONE


# --- The interface ------------------------------------------------------------------------------------------


class Channel(ABC):
    """One merchant at one provider. Instances keep an HTTP connection and may be shared by threads."""

    name: ClassVar[str]
    refund_window: ClassVar[timedelta]  # how long after the payment the provider takes refunds
    notice_accepted: ClassVar[NoticeReply]
    notice_refused: ClassVar[NoticeReply]

    @abstractmethod
    def create(self, order: PaymentOrder) -> Prepared:
        """Make the order known to the provider. Repeating it with the same content is harmless.

        Raises AlreadyPaid, Refused, Unknown; ValueError for a number, amount or URL that no provider takes.
        """

    @abstractmethod
    def query(self, out_trade_no: str) -> Trade:
        """Return the payment's present state; NOT_FOUND instead of an error. Raises Refused, Unknown."""

    @abstractmethod
    def close(self, out_trade_no: str) -> None:
        """Make sure that an unpaid order can never be paid. Raises AlreadyPaid, Refused, Unknown."""

    @abstractmethod
    def refund(self, order: RefundOrder) -> Refund:
        """Ask for a refund; PROCESSING is not done yet. Raises BalanceShort, Refused, Unknown."""

    @abstractmethod
    def query_refund(self, *, out_trade_no: str, out_refund_no: str) -> Refund:
        """Return the refund's present state; NOT_FOUND instead of an error. Raises Refused, Unknown."""

    @abstractmethod
    def download_bill(self, day: date) -> Sequence[BillRow]:
        """Return the bill of a business day that is over, in the provider's order; empty without trades.

        Raises Unknown while the bill is not ready or when it is not what the provider announced, and
        UnknownBillLayout when its columns or rows are not those this code was written for.
        """

    @abstractmethod
    def parse_notice(
        self, headers: Mapping[str, str], body: bytes, *, received_at: datetime | None = None
    ) -> Notice:
        """Believe or reject a raw notice. `received_at` (default: now) is when it came in, for stored ones.

        Raises BadSignature, UnknownKey, Mismatch; Unknown when it is genuine but has not the known form, and
        NotConfigured when it cannot be decrypted.
        """


class UnknownBillLayout(ChannelError):
    """A bill that this code cannot read without guessing; the message says where."""
