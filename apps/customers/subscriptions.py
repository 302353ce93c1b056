"""What happened to a charge, on the driver's phone: subscribe messages of WeChat and Alipay (integrations.md, 9).

The driver is asked when a charge starts; WeChat takes one message for each yes. Templates are picked in the provider's
console, which names their fields (`thing1`, `amount3`, at Alipay `keyword1`): which of our values goes where is kept
with the mini-program. A value is cut to what its field takes: a message that says less is better than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.common.time import SHANGHAI
from apps.customers import alipay, inbox, wechat
from apps.customers.errors import ProviderBusy, ProviderRefused
from apps.customers.models import (
    CustomerIdentity,
    IdentityProvider,
    InboxKind,
    InboxMessage,
    MiniProgram,
)
from apps.notifications import services as notifications
from apps.notifications.channels.base import Busy, NotConfigured, Refused
from apps.notifications.enums import Medium

SOURCE = "drivers"

VALUES: dict[str, Any] = {
    "station": _("station"),
    "connector": _("gun"),
    "number": _("order or refund number"),
    "time": _("time"),
    "amount": _("amount"),
    "energy": _("energy"),
    "note": _("note"),
}
"""What a field of a template may show."""


@dataclass(frozen=True)
class Event:
    """Something that a template is for: its title, the values it has, and the page that the message opens."""

    title: Any
    values: tuple[str, ...]
    page: str


EVENTS: dict[str, Event] = {
    "charge_started": Event(
        _("charge started"),
        ("station", "connector", "number", "time", "amount", "note"),
        "pages/charge/live?order=%(order)s",
    ),
    "charge_ended": Event(
        _("charge ended"),
        ("station", "number", "time", "amount", "energy", "note"),
        "pkg-user/order?no=%(order)s",
    ),
    "refunded": Event(_("refund"), ("number", "time", "amount", "note"), "pkg-wallet/statement"),
}
_OF_KIND: dict[str, str] = {
    InboxKind.CHARGE_STARTED: "charge_started",
    InboxKind.CHARGE_ENDED: "charge_ended",
    InboxKind.ORDER_REFUNDED: "refunded",
    InboxKind.WALLET_REFUNDED: "refunded",
}
ASKED = ("charge_ended", "refunded", "charge_started")
"""In this order; a tap may ask for three."""

LONGEST = {
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "time": 32,
    "date": 32,
    "amount": 12,
    "phone_number": 17,
    "car_number": 8,
    "name": 10,
    "phrase": 5,
}
"""Characters that each of WeChat's kinds of fields takes."""
FIELD = {
    IdentityProvider.WECHAT: re.compile(rf"({'|'.join(LONGEST)})[0-9]{{1,2}}"),
    IdentityProvider.ALIPAY: re.compile(r"keyword[0-9]{1,2}"),
}
LONGEST_AT_ALIPAY = 100
CAUSES = {
    "43101": _("the driver did not agree to it"),
    "40037": _("WeChat does not know the template"),
    "47003": _("a field does not take its value"),
}
_PLAIN = re.compile(r"[^!-~]")
_NOT_CHINESE = re.compile(r"[^\u3400-\u4dbf\u4e00-\u9fff]")
CHINESE = "zh-hans"
NOTHING = "无"
"""In a field for Chinese characters, which takes no dash."""


class SubscribeMessages:
    """A messenger of `inbox`: has a message sent in every mini-program in which the driver is known."""

    kinds = frozenset(_OF_KIND)

    def tell(self, message: InboxMessage) -> None:
        """Want it sent, once; whether the driver said yes is known to the provider only.

        Not where it would show a sum that there is not: of charges at an enterprise's cost drivers are not told all.
        """
        event = _OF_KIND[message.kind]
        for mini in MiniProgram.objects.filter(is_active=True, templates__has_key=event):
            known = CustomerIdentity.objects.filter(
                customer=message.customer, provider=mini.provider, app_id=mini.app_id
            )
            identity = known.order_by("-last_login_at").first()
            if identity is None:
                continue
            with translation.override(message.customer.language or settings.LANGUAGE_CODE):
                title, values = inbox.title_of(message), values_of(message)
            if _lacks_amount(mini, event, values):
                continue
            notifications.post(
                medium=Medium.APP,
                to=str(identity.pk),  # not the openid: with the account it is forgotten
                name=message.customer.masked_phone,
                subject=title,
                template=event,
                params=values,
                source=SOURCE,
                key=f"app:{mini.provider}:{message.pk}",
            )


