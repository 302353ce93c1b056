"""Billing models: which one a pile has, and giving it the one in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.common.time import now
from apps.piles import services as piles
from apps.piles.enums import CommandKind
from apps.piles.models import Pile
from apps.pricing import services as pricing
from apps.pricing.models import PriceVersion
from apps.pricing.selectors import effective_version
from ykc_server import translate
from ykc_server.handlers.registry import on
from ykc_server.protocol.codes import BillingVerdict, OneIsSuccess
from ykc_server.protocol.messages import (
    BillingRequest,
    BillingRequestAck,
    BillingSetAck,
    BillingVerify,
    BillingVerifyAck,
)
from ykc_server.session import Prices, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

PRICES_TRUSTED_S = 30.0
"""The prices looked up at login answer the 0x05 that follows it; later ones are looked up anew."""


@on(0x05)
async def billing_verify(pile: PileConsumer, m: BillingVerify) -> None:
    """Tell the pile whether its billing model is the one in force: 00 same, 01 different (then it sends 0x09)."""
    session: Session = pile.session  # type: ignore[assignment]
    known = await _prices_of(pile)
    told = m.value("billing_model_no")
    same = known is not None and known.billing_model_no == told
    verdict = BillingVerdict.SAME if same else BillingVerdict.DIFFERENT
    answer = BillingVerifyAck(pile_no=m.pile_no, billing_model_no=m.billing_model_no, result=verdict)
    pile.write(answer.encode(m.sequence))
    await pile.gateway.pool.run_surely(
        session.schema,
        pricing.pile_has_model,
        pile_code=session.pile_code,
        billing_model_no=told,
        matches=same,
    )


@on(0x09)
async def billing_request(pile: PileConsumer, m: BillingRequest) -> None:
    """Give the pile the prices in force. A pile without a price gets no answer and must not charge (YKC V1.6, 7.1).

    A pile that knows five rate classes gets 0x85 in place of 0x0A.
    """
    session: Session = pile.session  # type: ignore[assignment]
    known, five_prices = await _prices_of(pile), session.dialect.five_prices
    if known is None or (known.fields is None and not five_prices):
        pile.gateway.sampled("pile_without_prices", pile_code=session.pile_code, schema=session.schema)
        return
    answer = translate.billing_model(BillingRequestAck, m.pile_no, known, five_prices=five_prices)
    pile.write(answer.encode(m.sequence))
    await pile.gateway.pool.run_surely(
        session.schema,
        pricing.model_delivered,
        pile_code=session.pile_code,
        billing_model_no=known.billing_model_no,
    )


async def _prices_of(pile: PileConsumer) -> Prices | None:
    session: Session = pile.session  # type: ignore[assignment]
    gateway = pile.gateway
    if gateway.now - session.prices_at > PRICES_TRUSTED_S:
        version = await gateway.pool.run_surely(session.schema, _version_in_force, session.pile_id)
        session.prices = gateway.logins.prices(session.schema, version) if version else None
        session.prices_at = gateway.now
    return session.prices


def _version_in_force(pile_id: int) -> PriceVersion | None:
    # The pile may have been moved to another station since it logged in.
    station_id = Pile.objects.values_list("station_id", flat=True).get(pk=pile_id)
    return effective_version(pile_id=pile_id, station_id=station_id, at=now())


@on(0x57)
async def billing_set_answered(pile: PileConsumer, m: BillingSetAck) -> None:
    """Note whether the pile took the prices of 0x58."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(
        session.schema,
        _billing_set_answered,
        session.pile_code,
        m.result == OneIsSuccess.SUCCESS,
        m.encode(),
    )


def _billing_set_answered(pile_code: str, accepted: bool, frame: bytes) -> None:
    pricing.push_answered(pile_code=pile_code, accepted=accepted)
    piles.command_answered(
        pile_code=pile_code, kind=CommandKind.SET_BILLING_MODEL, accepted=accepted, answer=frame
    )
