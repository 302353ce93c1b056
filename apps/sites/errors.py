from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class TooManyPictures(DomainError):
    code = "sites.too_many_pictures"
    message = _("A station has at most %(limit)s pictures. Remove one first.")
    status = 409
