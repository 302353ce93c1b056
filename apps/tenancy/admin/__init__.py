"""The platform's pages of tenants."""

from apps.tenancy.admin import devices, openings, packages, tenants

__all__ = ["devices", "openings", "packages", "tenants"]
