"""The pages of accounts and messages: secrets never come back, one account is in use, test and send again."""

from __future__ import annotations

from typing import Any

from apps.backoffice.models import AuditEntry
from apps.notifications import services
from apps.notifications.enums import Medium
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount
from sandbox.smtp import MailServer
from tests.staff import a_user, boss, signed_in

DIALOG = {"_form_submitted": "on"}
ADMIN = "/admin/notifications"


def test_secrets_are_written_and_never_shown(tenant: Any, world: dict[str, Any]) -> None:
    client = boss()
    account = {
        "name": "短信",
        "provider": "aliyun",
        "access_key_id": "LTAI1",
        "sign_name": "充电",
        "region": "r",
    }
    answer = client.post(f"{ADMIN}/smsaccount/add/", {**account, "template_code": "SMS_1"})
    assert set(answer.context_data["adminform"].form.errors) == {"access_key_secret"}
    given = {**account, "access_key_secret": "geheim-a", "template_code": " SMS_1 ", "template_alarm": ""}
    assert client.post(f"{ADMIN}/smsaccount/add/", given).status_code == 302
    robot = {
        "name": "群",
        "kind": "dingtalk",
        "url": "https://oapi.dingtalk.com/robot/send?access_token=geheim-b",
    }
    assert (
        client.post(f"{ADMIN}/robot/add/", {**robot, "secret": "SECgeheim-c", "is_active": "on"}).status_code
        == 302
    )
    mailbox = {"name": "邮箱", "host": "smtp.alpha.test", "port": 465, "security": "ssl", "username": "u"}
    words = {**mailbox, "password": "geheim-d", "from_address": "post@alpha.test"}
    assert client.post(f"{ADMIN}/mailaccount/add/", words).status_code == 302
    sms, chat, mail = SmsAccount.objects.get(), Robot.objects.get(), MailAccount.objects.get()
    assert (sms.access_key_secret, sms.templates, sms.is_active) == ("geheim-a", {"code": "SMS_1"}, False)

    changes = {
        f"{ADMIN}/smsaccount/{sms.pk}/change/": {**account, "template_alarm": "SMS_2"},
        f"{ADMIN}/robot/{chat.pk}/change/": {**robot, "url": "", "name": "新群", "is_active": "on"},
        f"{ADMIN}/mailaccount/{mail.pk}/change/": {**mailbox, "from_address": "post@alpha.test", "port": 587},
    }
    looker = signed_in(
        a_user(*(f"notifications.view_{name}" for name in ("smsaccount", "robot", "mailaccount")))
    )
    for page, words in changes.items():
        assert client.post(page, words).status_code == 302, page
        for reader in (client, looker):
            shown = reader.get(page).content.decode()
            assert "geheim" not in shown, page
        assert "••••••" in client.get(page).content.decode()
        assert "••••••" not in looker.get(page).content.decode()
    for row in (sms, chat, mail):
        row.refresh_from_db()
    assert (sms.access_key_secret, sms.templates) == ("geheim-a", {"alarm": "SMS_2"})
    assert (chat.name, chat.url[-8:], chat.secret) == ("新群", "geheim-b", "SECgeheim-c")
    assert (mail.port, mail.password) == (587, "geheim-d")
    assert "geheim" not in str(list(AuditEntry.objects.values_list("changes", "object_name")))
    answer = client.post(f"{ADMIN}/robot/add/", {**robot, "name": "x", "url": "https://evil.test/x"})
    assert set(answer.context_data["adminform"].form.errors) == {"url"}
    hook = {"name": "系统", "kind": "webhook", "url": "https://ops.example.com/hook", "is_active": "on"}
    for words, wrong in (({}, {"secret"}), ({"secret": "s", "url": "http://ops.example.com/"}, {"url"})):
        answer = client.post(f"{ADMIN}/robot/add/", {**hook, **words})
        assert set(answer.context_data["adminform"].form.errors) == wrong
    assert client.post(f"{ADMIN}/robot/add/", {**hook, "secret": "geheim-e"}).status_code == 302


