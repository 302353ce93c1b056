"""Transaction record and its confirmation, YKC V1.6 §8.7 and §8.8."""

from typing import Annotated

from ykc_server.protocol.codes import RecordVerdict, StartMode, StopReason
from ykc_server.protocol.fields import Bcd, Coded, Hex
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    Amount,
    GunNo,
    Kwh,
    MeterKwh,
    PhysicalCardNo,
    PileNo,
    Plain,
    PricePerKwh,
    Timestamp,
    TransactionNo,
    VinForward,
)


@message(0x3B, "transaction_record", Direction.UP, "交易记录")
class TransactionRecord(Message, gc=False):
    """Prices are electricity and service together. Repeated until confirmed by 40, perhaps days later."""

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    start_time: Annotated[Timestamp, "开始时间"]
    end_time: Annotated[Timestamp, "结束时间"]
    sharp_price: Annotated[PricePerKwh, "尖单价"]
    sharp_kwh: Annotated[Kwh, "尖电量"]
    sharp_loss_kwh: Annotated[Kwh, "计损尖电量"]
    sharp_amount: Annotated[Amount, "尖金额"]
    peak_price: Annotated[PricePerKwh, "峰单价"]
    peak_kwh: Annotated[Kwh, "峰电量"]
    peak_loss_kwh: Annotated[Kwh, "计损峰电量"]
    peak_amount: Annotated[Amount, "峰金额"]
    flat_price: Annotated[PricePerKwh, "平单价"]
    flat_kwh: Annotated[Kwh, "平电量"]
    flat_loss_kwh: Annotated[Kwh, "计损平电量"]
    flat_amount: Annotated[Amount, "平金额"]
    valley_price: Annotated[PricePerKwh, "谷单价"]
    valley_kwh: Annotated[Kwh, "谷电量"]
    valley_loss_kwh: Annotated[Kwh, "计损谷电量"]
    valley_amount: Annotated[Amount, "谷金额"]
    meter_start: Annotated[MeterKwh, "电表总起值"]
    meter_end: Annotated[MeterKwh, "电表总止值"]
    total_kwh: Annotated[Kwh, "总电量"]
    total_loss_kwh: Annotated[Kwh, "计损总电量"]
    total_amount: Annotated[Amount, "消费金额"]
    vin: Annotated[VinForward, "电动汽车唯一标识"]
    start_mode: Annotated[int, Coded(StartMode), "交易标识"]
    transaction_time: Annotated[Timestamp, "交易日期、时间"]
    stop_reason: Annotated[int, Coded(StopReason), "停止原因"]
    physical_card_no: PhysicalCardNo


@message(0x3B, "transaction_record_five_prices", Direction.UP, "交易记录 (深谷)", after="valley_amount")
class TransactionRecordFivePrices(TransactionRecord, gc=False):
    """Not in V1.6, known by its length of 174: a fifth class, deep valley."""

    deep_valley_price: Annotated[PricePerKwh, "深谷单价"]
    deep_valley_kwh: Annotated[Kwh, "深谷电量"]
    deep_valley_loss_kwh: Annotated[Kwh, "计损深谷电量"]
    deep_valley_amount: Annotated[Amount, "深谷金额"]


@message(0x3D, "transaction_record_v17", Direction.UP, "交易记录", after="end_time")
class TransactionRecordV17(TransactionRecord, gc=False):
    """V1.7 puts what an encrypting meter says into the record; zeros from a pile without one."""

    meter_no: Annotated[bytes, Bcd(6), "电表表号"]
    meter_cipher: Annotated[bytes, Hex(34), "电表密文"]
    meter_protocol_version: Annotated[bytes, Hex(2), "电表协议版本号"]
    meter_encryption: Annotated[Plain, "加密方式"]


@message(0x40, "transaction_record_ack", Direction.DOWN, "交易记录确认")
class TransactionRecordAck(Message, gc=False):
    """Answers a pile although its code is even. The transaction number goes back as it came."""

    transaction_no: TransactionNo
    result: Annotated[int, Coded(RecordVerdict), "确认结果"]
