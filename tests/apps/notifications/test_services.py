"""Messages from the row to the provider: order, limits, tries, and what a dead process leaves."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django_tenants.utils import schema_context

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.files import kinds
from apps.files.services import discard, store
from apps.notifications import services, sms
from apps.notifications.channels.base import NotConfigured, Refused
from apps.notifications.enums import Medium, MessageState
from apps.notifications.errors import MessageNotSent
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount
from sandbox.smtp import MailServer

PHONE = "+8613800000001"


def an_sms_account(world: dict[str, Any], provider: str = "aliyun", **words: Any) -> SmsAccount:
    issued = world[f"{provider}-sms"].issue()
    codes = {"code": "SMS_1", "alarm": "SMS_2"} if provider == "aliyun" else {"code": "1", "alarm": "2"}
    made = SmsAccount.objects.create(
        **{"name": provider, "provider": provider, "sign_name": "充电", "templates": codes, **issued, **words}
    )
    services.use(made, active=True)
    return made


def a_robot(world: dict[str, Any], kind: str = "dingtalk", name: str = "值班群") -> Robot:
    issued = world[kind].issue()
    return Robot.objects.create(
        name=name, kind=kind, url=f"{world['url']}/{kind}{issued['path']}", secret=issued["secret"]
    )


def a_mailbox(server: MailServer) -> MailAccount:
    made = MailAccount.objects.create(
        name="post",
        host="127.0.0.1",
        port=server.port,
        security="none",
        username="post@alpha.test",
        password="geheim",
        from_address="post@alpha.test",
    )
    services.use(made, active=True)
    return made


def due(message: Message) -> Message:
    """The message, whose next try is now."""
    Message.objects.filter(pk=message.pk).update(next_try_at=now())
    services.deliver_due()
    message.refresh_from_db()
    return message


def test_codes_go_by_the_tenants_own_account(tenant: Any, world: dict[str, Any]) -> None:
    sms.send_code(phone=PHONE, code="012345")  # nobody's account: the deployment's provider
    account = an_sms_account(world)
    sms.send_code(phone=PHONE, code="654321")
    assert [one["values"] for one in world["aliyun-sms"].messages] == [{"code": "654321"}]
    an_sms_account(world, "tencent")
    account.refresh_from_db()
    assert not account.is_active
    sms.send_code(phone=PHONE, code="111111")
    assert [one["values"] for one in world["tencent-sms"].messages] == [["111111"]]
    with schema_context("public"):
        sms.send_code(phone=PHONE, code="222222")  # the platform's staff have no tenant's account
    world["tencent-sms"].control("POST settings", {"refuse": "LimitExceeded.PhoneNumberDailyLimit"})
    with pytest.raises(MessageNotSent):
        sms.send_code(phone=PHONE, code="333333")
    assert not Message.objects.exists()  # codes are in no log
    SmsAccount.objects.filter(provider="tencent").update(templates={})
    with pytest.raises(MessageNotSent):
        sms.send_code(phone=PHONE, code="444444")
    with pytest.raises(NotConfigured, match="app_id"):
        sms.provider_of(
            SmsAccount(provider="tencent", access_key_id="1", access_key_secret="1", sign_name="1")
        )


def test_secrets_are_no_plain_text_in_the_database(tenant: Any, world: dict[str, Any]) -> None:
    account, robot = an_sms_account(world), a_robot(world)
    mailbox = MailAccount.objects.create(name="m", host="h", from_address="a@b.cn", password="geheim")
    with connection.cursor() as cursor:
        for table, secrets in {
            "notifications_smsaccount": [account.access_key_secret],
            "notifications_robot": [robot.secret, robot.url],
            "notifications_mailaccount": [mailbox.password],
        }.items():
            cursor.execute(f"select string_agg(t::text, '') from {table} t")
            (stored,) = cursor.fetchone()
            assert not any(secret in stored for secret in secrets)
            assert "geheim" not in repr([account, robot, mailbox])


def test_a_message_is_sent_when_its_transaction_commits(
    tenant: Any, world: dict[str, Any], mail_server: MailServer, django_capture_on_commit_callbacks: Any
) -> None:
    a_mailbox(mail_server)
    robot = a_robot(world)
    an_sms_account(world)
    file = store(kind=kinds.DOCUMENT, file=io.BytesIO(b"%PDF-1.4\n%%EOF\n"), name="日报.pdf", owner=SYSTEM)
    with django_capture_on_commit_callbacks(execute=True):
        robot_message = services.post(medium=Medium.ROBOT, robot=robot, subject="告警", text="一号站")
        mail_message = services.post(
            medium=Medium.MAIL, to="boss@alpha.test", subject="日报", text="见附件", files=[file]
        )
        values = {
            "level": "紧急",
            "kind": "桩离线" * 20,
            "place": "一号站\n二号桩",
            "time": "14:05",
            "x": "y",
        }
        sms_message = services.post(
            medium=Medium.SMS, to=PHONE, template="alarm", params=values, name="王五", source="alarms"
        )
        assert not world["dingtalk"].messages
        with transaction.atomic():
            services.post(medium=Medium.MAIL, to="nobody@alpha.test", subject="s", text="t")
            transaction.set_rollback(True)
    for message in (robot_message, mail_message, sms_message):
        message.refresh_from_db()
        assert (message.state, message.tries, message.next_try_at) == (MessageState.SENT, 1, None)
        assert message.sent_at is not None
    assert [one["title"] for one in world["dingtalk"].messages] == ["告警"]
    (mail,) = mail_server.mails
    (attached,) = mail.message.iter_attachments()
    assert attached.get_filename() == "日报.pdf"
    (text,) = world["aliyun-sms"].messages
    assert text["values"] == {
        "level": "紧急",
        "kind": ("桩离线" * 20)[:19] + "…",
        "place": "一号站 二号桩",
        "time": "14:05",
    }
    assert text["out_id"] == str(sms_message.pk)
    assert len(sms_message.provider_no) == 20
    assert (sms_message.masked_to, mail_message.masked_to) == (
        "+86138****0001",
        "b***@alpha.test",
    )

    discard(file)
    late = services.post(medium=Medium.MAIL, to="boss@alpha.test", subject="日报", text="t", files=[file])
    assert due(late).state == MessageState.FAILED
    assert late.error == "file_gone"


def test_what_may_go_through_later_is_tried_again(tenant: Any, world: dict[str, Any]) -> None:
    robot, chat = a_robot(world), world["dingtalk"]
    chat.control("POST faults", {"fault": "rate_limited", "times": 2})
    message = services.post(medium=Medium.ROBOT, robot=robot, subject="告警", text="t")
    started = now()
    assert due(message).state == MessageState.WAITING
    assert timedelta(seconds=30) <= message.next_try_at - started < timedelta(seconds=50)
    assert message.error == "130101: api freq out of limit"
    services.deliver_due()
    message.refresh_from_db()
    assert message.tries == 1  # not yet
    started = now()
    assert timedelta(seconds=60) <= due(message).next_try_at - started < timedelta(seconds=100)
    assert due(message).state == MessageState.SENT
    assert (message.error, message.tries, len(chat.messages)) == ("", 3, 1)

    chat.control("POST faults", {"fault": "http_500", "times": None})
    hook = services.post(
        medium=Medium.ROBOT, robot=a_robot(world, "webhook", "系统"), subject="告警", text="t"
    )
    world["webhook"].control("POST faults", {"fault": "http_500"})
    assert (due(hook).state, hook.error) == (MessageState.WAITING, "http_500")
    Message.objects.filter(pk=hook.pk).update(next_try_at=now())
    assert due(hook).state == MessageState.SENT
    assert [one["id"] for one in world["webhook"].messages] == [str(hook.pk)]
    hopeless = services.post(medium=Medium.ROBOT, robot=robot, subject="告警", text="t")
    for _try in range(services.MOST_TRIES[Medium.ROBOT]):
        due(hopeless)
    assert (hopeless.state, hopeless.tries, hopeless.next_try_at) == (MessageState.FAILED, 6, None)
    chat.control("DELETE faults", {})
    services.send_again(message=hopeless)
    assert due(hopeless).state == MessageState.SENT
    services.send_again(message=hopeless)  # what is sent stays sent
    hopeless.refresh_from_db()
    assert (hopeless.state, len(chat.messages)) == (MessageState.SENT, 2)

    chat.control("POST settings", {"refuse": "310000"})
    refused = services.post(medium=Medium.ROBOT, robot=robot, subject="告警", text="t")
    assert (due(refused).state, refused.tries) == (MessageState.FAILED, 1)
    robot.is_active = False
    robot.save()
    gone = services.post(medium=Medium.ROBOT, robot=robot, subject="告警", text="t")
    assert due(gone).error == "robot"


def test_a_message_that_its_worker_took_to_the_grave_is_sent_by_the_next(
    tenant: Any, world: dict[str, Any]
) -> None:
    message = services.post(medium=Medium.ROBOT, robot=a_robot(world), subject="告警", text="t")
    services._take(services.OTHERS)  # and then the process died
    services.deliver_due()
    message.refresh_from_db()
    assert (message.state, world["dingtalk"].messages) == (MessageState.WAITING, [])
    assert services.LEASE - timedelta(seconds=5) < message.next_try_at - now() <= services.LEASE
    assert due(message).state == MessageState.SENT


def test_limits_hold_back_and_robots_are_not_flooded(tenant: Any, world: dict[str, Any]) -> None:
    robot = a_robot(world)
    words = {"medium": Medium.ROBOT, "robot": robot, "subject": "s", "text": "t"}
    states = [services.post(**words, source="night", limit_per_hour=2).state for _number in range(4)]
    assert states == ["waiting", "waiting", "limited", "limited"]
    assert services.post(**words, source="day", limit_per_hour=2).state == "waiting"
    Message.objects.update(created_at=now() - timedelta(minutes=61))
    assert services.post(**words, source="night", limit_per_hour=2).state == "waiting"
    later = services.post(**words, source="x", not_before=now() + timedelta(hours=1))
    once = [services.post(**words, key="report 2026-11-28").pk for _number in range(2)]
    assert once[0] == once[1]
    for _number in range(20):
        services.post(**words)
    services.deliver_due()
    assert len(world["dingtalk"].messages) == 20  # DingTalk shuts a robot up that says more within a minute
    waiting = Message.objects.filter(state="waiting").exclude(pk=later.pk)
    assert waiting.count() == 5
    assert all(message.tries == 0 and message.next_try_at > now() for message in waiting)
    Message.objects.filter(state="sent").update(sent_at=now() - timedelta(seconds=61))
    waiting.update(next_try_at=now())
    services.deliver_due()
    assert (waiting.count(), len(world["dingtalk"].messages)) == (0, 25)


def test_old_messages_go(tenant: Any, world: dict[str, Any]) -> None:
    kept, old = (
        services.post(medium=Medium.MAIL, to="a@b.cn", subject="s", text="t") for _number in range(2)
    )
    Message.objects.filter(pk=old.pk).update(created_at=now() - timedelta(days=401))
    assert services.purge() == 1
    assert Message.objects.get().pk == kept.pk


def test_a_deployment_without_a_provider_says_so(tenant: Any, settings: Any) -> None:
    settings.EMAIL_BACKEND, settings.SMS_PROVIDER = "", "pigeon"
    mail = services.post(medium=Medium.MAIL, to="a@b.cn", subject="s", text="t")
    assert (due(mail).state, mail.error) == (MessageState.FAILED, "mail_account")
    text = services.post(medium=Medium.SMS, to=PHONE, template="code", params={"code": "1"})
    assert (due(text).state, text.error) == (MessageState.FAILED, "not_configured")
    with pytest.raises(ImproperlyConfigured, match="SMS_PROVIDER is 'pigeon'"):
        sms.send_code(phone=PHONE, code="1")


def test_a_test_message_is_sent_at_once_and_logged(
    tenant: Any, world: dict[str, Any], mail_server: MailServer
) -> None:
    account = an_sms_account(world)
    services.use(account, active=False)  # one tries before one switches over
    assert services.send_test(account=account, to=PHONE, template="code")
    assert world["aliyun-sms"].messages[0]["values"] == {"code": "123456"}
    services.send_test(account=a_mailbox(mail_server), to="boss@alpha.test")
    robot = a_robot(world, "feishu")
    services.send_test(account=robot, to="")
    robot.secret = "other"
    with pytest.raises(Refused, match="19021"):
        services.send_test(account=robot, to="")
    logged = Message.objects.order_by("id").values_list("medium", "state", "source")
    assert list(logged) == [
        ("sms", "sent", "test"),
        ("mail", "sent", "test"),
        ("robot", "sent", "test"),
        ("robot", "failed", "test"),
    ]


def test_two_workers_send_each_message_once_and_limits_hold(committed: Any, world: dict[str, Any]) -> None:
    robots = [a_robot(world, "feishu", f"群{number}") for number in range(8)]
    ready = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            with schema_context("t_alpha"):
                ready.wait(10)
                for robot in robots:
                    services.post(
                        medium=Medium.ROBOT,
                        robot=robot,
                        subject=f"{number}",
                        text="t",
                        source="night",
                        limit_per_hour=2,
                    )
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    services.deliver_due()  # what came while both senders were at their last one
    states = Message.objects.values_list("state", flat=True)
    assert (states.filter(state="sent").count(), states.filter(state="limited").count()) == (16, 16)
    assert len(world["feishu"].messages) == 16
