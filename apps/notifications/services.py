"""Every write to messages: wanting one sent, sending it, and trying again.

A message is a row first (`post`), in the caller's transaction, so that what is rolled back is not told. A task sends
it: it takes the row for LEASE, calls the provider outside of any transaction and notes what came of it. A process that
dies meanwhile leaves the row to be taken again after LEASE, so a message may come twice, and never not at all.

Messages in apps have a sender of their own: bills are told by the thousand, and alarms never wait behind them while
WeChat is away. They are news, worth little when they are late: fewer tries, and none after APP_WAITS.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from celery import Task
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import Q
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.common.queue import enqueue
from apps.common.time import now
from apps.files.errors import FileNotFound
from apps.files.models import StoredFile
from apps.files.services import open_content
from apps.notifications import mail, robots, sms, tasks
from apps.notifications.channels.base import NotConfigured, Refused, SendError
from apps.notifications.channels.mail import Attachment
from apps.notifications.channels.robots import PER_MINUTE
from apps.notifications.enums import Medium, MessageState
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount

log = structlog.get_logger(__name__)

MOST_TRIES = {Medium.SMS: 6, Medium.MAIL: 6, Medium.ROBOT: 6, Medium.APP: 3}
APP_WAITS = timedelta(hours=1)
"""How long a message in an app may be overdue before it is given up."""
APP_PAUSE_S = 60
"""How long a provider of messages in apps gets none after it was away: each try holds a worker up."""
APP_PROVIDERS = ("wechat", "alipay")
"""Each rests for itself: one that is away takes nothing from the other's messages."""
LEASE = timedelta(minutes=5)
FIRST_PAUSE = timedelta(seconds=30)
KEPT_FOR = timedelta(days=400)
HOUR = timedelta(hours=1)
SENDERS = ("notifications:sender:1", "notifications:sender:2")
APP_SENDER = "notifications:sender:app"
APP_RESTS = "notifications:sender:app:rests:"
"""Before the name of a provider."""
OTHERS = (Medium.SMS, Medium.MAIL, Medium.ROBOT)
LONGEST_S = 60
SENDER_LEASE_S = 120
TEST = "test"
TEST_VALUES = {"code": "123456"}


def post(
    *,
    medium: Medium,
    to: str = "",
    name: str = "",
    subject: str = "",
    text: str = "",
    template: str = "",
    params: Mapping[str, str] | None = None,
    robot: Robot | None = None,
    files: Iterable[StoredFile] = (),
    source: str = "",
    limit_per_hour: int = 0,
    not_before: datetime | None = None,
    key: str | None = None,
) -> Message:
    """Want a message sent, as soon as this transaction commits or not before a time. Returns its row.

    Text messages need `to` (E.164), `template` and `params`; mails `to`, `subject`, `text` and may have `files`; robots
    `robot`, `subject` and `text`; messages in an app `to`, `template` and `params` as settings.APP_MESSAGE_SENDER reads
    them, and a `key` that begins with "app:<provider>:". `source` says in a few words who wants it, such as
    "alarms: night shift"; with `limit_per_hour` a message beyond so many of one source to one address is only logged
    (LIMITED). A `key` that was used before returns the message of then and sends nothing.
    """
    address = robot.name if robot is not None else to
    with transaction.atomic():
        if key is not None or limit_per_hour:
            with connection.cursor() as cursor:  # two of us would count the same messages
                words = f"message:{connection.schema_name}:{key or source}"  # type: ignore[attr-defined]
                cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", [words])
        if key is not None and (known := Message.objects.filter(key=key).first()):
            return known
        state = MessageState.WAITING
        if limit_per_hour and _sent_within_hour(source, address) >= limit_per_hour:
            state = MessageState.LIMITED
        moment = now()
        message = Message.objects.create(
            medium=medium,
            robot=robot,
            to=address,
            name=name[:100],
            subject=" ".join(subject.split())[:200],
            text=text,
            template=template,
            params=dict(params or {}),
            files=[str(file.number) for file in files],
            source=source[:100],
            key=key,
            state=state,
            next_try_at=max(moment, not_before or moment) if state == MessageState.WAITING else None,
        )
        if state == MessageState.WAITING and message.next_try_at == moment:
            transaction.on_commit(partial(enqueue, _task(medium)))  # the scheduler asks every 15 s, too
    return message


def _sent_within_hour(source: str, to: str) -> int:
    counted = [MessageState.WAITING, MessageState.SENT]
    return Message.objects.filter(
        source=source, to=to, created_at__gt=now() - HOUR, state__in=counted
    ).count()


def _task(medium: str) -> Task:
    return tasks.deliver_app if medium == Medium.APP else tasks.deliver_due


