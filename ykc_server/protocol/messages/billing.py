"""Billing model (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import BillingVerdict, OneIsSuccess
from ykc_server.protocol.fields import Bytes, Coded
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import BillingModelNo, PileNo, Plain, PricePerKwh


@message(0x05, "billing_verify", Direction.UP)
class BillingVerify(Message, gc=False):
    """After each login; model number 0000 when the pile has none."""

    pile_no: PileNo
    billing_model_no: BillingModelNo


@message(0x06, "billing_verify_ack", Direction.DOWN)
class BillingVerifyAck(Message, gc=False):
    """Echoes the model number that the pile sent."""

    pile_no: PileNo
    billing_model_no: BillingModelNo
    result: Annotated[int, Coded(BillingVerdict)]


@message(0x09, "billing_request", Direction.UP)
class BillingRequest(Message, gc=False):
    pile_no: PileNo


class BillingModel(Message, gc=False):
    """Four classes x two prices in yuan/kWh, and the class (0 sharp … 3 valley) of 48 half hours from 00:00."""

    pile_no: PileNo
    billing_model_no: BillingModelNo
    sharp_electricity_price: PricePerKwh
    sharp_service_price: PricePerKwh
    peak_electricity_price: PricePerKwh
    peak_service_price: PricePerKwh
    flat_electricity_price: PricePerKwh
    flat_service_price: PricePerKwh
    valley_electricity_price: PricePerKwh
    valley_service_price: PricePerKwh
    loss_ratio: Plain
    slot_rate_codes: Annotated[bytes, Bytes(48)]


@message(0x0A, "billing_request_ack", Direction.DOWN)
class BillingRequestAck(BillingModel, gc=False):
    pass


@message(0x58, "billing_set", Direction.DOWN)
class BillingSet(BillingModel, gc=False):
    pass


@message(0x57, "billing_set_ack", Direction.UP)
class BillingSetAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(OneIsSuccess)]
