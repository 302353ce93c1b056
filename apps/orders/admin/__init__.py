"""Back-office pages of orders; each module registers its own."""

from apps.orders.admin import (  # noqa: F401 - they register themselves
    abnormal,
    energy,
    enterprises,
    orders,
    panels,
    pile_orders,
    policy,
    records,
    refunds,
    starting,
)
