from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class DaysReversed(DomainError):
    code = "franchisees.days_reversed"
    message = _("The last day is before the first one.")


class ContractsOverlap(DomainError):
    code = "franchisees.contracts_overlap"
    message = _(
        "Contract %(number)s runs from %(first)s to %(last)s: two contracts of a franchisee never run on the same day. "
        "End that one earlier, or let this one begin later."
    )
    status = 409


class ContractNumberTaken(DomainError):
    code = "franchisees.contract_number_taken"
    message = _("There is a contract with the number %(number)s already.")
    status = 409


class NotLonger(DomainError):
    code = "franchisees.not_longer"
    message = _("A contract is ended earlier here, not made longer: enter the next contract instead.")


class StationTaken(DomainError):
    code = "franchisees.station_taken"
    message = _(
        "%(station)s belongs to %(franchisee)s from %(first)s to %(last)s. Take it back there first, or choose "
        "other days."
    )
    status = 409


class StationNotHeld(DomainError):
    code = "franchisees.station_not_held"
    message = _("The station does not belong to this franchisee on that day.")
    status = 409


class FranchiseeEnded(DomainError):
    code = "franchisees.ended"
    message = _("The work with this franchisee has ended. Resume it first.")
    status = 409


class NotEnded(DomainError):
    code = "franchisees.not_ended"
    message = _("The work with this franchisee goes on already.")
    status = 409


class RoleMissing(DomainError):
    code = "franchisees.role_missing"
    message = _("The role of franchisees was deleted. Give the standard roles again: manage.py roles.")
    status = 409


class RoleTooLarge(DomainError):
    code = "franchisees.role_too_large"
    message = _("The role %(role)s holds more than you have. Ask an administrator to open the account.")
    status = 403


class UsernameTaken(DomainError):
    code = "franchisees.username_taken"
    message = _("Somebody of the staff has the user name %(username)s already.")
    status = 409


class PhoneTaken(DomainError):
    code = "franchisees.phone_taken"
    message = _("Somebody of the staff has this phone number already.")
    status = 409
