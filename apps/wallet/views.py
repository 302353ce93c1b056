"""Where payment providers send their notices."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.schema import current_schema, schema_context
from apps.tenancy.errors import UnknownTenant
from apps.tenancy.models import TenantState
from apps.tenancy.selectors import tenant_of_code
from apps.wallet import notices

LARGEST_NOTICE = 64_000


@csrf_exempt
@require_POST
def payment_notice(request: HttpRequest, code: str, channel: str, merchant_id: int) -> HttpResponse:
    """Take a notice for the merchant account of a tenant, named in the path: providers send no header of ours.

    On the platform's host the code chooses the tenant; on a tenant's own it has to be that tenant's. Answers 404 for
    whatever is not there and 413 for what no provider sends.
    """
    try:
        tenant = tenant_of_code(code)
    except UnknownTenant:
        raise Http404 from None
    here = current_schema()
    if here not in {settings.PUBLIC_SCHEMA_NAME, tenant.schema_name} or tenant.state == TenantState.OPENING:
        raise Http404
    length = whole_number(request.headers.get("content-length"))
    if length is not None and length > LARGEST_NOTICE:
        return HttpResponse(status=413)
    body = request.body
    if len(body) > LARGEST_NOTICE:
        return HttpResponse(status=413)
    with schema_context(tenant.schema_name):
        try:
            reply = notices.receive(
                channel=channel, merchant_id=merchant_id, headers=dict(request.headers.items()), body=body
            )
        except DomainError:
            raise Http404 from None
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)
