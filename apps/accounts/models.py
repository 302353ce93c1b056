"""Staff: people who work in a back office, and how they sign in. Drivers are customers, not staff."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts import agents, outsiders
from apps.accounts.enums import Method, Outcome, Provider, Scope, SecondFactorRule, SessionEnd
from apps.common.crypto import EncryptedTextField
from apps.common.models import TimeStamped
from apps.tenancy import features

SUPPORT_PREFIX = "support:"
"""Begins the name of accounts that the platform's staff have during a support visit; no form lets ":" be typed."""


class Department(TimeStamped):
    """A part of the company. Departments are a tree; stations and staff belong to them."""

    name = models.CharField(_("name"), max_length=50)
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("part of"),
        help_text=_("who has this department or one above it as scope sees its stations"),
    )

    class Meta:
        verbose_name = _("department")
        verbose_name_plural = _("departments")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["parent", "name"], nulls_distinct=False, name="department_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A member of staff, of one tenant or (in the public schema) of the platform."""

    display_name = models.CharField(_("name"), max_length=50, blank=True)
    phone = models.CharField(
        _("phone"),
        max_length=20,
        blank=True,
        help_text=_("for codes by text message, to sign in or to confirm it"),
    )
    department = models.ForeignKey(
        Department,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="staff",
        verbose_name=_("department"),
    )
    scope = models.CharField(
        _("scope"),
        max_length=16,
        choices=Scope,
        default=Scope.ALL,
        help_text=_("whose orders, piles and figures this person sees; roles say what may be done with them"),
    )
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, blank=True)
    password_changed_at = models.DateTimeField(_("password changed at"), default=timezone.now, editable=False)
    must_change_password = models.BooleanField(
        _("must choose a new password"), default=False, help_text=_("when signing in next")
    )
    totp_secret = EncryptedTextField(_("secret of the authenticator app"), blank=True, editable=False)
    totp_since = models.DateTimeField(_("authenticator app since"), null=True, blank=True, editable=False)
    totp_step = models.BigIntegerField(default=0, editable=False)
    """The period of 30 s whose code was used last: no code is good twice."""

    class Meta(AbstractUser.Meta):
        verbose_name = _("staff member")
        verbose_name_plural = _("staff")
        permissions = [
            ("assign_roles", _("Can give roles to staff")),
            ("set_scope", _("Can set which stations staff see")),
            ("reset_sign_in", _("Can unlock accounts, end sessions and take second factors away")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["phone"],
                condition=~Q(phone=""),
                name="staff_phone_unique",
                violation_error_message=_("Somebody else of the staff has this phone number."),
            )
        ]

    def __str__(self) -> str:
        return self.display_name or self.username

    def set_password(self, raw_password: str | None) -> None:
        """Set it, and know which one it replaces: the password policy asks for earlier ones."""
        self.replaced_password = self.password
        super().set_password(raw_password)

    @property
    def is_support(self) -> bool:
        """Whether it is the account of a visitor from the platform (apps.accounts.support)."""
        return self.username.startswith(SUPPORT_PREFIX)

    @property
    def is_outsider(self) -> bool:
        """Whether it is the account of another company's person, who sees drivers masked and no money of ours."""
        return self.scope == Scope.FRANCHISEE and not self.is_superuser

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Whether the person has a permission; nobody has one of a feature that is not in the tenant's package, and
        people of other companies have those only that can be anything to them (apps.accounts.outsiders)."""
        if self.is_outsider and not outsiders.may(perm):
            return False
        return features.allows(perm) and super().has_perm(perm, obj)


class StandardRole(models.Model):
    """Which role of this back office is one of ours (apps.accounts.roles), and what it was last given by us.

    By that a later version can add what is new without undoing what the tenant changed.
    """

    code = models.CharField(_("code"), max_length=32, unique=True)
    group = models.OneToOneField(
        Group,
        on_delete=models.SET_NULL,
        null=True,
        related_name="standard",
        verbose_name=_("role"),
    )
    given = models.JSONField(_("permissions given"), default=list)

    class Meta:
        verbose_name = _("standard role")
        verbose_name_plural = _("standard roles")

    def __str__(self) -> str:
        return self.code


def _number(
    least: int, most: int, name: str, default: int, help_text: str = ""
) -> models.PositiveSmallIntegerField:
    return models.PositiveSmallIntegerField(
        name,
        default=default,
        help_text=help_text,
        validators=[MinValueValidator(least), MaxValueValidator(most)],
    )


class SignInPolicy(TimeStamped):
    """How staff of this back office sign in: one row. Read it with `policy.current`."""

    single = models.BooleanField(default=True, unique=True, editable=False)
    second_factor = models.CharField(
        _("second factor"), max_length=8, choices=SecondFactorRule, default=SecondFactorRule.MONEY
    )
    second_factor_minutes = _number(
        5,
        1440,
        _("a second factor is good for (minutes)"),
        120,
        _("then pages of money and of staff ask again"),
    )
    sms_second_factor = models.BooleanField(_("a code by text message counts as second factor"), default=True)
    phone_sign_in = models.BooleanField(_("sign in with phone and code"), default=True)
    password_length = _number(8, 64, _("shortest password"), 8)
    password_kinds = _number(
        1,
        4,
        _("kinds of characters in a password"),
        2,
        _("of small letters, capital letters, digits, others"),
    )
    password_history = _number(0, 24, _("earlier passwords that cannot be used again"), 5)
    password_days = _number(0, 365, _("a password is good for (days)"), 90, _("0: for ever"))
    first_sign_in_changes = models.BooleanField(
        _("who was given a password chooses a new one at the next sign-in"), default=True
    )
    failures = _number(3, 50, _("failures within an hour that lock"), 10)
    lock_minutes = _number(1, 1440, _("a lock lasts (minutes)"), 15)
    puzzle_failures = _number(
        0,
        50,
        _("failures within an hour after which a picture has to be read"),
        3,
        _("of a user name or an address, before a password is looked at; 0: never"),
    )
    idle_minutes = _number(5, 10080, _("a session ends after (minutes) without use"), 480)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("sign-in policy")
        verbose_name_plural = _("sign-in policy")
        constraints = [models.CheckConstraint(condition=Q(single=True), name="sign_in_policy_single")]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class OldPassword(models.Model):
    """A password that somebody had or has, as the hash that was checked against."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="old_passwords")
    password = models.CharField(max_length=128)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("earlier password")
        verbose_name_plural = _("earlier passwords")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.user_id}"


