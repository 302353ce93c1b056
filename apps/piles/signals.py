"""Named events of piles, sent on commit. Receivers live in higher apps and enqueue one task."""

from django.dispatch import Signal

connector_changed = Signal()  # report: ConnectorReport
pile_online = Signal()  # pile_code: str
