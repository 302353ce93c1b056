"""Who calls the driver API: a signed token that names a session, its customer, and the tenant it was given for.

An id means nothing without its tenant, so each token carries the tenant's code, and is good only where that tenant is
served. Session and customer are read at every request: signing out and blocking work at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from apps.common.schema import current_schema
from apps.customers import sessions
from apps.customers.errors import BindingOver, SessionOver
from apps.customers.models import Customer, DriverSession
from apps.customers.signing import Account
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import tenant_of_schema

KEYWORD = "Bearer"
_LONGEST_TOKEN = 2000

AnyToken = TypeVar("AnyToken", bound=Token)


class DriverToken(Token):
    """What a driver's app sends with every request."""

    token_type = "driver"  # noqa: S105 - a word, not a secret
    lifetime = timedelta(hours=settings.DRIVER_TOKEN_HOURS)


class RefreshToken(Token):
    """Gets the next pair of tokens, once; how long it is good is the session's to say."""

    token_type = "refresh"  # noqa: S105 - a word, not a secret
    lifetime = timedelta(days=settings.DRIVER_SESSION_DAYS)


class BindingTicket(Token):
    """Whose account at WeChat or Alipay a phone number is about to be bound to."""

    token_type = "binding"  # noqa: S105 - a word, not a secret
    lifetime = timedelta(minutes=10)


class ProgressTicket(Token):
    """Opens the WebSocket of one order, once and soon: a URL is written into logs, where a token must not be."""

    token_type = "progress"  # noqa: S105 - a word, not a secret
    lifetime = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Driver:
    """The one who calls, as DRF's permissions want it."""

    customer: Customer
    session: DriverSession
    is_authenticated: ClassVar[bool] = True


class InvalidToken(AuthenticationFailed):
    """A token that is forged, expired, of another kind or of another tenant: one answer for all."""

    default_code = "auth.invalid_token"
    default_detail = _("Please sign in again.")


def token_for(customer: Customer, session: DriverSession | None = None) -> DriverToken:
    """Return a new token of a customer of the current tenant; str() of it is what the app keeps.

    Without a session one is opened.
    """
    token = DriverToken()
    token["tenant"] = current_tenant_code()
    token["customer"] = customer.pk
    token["session"] = (session or sessions.open_session(customer=customer)).number.hex
    return token


def refresh_token_for(session: DriverSession) -> RefreshToken:
    """Return the newest refresh token of a session."""
    token = RefreshToken()
    token["tenant"] = current_tenant_code()
    token["session"] = session.number.hex
    token["generation"] = session.generation
    token.set_exp(from_time=session.expires_at, lifetime=timedelta(0))
    return token


def binding_ticket_for(account: Account) -> BindingTicket:
    """Return a ticket to bind a phone number to an account that nobody here has yet."""
    ticket = BindingTicket()
    ticket["tenant"] = current_tenant_code()
    ticket["account"] = [account.provider, account.app_id, account.openid]
    return ticket


def current_tenant_code() -> str:
    """Return the public code of the tenant that this thread works for."""
    tenant = getattr(connection, "tenant", None)
    # Whoever entered by a schema's name alone left no tenant on the connection.
    return str(tenant.code if isinstance(tenant, Tenant) else tenant_of_schema(current_schema()).code)


def ticket_for(customer: Customer, order_no: str, session: DriverSession | None = None) -> ProgressTicket:
    """Return a ticket for the WebSocket of an order of the current tenant's customer.

    Without a session one is opened.
    """
    ticket = ProgressTicket()
    ticket["tenant"] = current_tenant_code()
    ticket["customer"] = customer.pk
    ticket["session"] = (session or sessions.open_session(customer=customer)).number.hex
    ticket["order"] = order_no
    return ticket


def read_token(text: str) -> tuple[str, int, uuid.UUID]:
    """Return the tenant's code, the customer's id and the session's number of a token; raises InvalidToken."""
    token = _verified(DriverToken, text)
    return *_who(token), _session_in(token)


def read_refresh_token(text: str) -> tuple[uuid.UUID, int]:
    """Return the session's number and the generation of a refresh token of the current tenant.

    Raises InvalidToken.
    """
    token = _verified(RefreshToken, text)
    generation = token.payload.get("generation")
    if token.payload.get("tenant") != current_tenant_code() or not isinstance(generation, int):
        raise InvalidToken
    return _session_in(token), generation


def read_binding_ticket(text: str) -> Account:
    """Return the account of a ticket of the current tenant; raises BindingOver."""
    try:
        ticket = _verified(BindingTicket, text)
    except InvalidToken:
        raise BindingOver from None
    account = ticket.payload.get("account")
    if ticket.payload.get("tenant") != current_tenant_code() or not isinstance(account, list):
        raise BindingOver
    return Account(*account)


def read_ticket(text: str) -> tuple[str, int, uuid.UUID, str, Callable[[], None]]:
    """Return tenant code, customer id, session number and order number of a ticket, and what uses it up.

    The last is called in the tenant's schema and raises InvalidToken when the ticket was used before. Raises
    InvalidToken for a ticket that is not good.
    """
    ticket = _verified(ProgressTicket, text)
    tenant, customer_id = _who(ticket)
    order_no, number = ticket.payload.get("order"), ticket.payload.get("jti")
    if not isinstance(order_no, str):
        raise InvalidToken

    def use() -> None:
        if not cache.add(f"ticket:{number}", 1, timeout=int(ProgressTicket.lifetime.total_seconds()) + 1):
            raise InvalidToken

    return tenant, customer_id, _session_in(ticket), order_no, use


def _verified(kind: type[AnyToken], text: str) -> AnyToken:
    if not text or len(text) > _LONGEST_TOKEN:
        raise InvalidToken
    try:
        return kind(text)  # type: ignore[arg-type]  # the library's annotation is wrong: it takes the text
    except TokenError:
        raise InvalidToken from None


def _who(token: Token) -> tuple[str, int]:
    tenant, customer_id = token.payload.get("tenant"), token.payload.get("customer")
    if not isinstance(tenant, str) or not isinstance(customer_id, int):
        raise InvalidToken
    return tenant, customer_id


def _session_in(token: Token) -> uuid.UUID:
    try:
        return uuid.UUID(hex=token.payload.get("session"))
    except (TypeError, ValueError, AttributeError):
        raise InvalidToken from None


def session_of(number: uuid.UUID, customer_id: int) -> DriverSession:
    """Return the session of a token in the current tenant; raises InvalidToken or CustomerBlocked."""
    try:
        session = sessions.of_number(number)
    except SessionOver:
        raise InvalidToken from None
    if session.customer_id != customer_id:
        raise InvalidToken
    return session


class DriverAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>` on a request whose tenant is already chosen by its host."""

    def authenticate(self, request: Request) -> tuple[Driver, str] | None:
        """Return the driver, or None without a token; raises InvalidToken or CustomerBlocked."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != KEYWORD.lower().encode():
            return None
        if len(parts) != 2:
            raise InvalidToken
        try:
            text = parts[1].decode("ascii")
        except UnicodeDecodeError:
            raise InvalidToken from None
        tenant, customer_id, number = read_token(text)
        if tenant != current_tenant_code():
            raise InvalidToken
        session = session_of(number, customer_id)
        return Driver(session.customer, session), text

    def authenticate_header(self, _request: Request) -> str:
        """Make DRF answer 401, not 403."""
        return KEYWORD
