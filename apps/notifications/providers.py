"""A tenant's SMS accounts, mailboxes and chat robots as the platform sees them: which there are, and whether they work.

A test sends nothing where a provider can be asked without: SMS accounts prove their key, mailboxes sign in. A robot or
webhook can only be proved by a message, which is one test message in the tenant's own chat, and in its log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.common.ids import whole_number
from apps.notifications import mail, services, sms
from apps.notifications.channels.base import SendError
from apps.notifications.models import MailAccount, Robot, SmsAccount
from apps.tenancy.connections import Connection, Kind, Outcome, register


def _row(model: Any, number: str) -> Any:
    return model.objects.filter(pk=whole_number(number)).first()


def _sms() -> Iterator[Connection]:
    for account in SmsAccount.objects.order_by("id"):
        name = f"{account.get_provider_display()} {account.name}"
        yield Connection(str(account.pk), name, account.sign_name, account.is_active)


def _test_sms(number: str) -> Outcome | None:
    account = _row(SmsAccount, number)
    if account is None:
        return None
    try:
        sms.provider_of(account).check()
    except SendError as error:
        return Outcome(False, str(error))
    return Outcome(True)


def _mail() -> Iterator[Connection]:
    for account in MailAccount.objects.order_by("id"):
        detail = f"{account.from_address}, {account.host}:{account.port}"
        yield Connection(str(account.pk), account.name, detail, account.is_active)


def _test_mail(number: str) -> Outcome | None:
    account = _row(MailAccount, number)
    if account is None:
        return None
    try:
        mail.sign_in(account)
    except SendError as error:
        return Outcome(False, str(error))
    return Outcome(True)


def _robots() -> Iterator[Connection]:
    for robot in Robot.objects.order_by("id"):
        name = f"{robot.get_kind_display()} {robot.name}"
        yield Connection(str(robot.pk), name, _("a test sends one message"), robot.is_active)


def _test_robot(number: str) -> Outcome | None:
    robot = _row(Robot, number)
    if robot is None:
        return None
    try:
        services.send_test(account=robot, to="")
    except SendError as error:
        return Outcome(False, str(error))
    return Outcome(True)


register(Kind("sms", gettext_lazy("text messages"), _sms, _test_sms))
register(Kind("mail", gettext_lazy("e-mail"), _mail, _test_mail))
register(Kind("robot", gettext_lazy("chat robots and webhooks"), _robots, _test_robot))
