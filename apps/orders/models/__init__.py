"""Tables of charging: orders and their bills, the records piles sent for them, refunds, energy days, the policy."""

from apps.orders.models.energy import EnergyDay, EnergyDifference
from apps.orders.models.orders import (
    AbnormalOrder,
    BillLine,
    EnterpriseCharge,
    Order,
    OrderCurve,
    OrderEvent,
    ParallelLeg,
)
from apps.orders.models.policy import BillingPolicy
from apps.orders.models.records import TransactionRecord
from apps.orders.models.refunds import OrderRefund

__all__ = [
    "AbnormalOrder",
    "BillLine",
    "BillingPolicy",
    "EnergyDay",
    "EnergyDifference",
    "EnterpriseCharge",
    "Order",
    "OrderCurve",
    "OrderEvent",
    "OrderRefund",
    "ParallelLeg",
    "TransactionRecord",
]
