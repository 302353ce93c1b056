from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class FileState(models.TextChoices):
    PENDING = "pending", _("waits for its upload")
    READY = "ready", _("ready")


class ExportState(models.TextChoices):
    WAITING = "waiting", pgettext_lazy("export", "waiting")
    RUNNING = "running", pgettext_lazy("export", "running")
    DONE = "done", pgettext_lazy("export", "finished")
    FAILED = "failed", pgettext_lazy("export", "failed")


OPEN_STATES = (ExportState.WAITING, ExportState.RUNNING)


class ExportFormat(models.TextChoices):
    XLSX = "xlsx", _("Excel (xlsx)")
    CSV = "csv", _("CSV")
