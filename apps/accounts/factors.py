"""The second factor: an authenticator app (TOTP, RFC 6238), a code by text message, or a recovery code.

Each counts once: a TOTP code's period is remembered, a text message's code is used up, a recovery code is marked.
Wrong ones are counted for the person, whatever they are: ten within an hour lock the second factor.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection

import pyotp
from django.db import transaction
from django.utils.crypto import salted_hmac

from apps.accounts import locks, policy
from apps.accounts.enums import Method
from apps.accounts.errors import CodeWrong, NoSecondFactor
from apps.accounts.models import RecoveryCode, User
from apps.common.time import now
from apps.notifications import codes

PERIOD_S = 30
RECOVERY_CODES = 10
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without what looks alike


def has_app(user: User) -> bool:
    """Return whether the person uses an authenticator app."""
    return bool(user.totp_since and user.totp_secret)


def ways(user: User, first: str) -> list[Method]:
    """Return how a person can give a second factor after the first one; the same kind twice is one factor."""
    found = []
    if has_app(user):
        found += [Method.TOTP, Method.RECOVERY]
    if user.phone and policy.current().sms_second_factor and first != Method.PHONE:
        found.append(Method.PHONE)
    if first != Method.PASSWORD and user.has_usable_password():
        found.append(Method.PASSWORD)
    return found


def send_sms(user: User, address: str) -> None:
    """Send a code to the person's own phone. Raises TooManyCodes, MessageNotSent."""
    codes.send(purpose=_purpose(user), phone=user.phone, address=address)


def check(user: User, *, method: str, code: str, allowed: Collection[str]) -> None:
    """Return if the code is right; it is used up then. Raises NoSecondFactor, Locked, CodeWrong."""
    if method not in allowed:
        raise NoSecondFactor
    guard = locks.second_factor(user)
    with locks.trying(guard):
        if not _is_right(user, method, code.strip()):
            locks.failed(guard)
            raise CodeWrong


def _is_right(user: User, method: str, code: str) -> bool:
    if method == Method.TOTP:
        return _use_totp(user, code)
    if method == Method.RECOVERY:
        found = RecoveryCode.objects.filter(user=user, digest=_digest(user, code), used_at=None)
        return bool(found.update(used_at=now()))
    if method == Method.PHONE:
        return codes.is_right(purpose=_purpose(user), phone=user.phone, code=code)
    return method == Method.PASSWORD and user.check_password(code)


# --- The authenticator app ---


def new_secret() -> str:
    """Return a secret of 160 bits for an app."""
    return pyotp.random_base32()


def address_of(user: User, secret: str, issuer: str) -> str:
    """Return the otpauth:// address that an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=issuer)


def set_up(user: User, *, secret: str, code: str) -> list[str]:
    """Take an app into use whose code proves that it holds the secret; return the recovery codes, shown only now.

    An earlier app and its recovery codes are void. Raises Locked, CodeWrong.
    """
    guard = locks.second_factor(user)
    with locks.trying(guard):
        step = _step_of(secret, code)
        if step is None:
            locks.failed(guard)
            raise CodeWrong
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        locked.totp_secret, locked.totp_since, locked.totp_step = secret, now(), step
        locked.save(update_fields=["totp_secret", "totp_since", "totp_step"])
        return new_recovery_codes(locked)


def take_away(user: User) -> None:
    """Forget a person's app and recovery codes."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(totp_secret="", totp_since=None, totp_step=0)
        user.recovery_codes.all().delete()


def new_recovery_codes(user: User) -> list[str]:
    """Make new recovery codes; the old ones are void. Only their digests are kept."""
    found = ["-".join(_part() for _ in range(3)) for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # one after the other
        user.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(user=user, digest=_digest(user, code)) for code in found
        )
    return found


def _use_totp(user: User, code: str) -> bool:
    step = _step_of(user.totp_secret, code)
    if step is None:
        return False
    # Of two requests with one code, one moves the mark.
    return bool(User.objects.filter(pk=user.pk, totp_step__lt=step).update(totp_step=step))


def _step_of(secret: str, code: str) -> int | None:
    """The period whose code this is: the present one, or a neighbour for a clock that is off by up to 30 s."""
    if len(code) != 6 or not code.isascii() or not code.isdigit():
        return None
    app = pyotp.TOTP(secret)
    present = int(now().timestamp()) // PERIOD_S
    for step in (present - 1, present, present + 1):
        if secrets.compare_digest(app.generate_otp(step), code):
            return step
    return None


def _part() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(4))


def _digest(user: User, code: str) -> str:
    plain = code.upper().replace("-", "").replace(" ", "")
    value = f"{user.pk}:{plain}"
    return salted_hmac("accounts.recovery_code", value, algorithm="sha256").hexdigest()


def _purpose(user: User) -> str:
    return f"staff-second-{user.pk}"
