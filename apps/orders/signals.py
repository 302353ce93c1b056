"""Named events of orders, sent on commit. Receivers live in higher apps and enqueue one task."""

from django.dispatch import Signal

order_settled = Signal()  # order_no: str
