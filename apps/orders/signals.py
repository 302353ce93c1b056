"""Named events of orders, sent on commit. Receivers live in higher apps and enqueue one task."""

from django.dispatch import Signal

order_settled = Signal()  # order_no: str
orders_settled = Signal()  # order_nos: list[str], those of one transaction
order_refunded = Signal()  # order_no: str; fees of it went back to the wallet
