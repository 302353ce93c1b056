"""One's own account: data, phone, password, language, second factor, bound accounts, sessions.

What could be used to take an account over asks for the second factor first, or for the password where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.accounts import factors, identities, locks, policy, sessions, signing
from apps.accounts.enums import Provider, SessionEnd
from apps.accounts.errors import CodeWrong, PhoneTaken, WrongPassword
from apps.accounts.models import StaffSession, User
from apps.accounts.pages.common import go_to, page, remember_language
from apps.accounts.pages.forms import CodeForm, CurrentPasswordForm, MyDataForm, NewPhoneForm
from apps.accounts.pages.sign_in import codes_page, set_up_page
from apps.accounts.pages.step_up import ask_to_confirm
from apps.backoffice.admin import form_changes
from apps.backoffice.audit import record
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import BackofficeSite
from apps.common.errors import DomainError
from apps.common.phones import masked_phone, normalize_phone
from apps.common.time import now
from apps.notifications import codes

LAYOUT = "admin/base_site.html"
NEW_PHONE = "phone_new"
PROVED, PROVED_S = "password_proved", 600


def person(request: HttpRequest) -> User:
    """Return the signed-in member of staff."""
    return User.objects.select_related("department").get(pk=request.user.pk)


def me(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """Everything of one's account on one page."""
    user = person(request)
    form = MyDataForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        changes = form_changes(form, add=False)
        form.save()
        if changes:
            audit(request, user, "changed", changes)
        messages.success(request, _("Saved."))
        return remember_language(go_to("me"), user)
    bound = {row.provider: row for row in user.identities.all()}
    offered = {row.provider for row in identities.active()}
    return page(
        request,
        site,
        "accounts/me.html",
        _("My account"),
        person=user,
        form=form,
        roles="、".join(user.groups.values_list("name", flat=True)),
        phone=masked_phone(user.phone) if user.phone else "",
        has_app=factors.has_app(user),
        codes_left=user.recovery_codes.filter(used_at=None).count(),
        rule=policy.current(),
        providers=[
            {"name": name, "title": title, "row": bound.get(name), "offered": name in offered}
            for name, title in Provider.choices
            if name in bound or name in offered
        ],
        sessions=list(sessions.living(user.staff_sessions.all())[:50]),
        own_key=request.session.session_key,
        sign_ins=list(user.sign_ins.all()[:10]),
    )


# --- Proving it once more ---


def _prove(request: HttpRequest, user: User) -> HttpResponse | None:
    """Ask for the second factor; who has none gives the password on the form (see `_check_current`)."""
    if factors.ways(user, signing.first_factor(request)):
        return ask_to_confirm(request)
    return None


def _asks_password(request: HttpRequest, user: User) -> bool:
    return user.has_usable_password() and not signing.is_confirmed(request)


def _proved(request: HttpRequest) -> bool:
    return int(request.session.get(PROVED, 0)) + PROVED_S > now().timestamp()


def _check_current(request: HttpRequest, user: User, password: str) -> None:
    """Raise WrongPassword or Locked unless this is the present password, where one has to be given."""
    if not _asks_password(request, user):
        return
    guard = locks.by_name(user.username)
    with locks.trying(guard):
        if not user.check_password(password):
            locks.failed(guard)
            raise WrongPassword


# --- Second factor ---


