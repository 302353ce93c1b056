"""Exports belong to who asked for them, not to a station; what may be in one was decided when it was written."""

from apps.backoffice import scope
from apps.files import models

scope.by_permission(models.ExportJob)
