"""Work parameters, reboot, update, ground locks and QR codes, in domain words and back."""

from __future__ import annotations

from typing import NamedTuple

from apps.common.time import now
from apps.piles.commands import Command, MoveLock, Reboot, SetQr, SetWork, UpdateFirmware
from apps.piles.enums import LockState
from apps.piles.reports import LockReport
from ykc_server.protocol import Message
from ykc_server.protocol import messages as wire
from ykc_server.protocol.codes import (
    ExecuteMode,
    LockAlarm,
    LockCommand,
    LockStatus,
    PileModel,
    QrFormat,
    SpaceStatus,
    WorkSwitch,
)
from ykc_server.session import Gun

LOCK_STATES = {LockStatus.RAISED: LockState.RAISED, LockStatus.LOWERED: LockState.LOWERED}
LOCK_FAULTS = {LockAlarm.ARM_STUCK: "arm_stuck", LockAlarm.ARM_FORCED: "arm_forced"}


class NotTranslatable(ValueError):
    """A command that this protocol has no frame for; the text says why."""


class Credentials(NamedTuple):
    """How a pile signs in to an update server."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(…)"


def upkeep_command(command: Command, pile_code: str) -> Message | None:
    """Return the frame of a command by which a pile is kept, None for others. Raises FieldError.

    An update is none of them: its frame needs credentials (`update_message`).
    """
    match command:
        case SetWork():
            return wire.WorkParams.make(
                pile_no=pile_code,
                disable=WorkSwitch.LOCKED if command.is_locked else WorkSwitch.ALLOWED,
                max_power_percent=command.max_power_percent,
            )
        case Reboot():
            return wire.Reboot.make(pile_no=pile_code, mode=_mode(command.when_idle))
        case MoveLock():
            return wire.GroundLockControl.make(
                pile_no=pile_code,
                gun_no=int(command.connector_no),
                command=LockCommand.RAISE if command.up else LockCommand.LOWER,
                reserved="00000000",
            )
        case SetQr():
            return wire.QrPrefixSet.make(
                pile_no=pile_code,
                qr_format=QrFormat.PILE_AND_GUN_NO if command.with_gun_no else QrFormat.PILE_NO,
                prefix=command.prefix,
            )
    return None


def update_message(command: UpdateFirmware, pile_code: str, credentials: Credentials) -> Message:
    """Return 0x94. Raises NotTranslatable, whose text does not hold the credentials, or FieldError."""
    raw = {}
    for name, text in credentials._asdict().items():
        if not text.isascii() or len(text) > 16:
            raise NotTranslatable(f"{name} of the update server is not ASCII or longer than 16 characters")
        raw[name] = text.encode().ljust(16, b"\0")
    message = wire.Update.make(
        pile_no=pile_code,
        pile_model=PileModel.AC if command.for_ac else PileModel.DC,
        pile_power=command.power_kw,
        server=command.host,
        port=command.port,
        username="",
        password="",
        path=command.path,
        mode=_mode(command.when_idle),
        download_timeout=command.download_minutes,
    )
    message.username, message.password = raw["username"], raw["password"]
    return message


def _mode(when_idle: bool) -> ExecuteMode:
    return ExecuteMode.WHEN_IDLE if when_idle else ExecuteMode.NOW


def masked(message: Message) -> Message:
    """Return a message with asterisks in its secret fields, fit to be kept and shown; the same one if it has none."""
    secret = [name for name, field in message.spec.fields.items() if field.secret]
    if not secret:
        return message
    values = {name: getattr(message, name) for name in message.spec.fields}
    values |= {name: b"*" * message.spec.fields[name].size for name in secret}
    return type(message)(**values, sequence=message.sequence, extra=message.extra)


def lock_report(m: wire.GroundLockStatus, gun: Gun) -> LockReport:
    """0x61 in domain words; an alarm code that no table names is a fault all the same."""
    fault = "" if m.alarm == LockAlarm.NONE else LOCK_FAULTS.get(m.value("alarm"), f"code_{m.alarm:02X}")
    return LockReport(
        connector_id=gun.connector_id,
        pile_code=gun.session.pile_code,
        connector_no=gun.connector_no,
        state=LOCK_STATES.get(m.value("lock_status"), LockState.UNKNOWN),
        is_occupied=m.space_status == SpaceStatus.OCCUPIED,
        battery_percent=m.battery_percent,
        fault=fault,
        reported_at=now(),
    )
