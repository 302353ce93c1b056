from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class ActivityNotFound(NotFound):
    code = "marketing.activity_not_found"
    message = _("There is no such activity, or it is over.")


class NotPublishable(DomainError):
    code = "marketing.not_publishable"
    message = _("This activity cannot be published: %(why)s")
    status = 409
