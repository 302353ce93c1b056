from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class CustomerBlocked(DomainError):
    code = "customers.blocked"
    message = _("This account is blocked. Please call the operator.")
    status = 403


class CodeWrong(DomainError):
    """One answer for a wrong, used, outdated or never sent code, so that nobody learns which."""

    code = "customers.code_wrong"
    message = _("The code is wrong or no longer valid.")


class TooManyFailures(DomainError):
    code = "customers.too_many_failures"
    message = _("Too many wrong codes. Please wait %(retry_after_s)s seconds.")
    status = 429


class CaptchaNeeded(DomainError):
    code = "customers.captcha_needed"
    message = _("Please solve the puzzle first.")
    status = 403


class VirtualOperator(DomainError):
    code = "customers.virtual_operator"
    message = _(
        "Numbers of virtual operators (162, 165, 167, 170, 171) are not accepted here. Please use another one."
    )
    status = 403


class SignInOff(DomainError):
    code = "customers.sign_in_off"
    message = _("Signing in with %(provider)s is not set up here.")
    status = 404


class ProviderRefused(DomainError):
    """WeChat or Alipay said no, or something that cannot be believed; what it said is in the log."""

    reason = ""
    """The provider's own code, or a word of ours, for programs and the log."""
    code = "customers.provider_refused"
    message = _("%(provider)s did not confirm who you are. Please try again.")


class ProviderBusy(DomainError):
    reason = ""
    code = "customers.provider_busy"
    message = _("%(provider)s does not answer at the moment. Please try again soon.")
    status = 503


class PhoneNeeded(DomainError):
    """The account at the provider belongs to nobody here yet: a phone number has to be bound to it first."""

    code = "customers.phone_needed"
    message = _("Please bind your phone number first.")
    status = 403


class BindingOver(DomainError):
    code = "customers.binding_over"
    message = _("Binding took too long. Please sign in again.")


class PhoneTaken(DomainError):
    code = "customers.phone_taken"
    message = _(
        "Another account has this number. Sign in with it, or delete that account before you move here."
    )
    status = 409


class PhoneSame(DomainError):
    code = "customers.phone_same"
    message = _("This is your number already.")
    status = 409


class SessionOver(DomainError):
    """One answer for a session that ended, ran out, or never was."""

    code = "auth.invalid_token"
    message = _("Please sign in again.")
    status = 401


class SessionUnknown(DomainError):
    code = "customers.session_unknown"
    message = _("You are not signed in on such a device.")
    status = 404


class AgreementUnknown(DomainError):
    code = "customers.agreement_unknown"
    message = _("There is no such agreement.")
    status = 404


class AgreementOutdated(DomainError):
    """Somebody agrees to a version that was replaced while they read."""

    code = "customers.agreement_outdated"
    message = _("The agreement has a new version. Please read it again.")
    status = 409


class ConsentNeeded(DomainError):
    """A driver has not agreed to the newest version of something that has to be agreed to first.

    `agreements` names them: kind, version, title. To go on, agree to them and ask again with the same key.
    """

    code = "customers.consent_needed"
    message = _("Please read and agree first: %(titles)s")
    status = 409


class AgreementPublished(DomainError):
    code = "customers.agreement_published"
    message = _("A published version never changes. Write a new version instead.")
    status = 409


class DraftExists(DomainError):
    code = "customers.draft_exists"
    message = _("There is a draft of this agreement already. Change or delete that one.")
    status = 409


class AccountKept(DomainError):
    """An account cannot be deleted yet; `reasons` are codes, `why` says them in words."""

    code = "customers.account_kept"
    message = _("Your account cannot be deleted yet: %(why)s")
    status = 409


class CardUnknown(DomainError):
    code = "customers.card_unknown"
    message = _("Nobody has this card.")
    status = 404


class CardFrozen(DomainError):
    code = "customers.card_frozen"
    message = _("This card is frozen.")
    status = 403


class CardTaken(DomainError):
    code = "customers.card_taken"
    message = _("A card with this number is registered already.")
    status = 409


class AccountUnknown(DomainError):
    code = "customers.account_unknown"
    message = _("There is no such account.")
    status = 404


class PinWrong(DomainError):
    code = "customers.pin_wrong"
    message = _("The PIN is wrong.")
    status = 403


class VinUnknown(DomainError):
    code = "customers.vin_unknown"
    message = _("No vehicle with this VIN starts by plugging in.")
    status = 404


class MessageNotFound(NotFound):
    code = "customers.message_not_found"
    message = _("There is no such message.")


class InvitationUnknown(NotFound):
    code = "customers.invitation_unknown"
    message = _("No enterprise has this invitation code. Please ask for a new one.")


class MemberElsewhere(DomainError):
    code = "customers.member_elsewhere"
    message = _("You are a member of %(name)s. Please leave it first.")
    status = 409


class MemberRemoved(DomainError):
    """`name`: the enterprise's."""

    code = "customers.member_removed"
    message = _("%(name)s has ended your membership. No code brings it back: please ask the enterprise.")
    status = 409


class NoMember(DomainError):
    code = "customers.no_member"
    message = _("You are a member of no enterprise.")
    status = 409


class VehicleNotFound(NotFound):
    code = "customers.vehicle_not_found"
    message = _("You have no such vehicle.")


class TooManyVehicles(DomainError):
    code = "customers.too_many_vehicles"
    message = _("You have %(limit)s vehicles already. Remove one first.")
    status = 409


class VehicleTaken(DomainError):
    code = "customers.vehicle_taken"
    message = _("A vehicle with this plate or VIN is registered already.")
    status = 409
