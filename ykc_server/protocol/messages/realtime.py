"""Realtime data (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import GunHomed, GunPlugged, GunStatus, HardwareFault
from ykc_server.protocol.fields import Bits, Coded, Hex
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    Amount,
    Ampere,
    Celsius,
    GunNo,
    Kwh,
    Minutes,
    Percent,
    PileNo,
    TransactionNo,
    Volt,
)


@message(0x12, "read_realtime", Direction.DOWN)
class ReadRealtime(Message, gc=False):
    pile_no: PileNo
    gun_no: GunNo


@message(0x13, "realtime", Direction.UP)
class Realtime(Message, gc=False):
    """Per gun every 15 s while charging, every 5 min while idle, and on change.

    An idle gun repeats the last transaction number or zeros: look at the status first. The current has no offset.
    """

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    status: Annotated[int, Coded(GunStatus)]
    gun_homed: Annotated[int, Coded(GunHomed)]
    gun_plugged: Annotated[int, Coded(GunPlugged)]
    output_voltage: Volt
    output_current: Ampere
    cable_temp: Celsius
    cable_code: Annotated[bytes, Hex(8)]
    soc: Percent
    battery_max_temp: Celsius
    charge_minutes: Minutes
    remaining_minutes: Minutes
    energy_kwh: Kwh
    loss_energy_kwh: Kwh
    amount: Amount
    hardware_fault: Annotated[int, Bits(2, HardwareFault)]
