from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class LastAdministrator(DomainError):
    code = "accounts.last_administrator"
    message = _(
        "Somebody has to stay who may do everything. Make somebody else an administrator first, then change this one."
    )
    status = 409


class UnknownRole(DomainError):
    code = "accounts.unknown_role"
    message = _("There is no standard role %(role)s. There are: %(known)s")


class WrongPassword(DomainError):
    """One answer for a wrong name, a wrong password and a disabled account, so that nobody learns which."""

    code = "accounts.wrong_password"
    message = _("The user name and the password do not fit. Mind capital letters in both.")


class PuzzleWrong(DomainError):
    """Says nothing of the password, which was not looked at."""

    code = "accounts.puzzle_wrong"
    message = _("Please type the characters of the picture, and your password once more.")


class CodeWrong(DomainError):
    """One answer for a wrong, used, outdated or never sent code."""

    code = "accounts.code_wrong"
    message = _("The code is wrong or no longer valid.")


class Locked(DomainError):
    code = "accounts.locked"
    message = _(
        "Too many failures. Try again in %(minutes)s minutes, or ask an administrator to unlock your account."
    )
    status = 429


class NoSecondFactor(DomainError):
    code = "accounts.no_second_factor"
    message = _("This way to confirm your identity is not set up for your account. Choose another one.")
    status = 403


class SignInExpired(DomainError):
    code = "accounts.sign_in_expired"
    message = _("The sign-in took too long. Please begin again.")


class NotBound(DomainError):
    code = "accounts.not_bound"
    message = _(
        "This %(provider)s account belongs to nobody here. Sign in with your password and bind it under “My account” "
        "first."
    )
    status = 403


class BoundToAnother(DomainError):
    code = "accounts.bound_to_another"
    message = _(
        "This %(provider)s account is bound to another person, or you have bound another one already."
    )
    status = 409


class ProviderOff(DomainError):
    code = "accounts.provider_off"
    message = _("Signing in with %(provider)s is not set up here.")
    status = 404


class ProviderRefused(DomainError):
    """The provider said no, or did not answer; what it said is in the log."""

    reason = ""
    """The provider's own code, or a word of ours, for programs."""
    code = "accounts.provider_refused"
    message = _("%(provider)s did not confirm who you are. Please scan again.")
    status = 502


class StateInvalid(DomainError):
    code = "accounts.state_invalid"
    message = _("This QR code is no longer valid. Please scan a new one.")
    status = 403


class PhoneTaken(DomainError):
    code = "accounts.phone_taken"
    message = _("Somebody else of the staff has this phone number.")
    status = 409


class NotYourAccount(DomainError):
    code = "accounts.not_permitted"
    message = _("You cannot change this account: it has more rights than yours.")
    status = 403
