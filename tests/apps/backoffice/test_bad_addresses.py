"""What nobody types and every scanner sends: numbers that are none, and days at the edge of the calendar."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.sessions.backends.cache import SessionStore
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db.models import DateField
from django.test import RequestFactory
from django.urls import reverse

from apps.backoffice.days import DayField, MomentField
from apps.backoffice.sites import tenant_site
from apps.common.ids import whole_number
from apps.common.time import read_day
from apps.wallet.models import EnterpriseAccount
from tests.apps.backoffice.test_pages import business  # noqa: F401
from tests.staff import a_user, boss

EDGES = ["9999-12-31", "0001-01-01"]
ODD = ["²", "9" * 30, "9" * 5000, "-1", "9999-12", *EDGES]
"""The first is a digit to str.isdigit, and none to int."""


def asked(page: Any, user: Any, words: dict[str, str]) -> None:
    """Read the first rows of a list as an address asks for it."""
    request = RequestFactory().get("/", words)
    request.user, request.session = user, SessionStore()
    try:
        changes = page.get_changelist_instance(request)
        list(getattr(changes, "result_list", ()))  # a report is no list of rows
    except (IncorrectLookupParameters, SuspiciousOperation):
        return


def odd_words(page: Any, user: Any) -> set[tuple[str, str]]:
    """Each parameter that a list's filters read with everything odd, and each of its days with odd ones."""
    request = RequestFactory().get("/")
    request.user, request.session = user, SessionStore()
    specs = getattr(page.get_changelist_instance(request), "filter_specs", ())
    names = {name for spec in specs for name in spec.expected_parameters() if name}
    days = {f"{field.name}__gte" for field in page.opts.concrete_fields if isinstance(field, DateField)}
    return {(name, value) for name in names for value in ODD} | {
        (name, day) for name in days for day in EDGES
    }


def test_no_filter_breaks(business: Any) -> None:  # noqa: F811
    user = a_user(superuser=True)
    broken = []
    for model, page in tenant_site._registry.items():
        for name, value in sorted(odd_words(page, user)):
            try:
                asked(page, user, {name: value})
            except Exception as error:  # noqa: BLE001
                found = f"{type(error).__name__}: {error}"[:90]
                broken.append((model._meta.label_lower, name, value[:10], found))
    assert broken == []


PAGES = {
    "orders/enterprisecharge/": ("month", "enterprise__id__exact"),
    "reports/financereport/": ("from", "to", "station", "franchisee", "p", "by"),
    "wallet/account/trial-balance/": ("from", "to"),
    "piles/connector/": ("pile__station__id__exact",),
    "piles/alarm/": ("station",),
    "piles/connector/wall/": ("station",),
}
"""Pages that read their address themselves, and what they read of it."""


def test_no_page_breaks(business: Any) -> None:  # noqa: F811
    client = boss()
    for page, names in PAGES.items():
        for name in names:
            for value in ODD:
                words = {"month": "2026-11", "enterprise__id__exact": "1"} if "month" in names else {}
                answer = client.get(f"/admin/{page}", words | {name: value})
                assert answer.status_code in (200, 302, 404), (page, name, value[:20])


def test_a_month_near_the_end_of_the_calendar_is_none(business: Any) -> None:  # noqa: F811
    enterprise = EnterpriseAccount.objects.get().enterprise_id
    words = {"enterprise__id__exact": enterprise}
    page = "/admin/orders/enterprisecharge/"
    assert boss().get(page, words | {"month": "2026-11"}).context_data["statement"] is not None
    for month in ("9999-12", "0001-01", "3000-01"):
        answer = boss().get(page, words | {"month": month})
        assert answer.context_data["statement"] is None
        assert list(answer.context_data["cl"].result_list) == []


def test_no_dialog_breaks_for_a_row_that_is_none(business: Any) -> None:  # noqa: F811
    """A dialog's form may look at its row before the deed does."""
    client, asked_for = boss(), 0
    for model, page in tenant_site._registry.items():
        for pattern in page.get_urls():
            if not pattern.name or set(getattr(pattern.pattern, "converters", ())) != {"object_id"}:
                continue
            for odd in ("²", "9" * 30, "9" * 5000):
                path = reverse(f"admin:{pattern.name}", kwargs={"object_id": odd})
                answer = client.get(path)
                assert answer.status_code < 500, (model, pattern.name, odd[:5])
                asked_for += 1
    assert asked_for > 300


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "3000-01-01", "9999-12-31"])
def test_days_that_people_type_can_be_reckoned_with(tenant: Any, day: str) -> None:
    """In every form of the back office that adds a row."""
    request = RequestFactory().get("/")
    request.user = a_user(superuser=True)
    looked_at: list[str] = []
    for model, page in tenant_site._registry.items():
        if not page.has_add_permission(request):
            continue
        for name, field in page.get_form(request).base_fields.items():
            if (
                isinstance(field, DayField | MomentField | forms.SplitDateTimeField)
                or "Date" in type(field).__name__
            ):
                looked_at.append(f"{model._meta.label}.{name}")
                words = [day, "00:00:00"] if isinstance(field, forms.SplitDateTimeField) else day
                with pytest.raises(ValidationError):
                    field.clean(words)
    assert len(looked_at) > 6, looked_at


def test_days_of_the_first_and_the_last_year_are_days() -> None:
    for day in ("1970-01-01", "2999-12-31"):
        assert str(read_day(day)) == day == str(DayField().clean(day))
    for day in ("1969-12-31", "3000-01-01", "9999-12-31", "0001-01-01", "2026-02-30", ""):
        with pytest.raises(ValueError, match=r".*"):
            read_day(day)
        with pytest.raises(ValidationError):
            DayField().clean(day)
        with pytest.raises(ValidationError):
            MomentField().clean(f"{day} 00:00")


def test_numbers_of_rows() -> None:
    assert [whole_number(text) for text in ("7", "007", "9" * 18, 12)] == [7, 7, 10**18 - 1, 12]
    for odd in ("", "²", "٣", "-1", "+1", " 1", "1.0", "9" * 19, "9" * 5000, None):
        assert whole_number(odd) is None, odd
