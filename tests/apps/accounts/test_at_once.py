"""Two at the same instant, with real commits: the last administrator, one code, one recovery code, one account."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pyotp
from django.contrib.auth.models import Group
from django.db import connection, connections
from django.test import RequestFactory

from apps.accounts import factors, identities, policy, rules, signing
from apps.accounts.errors import BoundToAnother, CodeWrong, Locked, WrongPassword
from apps.accounts.models import LoginIdentity, LoginProvider, SignInPolicy, User
from apps.common.errors import DomainError
from apps.common.time import now
from tests.staff import a_user, signed_in


def at_once(schema: str, *deeds: Callable[[], Any]) -> list[Any]:
    """Do all at the same instant, each on a connection of its own; return results, errors as they are."""
    barrier = Barrier(len(deeds))

    def run(deed: Callable[[], Any]) -> Any:
        connection.set_schema(schema)
        try:
            barrier.wait(10)
            return deed()
        except DomainError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(run, deeds))


def test_two_administrators_who_remove_each_other_leave_one(committed: Any) -> None:
    role = Group.objects.get(standard__code="administrator")
    User.objects.filter(is_superuser=True).update(is_superuser=False)
    people = [a_user(), a_user()]
    for one in people:
        one.groups.add(role)
    clients = [signed_in(User.objects.get(pk=one.pk)) for one in people]

    def removes(client: Any, other: User) -> Callable[[], int]:
        form = {"username": other.username, "is_active": "on", "scope": "all", "groups": []}
        return lambda: client.post(f"/admin/accounts/user/{other.pk}/change/", form).status_code

    for _ in range(3):
        at_once(committed.schema_name, removes(clients[0], people[1]), removes(clients[1], people[0]))
        assert rules.administrators().count() == 1
        for one in people:
            one.groups.add(role)


def test_one_code_lets_one_in(committed: Any) -> None:
    user = a_user()
    user.totp_secret, user.totp_since = factors.new_secret(), now()
    user.save()
    user = User.objects.get(pk=user.pk)
    (recovery, *_rest) = factors.new_recovery_codes(user)
    for method, code in (("totp", pyotp.TOTP(user.totp_secret).now()), ("recovery", recovery)):
        found = at_once(
            committed.schema_name,
            *[lambda m=method, c=code: factors.check(user, method=m, code=c, allowed=[m])] * 4,
        )
        assert [one for one in found if one is None] == [None], method
        assert sum(isinstance(one, CodeWrong) for one in found) == 3


def test_guesses_at_the_same_instant_are_no_more_than_may_fail(committed: Any) -> None:
    """Ten failures lock; sixteen guesses that begin together are not all looked at."""
    user = a_user()
    user.totp_secret, user.totp_since = factors.new_secret(), now()
    user.save()
    user = User.objects.get(pk=user.pk)

    def second_factor() -> None:
        factors.check(user, method="recovery", code="AAAA-AAAA-AAAA", allowed=["recovery"])

    def first_factor() -> None:
        request = RequestFactory().post("/", REMOTE_ADDR="10.0.0.9")
        signing.check_password(request, username=user.username, password="wrong")

    SignInPolicy.objects.update(puzzle_failures=0)
    policy.forget()
    for deed, wrong in ((second_factor, CodeWrong), (first_factor, WrongPassword)):
        found = at_once(committed.schema_name, *[deed] * 16)
        assert sum(isinstance(one, wrong) for one in found) <= 10, deed
        assert all(isinstance(one, wrong | Locked) for one in found)
        for _try in range(16):
            found.append(at_once(committed.schema_name, deed)[0])
        assert sum(isinstance(one, wrong) for one in found) == 10, "those that were refused cost nobody a try"
        assert isinstance(found[-1], Locked)


def test_one_account_at_a_provider_is_one_persons(committed: Any) -> None:
    row = LoginProvider.objects.create(provider="wechat", app_id="wx1", secret="s")
    scanned = identities.Scanned(row, "o1", None, "")
    people = [a_user() for _ in range(4)]
    found = at_once(committed.schema_name, *[lambda one=one: identities.bind(one, scanned) for one in people])
    assert sum(isinstance(one, LoginIdentity) for one in found) == 1
    assert sum(isinstance(one, BoundToAnother) for one in found) == 3
