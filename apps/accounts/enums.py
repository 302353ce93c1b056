from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Scope(models.TextChoices):
    """Whose stations a member of staff sees, with all that belongs to them."""

    ALL = "all", _("all stations")
    DEPARTMENT = "department", _("own department and below")
    STATIONS = "stations", _("given stations")
    SELF = "self", _("stations that the person looks after")
    FRANCHISEE = "franchisee", _("stations of the franchisee")


class Provider(models.TextChoices):
    """Whose app is scanned with to sign in."""

    WECHAT = "wechat", pgettext_lazy("sign-in", "WeChat")
    ALIPAY = "alipay", pgettext_lazy("sign-in", "Alipay")


class Method(models.TextChoices):
    """How somebody proved who they are; the first four open a session, the rest confirm it."""

    PASSWORD = "password", _("password")
    PHONE = "phone", pgettext_lazy("sign-in", "code by text message")
    WECHAT = "wechat", pgettext_lazy("sign-in", "WeChat")
    ALIPAY = "alipay", pgettext_lazy("sign-in", "Alipay")
    TOTP = "totp", pgettext_lazy("sign-in", "authenticator app")
    RECOVERY = "recovery", pgettext_lazy("sign-in", "recovery code")
    OTHER = "other", pgettext_lazy("sign-in", "other")


class Outcome(models.TextChoices):
    """What became of an attempt to sign in."""

    SIGNED_IN = "signed_in", pgettext_lazy("sign-in", "signed in")
    CONFIRMED = "confirmed", pgettext_lazy("sign-in", "identity confirmed")
    WRONG_PASSWORD = "wrong_password", pgettext_lazy("sign-in", "wrong password")
    UNKNOWN_NAME = "unknown", pgettext_lazy("sign-in", "no such account")
    DISABLED = "disabled", pgettext_lazy("sign-in", "account disabled")
    WRONG_CODE = "wrong_code", pgettext_lazy("sign-in", "wrong code")
    LOCKED = "locked", pgettext_lazy("sign-in", "locked after too many failures")
    UNBOUND = "unbound", pgettext_lazy("sign-in", "not bound to an account")
    PROVIDER = "provider", pgettext_lazy("sign-in", "refused by the provider")
    SIGNED_OUT = "signed_out", pgettext_lazy("sign-in", "signed out")


class SecondFactorRule(models.TextChoices):
    """Who is asked for a second factor."""

    OWN = "own", _("who has set one up")
    MONEY = "money", _("everybody, on pages of money and of staff")
    ALL = "all", _("everybody, when signing in")


class SessionEnd(models.TextChoices):
    """Why a session is over."""

    SIGNED_OUT = "signed_out", pgettext_lazy("sign-in", "signed out")
    REVOKED = "revoked", pgettext_lazy("sign-in", "ended by the person")
    BY_ADMINISTRATOR = "administrator", pgettext_lazy("sign-in", "ended by an administrator")
    PASSWORD = "password", pgettext_lazy("sign-in", "password changed")
