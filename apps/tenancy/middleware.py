"""Which tenant a request is for. First in the list of those that touch the database or the session."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django_tenants.utils import tenant_context

from apps.common.api import error_response
from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.tenancy.errors import UnknownHost
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import API_PREFIX, tenant_for

HEADER = "X-Tenant"


class TenantMiddleware:
    """Sets `request.tenant`, and the schema and urlconf of the request; puts the schema back afterwards."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the tenant's schema; 404 for an unknown host or code, 403 for a suspended tenant."""
        response = self._answer(request)
        if request.path_info.startswith(API_PREFIX):
            patch_vary_headers(response, [HEADER])
        return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            tenant = self._tenant(request)
        except DomainError as error:
            return refusal(request, error)
        request.tenant = tenant  # type: ignore[attr-defined]
        if tenant.schema_name == settings.PUBLIC_SCHEMA_NAME:
            request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
        with tenant_context(tenant):
            return self.get_response(request)

    def _tenant(self, request: HttpRequest) -> Tenant:
        try:
            host = request.get_host()
        except DisallowedHost:
            raise UnknownHost from None
        with schema_context(settings.PUBLIC_SCHEMA_NAME):
            return tenant_for(host=host, path=request.path_info, code=request.headers.get(HEADER, "").strip())


def refusal(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Answer without a tenant: the API's error shape under /api/, else a page. No session, so no chosen language."""
    with translation.override(translation.get_language_from_request(request)):
        if request.path_info.startswith(API_PREFIX):
            return error_response(error.code, str(error), error.status)
        page = render_to_string("tenancy/refused.html", {"status": error.status, "message": str(error)})
        return HttpResponse(page, status=error.status)
