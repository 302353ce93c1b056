"""What people of other companies may do at most in our back office, whatever roles they are given.

An account of a franchisee sees its stations and what happens there. Drivers, wallets, staff and the books are the
operator's own: a role that holds more by mistake opens none of it.
"""

from __future__ import annotations

from functools import cache

MAY = frozenset(
    {
        "sites.view_station",
        "piles.view_pile",
        "piles.view_connector",
        "piles.view_alarm",
        "piles.acknowledge_alarm",
        "piles.close_alarm",
        "piles.view_pilecommand",
        "piles.view_commandbatch",
        "piles.add_pilecommand",
        "piles.reboot_pile",
        "piles.set_work",
        "piles.move_lock",
        "piles.set_qr",
        "pricing.view_priceassignment",
        "orders.view_order",
        "orders.stop_order",
        "reports.view_financereport",
        "reports.view_reportschedule",
        "reports.add_reportschedule",
        "reports.change_reportschedule",
        "reports.delete_reportschedule",
        "reports.send_reportschedule",
        "backoffice.view_auditentry",
    }
)
"""Permissions ("app.codename") that mean something to them."""


@cache
def may(permission: str) -> bool:
    """Return whether a permission can be anything to people of other companies."""
    return permission in MAY
