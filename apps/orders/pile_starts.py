"""Starts that somebody asks for at the pile: by card, by account, or by a car that is known by its VIN (YKC V1.6, 7.4).

The order is STARTING as after a start from the app, but the pile is sent nothing: its question is answered. It has no
answer to a start to give either; whether it charges is seen in what the gun reports.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from apps.common.errors import DomainError
from apps.common.ids import Actor, transaction_number
from apps.common.time import now
from apps.customers import cards
from apps.customers import errors as customers
from apps.customers.models import Customer
from apps.orders.enums import LIVE, OrderSource, OrderState
from apps.orders.errors import (
    CustomerBlocked,
    EnterpriseLimit,
    GunsApart,
    OutsideHours,
    StationClosed,
    Unsettled,
)
from apps.orders.guns import guns_of, shares
from apps.orders.models import Order
from apps.orders.services import open_order
from apps.piles.errors import ConnectorBusy, ConnectorFaulty, PileDisabled, PileNotFound
from apps.piles.models import Connector
from apps.piles.reports import PileStartAnswer, PileStartRequest
from apps.piles.services import parallel_seen
from apps.pricing.errors import FivePricesUnknown, NoPrice
from apps.tenancy import features
from apps.tenancy.errors import TenantSuspended
from apps.wallet.errors import EnterpriseShort, HasDebt, InsufficientBalance

log = structlog.get_logger(__name__)

UNSETTLED = LIVE | {OrderState.SETTLING, OrderState.ABNORMAL}


class NoSuchStart(DomainError):
    """A kind of start that we know nothing of."""

    code = "orders.no_such_start"


REASONS: dict[type[DomainError], str] = {
    customers.CardUnknown: "no_account",
    customers.AccountUnknown: "no_account",
    customers.CardFrozen: "frozen",
    customers.CustomerBlocked: "frozen",
    CustomerBlocked: "frozen",
    InsufficientBalance: "balance_low",
    EnterpriseShort: "balance_low",
    EnterpriseLimit: "balance_low",
    HasDebt: "card_unsettled",
    Unsettled: "card_unsettled",
    PileDisabled: "pile_disabled",
    PileNotFound: "pile_disabled",
    StationClosed: "pile_disabled",
    OutsideHours: "pile_disabled",
    TenantSuspended: "pile_disabled",
    ConnectorFaulty: "pile_disabled",
    NoPrice: "not_allowed",
    FivePricesUnknown: "not_allowed",
    GunsApart: "not_allowed",
    customers.PinWrong: "wrong_password",
    customers.VinUnknown: "vin_unknown",
    ConnectorBusy: "pile_unsettled",
    NoSuchStart: "no_cards",
}
"""What each refusal is called in the pile's answer; any other is "not_allowed"."""


@dataclass(frozen=True, slots=True)
class _Payer:
    """Whose money it is, and by what they are known at the pile."""

    customer: Customer
    source: OrderSource
    logical_card_no: str
    card_no: str = ""
    vin: str = ""


def start_by_pile(request: PileStartRequest, *, at: datetime | None = None) -> PileStartAnswer:
    """Answer a pile that asks whether somebody may charge (0x31): an order with all available money held, or why not.

    Asked again for the same card, car or account on the same gun while the order is STARTING, it answers the same.
    """
    return _start([request], at or now())[0]


def start_parallel_by_pile(
    requests: Sequence[PileStartRequest], *, at: datetime | None = None
) -> list[PileStartAnswer]:
    """Answer a pile that asks for a charge over several guns (0xA1), in the order of the requests.

    One verdict for all: one order, its hold shared out over the guns. One gun alone, or two main guns, is refused.
    A pile that asks so can be asked so: the app may start over its guns from now on.
    """
    if len(requests) > 1:
        parallel_seen(pile_code=requests[0].pile_code)
    return _start(list(requests), at or now())