def deliver_due(*, limit: int = 200) -> int:
    """Send the messages that are due but for those in apps, oldest first, at most `limit` and for LONGEST_S. Returns
    how many were sent.

    Workers share the messages: each takes rows that nobody else has. Of one tenant at most SENDERS are at it, so that a
    provider that hangs holds up no other work; what is left is found by the next call.
    """
    slot = next((name for name in SENDERS if cache.add(name, "busy", timeout=SENDER_LEASE_S)), None)
    if slot is None:
        return 0
    until = monotonic() + LONGEST_S
    sent = 0
    try:
        for _turn in range(limit):
            message = _take(OTHERS) if monotonic() < until else None
            if message is None:
                break
            sent += deliver(message)
    finally:
        cache.delete(slot)
    return sent


def deliver_app(*, limit: int = 200) -> int:
    """Send the messages in apps that are due, as `deliver_due` does the others. Returns how many were sent.

    One at a time of a tenant. What is overdue by APP_WAITS is given up. After a message that a provider could not take
    now, that provider gets none for APP_PAUSE_S: the others would wait for the same answer.
    """
    if not cache.add(APP_SENDER, "busy", timeout=SENDER_LEASE_S):
        return 0
    until = monotonic() + LONGEST_S
    sent = 0
    try:
        _give_up_old_news()
        resting = {name for name in APP_PROVIDERS if cache.get(APP_RESTS + name)}
        for _turn in range(limit):
            message = _take([Medium.APP], but_for=resting) if monotonic() < until else None
            if message is None:
                break
            error = _try(message)
            sent += error is None
            if isinstance(error, SendError) and error.again:
                away = {name for name in APP_PROVIDERS if (message.key or "").startswith(_keys_of(name))}
                cache.set_many({APP_RESTS + name: "away" for name in away}, timeout=APP_PAUSE_S)
                resting |= away
    finally:
        cache.delete(APP_SENDER)
    return sent


def _keys_of(provider: str) -> str:
    return f"app:{provider}:"


def _give_up_old_news() -> None:
    moment = now()
    late = Message.objects.filter(
        medium=Medium.APP, state=MessageState.WAITING, next_try_at__lt=moment - APP_WAITS
    )
    gone = late.update(state=MessageState.FAILED, next_try_at=None, error="too_late", updated_at=moment)
    if gone:
        log.warning("messages_too_late", messages=gone)


def _take(media: Iterable[str], *, but_for: Iterable[str] = ()) -> Message | None:
    """Take the oldest due message of some media for LEASE, or None. Messages to a robot that has had its fill of this
    minute wait, and those in apps of some providers."""
    others = Q()
    for provider in but_for:
        others &= ~Q(key__startswith=_keys_of(provider))
    while True:
        moment = now()
        with transaction.atomic():
            message = (
                Message.objects.select_for_update(skip_locked=True, of=["self"])
                .select_related("robot")
                .filter(others, state=MessageState.WAITING, next_try_at__lte=moment, medium__in=media)
                .order_by("next_try_at")
                .first()
            )
            if message is None:
                return None
            if message.robot is None or not _is_full(message.robot, moment):
                message.tries += 1
                message.next_try_at = moment + LEASE
                message.save(update_fields=["tries", "next_try_at", "updated_at"])
                return message
            message.next_try_at = moment + timedelta(seconds=20 + secrets.randbelow(20))
            message.save(update_fields=["next_try_at", "updated_at"])


def _is_full(robot: Robot, moment: datetime) -> bool:
    minute_ago = moment - timedelta(minutes=1)
    sent = Message.objects.filter(medium=Medium.ROBOT, robot=robot, sent_at__gt=minute_ago).count()
    return sent >= PER_MINUTE[robot.kind]


def deliver(message: Message) -> bool:
    """Send a message that was taken and note what came of it; outside of a transaction. Returns whether it was sent."""
    return _try(message) is None


def _try(message: Message) -> SendError | ImproperlyConfigured | None:
    """Return why it was not sent."""
    try:
        provider_no = _hand_over(message)
    except (SendError, ImproperlyConfigured) as error:
        _failed(message, error)
        return error
    message.state, message.sent_at, message.next_try_at = MessageState.SENT, now(), None
    message.provider_no, message.error = provider_no[:64], ""
    message.save(update_fields=["state", "sent_at", "next_try_at", "provider_no", "error", "updated_at"])
    log.info("message_sent", message_id=message.pk, medium=message.medium, tries=message.tries)
    return None