class RecoveryCode(models.Model):
    """One of the codes for the day on which the phone is lost. Good once; only a digest is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_unique")]

    def __str__(self) -> str:
        return f"{self.user_id}"


class SignInRecord(models.Model):
    """One line of the sign-in log. The audit log has the same deeds, chained; this one says why and with what."""

    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="sign_ins", verbose_name=_("staff member")
    )
    name = models.CharField(_("name typed"), max_length=150, blank=True)
    method = models.CharField(_("by"), max_length=16, choices=Method)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome, db_index=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    agent = models.CharField(_("device"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-in log")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} {self.get_outcome_display()}"

    @property
    def device(self) -> str:
        """Browser and machine, in words."""
        return agents.words(self.agent)


class StaffSession(models.Model):
    """Where somebody is signed in. Ending it takes the session itself away; the key is shown to nobody."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="staff_sessions", verbose_name=_("staff member")
    )
    session_key = models.CharField(max_length=40, unique=True, editable=False)
    started_at = models.DateTimeField(_("signed in at"), default=timezone.now)
    seen_at = models.DateTimeField(_("last used"), default=timezone.now, db_index=True)
    method = models.CharField(_("by"), max_length=16, choices=Method)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    agent = models.CharField(_("device"), max_length=200, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_because = models.CharField(_("ended because"), max_length=16, choices=SessionEnd, blank=True)

    class Meta:
        verbose_name = _("session of staff")
        verbose_name_plural = _("sessions of staff")
        ordering = ["-seen_at", "-id"]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def device(self) -> str:
        """Browser and machine, in words."""
        return agents.words(self.agent)


class LoginProvider(TimeStamped):
    """The tenant's application at WeChat or Alipay by which its staff sign in with a QR code."""

    provider = models.CharField(_("provider"), max_length=16, choices=Provider, unique=True)
    app_id = models.CharField(_("app id"), max_length=64)
    secret = EncryptedTextField(
        _("secret"), help_text=_("WeChat: the AppSecret. Alipay: the app's private key (PKCS#8 or PKCS#1).")
    )
    public_key = models.TextField(
        _("provider's public key"), blank=True, help_text=_("Alipay: Alipay's public key. WeChat: empty.")
    )
    is_active = models.BooleanField(_("in use"), default=True)

    class Meta:
        verbose_name = _("sign-in with a QR code")
        verbose_name_plural = _("sign-in with a QR code")
        ordering = ["provider"]

    def __str__(self) -> str:
        return self.get_provider_display()


class LoginIdentity(models.Model):
    """Whose a WeChat or Alipay account is. Bound by the person, signed in and with a second factor."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="identities", verbose_name=_("staff member")
    )
    provider = models.CharField(_("provider"), max_length=16, choices=Provider)
    app_id = models.CharField(_("app id"), max_length=64)
    subject = models.CharField(_("account at the provider"), max_length=128)
    created_at = models.DateTimeField(_("bound at"), default=timezone.now)

    class Meta:
        verbose_name = _("bound account")
        verbose_name_plural = _("bound accounts")
        constraints = [
            models.UniqueConstraint(fields=["provider", "app_id", "subject"], name="login_identity_subject"),
            models.UniqueConstraint(fields=["user", "provider", "app_id"], name="login_identity_one_each"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.provider}"
