"""What becomes of a tenant, and who may make it so: suspended, resumed, renewed, expired, closed; domains; logo."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from PIL import Image

from apps.backoffice.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.tenancy import branding, lifecycle
from apps.tenancy.enums import Suspension, TenantState
from apps.tenancy.models import Domain, Package, SupportSession, Tenant, TenantLogo, TenantOpening
from apps.tenancy.selectors import routes, working_schemas
from apps.wallet.merchants import store_credentials
from apps.wallet.models import MerchantAccount
from sandbox import wechatpay
from sandbox.provider import Server
from tests import factories
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

TODAY = business_day(now())
DAY = timedelta(days=1)


def fresh(code: str = "beta") -> Tenant:
    return Tenant.objects.select_related("package").get(code=code)


def refused(function: Callable[[], object]) -> str:
    with pytest.raises(DomainError) as error, transaction.atomic():
        function()
    return error.value.code


@pytest.fixture
def platform(tenant: Tenant) -> Client:
    """Somebody with all rights on the platform; this thread's connection is there too."""
    connection.set_schema_to_public()
    return boss(PLATFORM_HOST)


def send(client: Client, page: str, row: Any, **words: object) -> Any:
    label = f"tenancy/{row._meta.model_name}"
    return client.post(f"/admin/{label}/{row.pk}/{page}/", {"_form_submitted": "on", **words})


def last_entry() -> tuple[str, dict[str, Any], str]:
    entry = AuditEntry.objects.order_by("-id").first()
    return entry.action, entry.changes, entry.reason


def test_buttons_suspend_renew_and_change_the_package(platform: Client) -> None:
    beta = fresh()
    assert send(platform, "suspend", beta).status_code == 200, "the dialog asks for a reason"
    assert fresh().state == TenantState.ACTIVE
    send(platform, "suspend", beta, reason="欠费")
    assert (fresh().state, fresh().suspended_by, fresh().state_reason) == ("suspended", "staff", "欠费")
    assert last_entry() == ("tenancy.tenant_state_changed", {"state": ["active", "suspended"]}, "欠费")
    assert Client(headers={"host": "beta.test"}).get("/admin/").status_code == 403
    entries = AuditEntry.objects.count()
    send(platform, "suspend", beta, reason="again")
    assert AuditEntry.objects.count() == entries, "what is refused is no deed"
    send(platform, "resume", beta, reason="已付")
    assert fresh().state == "active"

    until = TODAY + 365 * DAY
    send(platform, "renew", beta, expires_on=until.isoformat(), reason="合同")
    assert fresh().expires_on == until
    assert last_entry()[1] == {"expires_on": [None, until.isoformat()], "state": ["active", "active"]}
    send(platform, "renew", beta, expires_on=(TODAY - DAY).isoformat(), reason="x")
    assert fresh().expires_on == until
    package = Package.objects.get(code="basic")
    send(platform, "package", beta, package=package.pk, reason="降级")
    assert fresh().package == package
    assert last_entry() == ("tenancy.tenant_changed", {"package": [None, "基础版"]}, "降级")
    page = platform.get(f"/admin/tenancy/tenant/{beta.pk}/change/").content.decode()
    assert "基础版" in page
    assert "第三方服务连接" in page


@pytest.mark.parametrize(
    ("permission", "pages"),
    [
        ("tenancy.run_tenant", {"suspend", "resume", "renew", "package"}),
        ("tenancy.close_tenant", {"close"}),
        ("tenancy.set_domains", {"domain"}),
    ],
)
def test_each_button_has_a_permission(tenant: Tenant, permission: str, pages: set[str]) -> None:
    connection.set_schema_to_public()
    client = signed_in(a_user("tenancy.view_tenant", permission), PLATFORM_HOST)
    beta = fresh()
    every = {"suspend", "resume", "renew", "package", "close", "domain"}
    assert {page for page in every if send(client, page, beta).status_code != 403} == pages
    assert client.post(f"/admin/tenancy/tenant/{beta.pk}/test/storage/storage/").status_code == 403
    assert client.get(f"/admin/tenancy/tenant/{beta.pk}/change/").status_code == 200
    assert client.get("/admin/tenancy/tenant/open/").status_code == 403


