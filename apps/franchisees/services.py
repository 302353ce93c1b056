"""Every write to franchisees. Locks: the franchisee, then the station.

`address` is that of whoever does it, for the audit log.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import IO

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.accounts import policy, rules, sessions
from apps.accounts.enums import Scope, SessionEnd
from apps.accounts.models import User
from apps.accounts.roles import FRANCHISEE
from apps.backoffice.audit import record
from apps.common.ids import Actor
from apps.common.time import business_day, now
from apps.files import services as files
from apps.files.models import StoredFile
from apps.franchisees import contract_files
from apps.franchisees.enums import FranchiseeState
from apps.franchisees.errors import (
    ContractNumberTaken,
    ContractsOverlap,
    DaysReversed,
    FranchiseeEnded,
    NotEnded,
    NotLonger,
    PhoneTaken,
    RoleMissing,
    RoleTooLarge,
    StationNotHeld,
    StationTaken,
    UsernameTaken,
)
from apps.franchisees.models import Franchisee, FranchiseeAccount, FranchiseeContract, FranchiseeStation
from apps.franchisees.selectors import held_on
from apps.sites.models import Station


def create_franchisee(
    *, name: str, company: str, actor: Actor, address: str | None = None, **details: str
) -> Franchisee:
    """Enter a franchisee; `details` are credit_code, contact, phone and note."""
    with transaction.atomic():
        franchisee = Franchisee.objects.create(name=name, company=company, **details)
        record(
            actor,
            "franchisees.franchisee_added",
            franchisee,
            changes={"name": [None, name], "company": [None, company]},
            address=address,
        )
    return franchisee


# --- Contracts --------------------------------------------------------------------------------------------


def sign_contract(
    *,
    franchisee: Franchisee,
    number: str,
    starts_on: date,
    ends_on: date,
    service_share: Decimal,
    electricity_share: Decimal,
    actor: Actor,
    address: str | None = None,
    note: str = "",
    file: IO[bytes] | None = None,
    file_name: str = "",
) -> FranchiseeContract:
    """Enter a contract. Shares are per cent; days are of Asia/Shanghai, both included.

    Raises DaysReversed, ContractsOverlap, ContractNumberTaken, FranchiseeEnded, and what is wrong with a file.
    """
    if ends_on < starts_on:
        raise DaysReversed
    stored: StoredFile | None = None
    if file is not None:
        stored = files.store(kind=contract_files.KIND, file=file, name=file_name, owner=actor)
    try:
        with transaction.atomic():
            row = _lock(franchisee)
            _check_apart(row, starts_on, ends_on)
            if FranchiseeContract.objects.filter(number=number).exists():
                raise ContractNumberTaken(number=number)
            contract = FranchiseeContract.objects.create(
                franchisee=row,
                number=number,
                starts_on=starts_on,
                ends_on=ends_on,
                service_share=service_share,
                electricity_share=electricity_share,
                file=stored,
                note=note,
                signed_by=str(actor)[:100],
            )
            changes = {
                "contract": [None, number],
                "starts_on": [None, starts_on],
                "ends_on": [None, ends_on],
                "service_share": [None, service_share],
                "electricity_share": [None, electricity_share],
            }
            record(actor, "franchisees.franchisee_contract_signed", row, changes=changes, address=address)
            return contract
    except BaseException:
        if stored is not None:
            files.discard(stored)
        raise


def end_contract(
    *,
    contract: FranchiseeContract,
    ends_on: date,
    reason: str,
    actor: Actor,
    address: str | None = None,
) -> FranchiseeContract:
    """Let a contract end earlier. What happened while it ran stays as it is. Raises NotLonger, DaysReversed."""
    with transaction.atomic():
        franchisee = _lock(contract.franchisee, ended_too=True)
        row = FranchiseeContract.objects.get(pk=contract.pk)
        if ends_on > row.ends_on:
            raise NotLonger
        if ends_on < row.starts_on:
            raise DaysReversed
        before, row.ends_on = row.ends_on, ends_on
        row.save(update_fields=["ends_on", "updated_at"])
        changes = {"contract": [row.number, row.number], "ends_on": [before, ends_on]}
        record(
            actor,
            "franchisees.franchisee_contract_ended",
            franchisee,
            changes=changes,
            reason=reason,
            address=address,
        )
    return row


def _check_apart(franchisee: Franchisee, first: date, last: date) -> None:
    """Raise ContractsOverlap for a contract that has a day with these in common."""
    other = franchisee.contracts.filter(starts_on__lte=last, ends_on__gte=first).first()
    if other is not None:
        raise ContractsOverlap(number=other.number, first=other.starts_on, last=other.ends_on)


# --- Stations ---------------------------------------------------------------------------------------------


def assign_station(
    *,
    franchisee: Franchisee,
    station: Station,
    actor: Actor,
    address: str | None = None,
    starts_on: date | None = None,
    ends_on: date | None = None,
) -> FranchiseeStation:
    """Give a station to a franchisee from a day on (today), for good or until a last day.

    Its accounts see the station while it has it; on no day does a station belong to two. Raises DaysReversed,
    StationTaken, FranchiseeEnded.
    """
    first = starts_on or business_day(now())
    if ends_on is not None and ends_on < first:
        raise DaysReversed
    with transaction.atomic():
        row = _lock(franchisee)
        Station.objects.select_for_update().get(pk=station.pk)
        _check_free(station, first, ends_on)
        held = FranchiseeStation.objects.create(
            franchisee=row, station=station, starts_on=first, ends_on=ends_on, given_by=str(actor)[:100]
        )
        changes = {"station": [None, str(station)], "starts_on": [None, first], "ends_on": [None, ends_on]}
        record(actor, "franchisees.franchisee_station_given", row, changes=changes, address=address)
    return held


def take_station_back(
    *, held: FranchiseeStation, ends_on: date, reason: str, actor: Actor, address: str | None = None
) -> None:
    """Let a station belong to its franchisee until `ends_on` (its last day, not behind the present one).

    A last day before the first one takes the row away: it was never the franchisee's. Raises StationNotHeld.
    """
    with transaction.atomic():
        franchisee = _lock(held.franchisee, ended_too=True)
        Station.objects.select_for_update().get(pk=held.station_id)
        row = FranchiseeStation.objects.select_related("station").filter(pk=held.pk).first()
        if row is None or (row.ends_on is not None and row.ends_on < ends_on):
            raise StationNotHeld
        before = row.ends_on
        if ends_on < row.starts_on:
            row.delete()
        else:
            row.ends_on = ends_on
            row.save(update_fields=["ends_on", "updated_at"])
        changes = {"station": [str(row.station), None], "ends_on": [before, ends_on]}
        record(
            actor,
            "franchisees.franchisee_station_taken",
            franchisee,
            changes=changes,
            reason=reason,
            address=address,
        )


def _check_free(station: Station, first: date, last: date | None) -> None:
    rows = station.franchisees.filter(Q(ends_on=None) | Q(ends_on__gte=first))
    if last is not None:
        rows = rows.filter(starts_on__lte=last)
    other = rows.select_related("franchisee").first()
    if other is not None:
        raise StationTaken(
            station=str(station),
            franchisee=str(other.franchisee),
            first=other.starts_on,
            last=other.ends_on or "…",
        )


# --- Accounts ---------------------------------------------------------------------------------------------


def role_of_franchisees() -> Group:
    """Return the role that accounts of franchisees begin with. Raises RoleMissing."""
    group = Group.objects.filter(standard__code=FRANCHISEE).first()
    if group is None:
        raise RoleMissing
    return group


def check_may_open(person: User) -> None:
    """Raise RoleTooLarge where a person would give more than they have; RoleMissing."""
    group = role_of_franchisees()
    if rules.beyond(person, [group]):
        raise RoleTooLarge(role=group.name)


def open_account(
    *,
    franchisee: Franchisee,
    username: str,
    password: str,
    actor: Actor,
    address: str | None = None,
    display_name: str = "",
    phone: str = "",
) -> User:
    """Make an account of the back office for somebody of a franchisee: it sees the franchisee's stations of each day.

    `phone` is in E.164 form. Who was given a password chooses a new one, by the policy. Raises UsernameTaken,
    PhoneTaken, RoleMissing, FranchiseeEnded, LimitReached.
    """
    with transaction.atomic():
        row = _lock(franchisee)
        group = role_of_franchisees()
        if User.objects.filter(username=username).exists():
            raise UsernameTaken(username=username)
        if phone and User.objects.filter(phone=phone).exists():
            raise PhoneTaken
        rules.check_room_for_staff()
        try:
            with transaction.atomic():
                user = User.objects.create_user(
                    username=username,
                    password=password,
                    display_name=display_name,
                    phone=phone,
                    is_staff=True,
                    scope=Scope.FRANCHISEE,
                    must_change_password=policy.current().first_sign_in_changes,
                )
        except IntegrityError as error:  # somebody was quicker
            raise UsernameTaken(username=username) from error
        user.groups.add(group)
        FranchiseeAccount.objects.create(franchisee=row, user=user)
        changes = {"account": [None, username], "role": [None, group.name]}
        record(actor, "franchisees.franchisee_account_opened", row, changes=changes, address=address)
    return user


def switch_account(
    *, account: FranchiseeAccount, active: bool, reason: str, actor: Actor, address: str | None = None
) -> None:
    """Let somebody of a franchisee in again, or close their account and end their sessions.

    Raises FranchiseeEnded, LimitReached.
    """
    with transaction.atomic():
        franchisee = _lock(account.franchisee, ended_too=not active)
        user = User.objects.select_for_update().get(pk=account.user_id)
        if user.is_active == active:
            return
        if active:
            rules.check_room_for_staff()
        _set_active(user, active)
        changes = {"account": [user.username, user.username], "is_active": [not active, active]}
        deed = "account_reopened" if active else "account_closed"
        record(
            actor,
            f"franchisees.franchisee_{deed}",
            franchisee,
            changes=changes,
            reason=reason,
            address=address,
        )


def _set_active(user: User, active: bool) -> None:
    user.is_active = active
    if not active:
        sessions.end(user.staff_sessions.all(), SessionEnd.BY_ADMINISTRATOR)
    user.save(update_fields=["is_active"])


# --- The end ----------------------------------------------------------------------------------------------


def end_franchisee(*, franchisee: Franchisee, reason: str, actor: Actor, address: str | None = None) -> None:
    """End the work with a franchisee today: its stations are its own until today, its accounts are closed at once.

    Contracts, orders and reports stay. Raises FranchiseeEnded.
    """
    today = business_day(now())
    with transaction.atomic():
        row = _lock(franchisee)
        # Stations that were to come later never come.
        row.stations.filter(starts_on__gt=today).delete()
        kept = row.stations.filter(held_on(today))
        stations = sorted(str(held) for held in kept.select_related("station"))
        kept.update(ends_on=today)
        people = User.objects.select_for_update().filter(franchisee_account__franchisee=row, is_active=True)
        accounts = list(people.order_by("pk"))
        for user in accounts:
            _set_active(user, False)
        row.state = FranchiseeState.ENDED
        row.save(update_fields=["state", "updated_at"])
        changes = {
            "state": [FranchiseeState.ACTIVE, FranchiseeState.ENDED],
            "stations": [stations, []],
            "accounts": [[user.username for user in accounts], []],
        }
        record(actor, "franchisees.franchisee_ended", row, changes=changes, reason=reason, address=address)


def resume_franchisee(
    *, franchisee: Franchisee, reason: str, actor: Actor, address: str | None = None
) -> None:
    """Work together again: stations are given and accounts opened anew, one by one. Raises NotEnded."""
    with transaction.atomic():
        row = _lock(franchisee, ended_too=True)
        if row.state == FranchiseeState.ACTIVE:
            raise NotEnded
        row.state = FranchiseeState.ACTIVE
        row.save(update_fields=["state", "updated_at"])
        changes = {"state": [FranchiseeState.ENDED, FranchiseeState.ACTIVE]}
        record(actor, "franchisees.franchisee_resumed", row, changes=changes, reason=reason, address=address)


def _lock(franchisee: Franchisee, *, ended_too: bool = False) -> Franchisee:
    """Return the franchisee's row, locked until the transaction ends. Raises FranchiseeEnded."""
    row = Franchisee.objects.select_for_update().get(pk=franchisee.pk)
    if row.state == FranchiseeState.ENDED and not ended_too:
        raise FranchiseeEnded
    return row
