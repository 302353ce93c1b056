"""Clients of WeChat's and Alipay's mini-programs against sandboxes that verify on their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.accounts import providers
from apps.backoffice.models import AuditEntry
from apps.customers import alipay, signing, wechat
from apps.customers.errors import ProviderBusy, ProviderRefused, SignInOff
from apps.customers.mini_programs import check_connection
from apps.customers.models import MiniProgram
from apps.tenancy import connections
from sandbox.provider import Fault
from tests.apps.customers.apps_of_drivers import Apps, apps, provider_servers  # noqa: F401
from tests.staff import a_user, boss, signed_in

PROVIDERS = ["wechat", "alipay"]
PHONE = "13900000001"
PAGE = "/admin/customers/miniprogram/"


def mini_of(provider: str) -> MiniProgram:
    return MiniProgram.objects.get(provider=provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_account_and_its_phone(apps: Apps, provider: str) -> None:  # noqa: F811
    first = signing.account_of(provider=provider, code=apps.code(provider, "张三"))
    again = signing.account_of(provider=provider, code=apps.code(provider, "张三"))
    other = signing.account_of(provider=provider, code=apps.code(provider, "李四"))
    assert first == again
    assert (first.provider, first.app_id) == (provider, mini_of(provider).app_id)
    assert first.openid != other.openid
    proof = apps.proof(provider, PHONE)
    assert signing.phone_of(account=first, proof=proof) == "+8613900000001"
    if provider == "wechat":
        with pytest.raises(ProviderRefused):  # its code works once
            signing.phone_of(account=first, proof=proof)
    else:  # Alipay's text says nothing of its owner: it counts for the first account that brings it
        assert signing.phone_of(account=first, proof=proof) == "+8613900000001"
        with pytest.raises(ProviderRefused):
            signing.phone_of(account=other, proof=proof)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["http_500", "rate_limited", "timeout_after_accept", "used", "secret", "x"])
def test_what_goes_wrong_at_the_provider(
    apps: Apps,  # noqa: F811
    provider: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wechat, "TIMEOUT_S", (1.0, 0.3))
    monkeypatch.setattr(providers, "TIMEOUT_S", (1.0, 0.3))
    code = apps.code(provider, "王五")
    busy = fault in {"http_500", "rate_limited", "timeout_after_accept"}
    if fault == "used":
        signing.account_of(provider=provider, code=code)
    elif fault == "secret":
        wrong = "0" * 32 if provider == "wechat" else apps.alipay.issue()["private_key"]
        MiniProgram.objects.filter(provider=provider).update(secret=wrong)
    elif fault == "x":
        code = "no code"
    else:
        getattr(apps, provider).faults.append(Fault(fault, None, "", 0.6))
    with pytest.raises(ProviderBusy if busy else ProviderRefused):
        signing.account_of(provider=provider, code=code)


def tokens_of(apps: Apps, account: signing.Account) -> list[str]:  # noqa: F811
    return [text for text, token in apps.wechat.tokens.items() if token.app_id == account.app_id]


def test_wechats_server_token_is_kept_and_renewed(apps: Apps) -> None:  # noqa: F811
    account = signing.account_of(provider="wechat", code=apps.code("wechat", "张三"))
    signing.phone_of(account=account, proof=apps.proof("wechat", PHONE))
    (token,) = tokens_of(apps, account)
    signing.phone_of(account=account, proof=apps.proof("wechat", PHONE))
    assert tokens_of(apps, account) == [token]
    apps.wechat.tokens.clear()  # a new one was asked for elsewhere: ours is not the latest any more
    assert signing.phone_of(account=account, proof=apps.proof("wechat", PHONE)) == "+8613900000001"
    assert token not in apps.wechat.tokens
    apps.wechat.settings["busy"] = 1
    assert signing.account_of(provider="wechat", code=apps.code("wechat", "张三")) == account


def test_a_phone_of_another_app_is_no_phone(apps: Apps) -> None:  # noqa: F811
    account = signing.account_of(provider="wechat", code=apps.code("wechat", "张三"))
    other = apps.wechat.issue_mini_program()
    code = apps.wechat.control("POST phone", {"app_id": other["app_id"], "person": "x", "phone": PHONE})
    with pytest.raises(ProviderRefused):
        signing.phone_of(account=account, proof=code["phone_code"])


def test_alipays_phone_is_believed_by_signature_and_key_only(apps: Apps) -> None:  # noqa: F811
    mini = mini_of("alipay")
    good = json.loads(apps.alipay.phone(mini.app_id, PHONE))
    other = json.loads(apps.alipay.phone(mini.app_id, "13900000002"))
    foreign = apps.alipay.issue()
    refusal = {"response": {"code": "40003", "msg": "Insufficient"}, "sign": good["sign"]}
    for text in (
        json.dumps(good | {"sign": other["sign"]}),
        json.dumps(good | {"response": other["response"]}),
        json.dumps(good | {"response": good["response"][:-4]}),
        apps.alipay.phone(foreign["app_id"], PHONE),  # signed, but for another app's key
        apps.alipay.phone(mini.app_id, PHONE, code="40001"),
        json.dumps(refusal),
        json.dumps({"response": good["response"]}),
        "[]",
        "{",
        "x" * 9000,
    ):
        with pytest.raises(ProviderRefused):
            alipay.phone_of(mini, text, account="a")
    assert alipay.phone_of(mini, json.dumps(good), account="a") == PHONE


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mini_program_that_is_off_signs_nobody_in(apps: Apps, provider: str) -> None:  # noqa: F811
    code = apps.code(provider, "张三")
    MiniProgram.objects.filter(provider=provider).update(is_active=False)
    with pytest.raises(SignInOff):
        signing.account_of(provider=provider, code=code)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_connection_is_tested_by_the_tenant_and_by_the_platform(
    apps: Apps,  # noqa: F811
    tenant: Any,
    provider: str,
) -> None:
    mini = mini_of(provider)
    client = boss()
    dialog = {"_form_submitted": "on"}
    assert client.post(f"{PAGE}{mini.pk}/test/", dialog).status_code == 200
    assert "连接正常" in client.get(f"{PAGE}{mini.pk}/change/").content.decode()
    listed = {kind.code: found for kind, found in connections.of_tenant(tenant)}["mini-program"]
    assert [one.detail for one in listed] == [row.app_id for row in MiniProgram.objects.order_by("provider")]
    wrong = "0" * 32 if provider == "wechat" else apps.alipay.issue()["private_key"]
    MiniProgram.objects.filter(pk=mini.pk).update(secret=wrong)
    found = connections.test(tenant=tenant, kind="mini-program", number=str(mini.pk))
    assert (found.ok, bool(found.cause)) == (False, True)
    assert client.post(f"{PAGE}{mini.pk}/test/", dialog).status_code == 200
    assert "连接失败" in client.get(f"{PAGE}{mini.pk}/change/").content.decode()
    assert AuditEntry.objects.filter(action="customers.miniprogram_tested").count() == 2
    mini.refresh_from_db()
    reader = signed_in(a_user("customers.view_miniprogram"))
    assert reader.post(f"{PAGE}{mini.pk}/test/", dialog).status_code == 403
    assert not check_connection(mini).ok


def test_secrets_are_written_and_never_shown(tenant: Any, provider_servers: Apps) -> None:  # noqa: F811
    client = boss()
    issued = provider_servers.alipay.issue()
    form = {
        "provider": "alipay",
        "app_id": issued["app_id"],
        "secret": issued["private_key"],
        "public_key": issued["alipay_keys"][0],
        "content_key": provider_servers.alipay.content_key(issued["app_id"]),
        "is_active": "on",
    }
    for name, value, said in [
        ("app_id", "wx1", "以 20 开头"),
        ("secret", "x", "私钥无法读取"),
        ("public_key", "", "请填写支付宝公钥"),
        ("content_key", "abc", "请按支付宝显示"),
    ]:
        text = client.post(f"{PAGE}add/", {**form, name: value}).content.decode()
        assert said in text, (name, said)
    assert not MiniProgram.objects.exists()
    assert client.post(f"{PAGE}add/", form).status_code == 302
    row = MiniProgram.objects.get()
    kept = {**form, "secret": "", "content_key": "", "is_active": ""}
    assert client.post(f"{PAGE}{row.pk}/change/", kept).status_code == 302
    row.refresh_from_db()
    assert (row.secret, row.content_key, row.is_active) == (
        form["secret"].strip(),
        form["content_key"],
        False,
    )
    secrets = [form["content_key"], form["secret"].split("\n")[1]]
    pages = client.get(f"{PAGE}{row.pk}/change/").content.decode()
    pages += signed_in(a_user("customers.view_miniprogram")).get(f"{PAGE}{row.pk}/change/").content.decode()
    log = str(list(AuditEntry.objects.values_list("changes", flat=True)))
    assert [text for text in secrets if text in pages or text in log] == []
