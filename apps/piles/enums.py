"""Words of the pile world, protocol-free."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class PileKind(models.TextChoices):
    DC = "dc", _("DC")
    AC = "ac", _("AC")


class ConnectorKind(models.IntegerChoices):
    """ConnectorType of T/CEC 102 (4.4)."""

    HOUSEHOLD_SOCKET = 1, _("household socket (mode 2)")
    AC_SOCKET = 2, _("AC socket (mode 3, case B)")
    AC_PLUG = 3, _("AC plug (mode 3, case C)")
    DC_GUN = 4, _("DC gun (mode 4)")
    WIRELESS = 5, _("wireless")
    OTHER = 6, pgettext_lazy("kind", "other")


class Standard(models.IntegerChoices):
    """NationalStandard: the edition of GB/T 20234 and 27930 that a gun follows."""

    GB_2011 = 1, "GB/T 2011"
    GB_2015 = 2, "GB/T 2015"
    BOTH = 3, _("GB/T 2011 and 2015")
    GB_2023 = 4, "GB/T 2023"


class AuxPower(models.IntegerChoices):
    """AuxPower (Zhejiang): the voltage of the auxiliary supply."""

    V12 = 1, "12 V"
    V24 = 2, "24 V"
    BOTH = 3, _("12 V and 24 V")


class PileState(models.TextChoices):
    IN_SERVICE = "in_service", _("in service")
    DISABLED = "disabled", _("disabled")
    RETIRED = "retired", _("retired")


class ConnectorState(models.TextChoices):
    """What a connector says of itself, or OFFLINE when its pile is silent."""

    OFFLINE = "offline", _("offline")
    FAULT = "fault", _("fault")
    IDLE = "idle", _("idle")
    PLUGGED = "plugged", _("plugged in")
    CHARGING = "charging", _("charging")


class CommandKind(models.TextChoices):
    START = "start", _("start charging")
    STOP = "stop", _("stop charging")
    SET_BILLING_MODEL = "set_billing_model", _("set prices")
    SYNC_TIME = "sync_time", _("set clock")
    READ_REALTIME = "read_realtime", _("refresh state")
    START_PARALLEL = "start_parallel", _("start parallel charging")
    SET_BALANCE = "set_balance", _("update balance")
    SET_WORK = "set_work", _("set work parameters")
    REBOOT = "reboot", _("reboot")
    UPDATE = "update", _("update firmware")
    LOCK = "lock", _("move ground lock")
    SYNC_CARDS = "sync_cards", _("write offline cards")
    CLEAR_CARDS = "clear_cards", _("delete offline cards")
    QUERY_CARDS = "query_cards", _("ask for offline cards")
    SET_QR = "set_qr", _("set QR code")


class CrcOrder(models.TextChoices):
    """Which byte of a checksum comes first. Both are taken; this is what we send."""

    LOW_FIRST = "low", _("low byte first")
    HIGH_FIRST = "high", _("high byte first")


class LockState(models.TextChoices):
    UNKNOWN = "unknown", _("not in position")
    RAISED = "raised", _("raised")
    LOWERED = "lowered", _("lowered")


class CardOnPile(models.TextChoices):
    """What is known of an offline card in a pile's memory."""

    WANTED = "wanted", _("to be written")
    STORED = "stored", pgettext_lazy("card in a pile", "stored")
    UNWANTED = "unwanted", _("to be deleted")
    FAILED = "failed", _("failed")


class CommandState(models.TextChoices):
    PENDING = "pending", _("pending")
    SENT = "sent", _("sent")
    DONE = "done", _("done")
    REFUSED = "refused", _("refused")
    UNDELIVERED = "undelivered", _("not delivered")
    EXPIRED = "expired", _("no answer")


class AlarmKind(models.TextChoices):
    PILE_OFFLINE = "pile_offline", _("pile offline")
    PILE_FAULT = "pile_fault", _("pile fault")
    UNKNOWN_RECORD = "unknown_record", _("record without an order")
    DIFFERING_RECORD = "differing_record", _("record differs from an earlier one")
    FOREIGN_RECORD = "foreign_record", _("record for another pile")
    DUPLICATE_LOGIN = "duplicate_login", _("second connection of a pile")
    CHARGING_AFTER_FAILURE = "charging_after_failure", _("charging although the start failed")
    MISSING_RECORD = "missing_record", _("transaction record missing")
    PRICE_MISMATCH = "price_mismatch", _("pile refused its prices")
    UNBILLED_ENERGY = "unbilled_energy", _("energy without an order")
    CLOCK_DRIFT = "clock_drift", _("clock is wrong")
    WRONG_SIM = "wrong_sim", _("login with another SIM card")
    WRONG_ADDRESS = "wrong_address", _("login from an address that is not allowed")
    LOCK_FAULT = "lock_fault", _("ground lock fault")
    BATTERY = "battery", _("battery reported a fault")
    OVER_TEMPERATURE = "over_temperature", _("battery too hot")
    START_FAILURES = "start_failures", _("starts fail one after another")
    SILENT_GUN = "silent_gun", _("gun has gone silent")


class AlarmLevel(models.TextChoices):
    URGENT = "urgent", pgettext_lazy("alarm", "urgent")
    IMPORTANT = "important", pgettext_lazy("alarm", "important")
    MINOR = "minor", pgettext_lazy("alarm", "minor")


class AlarmState(models.TextChoices):
    """What staff have done with an alarm. It is closed by them, or because its cause has gone."""

    OPEN = "open", pgettext_lazy("alarm", "open")
    ACKNOWLEDGED = "acknowledged", pgettext_lazy("alarm", "acknowledged")
    ASSIGNED = "assigned", pgettext_lazy("alarm", "assigned")
    CLOSED = "closed", pgettext_lazy("alarm", "closed")


class AlarmDeed(models.TextChoices):
    ACKNOWLEDGED = "acknowledged", pgettext_lazy("alarm", "acknowledged")
    ASSIGNED = "assigned", pgettext_lazy("alarm", "assigned")
    NOTED = "noted", pgettext_lazy("alarm", "note")
    CLOSED = "closed", pgettext_lazy("alarm", "closed")


FAULT_BITS = {
    0x0001: _("emergency stop button"),
    0x0002: _("no usable rectifier module"),
    0x0004: _("air outlet too hot"),
    0x0008: _("AC surge protection"),
    0x0010: _("module DC20 does not answer"),
    0x0020: _("insulation monitor FC08 does not answer"),
    0x0040: _("energy meter does not answer"),
    0x0080: _("card reader does not answer"),
    0x0100: _("RC10 does not answer"),
    0x0200: _("fan speed board"),
    0x0400: _("DC fuse"),
    0x0800: _("high-voltage contactor"),
    0x1000: _("door open"),
}
"""What the fault bits of a gun mean (YKC V1.6, hardware faults of 0x13).

Drivers of other protocols translate to them.
"""