def _start(requests: list[PileStartRequest], at: datetime) -> list[PileStartAnswer]:
    try:
        order, logical_card_no = _order(requests, at)
    except DomainError as error:
        reason = REASONS.get(type(error), "not_allowed")
        log.info("pile_start_refused", pile_code=requests[0].pile_code, reason=reason)
        return [
            PileStartAnswer(
                pile_code=request.pile_code,
                connector_no=request.connector_no,
                transaction_no=transaction_number(request.pile_code, request.connector_no, at=at),
                accepted=False,
                reason=reason,
            )
            for request in requests
        ]
    guns = guns_of(order)
    told = {
        gun.connector.connector_no: (gun.transaction_no, balance)
        for gun, balance in zip(guns, shares(order.pile_balance(), len(guns)), strict=True)
    }
    return [
        PileStartAnswer(
            pile_code=request.pile_code,
            connector_no=request.connector_no,
            transaction_no=told[request.connector_no][0],
            accepted=True,
            balance=told[request.connector_no][1],
            logical_card_no=logical_card_no,
        )
        for request in requests
    ]


def _order(requests: list[PileStartRequest], at: datetime) -> tuple[Order, str]:
    features.check_active()
    main = next((request for request in requests if request.is_main), requests[0])
    further = [request for request in requests if request is not main]
    same = {(request.kind, request.numbers, request.password, request.parallel_seq) for request in requests}
    if (
        len(same) > 1
        or any(request.is_main for request in further)
        or bool(further) != bool(main.parallel_seq)
    ):
        raise GunsApart
    payer = _payer(main)

    def earlier(connectors: list[Connector]) -> Order | None:
        # The same card at two guns in one moment: the customer's row lets the second see the first's order.
        Customer.objects.select_for_update(no_key=True).get(pk=payer.customer.pk)
        unsettled = Order.objects.filter(
            customer=payer.customer,
            source=payer.source,
            card_no=payer.card_no,
            state__in=UNSETTLED,
        )
        if payer.vin:  # of an order by card it is what the battery said
            unsettled = unsettled.filter(vin=payer.vin)
        for order in unsettled.select_related("connector"):
            asked = [connector.pk for connector in connectors]
            repeated = order.state == OrderState.STARTING and order.stop_requested_at is None
            here = [gun.connector.pk for gun in guns_of(order)] == asked
            if repeated and here and order.parallel_seq == main.parallel_seq:
                return order
            raise Unsettled
        return None

    order, _ = open_order(
        customer=payer.customer,
        codes=[f"{request.pile_code}{request.connector_no}" for request in [main, *further]],
        request_key=f"pile:{secrets.token_hex(16)}",
        source=payer.source,
        actor=Actor("pile", main.pile_code, main.pile_code),
        at=at,
        earlier=earlier,
        asks_pile=False,
        parallel_seq=main.parallel_seq,
        card_no=payer.card_no,
        vin=payer.vin,
    )
    return order, payer.logical_card_no


def _payer(request: PileStartRequest) -> _Payer:
    """Who pays, and that it is them: an account always needs its PIN, a card where the pile asks for it."""
    if request.kind == "card":
        card = cards.card_of(numbers=request.numbers)
        if request.wants_password:
            cards.check_pin(customer=card.customer, digest=request.password)
        number = card.logical_no.zfill(16)
        return _Payer(card.customer, OrderSource.CARD, number, card_no=card.physical_no)
    if request.kind == "vin":
        vehicle = cards.vehicle_of(vins=request.numbers)
        number = f"{vehicle.customer_id:016d}"
        return _Payer(vehicle.customer, OrderSource.VIN, number, vin=vehicle.vin)
    if request.kind == "account":
        customer = cards.account_of(digits=request.numbers[0] if request.numbers else "")
        cards.check_pin(customer=customer, digest=request.password)
        return _Payer(customer, OrderSource.ACCOUNT, f"{customer.pk:016d}")
    raise NoSuchStart
