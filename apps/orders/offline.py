"""Charges that a pile allowed by its own list of cards while it was offline: their record is all that is known."""

from __future__ import annotations

from datetime import datetime

from apps.common.ids import Actor, dated_number
from apps.customers.cards import find_card
from apps.orders import payers
from apps.orders.enums import OrderSource, OrderState
from apps.orders.models import Order, TransactionRecord
from apps.orders.moves import note
from apps.piles.models import Connector, OfflineCard
from apps.pricing.selectors import effective_prices

OFFLINE_START = 4
"""Start mode of a record (YKC V1.6, 0x3B)."""


def order_of_offline_card(record: TransactionRecord, at: datetime) -> Order | None:
    """Make the order of a record whose number nobody gave out, if it names a card that may charge offline.

    The record is locked. The card must be a customer's; unless the pile says that it charged by its list, the card
    must be one for offline use or on that pile's list. A frozen card pays too: the energy is gone. The tariff is that
    of the time of its start; nothing was held. None where the card, the gun or the price is not known.
    """
    if record.report is None or record.pile_code != record.connection_pile_code:
        return None
    report = record.decoded
    numbers = report.card_numbers or [report.physical_card_no]
    card = find_card(numbers=numbers)
    connector = (
        Connector.objects.select_related("pile")
        .filter(code=f"{record.pile_code}{record.connector_no}")
        .first()
    )
    if card is None or connector is None:
        return None
    listed = OfflineCard.objects.filter(pile=connector.pile_id, physical_no__in=numbers)
    if report.start_mode != OFFLINE_START and not card.works_offline and not listed.exists():
        return None
    pile = connector.pile
    found = effective_prices(
        pile_id=pile.pk, station_id=pile.station_id, at=report.start_time or record.received_at
    )
    if found is None:
        return None
    version, tariff, retail = found
    # Connector → order → wallet: the order refers to it, and who starts a charge there waits for the payer's account.
    list(Connector.objects.select_for_update().filter(pk=connector.pk).values_list("pk"))
    payer = payers.pays_offline(
        customer=card.customer, station_id=pile.station_id, at=report.start_time or record.received_at
    )
    enterprise = payer.enterprise
    order = Order.objects.create(
        order_no=dated_number("C", at=at),
        transaction_no=record.transaction_no,
        request_key=f"record:{record.transaction_no}",
        source=OrderSource.OFFLINE_CARD,
        customer=card.customer,
        station_id=pile.station_id,
        connector=connector,
        # Not live: the gun may be another order's by now.
        state=OrderState.SETTLING,
        price_version=version,
        tariff=tariff.to_json(),
        retail_tariff=retail.to_json(),
        enterprise=enterprise,
        enterprise_rule=enterprise.rule() if enterprise else None,
        enterprise_member=payer.member if enterprise else None,
        payer=payer.payer,
        card_no=card.physical_no,
        created_at=at,
    )
    note(order, "charged_offline", Actor("pile", pile.pile_code, pile.pile_code), at, record=record.pk)
    return order
