from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.piles.enums import ConnectorState
from apps.piles.models import Alarm, Pile, PileCommand
from apps.pricing import services
from apps.pricing.errors import InvalidTariff
from apps.pricing.models import PricePush, PriceVersion
from apps.pricing.selectors import (
    effective_version,
    effective_version_ids,
    effective_versions,
    station_versions,
)
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")
T = now()


def in_force(pile, at):
    return effective_version(pile_id=pile.pk, station_id=pile.station_id, at=at)


def test_a_version_keeps_the_tariff_exactly():
    version = factories.a_price()
    assert PriceVersion.objects.get().to_tariff() == factories.TARIFF
    assert (version.number, version.billing_model_no, len(version.slots)) == (1, "0001", 48)


def test_versions_count_up_and_each_has_its_own_model_number():
    first = factories.a_price()
    second = services.add_version(template=first.template, tariff=factories.TARIFF, actor=SYSTEM)
    other = factories.a_price()
    assert (second.number, second.billing_model_no) == (2, "0002")
    assert (other.number, other.billing_model_no) == (1, "0003")


@pytest.mark.parametrize(
    "statement", ["update pricing_priceversion set flat_service = 0", "delete from pricing_priceversion"]
)
def test_a_version_cannot_be_changed(statement):
    factories.a_price()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_tariff_needs_half_hours_and_four_classes():
    price = ClassPrice(Decimal(1), Decimal(1))
    with pytest.raises(InvalidTariff):
        factories.a_price(Tariff(factories.TARIFF.prices))
    with pytest.raises(InvalidTariff):
        factories.a_price(Tariff({RateClass.FLAT: price}, (RateClass.FLAT,) * 48))


def test_the_latest_start_wins_and_a_piles_own_price_goes_first():
    pile, neighbour = factories.a_pile(priced=False), None
    neighbour = factories.a_pile(station=pile.station, priced=False)
    old, new, own = factories.a_price(), factories.a_price(), factories.a_price()
    assign = lambda version, days, **place: services.assign(  # noqa: E731
        version=version, starts_at=T + timedelta(days=days), actor=SYSTEM, **place
    )
    assign(old, -3, station=pile.station)
    assign(new, -1, station=pile.station)
    assign(own, -2, pile=pile)
    assert in_force(pile, T) == own
    assert in_force(neighbour, T) == new
    assert in_force(neighbour, T - timedelta(days=2)) == old
    assert in_force(neighbour, T - timedelta(days=4)) is None
    places = [(one.pk, one.station_id) for one in (pile, neighbour)]
    assert effective_versions(places=places, at=T) == {pile.pk: own, neighbour.pk: new}
    assert effective_version_ids(places=places, at=T) == {pile.pk: own.pk, neighbour.pk: new.pk}
    assert effective_version_ids(places=places, at=T - timedelta(days=2)) == {
        pile.pk: own.pk,
        neighbour.pk: old.pk,
    }
    assert effective_version_ids(places=places, at=T - timedelta(days=4)) == {}
    assert station_versions(station_ids=[pile.station_id], at=T) == {pile.station_id: new}


def test_effective_versions_are_two_queries(django_assert_num_queries):
    places = [(pile.pk, pile.station_id) for pile in (factories.a_pile() for _ in range(3))]
    with django_assert_num_queries(2):
        effective_versions(places=places, at=T)
    with django_assert_num_queries(1):
        effective_version_ids(places=places, at=T)


def push(pile):
    return PricePush.objects.get(pile=pile)


def test_a_price_is_pushed_once_and_confirmed():
    pile = factories.a_pile()
    assert services.push_due_prices() == 1
    assert services.push_due_prices() == 0  # not again within a minute
    command = PileCommand.objects.get()
    assert command.kind == "set_billing_model"
    assert Tariff.from_json(command.payload["tariff"]) == factories.TARIFF
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    assert (push(pile).state, push(pile).tries) == ("done", 1)
    assert services.push_due_prices(at=T + timedelta(hours=1)) == 0


