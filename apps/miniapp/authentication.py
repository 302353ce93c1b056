"""Who calls the driver API: a signed token that names a customer and the tenant it was given for.

A customer's id means nothing without its tenant, so the token carries the tenant's code, and a token is good only
where that tenant is served. The customer is read at every request: blocking works at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from apps.customers.errors import CustomerBlocked
from apps.customers.models import Customer, CustomerState

KEYWORD = "Bearer"
_LONGEST_TOKEN = 2000


class DriverToken(Token):
    """What a driver's app sends with every request."""

    token_type = "driver"  # noqa: S105 - a word, not a secret
    lifetime = timedelta(hours=settings.DRIVER_TOKEN_HOURS)


@dataclass(frozen=True, slots=True)
class Driver:
    """The one who calls, as DRF's permissions want it."""

    customer: Customer
    is_authenticated: ClassVar[bool] = True


class InvalidToken(AuthenticationFailed):
    """A token that is forged, expired, of another kind or of another tenant: one answer for all."""

    default_code = "auth.invalid_token"
    default_detail = _("Please sign in again.")


def token_for(customer: Customer) -> DriverToken:
    """Return a new token of a customer of the current tenant; str() of it is what the app keeps."""
    token = DriverToken()
    token["tenant"] = current_tenant_code()
    token["customer"] = customer.pk
    return token


def current_tenant_code() -> str:
    """Return the public code of the tenant that this thread works for."""
    return str(connection.tenant.code)


def read_token(text: str) -> tuple[str, int]:
    """Return the tenant's code and the customer's id of a token; raises InvalidToken."""
    if len(text) > _LONGEST_TOKEN:
        raise InvalidToken
    try:
        token = DriverToken(text)  # type: ignore[arg-type]  # the library's annotation is wrong: it takes the text
    except TokenError:
        raise InvalidToken from None
    tenant, customer_id = token.payload.get("tenant"), token.payload.get("customer")
    if not isinstance(tenant, str) or not isinstance(customer_id, int):
        raise InvalidToken
    return tenant, customer_id


def customer_of_id(customer_id: int) -> Customer:
    """Return the customer of a token in the current tenant; raises InvalidToken or CustomerBlocked."""
    customer = Customer.objects.filter(pk=customer_id).first()
    if customer is None:
        raise InvalidToken
    if customer.state == CustomerState.BLOCKED:
        raise CustomerBlocked
    return customer


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
        tenant, customer_id = read_token(text)
        if tenant != current_tenant_code():
            raise InvalidToken
        return Driver(customer_of_id(customer_id)), text

    def authenticate_header(self, _request: Request) -> str:
        """Make DRF answer 401, not 403."""
        return KEYWORD
