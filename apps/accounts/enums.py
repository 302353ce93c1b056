from django.db import models
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """Whose stations a member of staff sees, with all that belongs to them."""

    ALL = "all", _("all stations")
    DEPARTMENT = "department", _("own department and below")
    STATIONS = "stations", _("given stations")
    SELF = "self", _("stations that the person looks after")
