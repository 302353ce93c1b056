"""Billing model (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import BillingVerdict, OneIsSuccess
from ykc_server.protocol.fields import Bytes, Coded
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import BillingModelNo, PileNo, Plain, PricePerKwh


@message(0x05, "billing_verify", Direction.UP, "计费模型验证请求")
class BillingVerify(Message, gc=False):
    """After each login; model number 0000 when the pile has none."""

    pile_no: PileNo
    billing_model_no: BillingModelNo


@message(0x06, "billing_verify_ack", Direction.DOWN, "计费模型验证请求应答")
class BillingVerifyAck(Message, gc=False):
    """Echoes the model number that the pile sent."""

    pile_no: PileNo
    billing_model_no: BillingModelNo
    result: Annotated[int, Coded(BillingVerdict), "验证结果"]


@message(0x09, "billing_request", Direction.UP, "充电桩计费模型请求")
class BillingRequest(Message, gc=False):
    pile_no: PileNo


class BillingModel(Message, gc=False):
    """Four classes x two prices in yuan/kWh, and the class (0 sharp … 3 valley) of 48 half hours from 00:00."""

    pile_no: PileNo
    billing_model_no: BillingModelNo
    sharp_electricity_price: Annotated[PricePerKwh, "尖电费费率"]
    sharp_service_price: Annotated[PricePerKwh, "尖服务费费率"]
    peak_electricity_price: Annotated[PricePerKwh, "峰电费费率"]
    peak_service_price: Annotated[PricePerKwh, "峰服务费费率"]
    flat_electricity_price: Annotated[PricePerKwh, "平电费费率"]
    flat_service_price: Annotated[PricePerKwh, "平服务费费率"]
    valley_electricity_price: Annotated[PricePerKwh, "谷电费费率"]
    valley_service_price: Annotated[PricePerKwh, "谷服务费费率"]
    loss_ratio: Annotated[Plain, "计损比例"]
    slot_rate_codes: Annotated[bytes, Bytes(48), "48 时段费率号"]


@message(0x0A, "billing_request_ack", Direction.DOWN, "计费模型请求应答")
class BillingRequestAck(BillingModel, gc=False):
    pass


@message(0x58, "billing_set", Direction.DOWN, "计费模型设置")
class BillingSet(BillingModel, gc=False):
    pass


@message(0x85, "billing_set_five_prices", Direction.DOWN, "计费模型设置 (深谷)", after="valley_service_price")
class BillingSetFivePrices(BillingModel, gc=False):
    """Not in V1.6: only for piles known to have a fifth class, deep valley (code 4). Its answer is not known."""

    deep_valley_electricity_price: Annotated[PricePerKwh, "深谷电费费率"]
    deep_valley_service_price: Annotated[PricePerKwh, "深谷服务费费率"]


@message(0x57, "billing_set_ack", Direction.UP, "计费模型应答")
class BillingSetAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(OneIsSuccess), "设置结果"]
