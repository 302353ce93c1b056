"""Which tenant a request reaches: hosts × X-Tenant × path."""

from __future__ import annotations

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory

from apps.common.schema import current_schema, schema_context
from apps.tenancy import hosts
from apps.tenancy.middleware import TenantMiddleware
from apps.tenancy.models import Domain, Tenant, TenantState
from apps.tenancy.selectors import host_name, tenant_of_host


def reached(host: str, path: str, code: str | None = None, **extra: str) -> HttpResponse:
    """What the middleware answers; behind it, a view that says where it runs."""

    def view(request: HttpRequest) -> HttpResponse:
        return JsonResponse(
            {
                "schema": current_schema(),
                "code": request.tenant.code,  # type: ignore[attr-defined]
                "urls": getattr(request, "urlconf", "chargeplat.urls"),
            }
        )

    headers = {"host": host, **extra} | ({} if code is None else {"x-tenant": code})
    return TenantMiddleware(view)(RequestFactory().get(path, headers=headers))


def place(response: HttpResponse) -> str:
    import json

    if response.status_code != 200:
        return str(response.status_code)
    answer = json.loads(response.content)
    return f"{answer['code']} {answer['schema']} {answer['urls']}"


ALPHA, BETA = "alpha t_alpha chargeplat.urls", "beta t_beta chargeplat.urls"
PLATFORM = "platform public chargeplat.urls_public"


@pytest.mark.parametrize(
    ("host", "path", "code", "expected"),
    [
        ("alpha.test", "/admin/", None, ALPHA),
        ("ALPHA.test:8000", "/admin/", None, ALPHA),
        ("alpha.test", "/api/v1/stations", None, ALPHA),
        ("alpha.test", "/api/v1/stations", "alpha", ALPHA),
        ("alpha.test", "/api/v1/stations", "beta", "404"),
        ("alpha.test", "/api/v1/stations", "platform", "404"),
        ("alpha.test", "/api/v1/stations", "nobody", "404"),
        ("alpha.test", "/admin/", "alpha", ALPHA),
        ("alpha.test", "/admin/", "beta", "404"),
        ("beta.test", "/api/v1/stations", None, BETA),
        ("platform.test", "/admin/", None, PLATFORM),
        ("platform.test", "/admin/", "alpha", PLATFORM),
        ("platform.test", "/apis/", "alpha", PLATFORM),
        ("platform.test", "/admin/api/", "alpha", PLATFORM),
        ("platform.test", "/api/v1/stations", "alpha", ALPHA),
        ("platform.test", "/api/v1/stations", "beta", BETA),
        ("platform.test", "/api/v1/stations", " beta ", BETA),
        ("platform.test", "/api/v1/stations", None, "404"),
        ("platform.test", "/api/v1/stations", "", "404"),
        ("platform.test", "/api/v1/stations", "nobody", "404"),
        ("platform.test", "/api/v1/stations", "Alpha", "404"),
        ("platform.test", "/api/v1/stations", "t_alpha", "404"),
        ("platform.test", "/api/v1/stations", "platform", "404"),
        ("platform.test", "/api/v1/stations", "alpha,beta", "404"),
        ("nobody.test", "/admin/", None, "404"),
        ("nobody.test", "/api/v1/stations", "alpha", "404"),
        ("alpha.test.elsewhere.example", "/admin/", None, "404"),
        ("bad_host!", "/admin/", None, "404"),
    ],
)
def test_where_a_request_goes(tenant: Tenant, host: str, path: str, code: str | None, expected: str) -> None:
    assert place(reached(host, path, code)) == expected
    assert current_schema() == "t_alpha", "the schema is put back"


def test_the_schema_is_put_back_after_a_failure(tenant: Tenant) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        assert current_schema() == "t_beta"
        raise RuntimeError("broken view")

    with pytest.raises(RuntimeError, match="broken view"):
        TenantMiddleware(view)(RequestFactory().get("/", headers={"host": "beta.test"}))
    assert current_schema() == "t_alpha"


@pytest.mark.parametrize(
    ("state", "page", "api", "code"),
    [
        (TenantState.ACTIVE, 200, 200, None),
        (TenantState.SUSPENDED, 403, 403, "tenancy.suspended"),
        (TenantState.OPENING, 404, 404, "tenancy.unknown_host"),
    ],
)
def test_states(tenant: Tenant, state: TenantState, page: int, api: int, code: str | None) -> None:
    import json

    Tenant.objects.filter(code="beta").update(state=state)
    assert reached("beta.test", "/admin/").status_code == page
    for response in (reached("beta.test", "/api/v1/"), reached("platform.test", "/api/v1/", "beta")):
        assert response.status_code == api
        assert json.loads(response.content).get("code") == (code or "beta")


def test_refusals_speak_the_users_language_and_the_callers_shape(tenant: Tenant) -> None:
    import json

    page = reached("nobody.test", "/admin/", **{"accept-language": "en"})
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert "There is no site under this address." in page.content.decode()
    api = reached("nobody.test", "/api/v1/", **{"accept-language": "en"})
    assert json.loads(api.content) == {
        "code": "tenancy.unknown_host",
        "message": "There is no site under this address.",
        "data": {},
    }
    # Nothing of the request is repeated in the page.
    assert "nobody" not in page.content.decode()


def test_api_answers_vary_by_the_header(tenant: Tenant) -> None:
    assert reached("platform.test", "/api/v1/", "alpha")["Vary"] == "X-Tenant"
    assert reached("platform.test", "/api/v1/")["Vary"] == "X-Tenant"
    assert "Vary" not in reached("alpha.test", "/admin/")


def test_the_memory_of_hosts_is_short_and_forgets_what_is_saved(
    committed: Tenant, django_assert_num_queries
) -> None:
    connection.set_schema_to_public()
    assert tenant_of_host("beta.test") is not None
    hosts.forget()
    with django_assert_num_queries(1):
        first = tenant_of_host("beta.test")
        second = tenant_of_host("beta.test:80")
    assert first == second
    first.name = "changed by mistake"
    assert tenant_of_host("beta.test").name == "乙充电"
    first.name = "新名"
    first.save()
    assert tenant_of_host("beta.test").name == "新名"
    Domain.objects.create(domain="more.test", tenant=first, is_primary=False)
    assert tenant_of_host("more.test") == first
    assert tenant_of_host("nobody.test") is None
    hosts.forget()


def test_an_open_transaction_is_not_remembered(tenant: Tenant) -> None:
    hosts.forget()
    with schema_context("public"):
        tenant_of_host("beta.test")
    assert hosts.recall("host:beta.test") is None


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Demo.Localhost:8000", "demo.localhost"),
        ("demo.localhost.", "demo.localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:8000", "[::1]"),
        ("", ""),
    ],
)
def test_host_names(header: str, name: str) -> None:
    assert host_name(header) == name
