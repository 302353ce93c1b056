from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class MessageNotSent(DomainError):
    """The provider did not take a message; what it said is in the log."""

    code = "notifications.not_sent"
    message = _("The message could not be sent. Please try again in a minute.")
    status = 503


class TooManyCodes(DomainError):
    code = "customers.too_many_codes"
    message = _("Too many codes were asked for. Please wait %(retry_after_s)s seconds.")
    status = 429
