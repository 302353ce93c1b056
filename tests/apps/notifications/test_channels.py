"""Each client against its provider's sandbox, which works signatures out on its own, and vectors of documents."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import datetime
from typing import Any

import pytest

from apps.notifications import mail as mails
from apps.notifications.channels import aliyun, robots, tencent
from apps.notifications.channels.aliyun import AliyunSms
from apps.notifications.channels.base import Busy, NotConfigured, Refused, SendError, Unknown
from apps.notifications.channels.robots import Robot
from apps.notifications.channels.tencent import TencentSms
from apps.notifications.channels.webhook import Webhook
from apps.notifications.models import MailAccount
from sandbox.smtp import MailServer

TIMEOUT = (5.0, 20.0)
TEMPLATES = {"code": "SMS_1234", "alarm": "SMS_5678"}
PHONE = "+8613800000001"


def aliyun_sms(world: dict[str, Any], **changes: Any) -> AliyunSms:
    words = world["aliyun-sms"].issue() | {"sign_name": "充电", "templates": TEMPLATES}
    url = f"{world['url']}/aliyun-sms/"
    return AliyunSms(**(words | {"url": url, "timeout": TIMEOUT} | changes))


def tencent_sms(world: dict[str, Any], **changes: Any) -> TencentSms:
    words = world["tencent-sms"].issue() | {"sign_name": "充电", "templates": {"code": "1", "alarm": "2"}}
    more = {"region": "ap-guangzhou", "url": f"{world['url']}/tencent-sms/", "timeout": TIMEOUT}
    return TencentSms(**(words | more | changes))


def robot(world: dict[str, Any], kind: str, **changes: Any) -> Robot:
    issued = world[kind].issue()
    words = {"kind": kind, "url": f"{world['url']}/{kind}{issued['path']}", "secret": issued["secret"]}
    hosts = [world["url"].removeprefix("http://")]
    return Robot(**(words | {"hosts": hosts, "timeout": TIMEOUT} | changes))


def webhook(world: dict[str, Any], **changes: Any) -> Webhook:
    issued = world["webhook"].issue()
    words = {"url": f"{world['url']}/webhook{issued['path']}", "secret": issued["secret"]}
    return Webhook(**(words | {"private": ["127.0.0.1"], "timeout": TIMEOUT} | changes))


def send(client: Any) -> str:
    if isinstance(client, Webhook):
        return client.send(title="告警", text="一号站 桩离线\n14:05", number="7")
    if isinstance(client, Robot):
        return client.send(title="告警", text="一号站 桩离线\n14:05")
    return client.send(phone=PHONE, template="code", params={"code": "123456"})


MAKERS = {
    "aliyun-sms": aliyun_sms,
    "tencent-sms": tencent_sms,
    "webhook": webhook,
    **{
        kind: lambda world, kind=kind, **changes: robot(world, kind, **changes)
        for kind in ("wecom", "dingtalk", "feishu")
    },
}


def test_signatures_are_those_of_the_documents() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = aliyun.canonical_query(
        {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}
    )
    signed = aliyun.authorization(
        access_key_id="YourAccessKeyId", secret="YourAccessKeySecret", path="/", query=query, headers=headers
    )
    assert signed.endswith("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
    assert aliyun.canonical_query({"b": "a b*~/", "a": "签"}) == "a=%E7%AD%BE&b=a%20b%2A~%2F"
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    signed = tencent.authorization(
        secret_id="AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        secret="Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        service="cvm",
        host="cvm.tencentcloudapi.com",
        content_type="application/json; charset=utf-8",
        moment=1551113065,
        body=body,
    )
    assert signed.endswith("Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168")
    assert robots.dingtalk_sign("SECabc", "1700000000000") == "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM="
    assert robots.feishu_sign("abc", "1700000000") == "VIS10b0EBvzzSdFnuk4tznEmK5wHaruvf/WnViv2yR4="


def test_text_messages_arrive(world: dict[str, Any]) -> None:
    number = aliyun_sms(world).send(
        phone=PHONE,
        template="alarm",
        params={"level": "紧急", "kind": "桩 离线*~", "place": "a&b=c", "time": "+1"},
    )
    assert len(number) == 20
    (message,) = world["aliyun-sms"].messages
    assert message == {
        "phone": "13800000001",
        "sign": "充电",
        "template": "SMS_5678",
        "values": {"level": "紧急", "kind": "桩 离线*~", "place": "a&b=c", "time": "+1"},
        "out_id": "",
    }
    client = tencent_sms(world)
    assert client.send(phone="+85291234567", template="code", params={"code": "123456"}, out_id="7")
    (message,) = world["tencent-sms"].messages
    assert message == {
        "phone": "+85291234567",
        "sign": "充电",
        "template": "1",
        "values": ["123456"],
        "out_id": "7",
    }


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu"])
def test_robots_write_into_their_chats(world: dict[str, Any], kind: str) -> None:
    send(robot(world, kind))
    unsigned = world[kind].issue(signed=False)
    send(robot(world, kind, url=f"{world['url']}/{kind}{unsigned['path']}", secret=""))
    assert len(world[kind].messages) == 2
    message = world[kind].messages[0]
    assert message["title"] == "告警"
    assert "一号站 桩离线" in message["text"]
    assert "14:05" in message["text"]
    long = "电" * 5000
    robot(world, kind).send(title="长", text=long)  # WeCom refuses more than 4096 bytes
    assert world[kind].messages[-1]["text"].endswith("…") is (kind == "wecom")


def test_wrong_keys_are_refused(world: dict[str, Any]) -> None:
    wrong = {
        "SignatureDoesNotMatch": aliyun_sms(world, access_key_secret="other"),
        "InvalidAccessKeyId.NotFound": aliyun_sms(world, access_key_id="other"),
        "isv.SMS_TEMPLATE_ILLEGAL": aliyun_sms(world, templates={"code": "x"}),
        "AuthFailure.SignatureFailure": tencent_sms(world, access_key_secret="other"),
        "AuthFailure.SecretIdNotFound": tencent_sms(world, access_key_id="AKIDother"),
        "UnauthorizedOperation.SmsSdkAppIdVerifyFail": tencent_sms(world, app_id="1400000000"),
        "93000": robot(world, "wecom", url=f"{world['url']}/wecom/cgi-bin/webhook/send?key=other"),
        "310000": robot(world, "dingtalk", secret="SECother"),
        "19021": robot(world, "feishu", secret="other"),
        "http_401": webhook(world, secret="other"),
        "http_404": webhook(world, url=f"{world['url']}/webhook/hook/other"),
    }
    for code, client in wrong.items():
        with pytest.raises(Refused) as refusal:
            send(client)
        assert refusal.value.code == code
        assert not refusal.value.again
    assert not any(world[kind].messages for kind in MAKERS)


def test_old_signatures_are_refused(world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot's clock may be an hour wrong, that of a cloud's client a quarter."""
    present = time.time()
    monkeypatch.setattr(time, "time", lambda: present - 3700)
    for kind, code in {
        "dingtalk": "310000",
        "feishu": "19021",
        "tencent-sms": "AuthFailure.SignatureExpire",
        "webhook": "http_401",
    }.items():
        with pytest.raises(Refused) as refusal:
            send(MAKERS[kind](world))
        assert refusal.value.code == code


