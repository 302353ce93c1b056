"""Signing in: password, phone and code, QR code; then what is missing; then the session (apps.accounts.signing)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.accounts import factors, identities, policy, puzzle, signing
from apps.accounts.enums import Method
from apps.accounts.errors import SignInExpired
from apps.accounts.models import User
from apps.accounts.pages.common import go_to, page, qr_code, remember_language, safe_next, under_way
from apps.accounts.pages.forms import (
    CodeForm,
    NewPasswordForm,
    PasswordForm,
    PhoneForm,
    PuzzleForm,
    SecondForm,
)
from apps.backoffice.people import client_address
from apps.backoffice.sites import BackofficeSite
from apps.common.errors import DomainError
from apps.common.phones import masked_phone

PHONE = "sign_in_phone"
NEW_SECRET = "totp_new"  # noqa: S105 - a name in the session
STEPS = {"second": "sign_in_second", "set-up": "sign_in_set_up", "password": "sign_in_password"}


@never_cache
@sensitive_post_parameters()
def login(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """User name and password, and the other ways to begin."""
    if request.method == "GET" and site.has_permission(request):
        return go_to("index")
    name = request.POST.get("username", "")
    another = "another" in request.POST  # picture to read; nothing is sent yet
    form = PasswordForm(initial={"username": name}) if another else PasswordForm(request.POST or None)
    if request.method == "POST" and not another and form.is_valid():
        answered = {"puzzle_token": request.POST.get("puzzle", ""), "answer": request.POST.get("answer", "")}
        try:
            user = signing.check_password(request, **form.cleaned_data, **answered)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            return begin(request, user, Method.PASSWORD, safe_next(request))
    return page(
        request,
        site,
        "accounts/sign_in.html",
        _("Sign in"),
        form=form,
        puzzle=puzzle.new() if signing.asks_puzzle(request, name) else None,
        puzzle_form=PuzzleForm(),
        next=safe_next(request),
        providers=identities.active(),
        by_phone=policy.current().phone_sign_in,
    )


def by_phone(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """The phone first, then the code."""
    if not policy.current().phone_sign_in:
        return go_to("login")
    kept = request.session.get(PHONE)
    if request.method == "POST" and "phone" in request.POST:
        return _send_phone_code(request, site)
    if request.GET.get("again") or not kept:
        request.session.pop(PHONE, None)
        return _phone_page(request, site, PhoneForm())
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = signing.check_phone_code(request, phone=kept["phone"], code=form.cleaned_data["code"])
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            del request.session[PHONE]
            return begin(request, user, Method.PHONE, kept["next"])
    text = _(
        "If %(phone)s belongs to a member of staff, a code is on its way. It is good for five minutes; ask for another "
        "one after a minute."
    )
    return page(
        request,
        site,
        "accounts/gate.html",
        _("Sign in with your phone"),
        form=form,
        lead=text % {"phone": masked_phone(kept["phone"])},
        submit=_("Sign in"),
        links=[(_("Another number, or another code"), f"{request.path}?again=1"), _to_login()],
    )


def _send_phone_code(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    form = PhoneForm(request.POST)
    if form.is_valid():
        try:
            number = signing.send_phone_code(request, phone=form.cleaned_data["phone"])
        except DomainError as error:
            form.add_error("phone", str(error))
        else:
            request.session[PHONE] = {"phone": number, "next": safe_next(request)}
            return HttpResponseRedirect(request.path)
    return _phone_page(request, site, form)


def _phone_page(request: HttpRequest, site: BackofficeSite, form: PhoneForm) -> HttpResponse:
    return page(
        request,
        site,
        "accounts/gate.html",
        _("Sign in with your phone"),
        form=form,
        next=safe_next(request),
        lead=_("A code is sent to the number that your company has of you."),
        submit=_("Send the code"),
        links=[_to_login()],
    )


# --- What is missing ---


def begin(request: HttpRequest, user: User, method: str, then: str) -> HttpResponse:
    signing.begin(request, user, method=method, then=then)
    return _go_on(request)


def _go_on(request: HttpRequest) -> HttpResponse:
    step = signing.next_step(request)
    if step:
        return go_to(STEPS[step])
    found = signing.finish(request)
    return remember_language(HttpResponseRedirect(found.next or reverse("admin:index")), found.user)


@require_POST
@under_way
def go_on(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """To the next step, or into the back office."""
    return _go_on(request)


@sensitive_post_parameters()
@under_way
def second(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """The second factor."""
    found = signing.pending(request)
    if signing.next_step(request) != "second":
        return _go_on(request)

    def give(method: str, code: str) -> None:
        signing.give_second(request, method=method, code=code)

    return second_page(request, site, found.user, found.method, give=give, done=lambda: _go_on(request))


def second_page(
    request: HttpRequest,
    site: BackofficeSite,
    user: User,
    first: str,
    *,
    give: Any,
    done: Any,
    **context: Any,
) -> HttpResponse:
    """Ask for a second factor by one of the person's ways; `give(method, code)` takes it, `done()` goes on."""
    ways = factors.ways(user, first)
    chosen = request.POST.get("method") or request.GET.get("by") or (ways[0] if ways else "")
    chosen = chosen if chosen in ways else (ways[0] if ways else "")
    form = SecondForm(initial={"method": chosen})
    sent = False
    if request.method == "POST" and "send" in request.POST and Method.PHONE in ways:
        form, sent = _send_second(request, user)
        chosen = Method.PHONE
    elif request.method == "POST":
        form = SecondForm(request.POST)
        if form.is_valid():
            try:
                give(form.cleaned_data["method"], form.cleaned_data["code"])
            except SignInExpired:
                raise
            except DomainError as error:
                form.add_error("code", str(error))
            else:
                return done()
    _dress(form, chosen)
    return page(
        request,
        site,
        "accounts/second.html",
        _("Confirm that it is you"),
        form=form,
        chosen=chosen,
        sends=chosen == Method.PHONE,
        sent=sent,
        lead=_leads(user)[chosen] if chosen else "",
        others=[(way, Method(way).label) for way in ways if way != chosen],
        next=safe_next(request),
        **{"layout": "unfold/layouts/unauthenticated.html", **context},
    )


