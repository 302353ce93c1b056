"""How the tenant's mini-program looks to drivers, and what is on in it."""

from __future__ import annotations

from apps.customers.errors import VirtualOperator
from apps.customers.models import DriverAppSettings, MiniProgram, SignInMethod
from apps.tenancy import features

LANGUAGES = ("zh-hans", "en")
VIRTUAL_OPERATORS = ("+86162", "+86165", "+86167", "+86170", "+86171")
"""How numbers of resellers (虚拟运营商) begin: cheap by the hundred, so abuse comes from them."""


def current() -> DriverAppSettings:
    """Return the tenant's settings."""
    return DriverAppSettings.objects.first() or DriverAppSettings()


def check_number(phone: str) -> None:
    """Raise VirtualOperator for a number (E.164) of a kind that the tenant does not take.

    Of newcomers who have proved their number, and of numbers that somebody wants instead of another: who is a customer
    already, perhaps with money, signs in as ever.
    """
    if phone.startswith(VIRTUAL_OPERATORS) and current().refuses_virtual_operators:
        raise VirtualOperator


def languages(settings: DriverAppSettings) -> list[str]:
    """Return the languages that the app offers, the first one to those who have not chosen."""
    return list(LANGUAGES if settings.english else LANGUAGES[:1])


def on(settings: DriverAppSettings) -> list[str]:
    """Return what the app shows: what the tenant's package has, and what its staff did not switch off."""
    found = {
        "coupons": settings.shows_coupons and features.has("marketing"),
        "enterprises": settings.shows_enterprises and features.has("enterprises"),
        "vehicles": settings.shows_vehicles,
    }
    return [name for name, is_on in found.items() if is_on]


def ways() -> list[dict[str, str]]:
    """Return by what drivers sign in here, with the app id of each mini-program."""
    apps = MiniProgram.objects.filter(is_active=True).order_by("-provider")
    found = [{"way": mini.provider, "app_id": mini.app_id} for mini in apps]
    return [{"way": str(SignInMethod.SMS), "app_id": ""}, *found]
