"""Customers belong to no station: who has the permission sees them all. What they write may be about one."""

from apps.backoffice import scope
from apps.customers.feedback.models import Feedback
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

scope.by_station(Feedback, "station")
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
