"""Order states and the whole table of moves between them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class OrderState(models.TextChoices):
    PENDING = "pending", _("created")
    STARTING = "starting", _("starting")
    CHARGING = "charging", _("charging")
    STOPPING = "stopping", _("stopping")
    SETTLING = "settling", _("settling")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", pgettext_lazy("order", "failed")
    ABNORMAL = "abnormal", _("abnormal")


S = OrderState
MOVES: dict[OrderState, frozenset[OrderState]] = {
    S.PENDING: frozenset({S.STARTING, S.FAILED}),
    S.STARTING: frozenset({S.CHARGING, S.STOPPING, S.SETTLING, S.FAILED}),
    S.CHARGING: frozenset({S.STOPPING, S.SETTLING, S.ABNORMAL}),
    S.STOPPING: frozenset({S.SETTLING, S.ABNORMAL}),
    S.SETTLING: frozenset({S.COMPLETED, S.ABNORMAL}),
    S.ABNORMAL: frozenset({S.SETTLING, S.COMPLETED}),
    S.FAILED: frozenset({S.SETTLING}),  # a late record
    S.COMPLETED: frozenset(),
}
LIVE = frozenset({S.PENDING, S.STARTING, S.CHARGING, S.STOPPING})
"""States in which the order occupies its connector."""


class OrderGroup(models.TextChoices):
    """How a driver's orders are shown: each is in one group."""

    CHARGING = "charging", _("charging")
    TO_PAY = "to_pay", _("to be paid")
    DONE = "done", _("completed")


OVER = frozenset({S.COMPLETED, S.FAILED})
"""States of orders that a driver has nothing to wait for, unless something is owed."""


class OrderSource(models.TextChoices):
    APP = "app", _("driver app")
    CARD = "card", _("card")
    VIN = "vin", _("plug and charge")
    ACCOUNT = "account", _("account at the pile")
    OFFLINE_CARD = "offline_card", _("card while offline")
    STAFF = "staff", _("back office")
    PARTNER = "partner", _("partner")


class StopReason(models.TextChoices):
    """Why we asked the pile to stop."""

    NONE = "", _("none")
    CUSTOMER = "customer", _("stopped by the driver")
    CANCELLED = "cancelled", _("cancelled")
    STAFF = "staff", _("stopped by staff")
    START_FAILED = "start_failed", _("start failed")
    UNBILLED = "unbilled", _("energy without an order")
    HOLD_USED = "hold_used", _("held money used up")
    LIMIT_REACHED = "limit_reached", _("preset limit reached")


class RecordState(models.TextChoices):
    STORED = "stored", _("stored")
    WAITING = "waiting", _("waits for the record of the other gun")
    SETTLED = "settled", _("settled")
    HELD = "held", _("held for review")
    QUARANTINED = "quarantined", _("quarantined")
    REJECTED = "rejected", _("rejected")


class Verdict(models.TextChoices):
    """The audit's word on a record."""

    NONE = "", _("not audited")
    OK = "ok", _("ok")
    FLAGGED = "flagged", _("flagged")
    HELD = "held", pgettext_lazy("verdict", "held")


class EnergyDifferenceKind(models.TextChoices):
    """What the daily comparison of piles and orders finds."""

    NO_RECORD = "no_record", _("energy without a record")
    UNBILLED_RECORD = "unbilled_record", _("record without a bill")
    BILLED_DIFFERS = "billed_differs", _("bill and record differ")
    METER_DIFFERS = "meter_differs", _("meter and record differ")
    METER_STEP = "meter_step", _("meter went on between two charges")
    TELEMETRY_DIFFERS = "telemetry_differs", _("telemetry and record differ")


class EnergyRule(models.TextChoices):
    """Which energy of a record is billed."""

    METERED = "metered", _("metered energy")
    LOSS = "loss", _("energy with losses, where the pile reports it")


class OrderRefundState(models.TextChoices):
    APPLIED = "applied", _("waits for review")
    DONE = "done", pgettext_lazy("refund", "refunded")
    REJECTED = "rejected", pgettext_lazy("refund", "rejected")
    CANCELLED = "cancelled", pgettext_lazy("refund", "withdrawn")
