"""Orders in words for people: events, findings, reasons. English here, translated where shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.backoffice import shown
from apps.common.fields import EnergyField
from apps.common.time import SHANGHAI
from apps.coupons.enums import CouponBase
from apps.coupons.rules import Rule
from apps.coupons.wording import percent_words, saving_words
from apps.customers.models import Payer
from apps.orders.audit import MESSAGES
from apps.orders.discounts import Fees
from apps.orders.models import BillLine, Order
from apps.orders.settlement import Line
from apps.pricing.bar import CLASS_NAMES
from apps.pricing.tariff import RateClass

EVENTS = {
    "created": _("Order created, money held"),
    "start_requested": _("Start sent to the pile"),
    "started_outside_hours": _("Started by staff outside the opening hours"),
    "start_accepted": _("The pile accepted the start"),
    "start_accepted_too_late": _("The pile accepted the start too late"),
    "start_failed": _("The start failed"),
    "waiting_for_plug": _("The pile waits for the plug"),
    "charging_started": _("Charging began"),
    "charging_after_failure": _("The pile charges although the start failed"),
    "charging_although_cancelled": _("The pile charges although the start was cancelled"),
    "charging_ended": _("Charging ended"),
    "stop_requested": _("Stop requested"),
    "cancel_requested": _("Cancellation requested"),
    "cancelled": _("Cancelled"),
    "stop_confirmed": _("The pile confirmed the stop"),
    "stop_refused": _("The pile refused the stop"),
    "battery_handshake": _("The battery introduced itself"),
    "battery_config": _("The battery told its limits"),
    "battery_end": _("The battery told how it was left"),
    "talk_error": _("Battery and charger waited for each other in vain"),
    "battery_abort": _("The battery ended the charge"),
    "charger_abort": _("The charger ended the charge"),
    "stop_repeated": _("Stop sent again"),
    "record_arrived": _("Transaction record arrived"),
    "record_matched": _("A person chose the transaction record"),
    "record_missing": _("The transaction record did not come"),
    "held_for_review": _("Held for review"),
    "gun_refused": _("One gun refused the start"),
    "gun_ended": _("One gun ended"),
    "gun_record_arrived": _("Transaction record of one gun arrived"),
    "nothing_charged": _("Closed: nothing was charged"),
    "hold_raised": _("Hold raised after a top-up"),
    "charged_offline": _("Charged by card while the pile was offline"),
    "flagged": _("Flagged by the audit"),
    "recomputed": _("Recomputed by a person"),
    "settled_as_proposed": _("Settled as proposed, by a person"),
    "adjusted": _("Energies entered by a person"),
    "closed_without_bill": _("Closed without a bill, by a person"),
    "force_ended": _("Ended by a person: the pile is lost"),
    "settled": _("Settled"),
    "refund_applied": _("Refund applied for"),
    "refund_rejected": _("Refund rejected"),
    "refund_cancelled": _("Refund withdrawn by the driver"),
    "refunded": _("Refunded to the wallet"),
}
FAILURES = {
    "timeout": _("no charging in time"),
    "not_plugged": _("not plugged in"),
    "undelivered": _("the pile was not reached"),
    "wrong_pile": _("the pile says the code is not its own"),
    "already_charging": _("the gun is charging already"),
    "fault": _("fault"),
    "offline": _("offline"),
    "other": _("refused by the pile"),
}
QUARANTINE = {
    "undecodable": _("The bytes could not be decoded."),
    "unknown_transaction": _("No order has this transaction number."),
    "foreign_pile": _("Sent by another pile than the record names."),
    "other_connector": _("The order is of another gun."),
    "differs_from_first": _("The order has another record already."),
    "order_closed": _("The order was closed before."),
}
ENDED_BY = {
    "battery_abort": _("battery"),
    "charger_abort": _("charger"),
    "talk_error": _("talk of battery and charger"),
}
UNMATCHABLE = {
    "undecodable": _("The record could not be decoded, so there is nothing to bill."),
    "no_order": _("There is no such order."),
    "order_state": _("Only an order that is abnormal or failed waits for a record."),
    "several_guns": _("The order is charged over several guns, each with a record of its own."),
    "has_record": _("The order has another record already."),
}
_TIMES = frozenset({"start", "end", "seen", "received"})


def event_words(kind: str) -> str:
    """Return what an event says; a kind without words as it is."""
    return str(EVENTS.get(kind, kind))


def decision_words(data: dict[str, Any]) -> str:
    """Return who asked for a decision, who approved it and why; "" for an event that is none."""
    if "requested_by" not in data:
        return ""
    parts = [gettext("asked for by %(name)s") % {"name": data["requested_by"]}]
    if data.get("approved_by"):
        parts.append(gettext("approved by %(name)s") % {"name": data["approved_by"]})
    if data.get("energies"):
        energies = [f"{CLASS_NAMES[RateClass(name)]} {energy}" for name, energy in data["energies"].items()]
        parts.append(gettext("billed %(energies)s kWh") % {"energies": ", ".join(energies)})
    if data.get("recorded"):
        parts.append(gettext("the records say %(energy)s kWh") % {"energy": data["recorded"]})
    parts.append(gettext("reason: %(reason)s") % {"reason": data.get("reason", "")})
    return "; ".join(parts)


def failure_words(reason: str) -> str:
    """Return why a start failed."""
    return str(FAILURES.get(reason, reason))


def quarantine_words(reason: str) -> str:
    """Return why a record is in quarantine."""
    return str(QUARANTINE.get(reason, reason))


def unmatchable_words(reason: str) -> str:
    """Return why a record cannot settle an order."""
    return str(UNMATCHABLE.get(reason, reason))


def finding_words(finding: dict[str, Any]) -> str:
    """Return an audit finding as a sentence in the language of the page, its times in Asia/Shanghai."""
    message = MESSAGES.get(finding["code"])
    if message is None:
        return str(finding.get("text", finding["code"]))
    data = {name: _word(name, value) for name, value in finding["data"].items()}
    return gettext(message) % data


def _word(name: str, value: str) -> str:
    if name in _TIMES:
        return f"{datetime.fromisoformat(value).astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
    if name == "rate_class":
        return str(CLASS_NAMES[RateClass(value)])
    return value


def abort_words(entries: list[dict[str, str]]) -> list[str]:
    """Return `Order.abort_words` in the reader's language, each with who says so."""
    lines = []
    for entry in entries:
        said = gettext(entry["text"])
        if entry.get("state"):
            said = f"{said}: {gettext(entry['state'])}"
        lines.append(f"{ENDED_BY.get(entry.get('by', ''), '')} – {said}")
    return lines


