"""Periodic work: beat knows no tenants."""

from __future__ import annotations

from celery import current_app, shared_task

FAN_OUT_EXPIRES_S = 120


@shared_task(name="tenancy.fan_out")
def fan_out(name: str) -> int:
    """Send task `name` once to every tenant whose work goes on; return to how many.

    What no worker took in `FAN_OUT_EXPIRES_S` is dropped, because beat has asked again since.
    """
    from apps.tenancy.selectors import working_schemas

    task = current_app.tasks[name]
    schemas = working_schemas()
    for schema in schemas:
        task.apply_async(headers={"_schema_name": schema}, expires=FAN_OUT_EXPIRES_S)
    return len(schemas)


@shared_task(name="tenancy.open_tenant")
def open_tenant(opening_id: int) -> None:
    """Open a tenant that somebody asked for."""
    from apps.tenancy import openings

    openings.run_opening(opening_id)


@shared_task(name="tenancy.find_openings")
def find_openings() -> None:
    """Send for openings whose task was lost or whose worker died."""
    from apps.tenancy import openings

    openings.find_openings()


@shared_task(name="tenancy.suspend_expired")
def suspend_expired() -> None:
    """Suspend tenants whose term is over."""
    from apps.tenancy import lifecycle

    lifecycle.suspend_expired()
