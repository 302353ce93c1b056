"""Cards in the lists of piles."""

import pytest

from apps.customers.cards import add_card, set_card_state
from apps.customers.models import CardState
from apps.piles import cards, gateway
from apps.piles.enums import CardOnPile, CommandKind, CommandState
from apps.piles.models import OfflineCard, Pile, PileCommand
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


def some_cards(count):
    customer = factories.a_customer("0")
    return [
        add_card(customer=customer, logical_no=f"{number}", physical_no=f"{number:08X}")
        for number in range(1, count + 1)
    ]


def want(station, rows):
    return cards.want_cards(piles=station.piles.all(), cards=rows, actor=factories.SYSTEM)


def ask(pile):
    for command in cards.questions(pile=pile):
        gateway.send(pile=pile, command=command, actor=factories.SYSTEM)


def sent(kind):
    return list(PileCommand.objects.filter(kind=kind).order_by("id"))


def states():
    return sorted(OfflineCard.objects.values_list("state", flat=True))


def synced(pile, accepted=True):
    cards.cards_synced(pile_code=pile.pile_code, accepted=accepted, result={})


def test_cards_are_written_fifteen_at_a_time_each_after_the_answer_to_the_last():
    pile = factories.a_pile()
    assert want(pile.station, some_cards(17)) == 17
    assert [len(row.payload["cards"]) for row in sent(CommandKind.SYNC_CARDS)] == [15]
    assert sent(CommandKind.SYNC_CARDS)[0].payload["cards"][0] == ["0000000000000001", "0000000000000001"]
    synced(pile)
    assert [len(row.payload["cards"]) for row in sent(CommandKind.SYNC_CARDS)] == [15, 2]
    assert states() == [CardOnPile.STORED] * 15 + [CardOnPile.WANTED] * 2
    synced(pile)
    assert states() == [CardOnPile.STORED] * 17
    assert [row.state for row in sent(CommandKind.SYNC_CARDS)] == [CommandState.DONE] * 2


def test_a_pile_without_room_refuses_the_frame_and_is_not_asked_again():
    pile = factories.a_pile()
    rows = some_cards(2)
    want(pile.station, rows)
    synced(pile, accepted=False)
    assert states() == [CardOnPile.FAILED] * 2
    assert cards.sync_all() == 0
    assert want(pile.station, rows) == 2
    assert len(sent(CommandKind.SYNC_CARDS)) == 2


def test_a_pile_that_is_offline_gets_its_cards_later():
    pile = factories.a_pile(online=False)
    want(pile.station, some_cards(1))
    assert sent(CommandKind.SYNC_CARDS) == []
    assert cards.sync_all() == 0
    factories.put_online(pile)
    assert cards.sync_all() == 1
    assert cards.sync_all() == 0  # it owes an answer
    PileCommand.objects.update(state=CommandState.EXPIRED)
    assert cards.sync_all() == 1


def test_a_frozen_card_goes_from_all_piles_by_itself():
    station = factories.a_station()
    piles = [factories.a_pile(station=station) for _ in range(2)]
    lost, kept = some_cards(2)
    want(station, [lost, kept])
    for pile in piles:
        synced(pile)
    set_card_state(card=lost, state=CardState.FROZEN)
    assert cards.sync_all() == 2
    assert {row.payload["physical_nos"][0] for row in sent(CommandKind.CLEAR_CARDS)} == {lost.physical_no}
    for pile in piles:
        cards.cards_cleared(pile_code=pile.pile_code, cleared={lost.physical_no: True})
    assert set(OfflineCard.objects.values_list("physical_no", "state")) == {(kept.physical_no, "stored")}
    assert cards.sync_all() == 0


def test_wanted_twice_is_written_once():
    pile = factories.a_pile()
    rows = some_cards(1)
    want(pile.station, rows)
    synced(pile)
    assert want(pile.station, rows) == 0
    assert len(sent(CommandKind.SYNC_CARDS)) == 1


def test_every_pile_of_the_station():
    station = factories.a_station()
    for _ in range(2):
        factories.a_pile(station=station)
    factories.a_pile()
    assert want(station, some_cards(1)) == 2
    assert {row.pile.station for row in sent(CommandKind.SYNC_CARDS)} == {station}


def test_cards_are_deleted_twenty_four_at_a_time():
    pile = factories.a_pile()
    rows = some_cards(26)
    want(pile.station, rows)
    OfflineCard.objects.update(state=CardOnPile.STORED)
    PileCommand.objects.all().delete()
    numbers = [row.physical_no for row in rows]
    assert cards.unwant_cards(piles=[pile], physical_nos=numbers, actor=factories.SYSTEM) == 26
    (first,) = sent(CommandKind.CLEAR_CARDS)
    assert len(first.payload["physical_nos"]) == 24
    told = dict.fromkeys(first.payload["physical_nos"], True) | {numbers[0]: False}
    cards.cards_cleared(pile_code=pile.pile_code, cleared=told)
    assert OfflineCard.objects.count() == 3
    assert OfflineCard.objects.get(physical_no=numbers[0]).state == CardOnPile.FAILED
    second = sent(CommandKind.CLEAR_CARDS)[1]
    cards.cards_cleared(pile_code=pile.pile_code, cleared=dict.fromkeys(second.payload["physical_nos"], True))
    assert OfflineCard.objects.count() == 1
    first.refresh_from_db()
    assert (first.state, first.result) == (CommandState.REFUSED, {"cleared": 23, "failed": 1})


def test_what_a_pile_has_decides():
    pile = factories.a_pile()
    rows = some_cards(28)
    want(pile.station, rows)
    PileCommand.objects.all().delete()
    OfflineCard.objects.update(state=CardOnPile.STORED)
    ask(pile)
    assert [len(row.payload["physical_nos"]) for row in sent(CommandKind.QUERY_CARDS)] == [26, 2]
    here, gone, unwanted = (row.physical_no for row in rows[:3])
    OfflineCard.objects.filter(physical_no=here).update(state=CardOnPile.FAILED)
    OfflineCard.objects.filter(physical_no=unwanted).update(state=CardOnPile.UNWANTED)
    cards.cards_queried(pile_code=pile.pile_code, present={here: True, gone: False, unwanted: False})
    found = dict(OfflineCard.objects.values_list("physical_no", "state"))
    assert (found[here], found[gone], unwanted in found) == (CardOnPile.STORED, CardOnPile.WANTED, False)
    assert len(sent(CommandKind.SYNC_CARDS)) == 1


def test_each_question_gets_its_own_answer():
    pile = factories.a_pile()
    want(pile.station, some_cards(28))
    PileCommand.objects.all().delete()
    ask(pile)
    for question in sent(CommandKind.QUERY_CARDS):
        numbers = question.payload["physical_nos"]
        cards.cards_queried(
            pile_code=pile.pile_code, present=dict.fromkeys(numbers, True), answer=bytes([len(numbers)])
        )
    found = [(row.state, bytes(row.answer), row.result["present"]) for row in sent(CommandKind.QUERY_CARDS)]
    assert found == [(CommandState.DONE, bytes([26]), 26), (CommandState.DONE, bytes([2]), 2)]


def test_answers_that_nobody_awaits_change_nothing():
    pile = factories.a_pile()
    want(pile.station, some_cards(1))
    PileCommand.objects.all().delete()
    synced(pile)
    cards.cards_cleared(pile_code=pile.pile_code, cleared={"0000000000000001": True})
    cards.cards_queried(pile_code=pile.pile_code, present={"0000000000000001": True})
    assert states() == [CardOnPile.WANTED]
    assert Pile.objects.count() == 1