@sensitive_post_parameters()
def set_up(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """Set up an authenticator app, or another one."""
    user = person(request)
    answer = _prove(request, user)
    if answer is not None:
        return answer
    if _asks_password(request, user) and not _proved(request):
        return _password_page(request, site, user)

    def take(secret: str, code: str) -> list[str]:
        made = factors.set_up(user, secret=secret, code=code)
        request.session.pop(PROVED, None)
        signing.confirmed(request)
        audit(request, user, "second_factor_set")
        return made

    return set_up_page(request, site, user, take=take, going_on=reverse("admin:me"), layout=LAYOUT)


def _password_page(request: HttpRequest, site: BackofficeSite, user: User) -> HttpResponse:
    form = CurrentPasswordForm(request.POST if "current" in request.POST else None)
    if form.is_bound and form.is_valid():
        try:
            _check_current(request, user, form.cleaned_data["current"])
        except DomainError as error:
            form.add_error("current", str(error))
        else:
            request.session[PROVED] = int(now().timestamp())
            return HttpResponseRedirect(request.path)
    return page(
        request,
        site,
        "accounts/gate.html",
        _("Set up your second factor"),
        form=form,
        lead=_("Enter your password first."),
        submit=_("Continue"),
        layout=LAYOUT,
    )


@require_POST
def take_away(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """Use no authenticator app any more."""
    user = person(request)
    answer = ask_to_confirm(request)
    if answer is not None:
        return answer
    factors.take_away(user)
    audit(request, user, "second_factor_taken")
    messages.success(request, _("The authenticator app is no longer asked for."))
    return go_to("me")


@require_POST
def new_codes(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """New recovery codes, shown once."""
    user = person(request)
    answer = ask_to_confirm(request)
    if answer is not None:
        return answer
    if not factors.has_app(user):
        return go_to("me")
    made = factors.new_recovery_codes(user)
    audit(request, user, "codes_renewed")
    return codes_page(request, site, made, going_on=reverse("admin:me"), layout=LAYOUT)


# --- Phone ---


@sensitive_post_parameters()
def phone(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """A new phone: a code is sent to it first."""
    user = person(request)
    answer = _prove(request, user)
    if answer is not None:
        return answer
    kept = request.session.get(NEW_PHONE)
    if kept and "code" in request.POST:
        return _phone_code(request, site, user, kept)
    form = NewPhoneForm(request.POST or None)
    if not _asks_password(request, user):
        del form.fields["current"]
    if request.method == "POST" and form.is_valid():
        try:
            _check_current(request, user, form.cleaned_data.get("current", ""))
            number = normalize_phone(form.cleaned_data["phone"])
            if User.objects.filter(phone=number).exclude(pk=user.pk).exists():
                raise PhoneTaken
            codes.send(purpose=_purpose(user), phone=number, address=client_address(request) or "-")
        except DomainError as error:
            form.add_error("current" if isinstance(error, WrongPassword) else "phone", str(error))
        else:
            request.session[NEW_PHONE] = number
            return _phone_code(request, site, user, number)
    return page(
        request,
        site,
        "accounts/gate.html",
        _("Change the phone"),
        form=form,
        lead=_("A code is sent to the new number."),
        submit=_("Send the code"),
        layout=LAYOUT,
    )


def _phone_code(request: HttpRequest, site: BackofficeSite, user: User, number: str) -> HttpResponse:
    form = CodeForm(request.POST if "code" in request.POST else None)
    if form.is_bound and form.is_valid():
        try:
            if not codes.is_right(
                purpose=_purpose(user), phone=number, code=form.cleaned_data["code"].strip()
            ):
                raise CodeWrong
            _store_phone(user, number)
        except DomainError as error:
            form.add_error("code", str(error))
        else:
            del request.session[NEW_PHONE]
            audit(request, user, "changed", {"phone": ["…", masked_phone(number)]})
            messages.success(request, _("Your phone is %(phone)s now.") % {"phone": masked_phone(number)})
            return go_to("me")
    return page(
        request,
        site,
        "accounts/gate.html",
        _("Change the phone"),
        form=form,
        lead=_("A code was sent to %(phone)s.") % {"phone": masked_phone(number)},
        submit=_("Save"),
        links=[(_("Another number, or another code"), request.path)],
        layout=LAYOUT,
    )


def _store_phone(user: User, number: str) -> None:
    try:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(phone=number)
    except IntegrityError:
        raise PhoneTaken from None


def _purpose(user: User) -> str:
    return f"staff-phone-{user.pk}"


# --- Sessions ---


@require_POST
def end_session(request: HttpRequest, number: int, site: BackofficeSite) -> HttpResponse:
    """End one of one's own sessions; another person's is not found."""
    user = person(request)
    rows = StaffSession.objects.filter(pk=number, user=user).exclude(session_key=request.session.session_key)
    _end(request, user, rows)
    return go_to("me")


@require_POST
def end_others(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """End all of one's sessions but this one."""
    user = person(request)
    _end(request, user, user.staff_sessions.exclude(session_key=request.session.session_key))
    return go_to("me")


def _end(request: HttpRequest, user: User, rows: Any) -> None:
    count = sessions.end(rows, SessionEnd.REVOKED)
    if count:
        audit(request, user, "sessions_ended", {"sessions": [count, 0]})
        messages.success(request, _("Signed out there."))
    else:
        messages.warning(request, _("This session was over already."))


def audit(request: HttpRequest, user: User, deed: str, changes: Mapping[str, Any] | None = None) -> None:
    """Write `accounts.user_<deed>` to the audit log."""
    record(
        staff_actor(request), f"accounts.user_{deed}", user, changes=changes, address=client_address(request)
    )


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the entries of the menu at a person's name."""
    links = [{"title": _("My account"), "link": reverse("admin:me")}]
    if getattr(request.user, "has_usable_password", lambda: False)():
        links.append({"title": _("Change password"), "link": reverse("admin:password_change")})
    return links


PAGES = (
    ("", me, "me"),
    ("set-up/", set_up, "me_set_up"),
    ("take-away/", take_away, "me_take_away"),
    ("codes/", new_codes, "me_codes"),
    ("phone/", phone, "me_phone"),
    ("sessions/<int:number>/end/", end_session, "me_end_session"),
    ("sessions/end-others/", end_others, "me_end_others"),
)
