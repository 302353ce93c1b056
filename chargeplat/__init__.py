"""Project wiring: settings, URLs, processes. No business rules."""

from chargeplat.celery import app as celery_app

__all__ = ["celery_app"]
