"""Celery entry points of files."""

from celery import shared_task


@shared_task(name="files.run_export")
def run_export(job_id: int) -> None:
    """Write one export."""
    from apps.files import exports

    exports.run_export(job_id)


@shared_task(name="files.find_exports")
def find_exports() -> None:
    """Send for exports whose task was lost or whose worker died."""
    from apps.files import exports

    exports.find_exports()


@shared_task(name="files.purge")
def purge() -> None:
    """Throw away what is past its time."""
    from apps.files import exports, services

    services.purge()
    exports.forget_old()
