from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class EditedMeanwhile(DomainError):
    code = "backoffice.edited_meanwhile"
    message = _(
        "Somebody changed this since you opened the page. Nothing of yours is saved: the page shows what is there now."
    )
    status = 409


class ApprovalNotFound(NotFound):
    code = "approvals.not_found"
    message = _("There is no such request.")


class SamePerson(DomainError):
    code = "approvals.same_person"
    message = _("A second person has to decide: you asked for it yourself.")
    status = 403


class NotAPerson(DomainError):
    code = "approvals.not_a_person"
    message = _("Only a member of staff can decide this.")
    status = 403


class NotYours(DomainError):
    code = "approvals.not_yours"
    message = _("Only who asked for it can withdraw it. You can reject it instead.")
    status = 403


class AlreadyDecided(DomainError):
    code = "approvals.already_decided"
    message = _("This request was decided before: %(state)s.")
    status = 409


class AlreadyRequested(DomainError):
    code = "approvals.already_requested"
    message = _("%(who)s has asked for this already. Approve, reject or withdraw that request first.")
    status = 409


class ObjectChanged(DomainError):
    code = "approvals.object_changed"
    message = _("The object changed after the request was made. Look at it again and make a new request.")
    status = 409


class RequestAltered(DomainError):
    code = "approvals.request_altered"
    message = _("The stored request is not the one that was made. It is not executed; see the audit log.")
    status = 409


class ReasonMissing(DomainError):
    code = "approvals.reason_missing"
    message = _("A reason is needed.")


class PolicyInvalid(DomainError):
    code = "approvals.policy_invalid"
    message = _("Enter a threshold of zero or more for “above a threshold”.")


class PolicyFixed(DomainError):
    code = "approvals.policy_fixed"
    message = _("This operation always needs a second person.")
