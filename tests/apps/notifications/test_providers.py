"""A tenant's SMS accounts, mailboxes and robots on the platform's page of it: seen without secrets, and tested."""

from __future__ import annotations

from typing import Any

from apps.backoffice.models import AuditEntry
from apps.common.schema import schema_context
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount
from apps.tenancy.models import Tenant
from sandbox.smtp import MailServer
from tests.apps.notifications.test_services import a_mailbox, a_robot, an_sms_account
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

WORKS, FAILS = "连接正常。", "连接失败："


def test_what_carries_messages_is_seen_and_tested(
    tenant: Tenant, world: dict[str, Any], mail_server: MailServer
) -> None:
    accounts = [
        an_sms_account(world, "aliyun"),
        an_sms_account(world, "tencent"),
        a_mailbox(mail_server),
        a_robot(world, "dingtalk"),
        a_robot(world, "webhook", "系统"),
    ]
    kinds = {SmsAccount: "sms", MailAccount: "mail", Robot: "robot"}
    page = f"/admin/tenancy/tenant/{tenant.pk}"
    with schema_context("public"):
        platform = boss(PLATFORM_HOST)
        shown = platform.get(f"{page}/change/").content.decode()
        looker = signed_in(a_user("tenancy.view_tenant"), PLATFORM_HOST)
    for account in accounts:
        assert account.name in shown
        for secret in ("access_key_secret", "password", "secret", "url"):
            assert getattr(account, secret, "") == "" or getattr(account, secret) not in shown

    def test(account: Any) -> str:
        address = f"{page}/test/{kinds[type(account)]}/{account.pk}/"
        with schema_context("public"):
            assert looker.post(address).status_code == 403
            return platform.post(address, follow=True).content.decode()

    for account in accounts:
        assert WORKS in test(account), account
    assert [len(world[name].messages) for name in ("aliyun-sms", "tencent-sms", "dingtalk", "webhook")] == [
        0,
        0,
        1,
        1,
    ]
    assert mail_server.mails == []
    assert set(Message.objects.values_list("medium", "source")) == {("robot", "test")}

    for account in accounts:
        field = {SmsAccount: "access_key_secret", MailAccount: "password", Robot: "secret"}[type(account)]
        setattr(account, field, "other")
        account.save()
        assert FAILS in test(account), account
    with schema_context("public"):
        entries = AuditEntry.objects.filter(action="tenancy.tenant_tested").order_by("id")
        last = entries.values_list("changes", flat=True).last()
        for gone in ("sms/0", "mail/x", "robot/9999999"):
            page_of = platform.post(f"{page}/test/{gone}/", follow=True).content.decode()
            assert "该连接已不存在。" in page_of
    assert last == {f"robot {accounts[-1].pk}": [None, "http_401"]}