def test_a_term_ends_after_the_days_of_grace(platform: Client, settings: Any) -> None:
    settings.TENANT_GRACE_DAYS = 7
    beta = fresh()
    Tenant.objects.filter(code="alpha").update(expires_on=TODAY)
    Tenant.objects.filter(pk=beta.pk).update(expires_on=TODAY - 7 * DAY)
    assert lifecycle.suspend_expired() == []
    assert lifecycle.suspend_expired(today=TODAY + DAY) == ["beta"]
    assert (fresh().state, fresh().suspended_by) == (TenantState.SUSPENDED, Suspension.EXPIRY)
    assert last_entry()[0] == "tenancy.tenant_expired"
    assert lifecycle.suspend_expired(today=TODAY + DAY) == []
    assert refused(lambda: lifecycle.resume(tenant=beta, reason="x")) == "tenancy.term_over"
    lifecycle.renew(tenant=beta, expires_on=TODAY, reason="x")
    assert (fresh().state, fresh().suspended_by) == ("active", "")
    # One that a person suspended stays so.
    lifecycle.suspend(tenant=beta, reason="x")
    lifecycle.renew(tenant=beta, expires_on=None, reason="x")
    assert fresh().state == TenantState.SUSPENDED


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (31, None),
        (30, "还剩 30 天"),
        (0, "还剩 0 天"),
        (-1, "之后将被停用"),
        (None, None),
    ],
)
def test_staff_are_warned_before(tenant: Tenant, days: int | None, words: str | None) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(expires_on=None if days is None else TODAY + days * DAY)
    page = boss().get("/admin/").content.decode()
    assert ("bo-banner" in page) is (words is not None)
    assert words is None or words in page


def test_closing_asks_the_business_and_frees_what_others_may_want(platform: Client) -> None:
    beta = fresh()
    with schema_context("t_beta"):
        order = factories.a_charging_order()
        code = order.connector.pile.pile_code
    assert refused(lambda: lifecycle.close(tenant=beta, reason="x")) == "tenancy.wrong_state"
    lifecycle.suspend(tenant=beta, reason="x")
    with schema_context("t_beta"):
        money = order.customer.wallet.principal
    send(platform, "close", beta, reason="完", code="alpha")
    assert fresh().state == TenantState.SUSPENDED, "the code has to be that of the tenant"
    answer = send(platform, "close", beta, reason="完", code="beta")
    shown = platform.get(answer.headers["HX-Redirect"]).content.decode()
    assert "有 1 个订单未结算" in shown
    assert fresh().state == TenantState.SUSPENDED
    with schema_context("t_beta"):
        type(order).objects.update(state="completed")
        words = [one.words for one in lifecycle.obstacles(tenant=beta)]
    assert words == [f"车主钱包中还有本金 {money:.2f} 元"] or money == 0
    send(platform, "close", beta, reason="完", code="beta", money_settled="on")
    assert (fresh().state, fresh().state_reason) == (TenantState.CLOSED, "完")
    assert routes("pile", [code]) == {}
    assert working_schemas() == ["t_alpha"]
    assert Client(headers={"host": "beta.test"}).get("/admin/").status_code == 404
    api = Client(headers={"host": PLATFORM_HOST, "x-tenant": "beta"}).get("/api/v1/stations")
    assert (api.status_code, api.json()["code"]) == (403, "tenancy.closed")
    for deed in (
        lambda: lifecycle.renew(tenant=beta, expires_on=None, reason="x"),
        lambda: lifecycle.add_domain(tenant=beta, hostname="b.test"),
        lambda: lifecycle.set_package(tenant=beta, package=None),
    ):
        assert refused(deed) == "tenancy.wrong_state"
    assert platform.get(f"/admin/tenancy/tenant/{beta.pk}/change/").status_code == 200


def test_domains(platform: Client) -> None:
    beta = fresh()
    first = beta.domains.get()
    send(platform, "domain", beta, domain="Charge.test")
    added = beta.domains.get(domain="charge.test")
    assert added.is_primary is False
    for wrong, code in (("alpha.test", "host_taken"), ("platform.test", "host_taken"), ("a b", "invalid")):
        add = lambda wrong=wrong: lifecycle.add_domain(tenant=beta, hostname=wrong)  # noqa: E731
        assert refused(add) == f"tenancy.{code}"
    send(platform, "remove", first)
    assert refused(lambda: lifecycle.remove_domain(domain=first)) == "tenancy.primary_domain"
    send(platform, "primary", added)
    assert lifecycle.primary_host(beta) == "charge.test"
    assert beta.domains.filter(is_primary=True).count() == 1
    send(platform, "remove", first)
    assert list(beta.domains.values_list("domain", flat=True)) == ["charge.test"]
    assert refused(lambda: lifecycle.remove_domain(domain=added)) == "tenancy.last_domain"
    assert (
        platform.post("/admin/tenancy/domain/add/", {"tenant": beta.pk, "domain": "x.test"}).status_code
        == 302
    )
    assert Domain.objects.get(domain="x.test").tenant == beta


