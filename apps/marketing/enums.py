from django.db import models
from django.utils.translation import pgettext_lazy


class ActivityState(models.TextChoices):
    """Where an activity stands, from whether it is published and its period."""

    DRAFT = "draft", pgettext_lazy("activity", "draft")
    COMING = "coming", pgettext_lazy("activity", "begins later")
    RUNNING = "running", pgettext_lazy("activity", "running")
    OVER = "over", pgettext_lazy("activity", "over")