def _send_second(request: HttpRequest, user: User) -> tuple[SecondForm, bool]:
    try:
        factors.send_sms(user, client_address(request) or "-")
    except DomainError as error:
        form = SecondForm({"method": Method.PHONE, "code": "-"})
        form.is_valid()
        form.add_error("code", str(error))
        form.data = {"method": Method.PHONE}
        return form, False
    return SecondForm(initial={"method": Method.PHONE}), True


def _dress(form: SecondForm, chosen: str) -> None:
    if chosen == Method.PASSWORD:
        form.fields["code"].label = _("Password")
        form.fields["code"].widget.input_type = "password"
        form.fields["code"].widget.attrs |= {"autocomplete": "current-password", "inputmode": "text"}
        form.fields["code"].widget.attrs.pop("maxlength", None)
    elif chosen == Method.RECOVERY:
        form.fields["code"].label = _("Recovery code")
        form.fields["code"].widget.attrs |= {"inputmode": "text"}


def _leads(user: User) -> dict[str, str]:
    return {
        Method.TOTP: _("Enter the six digits that your authenticator app shows now."),
        Method.PHONE: _("A code is sent to %(phone)s.") % {"phone": masked_phone(user.phone)},
        Method.RECOVERY: _("Enter one of your recovery codes. Each is good once."),
        Method.PASSWORD: _("Enter your password."),
    }


@sensitive_post_parameters()
@under_way
def set_up(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """Everybody needs a second factor here, and this person has none yet."""
    found = signing.pending(request)
    if signing.next_step(request) != "set-up":
        return _go_on(request)

    def take(secret: str, code: str) -> list[str]:
        return signing.give_set_up(request, secret=secret, code=code)

    return set_up_page(
        request,
        site,
        found.user,
        take=take,
        going_on=reverse("admin:sign_in_go_on"),
        layout="unfold/layouts/unauthenticated.html",
    )


def set_up_page(
    request: HttpRequest, site: BackofficeSite, user: User, *, take: Any, going_on: str, layout: str
) -> HttpResponse:
    """Show a secret as QR code, and the recovery codes once a code of it was entered."""
    secret = request.session.get(NEW_SECRET)
    if not secret or request.method == "GET":
        secret = request.session[NEW_SECRET] = factors.new_secret()
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            codes = take(secret, form.cleaned_data["code"].strip())
        except SignInExpired:
            raise
        except DomainError as error:
            form.add_error("code", str(error))
        else:
            del request.session[NEW_SECRET]
            return codes_page(request, site, codes, going_on=going_on, layout=layout)
    address = factors.address_of(
        user, secret, str(site.each_context(request)["site_subheader"] or "chargeplat")
    )
    return page(
        request,
        site,
        "accounts/set_up.html",
        _("Set up your second factor"),
        form=form,
        svg=qr_code(address),
        secret=" ".join(secret[place : place + 4] for place in range(0, len(secret), 4)),
        layout=layout,
    )


def codes_page(
    request: HttpRequest, site: BackofficeSite, codes: list[str], *, going_on: str, layout: str
) -> HttpResponse:
    """Show recovery codes, this once."""
    return page(
        request,
        site,
        "accounts/codes.html",
        _("Keep your recovery codes"),
        codes=codes,
        going_on=going_on,
        layout=layout,
    )


@sensitive_post_parameters()
@under_way
def new_password(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """The first sign-in, or a password that is too old."""
    found = signing.pending(request)
    if signing.next_step(request) != "password":
        return _go_on(request)
    form = NewPasswordForm(request.POST or None, user=found.user)
    if request.method == "POST" and form.is_valid():
        signing.give_password(request, password=form.cleaned_data["password1"])
        return _go_on(request)
    given = _("You were given your password. Choose one that only you know.")
    old = _("Your password is too old. Choose a new one.")
    return page(
        request,
        site,
        "accounts/gate.html",
        _("Choose a new password"),
        form=form,
        lead=given if found.user.must_change_password else old,
        submit=_("Save and sign in"),
        links=[_to_login()],
    )


def _to_login() -> tuple[str, str]:
    return _("Sign in with user name and password"), reverse("admin:login")


PAGES = (
    ("phone/", by_phone, "sign_in_phone"),
    ("second/", second, "sign_in_second"),
    ("set-up/", set_up, "sign_in_set_up"),
    ("password/", new_password, "sign_in_password"),
    ("go-on/", go_on, "sign_in_go_on"),
)
