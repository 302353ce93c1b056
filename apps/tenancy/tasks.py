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
