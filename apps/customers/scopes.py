"""Customers belong to no station: who has the permission sees them all."""

from apps.backoffice import scope
from apps.customers.models import Card, Customer, Enterprise, EnterpriseMember, MiniProgram, Vehicle

scope.by_permission(Customer, Card, Vehicle, Enterprise, EnterpriseMember, MiniProgram)
