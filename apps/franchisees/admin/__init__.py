"""Franchisees with their contracts, stations and accounts."""

from apps.franchisees.admin import panels, tabs
from apps.franchisees.admin.franchisees import FranchiseeAdmin

__all__ = ["FranchiseeAdmin", "panels", "tabs"]