def form_of(tenant: Tenant, **changes: object) -> dict[str, object]:
    form = {"name": tenant.name, "second_login": "newest", "frame_days": 7, "telemetry_months": 3}
    return {**form, **changes}


def a_png(size: tuple[int, int] = (600, 300)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#123456").save(out, "PNG")
    return out.getvalue() + b"<script>alert(1)</script>"


def test_looks_are_the_tenants_own(platform: Client) -> None:
    beta = fresh()
    page = f"/admin/tenancy/tenant/{beta.pk}/change/"
    logo = SimpleUploadedFile("a.png", a_png(), content_type="image/png")
    assert platform.post(page, form_of(beta, name="新名", colour="#1d4ed8", new_logo=logo)).status_code == 302
    picture = TenantLogo.objects.get(tenant=beta)
    assert b"script" not in bytes(picture.content)
    assert Image.open(io.BytesIO(bytes(picture.content))).size == (256, 128)
    address = branding.logo_address(fresh())
    login = Client(headers={"host": "beta.test"}).get("/admin/login/")
    for client in (Client(headers={"host": "beta.test"}), Client(headers={"host": PLATFORM_HOST})):
        answer = client.get(address)
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert Client(headers={"host": "alpha.test"}).get(address).status_code == 404
    assert "29, 78, 216" in login.content.decode()
    assert "29, 78, 216" not in Client(headers={"host": "alpha.test"}).get("/admin/login/").content.decode()
    with schema_context("t_beta"):
        front = boss("beta.test").get("/admin/").content.decode()
    assert address in front
    assert "新名" in front

    for wrong in (
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        a_png((4001, 10)),
        b"x" * 1_000_001,
    ):
        file = SimpleUploadedFile("a.png", wrong)
        answer = platform.post(page, form_of(beta, name="新名", new_logo=file))
        assert answer.status_code == 200
        assert "请上传不超过 1 MB" in answer.content.decode()
    assert platform.post(page, form_of(beta, name="新名", colour="red")).status_code == 200
    platform.post(page, form_of(beta, name="新名", no_logo="on"))
    assert (fresh().logo_digest, TenantLogo.objects.count()) == ("", 0)


def test_two_people_do_not_write_over_each_other(platform: Client) -> None:
    beta = fresh()
    page = f"/admin/tenancy/tenant/{beta.pk}/change/"
    opened = platform.get(page)  # by both
    seen = {"_seen": opened.context_data["seen"]}
    assert f'name="_seen" value="{seen["_seen"]}"' in opened.content.decode()
    assert platform.post(page, form_of(beta, contact_name="王", **seen)).status_code == 302
    answer = platform.post(page, form_of(beta, contact_name="李", **seen), follow=True)
    assert "已有人修改了这条记录" in answer.content.decode()
    assert fresh().contact_name == "王"
    again = {"_seen": platform.get(page).context_data["seen"]}
    assert platform.post(page, form_of(beta, contact_name="李", **again)).status_code == 302
    assert fresh().contact_name == "李"


def test_a_form_does_not_undo_what_a_button_did_meanwhile(platform: Client) -> None:
    beta = fresh()
    page = f"/admin/tenancy/tenant/{beta.pk}/change/"
    platform.get(page)
    lifecycle.suspend(tenant=beta, reason="x")
    platform.post(page, form_of(beta, contact_name="王", contact_email="w@example.com"))
    assert (fresh().contact_name, fresh().state) == ("王", TenantState.SUSPENDED)


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffff00", "#0e9f6e", "#ff0000", "#7f7f7f"])
def test_texts_on_any_colour_can_be_read(colour: str) -> None:
    shades = branding.shades(colour)
    assert list(shades) == ["50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950"]
    for weight in ("600", "700"):
        red, green, blue = (int(shades[weight][at : at + 2], 16) / 255 for at in (1, 3, 5))

        def linear(part: float) -> float:
            return part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4

        luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        assert 1.05 / (luminance + 0.05) >= 4.5, (weight, shades[weight])


def test_connections_are_tested_inside_the_tenant(platform: Client) -> None:
    beta = fresh()
    path = f"/admin/tenancy/tenant/{beta.pk}/test"
    page = platform.post(f"{path}/storage/storage/", follow=True).content.decode()
    assert "连接正常。" in page
    assert last_entry()[:2] == ("tenancy.tenant_tested", {"storage storage": [None, "ok"]})
    for gone in ("storage/other", "payment/1", "payment/x", "nothing/1"):
        assert "该连接已不存在。" in platform.post(f"{path}/{gone}/", follow=True).content.decode(), gone
    assert platform.get(f"{path}/storage/storage/").status_code == 405


def test_a_merchant_account_is_tested_at_its_provider(platform: Client) -> None:
    """By the real client, against a sandbox that verifies what it is sent and signs what it answers."""
    provider = wechatpay.WechatPay()
    beta = fresh()
    with Server(provider) as server:
        issued = provider.issue()
        with schema_context("t_beta"):
            merchant = MerchantAccount(
                channel="wechatpay",
                name="收款",
                merchant_no=issued["merchant_no"],
                app_id=issued["app_id"],
                base_url=server.url,
            )
            keys = {name: value for name, value in issued.items() if name not in ("merchant_no", "app_id")}
            store_credentials(merchant=merchant, given=keys)
        page = f"/admin/tenancy/tenant/{beta.pk}"
        shown = platform.get(f"{page}/change/").content.decode()
        assert issued["merchant_no"] in shown
        assert issued["api_v3_key"] not in shown
        test = f"{page}/test/payment/{merchant.pk}/"
        assert "连接正常。" in platform.post(test, follow=True).content.decode()
        with schema_context("t_beta"):
            store_credentials(merchant=merchant, given={"private_key": provider.issue()["private_key"]})
        assert "连接失败：" in platform.post(test, follow=True).content.decode()
    assert last_entry()[0] == "tenancy.tenant_tested"


@pytest.mark.parametrize("model", ["tenant", "package", "domain", "tenantopening", "supportsession"])
def test_who_may_only_look_sees_pages_without_fields(platform: Client, model: str) -> None:
    beta = fresh()
    TenantOpening.objects.create(code="x", name="x", hostname="x.test")
    SupportSession.objects.create(
        tenant=beta, person_id="1", role="readonly", reason="x", started_at=now(), ends_at=now()
    )
    client = signed_in(a_user(f"tenancy.view_{model}"), PLATFORM_HOST)
    row = {"tenant": Tenant, "package": Package, "domain": Domain, "tenantopening": TenantOpening}.get(model)
    last = (row or SupportSession).objects.order_by("-pk").first()
    page = client.get(f"/admin/tenancy/{model}/{last.pk}/change/")
    assert page.status_code == 200
    form = page.content.decode().partition('id="content"')[2]
    assert 'name="_save"' not in form
    assert client.get(f"/admin/tenancy/{model}/").status_code == 200
    assert client.get(f"/admin/tenancy/{model}/add/").status_code == 403


# --- The command ---


def run(*arguments: str) -> tuple[int, Any]:
    out = StringIO()
    try:
        call_command("tenants", *arguments, "--json", stdout=out)
        code = 0
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return code, json.loads(out.getvalue())


def test_the_command_lists_and_changes(platform: Client) -> None:
    row = {"name": "乙充电", "state": "active", "package": None, "until": None, "piles": 0}
    code, found = run("list")
    assert (code, [one["code"] for one in found["tenants"]]) == (0, ["alpha", "beta"])
    assert found["tenants"][1] == {"code": "beta", **row}
    more = ["--tenant", "beta", "--reason", "r"]
    assert run("suspend", *more, "--dry-run")[1]["tenants"][0]["state"] == "suspended"
    assert fresh().state == "active"
    assert run("package", *more, "--package", "standard")[1]["tenants"][0]["package"] == "standard"
    assert run("renew", *more, "--until", "2099-01-31")[1]["tenants"][0]["until"] == "2099-01-31"
    assert last_entry() == ("tenancy.tenant_state_changed", {"until": [None, "2099-01-31"]}, "r")
    for wrong, code, error in (
        (["suspend", "--tenant", "beta"], 2, "reason_missing"),
        (["suspend", "--tenant", "nobody", "--reason", "r"], 2, "tenancy.unknown_tenant"),
        (["suspend", "--reason", "r"], 2, "tenancy.unknown_tenant"),
        (["package", *more, "--package", "x"], 2, "tenancy.unknown_package"),
        (["close", *more], 1, "tenancy.wrong_state"),
    ):
        assert (run(*wrong)[0], run(*wrong)[1]["error"]) == (code, error)
    assert run("suspend-expired") == (0, {"dry_run": False, "tenants": []})
