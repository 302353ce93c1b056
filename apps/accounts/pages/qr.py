"""WeChat and Alipay: off to the QR code and back, to sign in or to bind the account that scanned."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts import identities, signing
from apps.accounts.enums import Outcome
from apps.accounts.errors import NotBound, ProviderRefused, StateInvalid
from apps.accounts.pages.common import go_to, safe_next
from apps.accounts.pages.me import audit, person
from apps.accounts.pages.sign_in import begin
from apps.accounts.pages.step_up import ask_to_confirm
from apps.backoffice.sites import BackofficeSite
from apps.common.errors import DomainError


@require_POST
def scan(request: HttpRequest, provider: str, site: BackofficeSite) -> HttpResponse:
    """Off to the provider's QR code."""
    back = request.build_absolute_uri(reverse("admin:sign_in_scanned", args=[provider]))
    try:
        address = identities.begin(request, provider=provider, back=back, then=safe_next(request))
    except DomainError as error:
        messages.error(request, str(error))
        return go_to("login")
    return HttpResponseRedirect(address)


@require_safe
def scanned(request: HttpRequest, provider: str, site: BackofficeSite) -> HttpResponse:
    """Back from it: somebody signs in, or binds the account that scanned."""
    binding = site.has_permission(request)
    code = request.GET.get("code") or request.GET.get("auth_code") or ""
    try:
        found = identities.come_back(
            request, provider=provider, state=request.GET.get("state", ""), code=code
        )
        if found.binds_for is not None:
            return _bound(request, found)
        user = signing.person_of_identity(
            request, provider=provider, app_id=found.provider.app_id, subject=found.subject
        )
        if user is None:
            raise NotBound(provider=found.provider.get_provider_display())
    except DomainError as error:
        if isinstance(error, ProviderRefused):
            signing.note(request, Outcome.PROVIDER, method=provider)
        messages.error(request, str(error))
        return go_to("me" if binding else "login")
    return begin(request, user, provider, found.next)


@require_POST
def bind(request: HttpRequest, provider: str, site: BackofficeSite) -> HttpResponse:
    """Off to the provider's QR code, to bind the account that scans it. Needs a second factor."""
    answer = ask_to_confirm(request)
    if answer is not None:
        return answer
    back = request.build_absolute_uri(reverse("admin:sign_in_scanned", args=[provider]))
    try:
        address = identities.begin(request, provider=provider, back=back, binds_for=person(request).pk)
    except DomainError as error:
        messages.error(request, str(error))
        return go_to("me")
    return HttpResponseRedirect(address)


def _bound(request: HttpRequest, scanned: identities.Scanned) -> HttpResponse:
    """Back from there. Raises StateInvalid for anybody else, BoundToAnother."""
    if request.user.pk != scanned.binds_for or not signing.is_confirmed(request):
        raise StateInvalid
    user = person(request)
    identities.bind(user, scanned)
    audit(request, user, "bound", {"provider": [None, scanned.provider.provider]})
    text = _("You can sign in with %(provider)s now.")
    messages.success(request, text % {"provider": scanned.provider.get_provider_display()})
    return go_to("me")


@require_POST
def unbind(request: HttpRequest, provider: str, site: BackofficeSite) -> HttpResponse:
    """Sign in with it no more."""
    user = person(request)
    if identities.unbind(user, provider):
        audit(request, user, "unbound", {"provider": [provider, None]})
        messages.success(request, _("The account is no longer bound."))
    return go_to("me")


PAGES = (
    ("scan/<slug:provider>/", scan, "sign_in_scan"),
    ("scan/<slug:provider>/back/", scanned, "sign_in_scanned"),
)
MY_PAGES = (
    ("bind/<slug:provider>/", bind, "me_bind"),
    ("unbind/<slug:provider>/", unbind, "me_unbind"),
)
