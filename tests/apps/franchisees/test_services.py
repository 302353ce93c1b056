"""Franchisees: contracts apart, stations of one at a time, accounts that see what is theirs today."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django_tenants.utils import schema_context

from apps.accounts.enums import Scope
from apps.accounts.models import StandardRole, User
from apps.backoffice import scope
from apps.backoffice.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.ids import SYSTEM
from apps.common.time import business_day, now
from apps.files.models import StoredFile
from apps.franchisees import errors, selectors, services
from apps.franchisees.models import Franchisee, FranchiseeContract, FranchiseeStation
from apps.orders.models import Order
from tests import factories

DAY = timedelta(days=1)


def today() -> date:
    return business_day(now())


def sees(user: User) -> set[int]:
    """As a new request would."""
    return set(scope.stations_of(User.objects.get(pk=user.pk)) or ())


def sign(
    franchisee: Franchisee, first: date, last: date, number: str = "", **words: Any
) -> FranchiseeContract:
    return services.sign_contract(
        franchisee=franchisee,
        number=number or f"{first}",
        starts_on=first,
        ends_on=last,
        service_share=Decimal("66.6667"),
        electricity_share=Decimal(100),
        actor=SYSTEM,
        **words,
    )


# --- Contracts ---


@pytest.mark.usefixtures("tenant")
def test_contracts_of_one_franchisee_have_no_day_in_common() -> None:
    franchisee = factories.a_franchisee()
    sign(franchisee, date(2026, 1, 1), date(2026, 6, 30), "A")
    for first, last in (
        (date(2026, 6, 30), date(2026, 12, 31)),
        (date(2025, 1, 1), date(2026, 1, 1)),
        (date(2026, 2, 1), date(2026, 2, 1)),
        (date(2025, 1, 1), date(2027, 1, 1)),
    ):
        with pytest.raises(errors.ContractsOverlap) as told:
            sign(franchisee, first, last)
        assert "A" in str(told.value)
        assert "2026-06-30" in str(told.value)
    sign(franchisee, date(2026, 7, 1), date(2026, 12, 31), "B")
    sign(factories.a_franchisee(), date(2026, 1, 1), date(2026, 6, 30), "C")
    with pytest.raises(errors.ContractNumberTaken):
        sign(franchisee, date(2027, 1, 1), date(2027, 6, 30), "C")
    with pytest.raises(errors.DaysReversed):
        sign(franchisee, date(2028, 1, 2), date(2028, 1, 1))
    # And the database says so too.
    with pytest.raises(IntegrityError, match="franchise_contracts_apart"), transaction.atomic():
        FranchiseeContract.objects.filter(number="B").update(starts_on=date(2026, 6, 30))
    assert FranchiseeContract.objects.count() == 3


@pytest.mark.usefixtures("tenant")
def test_a_contract_ends_earlier_and_never_later() -> None:
    franchisee = factories.a_franchisee()
    contract = sign(franchisee, date(2026, 1, 1), date(2026, 6, 30))
    for last, error in ((date(2026, 7, 1), errors.NotLonger), (date(2025, 12, 31), errors.DaysReversed)):
        with pytest.raises(error):
            services.end_contract(contract=contract, ends_on=last, reason="x", actor=SYSTEM)
    services.end_contract(contract=contract, ends_on=date(2026, 3, 31), reason="提前", actor=SYSTEM)
    sign(franchisee, date(2026, 4, 1), date(2026, 12, 31))
    entry = AuditEntry.objects.get(action="franchisees.franchisee_contract_ended")
    assert entry.changes["ends_on"] == ["2026-06-30", "2026-03-31"]
    assert entry.reason == "提前"
    assert selectors.contract_on(franchisee.pk, date(2026, 3, 31)) == contract
    assert selectors.contract_on(franchisee.pk, date(2025, 3, 31)) is None


@pytest.mark.usefixtures("tenant")
def test_a_contract_keeps_its_file_and_a_refused_one_leaves_none() -> None:
    franchisee = factories.a_franchisee()
    pdf = BytesIO(b"%PDF-1.4\n%%EOF\n")
    contract = sign(franchisee, date(2026, 1, 1), date(2026, 6, 30), file=pdf, file_name="合同.pdf")
    assert contract.file is not None
    assert contract.file.name == "合同.pdf"
    with pytest.raises(errors.ContractsOverlap):
        sign(franchisee, date(2026, 1, 1), date(2026, 6, 30), "B", file=pdf, file_name="x.pdf")
    with pytest.raises(DomainError):
        sign(franchisee, date(2027, 1, 1), date(2027, 6, 30), "C", file=BytesIO(b"MZ"), file_name="x.pdf")
    assert StoredFile.objects.count() == 1
    assert FranchiseeContract.objects.count() == 1


def test_of_two_contracts_signed_at_once_one_holds(committed: Any) -> None:
    franchisee = factories.a_franchisee()
    outcomes = at_once(
        lambda number: sign(franchisee, date(2026, 1, 1 + number), date(2026, 6, 30), f"N{number}")
    )
    assert sorted(outcomes) == ["ContractsOverlap", "done"]
    assert FranchiseeContract.objects.count() == 1


def test_of_two_who_are_given_a_station_at_once_one_has_it(committed: Any) -> None:
    station = factories.a_station()
    both = [factories.a_franchisee(), factories.a_franchisee()]
    outcomes = at_once(
        lambda number: services.assign_station(franchisee=both[number], station=station, actor=SYSTEM)
    )
    assert sorted(outcomes) == ["StationTaken", "done"]
    assert FranchiseeStation.objects.count() == 1


def at_once(do: Any) -> list[str]:
    """Let two threads do it with their own numbers, both begun before either ends; how each came out."""
    outcomes: list[str] = []
    barrier = threading.Barrier(2, timeout=20)

    def run(number: int) -> None:
        try:
            with schema_context("t_alpha"):
                barrier.wait()
                try:
                    do(number)
                    outcomes.append("done")
                except DomainError as error:
                    outcomes.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


# --- Stations ---


@pytest.mark.usefixtures("tenant")
def test_a_station_is_of_one_franchisee_at_a_time() -> None:
    station = factories.a_station(name="人民广场站")
    first, second = factories.a_franchisee(station, name="甲"), factories.a_franchisee(name="乙")
    for begin, end in ((None, None), (today() + 90 * DAY, None), (today() - 9 * DAY, today())):
        with pytest.raises(errors.StationTaken) as told:
            services.assign_station(
                franchisee=second, station=station, starts_on=begin, ends_on=end, actor=SYSTEM
            )
        assert "人民广场站" in str(told.value)
        assert "甲" in str(told.value)
    services.assign_station(
        franchisee=second,
        station=station,
        starts_on=today() - 9 * DAY,
        ends_on=today() - 2 * DAY,
        actor=SYSTEM,
    )
    held = first.stations.get()
    services.take_station_back(held=held, ends_on=today(), reason="到期", actor=SYSTEM)
    services.assign_station(franchisee=second, station=station, starts_on=today() + DAY, actor=SYSTEM)
    with pytest.raises(errors.StationNotHeld):
        services.take_station_back(held=held, ends_on=today() + DAY, reason="x", actor=SYSTEM)
    with pytest.raises(errors.DaysReversed):
        services.assign_station(
            franchisee=second, station=factories.a_station(), ends_on=today() - DAY, actor=SYSTEM
        )
    with pytest.raises(IntegrityError, match="franchisee_station_of_one"), transaction.atomic():
        FranchiseeStation.objects.filter(pk=held.pk).update(ends_on=None)
    spans = FranchiseeStation.objects.order_by("starts_on").values_list("franchisee__name", "ends_on")
    assert list(spans) == [("乙", today() - 2 * DAY), ("甲", today()), ("乙", None)]
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"franchisees.franchisee_station_given", "franchisees.franchisee_station_taken"} <= actions


@pytest.mark.usefixtures("tenant")
def test_a_station_given_by_mistake_was_never_the_franchisees() -> None:
    station = factories.a_station()
    franchisee = factories.a_franchisee(station, since=0)
    services.take_station_back(
        held=franchisee.stations.get(), ends_on=today() - DAY, reason="填错", actor=SYSTEM
    )
    assert not FranchiseeStation.objects.exists()


# --- Accounts ---


@pytest.mark.usefixtures("tenant")
def test_an_account_sees_the_stations_of_its_franchisee_today() -> None:
    mine, later, past, other = (factories.a_station() for _ in range(4))
    franchisee = factories.a_franchisee(mine)
    account = factories.a_franchisees_account(franchisee, "jia")
    services.assign_station(franchisee=franchisee, station=later, starts_on=today() + DAY, actor=SYSTEM)
    services.assign_station(
        franchisee=franchisee,
        station=past,
        starts_on=today() - 9 * DAY,
        ends_on=today() - DAY,
        actor=SYSTEM,
    )
    factories.a_franchisee(other)
    assert account.scope == Scope.FRANCHISEE
    assert list(account.groups.all()) == [StandardRole.objects.get(code="franchisee").group]
    assert sees(account) == {mine.pk}
    third = factories.a_station()
    services.assign_station(franchisee=franchisee, station=third, actor=SYSTEM)
    assert sees(account) == {mine.pk, third.pk}
    services.take_station_back(
        held=FranchiseeStation.objects.get(station=mine), ends_on=today() - DAY, reason="x", actor=SYSTEM
    )
    assert sees(account) == {third.pk}


@pytest.mark.usefixtures("tenant")
def test_a_new_owner_sees_no_orders_from_before() -> None:
    station = factories.a_station()
    gun = factories.a_connector(station=station)
    old, new = factories.a_charging_order(connector=gun), None
    Order.objects.filter(pk=old.pk).update(created_at=now() - 5 * DAY, state="completed")
    franchisee = factories.a_franchisee(station, since=1)
    account = factories.a_franchisees_account(franchisee)
    factories.put_online(gun.pile)
    new = factories.a_charging_order(connector=gun)
    seen = scope.narrow(Order.objects.all(), User.objects.get(pk=account.pk))
    assert list(seen) == [new]


@pytest.mark.usefixtures("tenant")
def test_names_and_numbers_are_of_one_person() -> None:
    franchisee = factories.a_franchisee()
    words = {"franchisee": franchisee, "password": "correct horse", "actor": SYSTEM}
    services.open_account(username="jia", phone="+8613900001234", **words)
    with pytest.raises(errors.UsernameTaken):
        services.open_account(username="jia", **words)
    with pytest.raises(errors.PhoneTaken):
        services.open_account(username="yi", phone="+8613900001234", **words)
    StandardRole.objects.get(code="franchisee").group.delete()
    with pytest.raises(errors.RoleMissing):
        services.open_account(username="bing", **words)
    assert User.objects.count() == 1


@pytest.mark.usefixtures("tenant")
def test_the_end_takes_stations_and_accounts_and_loses_nothing() -> None:
    mine, later = factories.a_station(), factories.a_station()
    franchisee = factories.a_franchisee(mine)
    factories.a_contract(franchisee)
    services.assign_station(franchisee=franchisee, station=later, starts_on=today() + DAY, actor=SYSTEM)
    account = factories.a_franchisees_account(franchisee)
    services.end_franchisee(franchisee=franchisee, reason="退出", actor=SYSTEM)
    account.refresh_from_db()
    assert not account.is_active
    assert sees(account) == set()
    assert list(franchisee.stations.values_list("station", "ends_on")) == [(mine.pk, today())]
    assert franchisee.contracts.count() == 1
    for forbidden in (
        lambda: services.assign_station(franchisee=franchisee, station=later, actor=SYSTEM),
        lambda: factories.a_franchisees_account(franchisee),
        lambda: factories.a_contract(franchisee, first=400, last=500),
        lambda: services.end_franchisee(franchisee=franchisee, reason="x", actor=SYSTEM),
        lambda: services.switch_account(
            account=account.franchisee_account, active=True, reason="x", actor=SYSTEM
        ),
    ):
        with pytest.raises(errors.FranchiseeEnded):
            forbidden()
    services.resume_franchisee(franchisee=franchisee, reason="回来", actor=SYSTEM)
    with pytest.raises(errors.NotEnded):
        services.resume_franchisee(franchisee=franchisee, reason="x", actor=SYSTEM)
    services.switch_account(account=account.franchisee_account, active=True, reason="回来", actor=SYSTEM)
    services.assign_station(franchisee=franchisee, station=later, actor=SYSTEM)
    account.refresh_from_db()
    assert account.is_active
    assert sees(account) == {mine.pk, later.pk}


# --- What waits, and whose days are whose ---


@pytest.mark.usefixtures("tenant")
def test_contracts_that_end_wait_for_a_person() -> None:
    near, far, over, renewed, none, gone = (factories.a_franchisee(name=name) for name in "近远过续无走")
    factories.a_contract(near, last=30)
    factories.a_contract(far, last=31)
    factories.a_contract(over, last=-1)
    factories.a_contract(renewed, last=5)
    factories.a_contract(renewed, first=6, last=300)
    factories.a_contract(gone, last=5)
    services.end_franchisee(franchisee=gone, reason="x", actor=SYSTEM)
    assert none.contracts.count() == 0
    assert set(selectors.ending(Franchisee.objects.all())) == {near, over}


@pytest.mark.usefixtures("tenant")
def test_which_stations_were_whose_all_the_time() -> None:
    whole, part = factories.a_station(), factories.a_station()
    first, second = factories.a_franchisee(), factories.a_franchisee()

    def give(franchisee: Franchisee, station: Any, begin: date, end: date | None) -> None:
        services.assign_station(
            franchisee=franchisee, station=station, starts_on=begin, ends_on=end, actor=SYSTEM
        )

    give(first, whole, date(2026, 1, 1), date(2026, 3, 10))
    give(first, whole, date(2026, 3, 11), None)
    give(second, part, date(2026, 1, 1), date(2026, 3, 31))
    assert selectors.held_through(date(2026, 3, 1), date(2026, 3, 31)) == {
        first.pk: frozenset({whole.pk}),
        second.pk: frozenset({part.pk}),
    }
    assert selectors.held_through(date(2026, 3, 1), date(2026, 4, 1)) == {
        first.pk: frozenset({whole.pk}),
        second.pk: None,
    }
    assert selectors.months_of_change(date(2026, 1, 1), date(2026, 12, 31)) == {date(2026, 3, 1)}
