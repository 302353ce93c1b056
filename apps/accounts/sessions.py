"""Where staff are signed in. A session is ended by taking Django's own away, so no request has to look here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse

from apps.accounts import policy
from apps.accounts.enums import Method, SessionEnd
from apps.accounts.models import StaffSession, User
from apps.backoffice.people import client_address
from apps.common.time import now

FIRST = "first_factor"
SEEN = "seen_at"
TOUCH_S = 60
"""How exact the time of the last use is."""


def agent_of(request: HttpRequest | None) -> str:
    """Return what the browser says that it is."""
    return request.META.get("HTTP_USER_AGENT", "")[:200].replace("\0", "") if request is not None else ""


def started(request: HttpRequest, user: User) -> None:
    """Note a session that was just opened; without use it ends after the policy's time."""
    method = getattr(request, "sign_in_method", Method.OTHER)
    request.session.set_expiry(policy.current().idle_minutes * 60)
    request.session[FIRST] = method
    request.session[SEEN] = int(now().timestamp())
    StaffSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "method": method,
            "address": client_address(request),
            "agent": agent_of(request),
            "started_at": now(),
            "seen_at": now(),
            "ended_at": None,
            "ended_because": "",
        },
    )


def ended(session_key: str | None, because: str) -> None:
    """Note that a session is over."""
    StaffSession.objects.filter(session_key=session_key, ended_at=None).update(
        ended_at=now(), ended_because=because
    )


def living(rows: QuerySet[StaffSession]) -> QuerySet[StaffSession]:
    """Return those whose session still opens doors."""
    return with_state(rows).filter(lives=True)


def with_state(rows: QuerySet[StaffSession]) -> QuerySet[StaffSession]:
    """Say of each row whether it lives: Django's session neither gone nor too old, the account not disabled."""
    kept = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=now())
    lives = Q(Exists(kept)) & Q(user__is_active=True)
    return rows.annotate(lives=ExpressionWrapper(lives, output_field=BooleanField()))


def end(rows: QuerySet[StaffSession], because: str) -> int:
    """End sessions at once, wherever they are; return how many lived."""
    keys = list(living(rows).values_list("session_key", flat=True))
    if not keys:
        return 0
    store = import_module(settings.SESSION_ENGINE).SessionStore
    for key in keys:
        store(key).delete()
    StaffSession.objects.filter(session_key__in=keys, ended_at=None).update(
        ended_at=now(), ended_because=because
    )
    return len(keys)


def end_others(request: HttpRequest, user: User, because: str = SessionEnd.REVOKED) -> int:
    """End a person's sessions but the one that asks."""
    own = request.session.session_key
    return end(StaffSession.objects.filter(user=user).exclude(session_key=own), because)


class SessionMiddleware:
    """Notes once a minute that a session of staff is used, which also puts off its end."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A request without the cookie (the drivers') must not even look: the answer would vary by cookie.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self.get_response(request)
        seen, key, moment = request.session.get(SEEN), request.session.session_key, now()
        if seen is not None and moment.timestamp() - seen > TOUCH_S:
            request.session[SEEN] = int(moment.timestamp())
            StaffSession.objects.filter(session_key=key).update(
                seen_at=moment, address=client_address(request)
            )
        response = self.get_response(request)
        new_key = request.session.session_key
        if seen is not None and new_key and new_key != key and SEEN in request.session:
            # A changed password gives the session that changed it a new key.
            StaffSession.objects.filter(session_key=key).update(
                session_key=new_key, ended_at=None, ended_because=""
            )
        return response