@pytest.mark.parametrize("kind", list(MAKERS))
def test_every_way_a_call_may_fail(world: dict[str, Any], kind: str) -> None:
    """Refused for good, busy, or unknown: only the last two are tried again."""
    client, carrier = MAKERS[kind](world), world[kind]
    carrier.control("POST settings", {"refuse": "40001"})
    with pytest.raises(Refused):
        send(client)
    carrier.control("POST settings", {"refuse": ""})
    for fault, error in {"http_500": Unknown, "rate_limited": Busy}.items():
        carrier.control("POST faults", {"fault": fault})
        with pytest.raises(error) as failure:
            send(client)
        assert failure.value.again
    carrier.control("POST faults", {"fault": "timeout_after_accept", "seconds": 1})
    impatient = MAKERS[kind](world, timeout=(5.0, 0.2))
    with pytest.raises(Unknown, match="timeout"):
        send(impatient)
    carrier.control("POST faults", {"fault": "unknown_field"})
    before = len(carrier.messages)
    send(client)
    assert len(carrier.messages) == before + 1
    with pytest.raises(Unknown, match="connection"):
        send(
            MAKERS[kind](
                world,
                url=nobody(client.url),
                **({"hosts": ["127.0.0.1:1"]} if "hosts" in vars(client) else {}),
            )
        )


def nobody(url: str) -> str:
    host = url.split("/")[2]
    return url.replace(host, "127.0.0.1:1")


