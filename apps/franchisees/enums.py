"""Words of franchisees."""

from __future__ import annotations

from django.db import models
from django.utils.translation import pgettext_lazy


class FranchiseeState(models.TextChoices):
    """Whether we work together."""

    ACTIVE = "active", pgettext_lazy("franchisee", "active")
    ENDED = "ended", pgettext_lazy("franchisee", "ended")
