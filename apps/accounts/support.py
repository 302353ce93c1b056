"""The platform's staff in a tenant's back office: as an account of their own there, with one of the tenant's roles.

The account's name cannot be typed into a form, it has no password, and it is active only during a visit. What is done
with it goes to the tenant's audit log under the visitor's name; beginning and end of a visit go to both logs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import signing
from apps.accounts.models import SUPPORT_PREFIX, User
from apps.accounts.roles import ROLES
from apps.backoffice.audit import record
from apps.backoffice.banners import Banner, add_source
from apps.backoffice.people import client_address
from apps.common.errors import DomainError
from apps.common.ids import SYSTEM, Actor
from apps.common.schema import current_schema, in_public, run_in_schema
from apps.common.time import SHANGHAI, now
from apps.tenancy import visits
from apps.tenancy.enums import SupportEnd
from apps.tenancy.errors import RoleMissing
from apps.tenancy.models import SupportSession

KEY = "support_visit"
"""Where a session keeps the number of its visit."""
BACKEND = "django.contrib.auth.backends.ModelBackend"
_ENTER_WORK = 7_203_381  # any number that no other advisory lock of ours has


def role_words(code: str) -> str:
    """Return the name of a standard role."""
    return next((str(role.name) for role in ROLES if role.code == code), code)


def enter(*, ticket: str, address: str | None = None) -> tuple[SupportSession, User]:
    """Begin a visit in the current schema's tenant: the visitor's account with the visit's role, and both logs.

    Raises TicketInvalid; RoleMissing where the tenant has deleted that role.
    """
    with transaction.atomic():
        visit = visits.redeem(ticket=ticket, schema=current_schema())
        group = Group.objects.filter(standard__code=visit.role).first()
        if group is None:
            raise RoleMissing(role=role_words(visit.role))
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_ENTER_WORK])
        ended = [one for one in visits.others(visit) if _close(one, SupportEnd.NEXT)]
        with translation.override(settings.LANGUAGE_CODE):
            name = _("Platform support %(person)s") % {"person": visit.person_name}
        user, _created = User.objects.get_or_create(username=f"{SUPPORT_PREFIX}{visit.person_id}")
        user.display_name, user.is_staff, user.is_active, user.is_superuser = name[:50], True, True, False
        user.set_unusable_password()
        user.save()
        user.groups.set([group])
        user.user_permissions.clear()
        changes = {
            "role": [None, role_words(visit.role)],
            "until": [None, f"{visit.ends_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"],
        }
        record(
            Actor("staff", str(user.pk), str(user)),
            "accounts.support_entered",
            user,
            changes=changes,
            reason=visit.reason,
            address=address,
        )
    visitor = Actor("staff", visit.person_id, visit.person_name)
    for one in ended:
        _tell_platform(
            visitor, "left", one, changes={"ended_by": [None, SupportEnd.NEXT.value]}, address=address
        )
    _tell_platform(visitor, "entered", visit, changes=changes, reason=visit.reason, address=address)
    return visit, user


def _tell_platform(actor: Actor, deed: str, visit: SupportSession, **words: Any) -> None:
    run_in_schema(settings.PUBLIC_SCHEMA_NAME, record, actor, f"accounts.support_{deed}", visit, **words)


def leave(*, visit: SupportSession, by: SupportEnd, actor: Actor, address: str | None = None) -> bool:
    """End a visit from either side and write both logs; return whether it was going on until now."""
    schema = visit.tenant.schema_name
    if not run_in_schema(schema, _close, visit, by, actor=actor, address=address):
        return False
    who = Actor("staff", visit.person_id, visit.person_name) if by == SupportEnd.PERSON else actor
    _tell_platform(who, "left", visit, changes={"ended_by": [None, by.value]}, address=address)
    return True


def leave_late() -> int:
    """End the visits whose time is over; return how many. Public schema."""
    return sum(leave(visit=visit, by=SupportEnd.TIME, actor=SYSTEM) for visit in visits.over())


def _close(
    visit: SupportSession, by: SupportEnd, *, actor: Actor | None = None, address: str | None = None
) -> bool:
    """Inside the tenant's schema: the account is closed, whatever sessions it has."""
    with transaction.atomic():
        if not visits.end(visit=visit, by=by):
            return False
        user = User.objects.filter(username=f"{SUPPORT_PREFIX}{visit.person_id}").first()
        if user is not None:
            user.is_active = False
            user.save(update_fields=["is_active"])
            record(
                actor or Actor("staff", str(user.pk), str(user)),
                "accounts.support_left",
                user,
                changes={"ended_by": [None, by.value]},
                address=address,
            )
    return True


# --- At the tenant's site ---------------------------------------------------------------------------------


@never_cache
@require_GET
def enter_view(request: HttpRequest, ticket: str) -> HttpResponse:
    """Sign a visitor in whose ticket is good."""
    try:
        visit, user = enter(ticket=ticket, address=client_address(request))
    except DomainError as error:
        return render(
            request, "tenancy/refused.html", {"status": error.status, "message": error}, status=error.status
        )
    login(request, user, backend=BACKEND)
    request.session[KEY] = visit.pk
    signing.confirmed(request)  # at the platform, whose page of visits asks for a second factor
    request.session.set_expiry(max(1, int((visit.ends_at - now()).total_seconds())))
    return HttpResponseRedirect(reverse("admin:index"))


@never_cache
@require_POST
def leave_view(request: HttpRequest) -> HttpResponse:
    """End the visit of this session; without one there is nothing to do."""
    visit = getattr(request, "support_visit", None)
    if visit is not None:
        actor = Actor("staff", str(request.user.pk), str(request.user))
        leave(visit=visit, by=SupportEnd.PERSON, actor=actor, address=client_address(request))
        logout(request)
    return render(request, "tenancy/left.html", {"visit": visit})


class SupportMiddleware:
    """Ends a session with its visit, and tells pages whose visit they are in (`request.support_visit`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """One query for visitors, none for anybody else."""
        if settings.SESSION_COOKIE_NAME in request.COOKIES and not in_public():
            person: Any = request.user
            if person.is_authenticated and person.is_support:
                visit = visits.running(request.session.get(KEY, 0))
                if visit is None:
                    self._time_is_over(request)
                request.support_visit = visit  # type: ignore[attr-defined]
        return self.get_response(request)

    def _time_is_over(self, request: HttpRequest) -> None:
        late = SupportSession.objects.select_related("tenant").filter(pk=request.session.get(KEY, 0)).first()
        if late is not None:
            leave(visit=late, by=SupportEnd.TIME, actor=SYSTEM)
        logout(request)


def _visit_banner(request: HttpRequest) -> list[Banner]:
    visit = getattr(request, "support_visit", None)
    if visit is None:
        return []
    text = _(
        "Support visit of %(person)s as %(role)s until %(time)s. Everything is logged. Reason: %(reason)s"
    )
    words = {
        "person": visit.person_name,
        "role": role_words(visit.role),
        "time": f"{visit.ends_at.astimezone(SHANGHAI):%H:%M}",
        "reason": visit.reason,
    }
    return [Banner(text % words, "warning", _("End visit"), reverse("support_leave"), posts=True)]


add_source(_visit_banner)
