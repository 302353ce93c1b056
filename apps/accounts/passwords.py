"""The password policy, as a validator of Django's, so that every form and command that sets a password keeps it."""

from __future__ import annotations

import re
from datetime import timedelta

from django.contrib.auth.hashers import check_password, is_password_usable
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, ngettext

from apps.accounts import policy, sessions
from apps.accounts.enums import SessionEnd
from apps.accounts.models import OldPassword, User
from apps.common.time import now

KEPT = 24
"""As many as the policy can forbid."""
KINDS = ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]")


class PolicyValidator:
    """Length, kinds of characters, and none of the earlier ones (settings.AUTH_PASSWORD_VALIDATORS)."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError with everything that is wrong."""
        rules = policy.current()
        wrong = []
        if len(password) < rules.password_length:
            text = ngettext(
                "A password has at least %(length)s character.",
                "A password has at least %(length)s characters.",
                rules.password_length,
            )
            wrong.append(text % {"length": rules.password_length})
        if sum(bool(re.search(kind, password)) for kind in KINDS) < rules.password_kinds:
            text = gettext(
                "A password has at least %(kinds)s of: small letters, capital letters, digits, other characters."
            )
            wrong.append(text % {"kinds": rules.password_kinds})
        if user is not None and user.username and user.username.lower() in password.lower():
            wrong.append(gettext("A password does not contain the user name."))
        if user is not None and user.pk and _was_used(user, password, rules.password_history):
            wrong.append(gettext("This password was used before. Choose another one."))
        if wrong:
            raise ValidationError(wrong)

    def get_help_text(self) -> str:
        """What the forms say below the field."""
        rules = policy.current()
        text = gettext(
            "At least %(length)s characters, of at least %(kinds)s kinds (small letters, capital letters, digits, "
            "others), and none of your last %(history)s passwords."
        )
        return text % {
            "length": rules.password_length,
            "kinds": rules.password_kinds,
            "history": rules.password_history,
        }

    def password_changed(self, password: str, user: User | None = None) -> None:
        """Remember it, and end the person's sessions; Django calls this after a password was stored.

        Whoever changes the own password goes on: that session gets a new key right after this.
        """
        if user is None or not user.pk:
            return
        user.password_changed_at = now()
        # Not by save(): we are inside it.
        User.objects.filter(pk=user.pk).update(password_changed_at=user.password_changed_at)
        before = getattr(user, "replaced_password", "")
        if is_password_usable(before) and before and not user.old_passwords.filter(password=before).exists():
            OldPassword.objects.create(user=user, password=before)
        OldPassword.objects.create(user=user, password=user.password)
        beyond = list(user.old_passwords.values_list("pk", flat=True)[KEPT:])
        if beyond:
            OldPassword.objects.filter(pk__in=beyond).delete()
        sessions.end(user.staff_sessions.all(), SessionEnd.PASSWORD)


def _was_used(user: User, password: str, how_many: int) -> bool:
    if how_many and user.has_usable_password() and check_password(password, user.password):
        return True
    return any(check_password(password, old.password) for old in user.old_passwords.all()[:how_many])


def is_too_old(user: User) -> bool:
    """Return whether the password has to be renewed by its age."""
    days = policy.current().password_days
    return bool(
        days and user.has_usable_password() and user.password_changed_at < now() - timedelta(days=days)
    )
