"""Customers belong to no station: who has the permission sees them all."""

from apps.backoffice import scope
from apps.customers.models import (
    Agreement,
    Card,
    Customer,
    DriverAppSettings,
    Enterprise,
    EnterpriseMember,
    MiniProgram,
    Vehicle,
)

scope.by_permission(
    Customer,
    Card,
    Vehicle,
    Enterprise,
    EnterpriseMember,
    MiniProgram,
    Agreement,
    DriverAppSettings,
)