def test_a_stored_password_is_not_sent_to_another_server(tenant: Any) -> None:
    client = boss()
    mailbox = {"name": "邮箱", "host": "smtp.alpha.test", "port": 465, "security": "ssl"}
    row = MailAccount.objects.create(**mailbox, password="geheim", from_address="post@alpha.test")
    page = f"{ADMIN}/mailaccount/{row.pk}/change/"
    words = {**mailbox, "from_address": "post@alpha.test"}
    for change in ({"host": "mail.evil.test"}, {"security": "none"}):
        answer = client.post(page, {**words, **change})
        assert set(answer.context_data["adminform"].form.errors) == {"password"}, change
    assert client.post(page, {**words, "host": "mail.alpha.test", "password": "neu"}).status_code == 302
    row.refresh_from_db()
    assert (row.host, row.password) == ("mail.alpha.test", "neu")


def test_one_account_is_in_use_and_each_can_be_tried(
    tenant: Any, world: dict[str, Any], mail_server: MailServer
) -> None:
    client = boss()
    first, second = (
        MailAccount.objects.create(
            name=name,
            host="127.0.0.1",
            port=mail_server.port,
            security="none",
            username="post@alpha.test",
            password=password,
            from_address="post@alpha.test",
        )
        for name, password in (("一", "geheim"), ("二", "wrong"))
    )
    for account in (first, second):
        client.post(f"{ADMIN}/mailaccount/{account.pk}/switch/", {**DIALOG, "reason": "启用"})
    assert list(MailAccount.objects.filter(is_active=True)) == [second]
    # The one in use stays.
    assert client.post(f"{ADMIN}/mailaccount/{second.pk}/delete/", {"post": "yes"}).status_code == 403
    assert (
        client.post(f"{ADMIN}/mailaccount/{first.pk}/test/", {**DIALOG, "to": "no address"}).status_code
        == 200
    )
    for account in (first, second):
        client.post(f"{ADMIN}/mailaccount/{account.pk}/test/", {**DIALOG, "to": "boss@alpha.test"})
    assert [mail.recipients for mail in mail_server.mails] == [("boss@alpha.test",)]
    page = client.get(f"{ADMIN}/mailaccount/").content.decode()
    assert "消息未发出：smtp_535" in page
    sms = SmsAccount.objects.create(
        name="短信", provider="aliyun", sign_name="充电", templates={}, **world["aliyun-sms"].issue()
    )
    for phone, template in (("13800000001", "code"), ("12345", "code")):
        client.post(f"{ADMIN}/smsaccount/{sms.pk}/test/", {**DIALOG, "to": phone, "template": template})
    assert Message.objects.get(medium="sms").error == "template_code"
    issued = world["wecom"].issue()
    robot = Robot.objects.create(name="群", kind="wecom", url=f"{world['url']}/wecom{issued['path']}")
    client.post(f"{ADMIN}/robot/{robot.pk}/test/", DIALOG)
    assert world["wecom"].messages[0]["title"] == "测试消息"
    for page in (f"mailaccount/{first.pk}/test", f"mailaccount/{first.pk}/switch", f"robot/{robot.pk}/test"):
        looker = signed_in(a_user("notifications.view_mailaccount", "notifications.view_robot"))
        words = {**DIALOG, "to": "boss@alpha.test", "reason": "x"}
        assert looker.post(f"{ADMIN}/{page}/", words).status_code == 403, page


def test_a_message_that_failed_is_sent_again_by_who_may(tenant: Any, world: dict[str, Any]) -> None:
    message = services.post(
        medium=Medium.SMS, to="+8613800000001", template="alarm", name="王五", source="alarms: 夜班",
        params={"level": "紧急", "kind": "桩离线", "place": "一号站", "time": "14:05"},
    )  # fmt: skip
    Message.objects.update(state="failed", next_try_at=None, error="isv.OUT_OF_SERVICE")
    page = f"{ADMIN}/message/{message.pk}"
    shown = boss().get(f"{page}/change/").content.decode()
    assert "+86138****0001" in shown
    assert "13800000001" not in shown
    assert "一号站" in shown
    looker = signed_in(a_user("notifications.view_message"))
    assert looker.post(f"{page}/again/", {**DIALOG, "reason": "x"}).status_code == 403
    handler = signed_in(a_user("notifications.view_message", "notifications.resend_message"))
    handler.post(f"{page}/again/", {**DIALOG, "reason": "服务已恢复"})
    message.refresh_from_db()
    assert (message.state, message.error) == ("waiting", "")
    handler.post(f"{page}/again/", {**DIALOG, "reason": "x"})
    assert AuditEntry.objects.get(action="notifications.message_sent_again").reason == "服务已恢复"