def bill_sentences(order: Order, *, with_names: bool = True) -> list[str]:
    """Return the bill of a settled order in sentences, in the reader's language; nothing before it is settled.

    Without names it says neither which company or coupon made it cheaper nor which purse paid: for those to whom the
    driver is a stranger.
    """
    if order.settled_at is None:
        return []
    steps = order.explanation if with_names else ()
    sentences = fee_sentences(order.lines.all(), Fees(order.electricity_fee, order.service_fee), steps)
    if order.payable != order.total_fee:
        sentences.append(to_pay_words(Fees(order.electricity_payable, order.service_payable)))
    if not with_names:
        return sentences
    if order.payer == Payer.ENTERPRISE:
        paid_by = gettext("Paid: %(amount)s yuan by %(enterprise)s")
        name = order.enterprise.name if order.enterprise else ""
        sentences.append(paid_by % {"amount": f"{order.paid_enterprise:.2f}", "enterprise": name})
        return sentences
    paid = gettext("Paid: %(principal)s yuan from the balance, %(bonus)s yuan from the bonus")
    sentences.append(paid % {"principal": f"{order.paid_principal:.2f}", "bonus": f"{order.paid_bonus:.2f}"})
    if order.debt:
        sentences.append(gettext("Still to be paid: %(debt)s yuan") % {"debt": f"{order.debt:.2f}"})
    return sentences


def fee_sentences(lines: Iterable[BillLine | Line], fees: Fees, steps: Iterable[dict[str, Any]]) -> list[str]:
    """Return the lines of a bill, their sum and the steps of its discounts in sentences."""
    sentences = [
        gettext(
            "%(class)s: %(energy)s kWh × %(electricity_price)s = %(electricity)s yuan for electricity, "
            "× %(service_price)s = %(service)s yuan for service"
        )
        % {
            "class": CLASS_NAMES[RateClass(line.rate_class)],
            "energy": f"{line.energy_kwh:.{EnergyField.scale[1]}f}",
            "electricity_price": shown.price(line.electricity_price),
            "electricity": f"{line.electricity_fee:.2f}",
            "service_price": shown.price(line.service_price),
            "service": f"{line.service_fee:.2f}",
        }
        for line in lines
    ]
    sentences.append(
        gettext("Together: electricity %(electricity)s + service %(service)s = %(payable)s yuan")
        % _fee_words(fees)
    )
    return sentences + [words for step in steps if (words := step_words(step))]


def to_pay_words(payable: Fees) -> str:
    """Return what is left to pay after discounts."""
    words = gettext("To be paid: electricity %(electricity)s + service %(service)s = %(payable)s yuan")
    return words % _fee_words(payable)


def _fee_words(fees: Fees) -> dict[str, str]:
    return {
        "electricity": f"{fees.electricity:.2f}",
        "service": f"{fees.service:.2f}",
        "payable": f"{fees.total:.2f}",
    }


def step_words(step: dict[str, Any]) -> str:
    """Return what one step of `Order.explanation` did, as a sentence; "" where the bill says it anyway."""
    match step["step"]:
        case "enterprise":
            rule = gettext("%(percent)s%% off the %(fees)s") % {
                "percent": percent_words(step["percent_off"]),
                "fees": CouponBase(step["applies_to"]).label,
            }
            title = gettext("Enterprise discount of %(name)s (%(rule)s)")
        case "coupon":
            rule = saving_words(Rule.from_json({**step["rule"], "name": step["name"]}))
            title = gettext("Coupon %(name)s (%(rule)s)")
        case "coupon_unused":
            return gettext("The chosen coupon %(name)s saves nothing here and is yours again.") % step
        case _:
            return ""
    (e_before, s_before), (e_after, s_after) = step["before"], step["after"]
    facts = {
        "title": title % {"name": step["name"], "rule": rule},
        "saving": step["saving"],
        "e_before": e_before,
        "e_after": e_after,
        "s_before": s_before,
        "s_after": s_after,
    }
    return (
        gettext(
            "%(title)s: %(saving)s yuan less, electricity %(e_before)s → %(e_after)s, "
            "service %(s_before)s → %(s_after)s"
        )
        % facts
    )


def bearer_words(step: dict[str, Any]) -> str:
    """Return who bears what a step took off; "" for a step that took nothing off."""
    if "platform" not in step:
        return ""
    return gettext("borne by the platform %(platform)s yuan, by the station %(station)s yuan") % step