def _failed(message: Message, error: SendError | ImproperlyConfigured) -> None:
    again = (
        isinstance(error, SendError) and error.again and message.tries < MOST_TRIES[Medium(message.medium)]
    )
    message.error = (str(error) if isinstance(error, SendError) else "not_configured")[:400]
    if again:
        pause = FIRST_PAUSE * 2 ** (message.tries - 1)
        message.next_try_at = now() + pause * (1 + secrets.randbelow(200) / 1000)
    else:
        message.state, message.next_try_at = MessageState.FAILED, None
    message.save(update_fields=["state", "next_try_at", "error", "updated_at"])
    code = error.code if isinstance(error, SendError) else "not_configured"
    log.warning(
        "message_not_sent", message_id=message.pk, medium=message.medium, error_code=code, again=again
    )


def _hand_over(message: Message) -> str:
    if message.medium == Medium.SMS:
        return sms.send(
            phone=message.to, template=message.template, params=message.params, out_id=str(message.pk)
        )
    if message.medium == Medium.MAIL:
        files = _attachments(message.files)
        mail.send(to=message.to, subject=message.subject, text=message.text, attachments=files)
        return ""
    if message.medium == Medium.APP:
        sender: Callable[..., str] = import_string(settings.APP_MESSAGE_SENDER)
        return sender(to=message.to, template=message.template, params=message.params)
    if message.robot is None or not message.robot.is_active:
        raise NotConfigured("robot")
    return robots.send_by(message.robot, title=message.subject, text=message.text, number=str(message.pk))


def _attachments(numbers: Iterable[str]) -> list[Attachment]:
    """Raises Refused (file_gone): a report without its file is none."""
    found = []
    for number in numbers:
        file = StoredFile.objects.filter(number=number).first()
        try:
            if file is None:
                raise FileNotFound
            with open_content(file) as content:
                found.append((file.name, content.read(), file.media_type))
        except FileNotFound as error:
            raise Refused("file_gone") from error
    return found


def send_again(*, message: Message) -> None:
    """Have a message that failed or was held back sent after all, with all its tries."""
    with transaction.atomic():
        found = Message.objects.select_for_update(of=["self"]).get(pk=message.pk)
        if found.state not in (MessageState.FAILED, MessageState.LIMITED):
            return
        found.state, found.tries, found.next_try_at, found.error = MessageState.WAITING, 0, now(), ""
        found.save(update_fields=["state", "tries", "next_try_at", "error", "updated_at"])
        transaction.on_commit(partial(enqueue, _task(found.medium)))


def send_test(*, account: SmsAccount | MailAccount | Robot, to: str, template: str = "") -> str:
    """Send one message by an account, in use or not, now and without trying again; returns the provider's number.

    Raises SendError. It is logged like every message.
    """
    title, text = _("Test message"), _("If you can read this, messages from chargeplat reach you.")
    medium = {SmsAccount: Medium.SMS, MailAccount: Medium.MAIL, Robot: Medium.ROBOT}[type(account)]
    message = Message.objects.create(
        medium=medium,
        robot=account if isinstance(account, Robot) else None,
        to=account.name if isinstance(account, Robot) else to,
        subject="" if medium == Medium.SMS else title,
        text="" if medium == Medium.SMS else text,
        template=template,
        source=TEST,
        tries=1,
    )
    try:
        if isinstance(account, SmsAccount):
            values = {name: TEST_VALUES.get(name, "test") for name in sms.TEMPLATES[template].params}
            message.provider_no = sms.provider_of(account).send(phone=to, template=template, params=values)[
                :64
            ]
        elif isinstance(account, MailAccount):
            mail.send_by(account, to=to, subject=title, text=text)
        else:
            robots.send_by(account, title=title, text=text, number=str(message.pk))
    except SendError as error:
        message.state, message.error = MessageState.FAILED, str(error)[:400]
        message.save(update_fields=["state", "error", "updated_at"])
        raise
    message.state, message.sent_at = MessageState.SENT, now()
    message.save(update_fields=["state", "sent_at", "provider_no", "updated_at"])
    return message.provider_no


def use(account: SmsAccount | MailAccount, *, active: bool) -> None:
    """Put an account into use, the one before out of it, or this one out of use."""
    model = type(account)
    with transaction.atomic():
        list(model.objects.select_for_update().order_by("pk").values_list("pk"))
        if active:
            model.objects.filter(is_active=True).exclude(pk=account.pk).update(
                is_active=False, updated_at=now()
            )
        model.objects.filter(pk=account.pk).update(is_active=active, updated_at=now())


def purge() -> int:
    """Delete messages older than KEPT_FOR (logs are kept six months at least by law). Returns how many."""
    return Message.objects.filter(created_at__lt=now() - KEPT_FOR).delete()[0]
