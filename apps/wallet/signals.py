"""Named events of wallets, sent on commit. Receivers live in higher apps and enqueue one task."""

from django.dispatch import Signal

recharge_paid = Signal()  # recharge_no: str
