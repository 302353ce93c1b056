"""How the tenant's mini-program looks to drivers, and what is on in it."""

from __future__ import annotations

from apps.customers.models import DriverAppSettings, MiniProgram, SignInMethod
from apps.tenancy import features

LANGUAGES = ("zh-hans", "en")


def current() -> DriverAppSettings:
    """Return the tenant's settings."""
    return DriverAppSettings.objects.first() or DriverAppSettings()


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
