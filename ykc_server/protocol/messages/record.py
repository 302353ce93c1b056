"""Transaction record and its confirmation, YKC V1.6 §8.7 and §8.8."""

from typing import Annotated

from ykc_server.protocol.codes import RecordVerdict, StartMode, StopReason
from ykc_server.protocol.fields import Coded
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    Amount,
    GunNo,
    Kwh,
    MeterKwh,
    PhysicalCardNo,
    PileNo,
    PricePerKwh,
    Timestamp,
    TransactionNo,
    Vin,
)


@message(0x3B, "transaction_record", Direction.UP)
class TransactionRecord(Message, gc=False):
    """Prices are electricity and service together. Repeated until confirmed by 40, perhaps days later."""

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    start_time: Timestamp
    end_time: Timestamp
    sharp_price: PricePerKwh
    sharp_kwh: Kwh
    sharp_loss_kwh: Kwh
    sharp_amount: Amount
    peak_price: PricePerKwh
    peak_kwh: Kwh
    peak_loss_kwh: Kwh
    peak_amount: Amount
    flat_price: PricePerKwh
    flat_kwh: Kwh
    flat_loss_kwh: Kwh
    flat_amount: Amount
    valley_price: PricePerKwh
    valley_kwh: Kwh
    valley_loss_kwh: Kwh
    valley_amount: Amount
    meter_start: MeterKwh
    meter_end: MeterKwh
    total_kwh: Kwh
    total_loss_kwh: Kwh
    total_amount: Amount
    vin: Vin
    start_mode: Annotated[int, Coded(StartMode)]
    transaction_time: Timestamp
    stop_reason: Annotated[int, Coded(StopReason)]
    physical_card_no: PhysicalCardNo


@message(0x40, "transaction_record_ack", Direction.DOWN)
class TransactionRecordAck(Message, gc=False):
    """Answers a pile although its code is even. The transaction number goes back as it came."""

    transaction_no: TransactionNo
    result: Annotated[int, Coded(RecordVerdict)]
