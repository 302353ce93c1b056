"""What drivers are told: an inbox in the app, and whatever else carries the same words to their phones.

Who has something to tell posts it in the transaction in which it happens, so that what is rolled back is not told.
Messages are kept as kind and values; the words are written when they are read, in the reader's language.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from apps.common.queue import enqueue
from apps.common.time import now
from apps.customers import tasks
from apps.customers.errors import MessageNotFound
from apps.customers.models import Customer, InboxKind, InboxMessage

log = structlog.get_logger(__name__)

KEPT_FOR = timedelta(days=365)
WORDS: dict[str, tuple[Any, Any]] = {
    InboxKind.CHARGE_STARTED: (_("Charging has begun"), _("Gun %(connector)s is charging your car.")),
    InboxKind.START_FAILED: (
        _("The charge did not start"),
        _("Gun %(connector)s did not start. The money that was set aside is available again."),
    ),
    InboxKind.CHARGE_ENDED: (
        _("Your bill is ready"),
        _("%(station)s: %(energy)s kWh, %(payable)s yuan."),
    ),
    InboxKind.ORDER_REFUNDED: (
        _("A charge was refunded"),
        _("%(amount)s yuan are in your wallet again. Order %(order)s."),
    ),
    InboxKind.WALLET_REFUNDED: (
        _("Your refund is paid"),
        _("%(amount)s yuan went back the way they came. When you see them is up to your bank."),
    ),
    InboxKind.COUPON_GIVEN: (_("You have a new coupon"), _("%(name)s is among your coupons.")),
    InboxKind.INVOICE_ISSUED: (
        _("Your invoice is ready"),
        _("The invoice over %(amount)s yuan for %(title)s can be downloaded."),
    ),
    InboxKind.INVOICE_REJECTED: (
        _("Your invoice was not issued"),
        _("The application over %(amount)s yuan was rejected: %(reason)s"),
    ),
    InboxKind.FEEDBACK_ANSWERED: (_("Your feedback was answered"), _("%(text)s")),
}


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell a driver; `data` has what the words of its kind name, as text."""

    customer_id: int
    kind: InboxKind
    reference: str
    data: Mapping[str, str] = field(default_factory=dict)


class Messenger(Protocol):
    """Another way to a driver's phone, such as subscribe messages of WeChat or Alipay.

    settings.INBOX_MESSENGERS names classes of this form. Each is called by a task, after the message is in the inbox;
    an error it raises is logged and stops neither the others nor the inbox.
    """

    kinds: Collection[str]
    """Of InboxKind: what it carries. It is told nothing else, and there is no task for what nobody carries."""

    def tell(self, message: InboxMessage) -> None:
        """Hand a message over to whoever brings it; `title_of` and `text_of` are its words."""


def post(*news: News, at: datetime | None = None) -> None:
    """Put news into drivers' inboxes, each once however often it is posted, and tell the messengers after commit."""
    moment = at or now()
    rows = [
        InboxMessage(
            customer_id=one.customer_id,
            kind=one.kind,
            reference=one.reference,
            data=dict(one.data),
            created_at=moment,
        )
        for one in news
    ]
    InboxMessage.objects.bulk_create(rows, ignore_conflicts=True)
    carried = {kind for messenger in _messengers() for kind in messenger.kinds}
    named = [(one.customer_id, str(one.kind), one.reference) for one in news if one.kind in carried]
    if named:
        transaction.on_commit(partial(enqueue, tasks.tell, named), robust=True)


def tell(*, named: Iterable[tuple[int, str, str]]) -> None:
    """Hand messages (customer, kind, reference) to the messengers of their kind; one that is gone to nobody."""
    messengers = _messengers()
    for customer_id, kind, reference in named:
        found = InboxMessage.objects.select_related("customer")
        message = found.filter(customer_id=customer_id, kind=kind, reference=reference).first()
        for messenger in messengers if message else ():
            if kind not in messenger.kinds:
                continue
            try:
                messenger.tell(message)
            except Exception:
                log.exception("messenger_failed", messenger=type(messenger).__name__, message_id=message.pk)


def _messengers() -> list[Messenger]:
    return [import_string(path)() for path in settings.INBOX_MESSENGERS]


def title_of(message: InboxMessage) -> str:
    """Return a message's title in the reader's language."""
    return str(WORDS[message.kind][0])


def text_of(message: InboxMessage) -> str:
    """Return a message's text in the reader's language."""
    return str(WORDS[message.kind][1]) % message.data


def about(message: InboxMessage) -> str:
    """Return the number of what a message is about: of the order that was refunded, of the feedback, else its own."""
    return str(message.data.get("order") or message.data.get("feedback") or message.reference)


# --- Reading ----------------------------------------------------------------------------------------------


def messages_of(*, customer: Customer, unread: bool = False) -> QuerySet[InboxMessage]:
    """Return a driver's messages, newest first."""
    mine = InboxMessage.objects.filter(customer=customer).order_by("-id")
    return mine.filter(read_at=None) if unread else mine


def unread_count(*, customer: Customer) -> int:
    """Return how many messages a driver has not read."""
    return InboxMessage.objects.filter(customer=customer, read_at=None).count()


def read(*, customer: Customer, message_id: int, at: datetime | None = None) -> InboxMessage:
    """Mark a message as read; again changes nothing. Raises MessageNotFound, also for another's."""
    message = InboxMessage.objects.filter(customer=customer, pk=message_id).first()
    if message is None:
        raise MessageNotFound
    if message.read_at is None:
        message.read_at = at or now()
        message.save(update_fields=["read_at"])
    return message


def read_all(*, customer: Customer, at: datetime | None = None) -> int:
    """Mark all of a driver's messages as read. Returns how many were not."""
    return InboxMessage.objects.filter(customer=customer, read_at=None).update(read_at=at or now())


def purge(*, at: datetime | None = None) -> int:
    """Delete messages older than KEPT_FOR. Returns how many."""
    old: Iterable[int] = list(
        InboxMessage.objects.filter(created_at__lt=(at or now()) - KEPT_FOR).values_list("pk", flat=True)[
            :10_000
        ]
    )
    return InboxMessage.objects.filter(pk__in=old).delete()[0]