def test_robots_call_nobody_else(world: dict[str, Any]) -> None:
    """Whoever may set a robot up could otherwise have us call the cloud's metadata, or a neighbour."""
    for url in (
        "http://169.254.169.254/latest/meta-data",
        "https://qyapi.weixin.qq.com.evil.example/cgi-bin/webhook/send?key=1",
        "https://qyapi.weixin.qq.com@evil.example/",
        "http://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1",
        "https://oapi.dingtalk.com/robot/send?access_token=1",  # the address of another kind
        "https://[::1",
        "file:///etc/passwd",
        "",
    ):
        with pytest.raises(NotConfigured, match="url"):
            send(robot(world, "wecom", url=url, hosts=[]))


def test_an_own_webhook_gets_signed_json(world: dict[str, Any]) -> None:
    send(webhook(world))
    (message,) = world["webhook"].messages
    assert (message["id"], message["title"], message["text"]) == ("7", "告警", "一号站 桩离线\n14:05")
    assert datetime.fromisoformat(message["sent_at"]).tzinfo is not None


def test_a_webhook_calls_nothing_of_our_own(world: dict[str, Any]) -> None:
    for url in (
        "http://example.com/hook",  # not encrypted
        "https://user:word@example.com/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://10.0.0.5/hook",
        "https://[::1",
        "https://example.com:port/",
        "file:///etc/passwd",
        "",
    ):
        with pytest.raises(NotConfigured, match="url"):
            send(webhook(world, url=url, private=[]))
    with pytest.raises(NotConfigured, match="secret"):
        send(webhook(world, secret=""))
    assert world["webhook"].messages == []


def test_an_account_is_tried_without_sending(world: dict[str, Any]) -> None:
    aliyun_sms(world).check()
    tencent_sms(world).check()
    wrong = {
        "SignatureDoesNotMatch": aliyun_sms(world, access_key_secret="other"),
        "sign_not_approved": aliyun_sms(world, sign_name="审核中"),
        "AuthFailure.SignatureFailure": tencent_sms(world, access_key_secret="other"),
        "UnauthorizedOperation.SmsSdkAppIdVerifyFail": tencent_sms(world, app_id="1400000000"),
    }
    for code, client in wrong.items():
        with pytest.raises(Refused) as refusal:
            client.check()
        assert refusal.value.code == code
    assert world["aliyun-sms"].messages == world["tencent-sms"].messages == []


def test_mail_goes_over_smtp(mail_server: MailServer, settings: Any) -> None:
    settings.OUTGOING_PRIVATE_HOSTS = ["127.0.0.1"]
    account = MailAccount(
        host="127.0.0.1",
        port=mail_server.port,
        security="none",
        username="post@alpha.test",
        password="geheim",
        from_address="post@alpha.test",
    )
    report = ("报表.xlsx", b"PK\x03\x04", "application/octet-stream")
    words = {"subject": "日报\r\nBcc: spy@evil.test", "text": "一切正常\n.\n完", "attachments": [report]}
    mails.send_by(account, to="boss@alpha.test", **words)
    (mail,) = mail_server.mails
    assert (mail.sender, mail.recipients, mail.user) == (
        "post@alpha.test",
        ("boss@alpha.test",),
        "post@alpha.test",
    )
    assert mail.message["subject"] == "日报 Bcc: spy@evil.test"
    assert mail.text == "一切正常\n.\n完"
    (attached,) = mail.message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("报表.xlsx", b"PK\x03\x04")

    def failure(to: str = "boss@alpha.test") -> SendError:
        with pytest.raises(SendError) as failed:
            mails.send_by(account, to=to, subject="s", text="t")
        return failed.value

    assert (type(found := failure("refused@alpha.test")), found.code) == (Refused, "smtp_550")
    assert (type(found := failure("later@alpha.test")), found.code) == (Busy, "smtp_451")
    account.password = "wrong"
    assert (type(found := failure()), found.code) == (Refused, "smtp_535")
    account.security = "starttls"  # the server has none
    assert type(failure()) is Refused
    mail_server.greeting = "421 too busy"
    assert (type(found := failure()), found.code) == (Busy, "smtp_421")
    account.port = 1
    assert type(failure()) is Unknown
    settings.OUTGOING_PRIVATE_HOSTS = []
    for host in ("127.0.0.1", "localhost", "10.0.0.5", "::1", "169.254.169.254"):
        account.host = host
        assert (type(found := failure()), found.code) == (NotConfigured, "host")
    assert len(mail_server.mails) == 1


def test_sandboxes_have_a_way_to_look(world: dict[str, Any]) -> None:
    send(robot(world, "feishu"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{world['url']}/feishu/_sandbox/state", timeout=10) as answer:
        assert json.load(answer)["messages"][0]["title"] == "告警"
