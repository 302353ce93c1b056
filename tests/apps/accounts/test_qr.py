"""Signing in by WeChat and Alipay, against sandboxes that verify on their own: bound first, then scanned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from apps.accounts import identities, providers
from apps.accounts.errors import BoundToAnother, ProviderRefused
from apps.accounts.models import LoginIdentity, LoginProvider, SignInRecord, User
from apps.backoffice.models import AuditEntry
from sandbox.alipay import Alipay
from sandbox.provider import Fault, Server
from sandbox.wechat import Wechat
from tests.staff import a_user, boss, signed_in

ME, LOGIN = "/admin/me/", "/admin/login/"
PROVIDERS = ["wechat", "alipay"]


@dataclass
class Phones:
    """The providers, and the phones of people who scan."""

    wechat: Wechat
    alipay: Alipay
    url: str

    def scan(self, address: str, person: str) -> str:
        """Scan the QR code of a page and agree; return the path that the browser is sent back to."""
        page = requests.get(address, timeout=5)
        assert "沙箱" in page.text, page.text
        words = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        parts = urlsplit(address)
        action = "confirm" if "qrconnect" in parts.path else "publicAppAuthorize.htm"
        target = f"{parts.scheme}://{parts.netloc}{parts.path.rsplit('/', 1)[0]}/{action}"
        answer = requests.post(target, {**words, "person": person}, allow_redirects=False, timeout=5)
        back = urlsplit(answer.headers["Location"])
        assert back.netloc == "alpha.test"
        return f"{back.path}?{back.query}"


@pytest.fixture(scope="module")
def servers() -> Iterator[Phones]:
    wechat, alipay = Wechat(), Alipay()
    with Server({"/wechat": wechat, "/alipay": alipay}) as server:
        yield Phones(wechat, alipay, server.url)


@pytest.fixture
def phones(tenant: Any, servers: Phones, settings: Any) -> Phones:
    settings.WECHAT_OPEN_URL = settings.WECHAT_API_URL = f"{servers.url}/wechat"
    settings.ALIPAY_AUTH_URL = f"{servers.url}/alipay/oauth2/publicAppAuthorize.htm"
    settings.ALIPAY_GATEWAY_URL = f"{servers.url}/alipay/gateway.do"
    for one in (servers.wechat, servers.alipay):
        one.faults.clear()
        one.settings.clear()
    known = servers.wechat.issue()
    LoginProvider.objects.create(provider="wechat", app_id=known["app_id"], secret=known["secret"])
    issued = servers.alipay.issue()
    LoginProvider.objects.create(
        provider="alipay",
        app_id=issued["app_id"],
        secret=issued["private_key"],
        public_key=issued["alipay_keys"][0],
    )
    return servers


def stranger() -> Client:
    return Client(headers={"host": "alpha.test", "accept-language": "zh-hans"})


def starts(client: Client, provider: str, page: str = "sign-in/scan") -> str:
    return str(client.post(f"/admin/{page}/{provider}/").headers["location"])


def said(client: Client, answer: Any) -> str:
    return client.get(answer.headers["location"], follow=True).content.decode()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bound_account_signs_in_and_an_unbound_one_does_not(phones: Phones, provider: str) -> None:
    user = a_user()
    person = stranger()
    answer = person.get(phones.scan(starts(person, provider), "李四"))
    assert answer.headers["location"] == LOGIN
    assert "尚未绑定任何员工" in said(person, answer)
    assert person.get("/admin/").status_code == 302, "nobody is made staff"

    own = signed_in(user)
    bound = own.get(phones.scan(starts(own, provider, "me/bind"), "李四"))
    assert bound.headers["location"] == ME
    assert "已绑定" in own.get(ME).content.decode()
    assert AuditEntry.objects.get(action="accounts.user_bound").actor_id == str(user.pk)

    other = stranger()
    assert other.get(phones.scan(starts(other, provider), "李四")).headers["location"] == "/admin/"
    assert other.get("/admin/").status_code == 200
    assert SignInRecord.objects.filter(outcome="unbound").count() == 1
    assert SignInRecord.objects.order_by("id").last().method == provider  # type: ignore[union-attr]

    # Another person's account stays another person's; a disabled one stays out.
    second = boss()
    refused = second.get(phones.scan(starts(second, provider, "me/bind"), "李四"))
    assert "已绑定其他人" in said(second, refused)
    User.objects.filter(pk=user.pk).update(is_active=False)
    late = stranger()
    assert late.get(phones.scan(starts(late, provider), "李四")).headers["location"] == LOGIN
    User.objects.filter(pk=user.pk).update(is_active=True)
    own = signed_in(user)
    own.post(f"/admin/me/unbind/{provider}/")
    assert not LoginIdentity.objects.exists()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_way_back_is_good_once_and_in_one_browser(phones: Phones, provider: str) -> None:
    person, thief = stranger(), stranger()
    address = starts(person, provider)
    back = phones.scan(address, "张三")
    stolen = thief.get(back)
    assert "二维码已失效" in said(thief, stolen)
    own = signed_in(a_user())
    starts(own, provider, "me/bind")
    assert "二维码已失效" in said(own, own.get(back)), "nor is it somebody else's binding"
    person.get(back)
    assert "二维码已失效" in said(person, person.get(back))
    forged = back.replace("state=", "state=x")
    starts(person, provider)
    assert "二维码已失效" in said(person, person.get(forged))


def test_binding_needs_a_second_factor(phones: Phones) -> None:
    user, client = a_user(), stranger()
    client.post(LOGIN, {"username": user.username, "password": "correct horse"})
    assert client.post("/admin/me/bind/wechat/").headers["location"].startswith("/admin/me/confirm/")
    assert stranger().post("/admin/me/bind/wechat/").headers["location"].startswith(LOGIN)


def test_a_provider_that_is_off_is_not_offered(phones: Phones) -> None:
    assert "微信扫码登录" in stranger().get(LOGIN).content.decode()
    LoginProvider.objects.filter(provider="wechat").update(is_active=False)
    text = stranger().get(LOGIN).content.decode()
    assert "微信扫码登录" not in text
    assert "支付宝扫码登录" in text
    client = stranger()
    assert "尚未配置微信登录" in said(client, client.post("/admin/sign-in/scan/wechat/"))
    assert client.get("/admin/sign-in/scan/wechat/").status_code == 405


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "fault", ["http_500", "rate_limited", "timeout_after_accept", "unknown_field", "used", "secret"]
)
def test_what_the_provider_says_wrong_lets_nobody_in(
    phones: Phones, provider: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "TIMEOUT_S", (1.0, 0.3))
    row = LoginProvider.objects.get(provider=provider)
    server = getattr(phones, provider)
    code = server.scans.agree(row.app_id, "王五")
    if fault == "used":
        assert providers.subject_of(row, code)
    elif fault == "secret":
        row.secret = "0" * 32 if provider == "wechat" else phones.alipay.issue()["private_key"]
    else:
        server.faults.append(Fault(fault, None, "", 0.6))
    if fault == "unknown_field":
        assert 20 < len(providers.subject_of(row, code)) <= 64
        return
    with pytest.raises(ProviderRefused):
        providers.subject_of(row, code)


def test_alipays_answer_is_believed_by_its_signature_only(phones: Phones) -> None:
    row = LoginProvider.objects.get(provider="alipay")
    phones.alipay.faults.append(Fault("bad_signature", 1, "", 0))
    with pytest.raises(ProviderRefused):
        providers.subject_of(row, phones.alipay.scans.agree(row.app_id, "王五"))
    assert providers.subject_of(row, phones.alipay.scans.agree(row.app_id, "王五"))
    phones.wechat.settings["busy"] = 1
    row = LoginProvider.objects.get(provider="wechat")
    assert providers.subject_of(row, phones.wechat.scans.agree(row.app_id, "王五")).startswith("o")


def test_an_account_is_bound_once(phones: Phones) -> None:
    scanned = identities.Scanned(LoginProvider.objects.get(provider="wechat"), "o1", None, "")
    first, second = a_user(), a_user()
    made = identities.bind(first, scanned)
    assert identities.bind(first, scanned) == made, "twice the same is nothing new"
    with pytest.raises(BoundToAnother):
        identities.bind(second, scanned)


def test_the_secret_is_never_shown(tenant: Any) -> None:
    client = boss()
    form = {
        "provider": "wechat",
        "app_id": "wx1",
        "secret": "s3cr3t-words",
        "is_active": "on",
        "public_key": "",
    }
    assert client.post("/admin/accounts/loginprovider/add/", form).status_code == 302
    row = LoginProvider.objects.get()
    page = f"/admin/accounts/loginprovider/{row.pk}/change/"
    assert "s3cr3t-words" not in client.get(page).content.decode()
    assert client.post(page, {**form, "secret": "", "app_id": "wx2"}).status_code == 302
    row.refresh_from_db()
    assert (row.app_id, row.secret) == ("wx2", "s3cr3t-words")
    reader = signed_in(a_user("accounts.view_loginprovider"))
    assert "s3cr3t-words" not in reader.get(page).content.decode()
    assert "s3cr3t" not in str(AuditEntry.objects.values_list("changes", flat=True))
    missing = {**form, "provider": "alipay"}
    assert "请填写支付宝公钥" in client.post("/admin/accounts/loginprovider/add/", missing).content.decode()