def values_of(message: InboxMessage) -> dict[str, str]:
    """Return a message's values as text, `order`, the number that the page wants, and the note in Chinese."""
    data = message.data
    with translation.override(CHINESE):
        note_zh = inbox.title_of(message)
    values = {
        "station": data.get("station"),
        "connector": data.get("connector"),
        "number": message.reference,
        "time": f"{message.created_at.astimezone(SHANGHAI):%Y年%m月%d日 %H:%M}",
        "amount": data.get("payable") or data.get("amount"),
        "energy": data.get("energy"),
        "note": inbox.title_of(message),
        "note_zh": note_zh,
        "order": data.get("order") or message.reference,
    }
    return {name: str(value) for name, value in values.items() if value}


def send(*, to: str, template: str, params: Mapping[str, str]) -> str:
    """Send one message to whom `SubscribeMessages.tell` named; what settings.APP_MESSAGE_SENDER names.

    Not inside a transaction. Raises SendError: Refused for all that will not be otherwise, such as a driver who did not
    subscribe (43101), so that it is not tried again.
    """
    identity = CustomerIdentity.objects.filter(pk=to).first()
    if identity is None:
        raise Refused("gone", gettext("the driver's account is no more"))
    mini = MiniProgram.objects.filter(
        provider=identity.provider, app_id=identity.app_id, is_active=True
    ).first()
    chosen = mini.templates.get(template) if mini else None
    if mini is None or not chosen:
        raise NotConfigured("template")
    if _lacks_amount(mini, template, params):  # the template may have changed since
        raise Refused("no_amount")
    fields = {
        field: fitted(mini.provider, field, _word_for(field, name, params))
        for name, field in chosen["fields"].items()
    }
    client = alipay if mini.provider == IdentityProvider.ALIPAY else wechat
    try:
        client.send_message(
            mini,
            openid=identity.openid,
            template_id=chosen["id"],
            page=EVENTS[template].page % {"order": params.get("order", "")},
            fields=fields,
        )
    except ProviderBusy as error:
        raise Busy(error.reason) from error
    except ProviderRefused as error:
        raise Refused(error.reason, str(CAUSES.get(error.reason, ""))) from error
    return ""


def _lacks_amount(mini: MiniProgram, event: str, params: Mapping[str, str]) -> bool:
    """Return whether a field of WeChat's that takes nothing but a number is to show an amount that is not known: 0 yuan
    would be wrong. Alipay's fields take a dash."""
    field = mini.templates[event]["fields"].get("amount", "")
    return not params.get("amount") and field.startswith(("amount", "number"))


def _word_for(field: str, name: str, params: Mapping[str, str]) -> str:
    """Return the value that goes into a field: words in Chinese where it takes nothing else."""
    chinese = params.get(f"{name}_zh", "") if field.startswith("phrase") else ""
    return chinese or params.get(name, "")


def fitted(provider: str, field: str, value: str) -> str:
    """Return a value as a field takes it: of its length, and of the characters that its kind allows."""
    if provider == IdentityProvider.ALIPAY:
        return _cut(value or "-", LONGEST_AT_ALIPAY)
    kind = field.rstrip("0123456789")
    if kind == "amount":
        return f"{value or '0'}元"
    if kind == "number":
        return value or "0"
    if kind in {"character_string", "letter", "symbol"}:
        return _PLAIN.sub("", value)[: LONGEST[kind]] or "-"
    if kind == "phrase":
        return _NOT_CHINESE.sub("", value)[: LONGEST[kind]] or NOTHING
    return _cut(value or "-", LONGEST[kind])


def _cut(value: str, most: int) -> str:
    return value if len(value) <= most else f"{value[: most - 1]}…"


def asked_for() -> list[dict[str, str]]:
    """Return the templates that an app asks its driver for, by provider: {provider, event, template_id}."""
    return [
        {"provider": mini.provider, "event": event, "template_id": mini.templates[event]["id"]}
        for mini in MiniProgram.objects.filter(is_active=True)
        for event in ASKED
        if event in mini.templates
    ]