def test_a_refused_price_raises_an_alarm_and_is_tried_again():
    pile = factories.a_pile()
    services.push_due_prices()
    services.push_answered(pile_code=pile.pile_code, accepted=False)
    assert (push(pile).state, push(pile).reason) == ("failed", "refused")
    assert Alarm.objects.get(closed_at=None).kind == "price_mismatch"
    assert services.push_due_prices(at=now() + timedelta(minutes=2)) == 1
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    assert not Alarm.objects.filter(closed_at=None).exists()


def test_a_charging_or_offline_pile_gets_its_price_later():
    pile = factories.a_pile()
    factories.put_online(pile, ConnectorState.CHARGING)
    assert services.push_due_prices() == 0
    factories.put_online(pile)
    assert services.push_due_prices() == 1
    factories.a_pile(online=False)
    assert services.push_due_prices() == 0


def test_a_future_price_waits_for_its_time():
    pile = factories.a_pile(priced=False)
    services.assign(
        version=factories.a_price(), station=pile.station, starts_at=T + timedelta(hours=2), actor=SYSTEM
    )
    assert services.push_due_prices() == 0
    assert services.push_due_prices(at=T + timedelta(hours=3)) == 1


def test_a_pile_that_names_the_model_in_force_needs_no_push():
    pile = factories.a_pile()
    services.pile_has_model(
        pile_code=pile.pile_code, billing_model_no=push(pile).version.billing_model_no, matches=True
    )
    assert push(pile).state == "done"


def test_assigning_an_older_version_again_pushes_it_again():
    pile = factories.a_pile()
    first = push(pile).version
    services.push_due_prices()
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    second = factories.a_price()
    services.assign(version=second, station=pile.station, starts_at=T - timedelta(hours=2), actor=SYSTEM)
    services.assign(version=first, station=pile.station, starts_at=T - timedelta(hours=1), actor=SYSTEM)
    assert services.push_due_prices() == 1
    assert PileCommand.objects.first().payload["billing_model_no"] == first.billing_model_no


FIVE = Tariff(
    {**factories.TARIFF.prices, RateClass.DEEP_VALLEY: ClassPrice(Decimal("0.10000"), Decimal("0.20000"))},
    (RateClass.DEEP_VALLEY,) * 8 + factories.TARIFF.slots[8:],
)


def test_five_classes_are_not_pushed_to_a_pile_that_knows_four():
    pile = factories.a_pile(priced=False)
    version = factories.a_price(FIVE, pile=pile)
    moment = now()
    assert services.push_due_prices(at=moment) == 0
    assert (push(pile).state, push(pile).reason, push(pile).tries) == ("failed", "five_rate_classes", 0)
    alarm = Alarm.objects.get(closed_at=None)
    assert (alarm.kind, alarm.pile_code) == ("price_mismatch", pile.pile_code)
    assert alarm.detail == {"model": version.billing_model_no, "reason": "five_rate_classes"}
    Alarm.objects.update(detail={})
    for minute in range(2, 40, 2):
        assert services.push_due_prices(at=moment + timedelta(minutes=minute)) == 0
    assert Alarm.objects.get().detail == {}  # said once
    assert not PileCommand.objects.exists()

    Pile.objects.update(five_prices=True)
    assert services.push_due_prices(at=moment + timedelta(hours=1)) == 1
    assert Tariff.from_json(PileCommand.objects.get().payload["tariff"]) == FIVE
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    assert (push(pile).state, push(pile).reason) == ("done", "")
    assert not Alarm.objects.filter(closed_at=None).exists()


def test_a_price_for_deep_valley_that_no_half_hour_uses_is_pushed():
    pile = factories.a_pile(priced=False)
    factories.a_price(Tariff(FIVE.prices, factories.TARIFF.slots), pile=pile)
    assert services.push_due_prices() == 1


def test_five_classes_in_bulk_go_only_to_piles_that_know_them():
    old, new = factories.a_pile(priced=False), factories.a_pile(priced=False)
    Pile.objects.filter(pk=new.pk).update(five_prices=True)
    new.refresh_from_db()
    for pile in (old, new):
        factories.a_price(FIVE, pile=pile)
    assert list(services.price_commands([old, new])) == [new.pk]
    assert (push(old).state, push(old).reason) == ("failed", "five_rate_classes")
    assert (push(new).state, push(new).tries) == ("sent", 1)
    assert Alarm.objects.get().pile_code == old.pile_code
