from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class FeedbackNotFound(NotFound):
    code = "feedback.not_found"
    message = _("There is no such feedback.")


class TooManyFeedbacks(DomainError):
    code = "feedback.too_many"
    message = _("You have written %(limit)s times within a day. Please call us, or write tomorrow.")
    status = 429


class TooManyEntries(DomainError):
    code = "feedback.too_long"
    message = _("There is no room for more here. Please write a new feedback.")
    status = 409


class FeedbackClosed(DomainError):
    code = "feedback.closed"
    message = _("This feedback is closed. Please load the page anew.")
    status = 409


class PersonCannotSee(DomainError):
    code = "feedback.person_cannot_see"
    message = _("This person does not see the feedback: choose somebody who may, and who sees its station.")


class PhotoUsed(DomainError):
    code = "feedback.photo_used"
    message = _("This photo was sent already. Upload it again.")
    status = 409
