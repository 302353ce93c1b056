"""Wire messages ↔ piles.reports / piles.commands. The only package that knows both vocabularies."""

from ykc_server.translate.battery import battery_report
from ykc_server.translate.commands import (
    billing_model,
    command_message,
    prices,
    time_sync,
)
from ykc_server.translate.reports import (
    clock_offset_s,
    connector_report,
    connector_state,
    login_facts,
    start_answer,
    stop_answer,
    transaction_no,
    transaction_report,
)
from ykc_server.translate.starts import parallel_start_answer, start_request, start_request_ack
from ykc_server.translate.upkeep import Credentials, NotTranslatable, lock_report, masked, update_message

__all__ = [
    "Credentials",
    "NotTranslatable",
    "battery_report",
    "billing_model",
    "clock_offset_s",
    "command_message",
    "connector_report",
    "connector_state",
    "lock_report",
    "login_facts",
    "masked",
    "parallel_start_answer",
    "prices",
    "start_answer",
    "start_request",
    "start_request_ack",
    "stop_answer",
    "time_sync",
    "transaction_no",
    "transaction_report",
    "update_message",
]
