"""Staff, departments and roles. Staff and roles are on both back offices."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Field, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, BaseDialogForm

from apps.accounts import factors, locks, permissions, policy, rules, sessions
from apps.accounts.departments import below
from apps.accounts.enums import Scope, SessionEnd
from apps.accounts.forms import DepartmentForm, NewStaffForm, RoleForm, StaffForm
from apps.accounts.models import SUPPORT_PREFIX, Department, User
from apps.accounts.roles import ADMINISTRATOR
from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.sites import platform_site, tenant_site
from apps.common.schema import in_public

DJANGOS_NAMES = (_("group"), _("groups"), _("Authentication and Authorization"))
"""Django's own names on its pages of roles: named here, our catalogue says what they are called."""


class ByActor:
    """A page whose form knows who fills it in."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form's class, with the signed-in person."""
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        return type(form.__name__, (form,), {"actor": request.user})


class UserAdmin(ByActor, BackofficeAdmin, DjangoUserAdmin):
    """Staff. Nobody gives more than they have, or changes an account that has more."""

    form = StaffForm
    add_form = NewStaffForm
    change_password_form = AdminPasswordChangeForm
    list_display = [
        "username",
        "display_name",
        "phone",
        "active_shown",
        "roles_shown",
        "scope_shown",
        "last_login_shown",
    ]
    list_filter = ["is_active", "is_superuser", "groups"]
    list_select_related = ["department"]
    search_fields = ["username", "display_name", "phone"]
    ordering = ["username"]
    filter_horizontal = []
    actions_detail = ["unlock", "end_sessions", "reset_second_factor"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("username", "display_name"),
                    ("phone", "email"),
                    ("password", "must_change_password"),
                    ("factor_shown", "lock_shown"),
                ]
            },
        ),
        (_("Permissions"), {"fields": [("is_active", "is_superuser"), "groups", "user_permissions"]}),
        (_("Scope"), {"fields": [("scope", "department")]}),
        (_("Times"), {"fields": [("last_login", "date_joined")]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "display_name", "phone", "usable_password", "password1", "password2"]})
    ]
    readonly_fields = ["last_login", "date_joined", "factor_shown", "lock_shown"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With the roles of each; visitors from the platform are no staff of the tenant."""
        own = super().get_queryset(request).exclude(username__startswith=SUPPORT_PREFIX)
        return own.prefetch_related("groups")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The platform has no stations."""
        columns = super().get_list_display(request)
        return [name for name in columns if name != "scope_shown"] if in_public() else columns

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The platform has no stations."""
        fieldsets = super().get_fieldsets(request, obj)
        return (
            [one for one in fieldsets if "scope" not in str(one[1]["fields"])] if in_public() else fieldsets
        )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Whoever is entered here works in the back office."""
        obj.is_staff = True
        if not change and not _sees_all(request):
            obj.scope, obj.department = request.user.scope, request.user.department  # type: ignore[union-attr]
        if obj.is_active and not (change and form.initial.get("is_active")):
            rules.check_room_for_staff()
        form.had_administrator = rules.lock_administrators()
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The last administrator stays one."""
        super().save_related(request, form, formsets, change)
        if form.had_administrator:
            rules.check_administrator_left()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes an account that has more than their own, not even its password."""
        if isinstance(obj, User) and not rules.may_change(request.user, obj):  # type: ignore[arg-type]
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Roles and scope need permissions of their own; rights beside roles are given by superusers only."""
        fields = [*super().get_readonly_fields(request, obj)]
        if not request.user.is_superuser:  # type: ignore[union-attr]
            fields += ["is_superuser", "user_permissions"]
        if not self.allowed(request, "assign_roles"):
            fields.append("groups")
        is_bound = isinstance(obj, User) and obj.scope == Scope.FRANCHISEE
        if is_bound or not self.allowed(request, "set_scope") or not _sees_all(request):
            fields += ["scope", "department"]
        if is_bound:
            fields += ["is_superuser", "user_permissions"]
        return fields

    # --- Signing in ---

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002 - Django's name
        form_url: str = "",
    ) -> HttpResponse:
        """Give somebody a password; the person's next deed is to choose another one, by the policy."""
        response: HttpResponse = super().user_change_password(request, id, form_url)
        is_saved = request.method == "POST" and response.status_code == HTTPStatus.FOUND
        if is_saved and str(id) != str(request.user.pk):
            must = policy.current().first_sign_in_changes
            User.objects.filter(pk=id).update(must_change_password=must)
        return response

    @dialog_button(
        _("Unlock"),
        url="unlock",
        icon="lock_open",
        permission="reset",
        text=_("Wrong passwords and codes of this person are forgotten."),
        form=BaseDialogForm,
    )
    def unlock(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Let somebody in who was locked out."""
        user = self._other(request, object_id)
        locks.clear(*locks.of(user))
        self.audit(request, "unlocked", user)
        return self.back_to(request, user, _("Unlocked."))

    @dialog_button(
        _("End all sessions"),
        url="end-sessions",
        icon="logout",
        permission="reset",
        text=_("The person is signed out everywhere at once."),
        form=ReasonForm,
    )
    def end_sessions(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Sign somebody out everywhere."""
        user = self._other(request, object_id)
        count = sessions.end(user.staff_sessions.all(), SessionEnd.BY_ADMINISTRATOR)
        reason = form.cleaned_data["reason"]
        self.audit(request, "sessions_ended", user, changes={"sessions": [count, 0]}, reason=reason)
        return self.back_to(request, user, _("Signed out there."))

    @dialog_button(
        _("Take the second factor away"),
        url="reset-second-factor",
        icon="phonelink_erase",
        permission="reset",
        text=_("For a lost phone: the authenticator app and the recovery codes are void, and sessions end."),
        form=ReasonForm,
    )
    def reset_second_factor(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Forget an authenticator app."""
        user = self._other(request, object_id)
        factors.take_away(user)
        sessions.end(user.staff_sessions.all(), SessionEnd.BY_ADMINISTRATOR)
        self.audit(request, "second_factor_taken", user, reason=form.cleaned_data["reason"])
        return self.back_to(request, user, _("The authenticator app is no longer asked for."))

    def has_reset_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who helps people in."""
        return self.allowed(request, "reset_sign_in")

    def _other(self, request: HttpRequest, object_id: str) -> User:
        user: User = self.row(request, object_id)
        rules.check_may_change(request.user, user)  # type: ignore[arg-type]
        return user

    @display(description=_("second factor"))
    def factor_shown(self, obj: User) -> str:
        """Whether an authenticator app is set up."""
        if factors.has_app(obj):
            since = shown.moment(obj.totp_since)
            return format_html(
                "{} {}", shown.label(pgettext_lazy("second factor", "set up"), "success"), since
            )
        return shown.label(pgettext_lazy("second factor", "not set up"), "neutral")

    @display(description=_("lock"))
    def lock_shown(self, obj: User) -> str:
        """Whether too many failures locked the account, and for how long."""
        if not obj.pk:
            return shown.EMPTY
        wait_s = locks.wait_s(*locks.of(obj))
        if not wait_s:
            return shown.label(pgettext_lazy("sign-in", "not locked"), "neutral")
        text = _("locked for %(minutes)s min") % {"minutes": locks.minutes(wait_s)}
        return shown.label(text, "danger")

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: User) -> str:
        """Active or disabled."""
        return shown.label(_("active"), "success") if obj.is_active else shown.label(_("disabled"), "neutral")

    @display(description=_("roles"))
    def roles_shown(self, obj: User) -> str:
        """Names of the roles."""
        if obj.is_superuser:
            return str(_("all rights"))
        return "、".join(group.name for group in obj.groups.all()) or shown.EMPTY

    @display(description=_("scope"), ordering="scope")
    def scope_shown(self, obj: User) -> str:
        """Whose stations the person sees."""
        if obj.is_superuser:
            return str(Scope.ALL.label)
        if obj.scope == Scope.DEPARTMENT and obj.department:
            return f"{obj.get_scope_display()}: {obj.department}"
        return obj.get_scope_display()

    @display(description=_("last login"), ordering="last_login")
    def last_login_shown(self, obj: User) -> str:
        """To the second."""
        return shown.moment(obj.last_login)


class GroupAdmin(ByActor, BackofficeAdmin, DjangoGroupAdmin):
    """Roles: named sets of permissions. Nobody gives a role more than they have."""

    form = RoleForm
    list_display = ["name", "standard_shown", "rights", "size"]
    filter_horizontal = []
    fields = ["name", "permissions"]
    deletable = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """With members and permissions counted."""
        return (
            super()
            .get_queryset(request)
            .select_related("standard")
            .annotate(
                members=Count("user", distinct=True, filter=Q(user__is_active=True)),
                held=Count("permissions", distinct=True),
            )
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role is changed by who has all that it holds."""
        if isinstance(obj, Group) and rules.beyond(request.user, [obj]):  # type: ignore[arg-type]
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role that nobody has, and not the administrator's."""
        if isinstance(obj, Group) and (_code_of(obj) == ADMINISTRATOR or obj.user_set.exists()):  # type: ignore[attr-defined]
            return False
        return super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """The administrator's role has every permission, always."""
        fixed = obj is not None and _code_of(obj) == ADMINISTRATOR
        # A field that the form declares stays in it unless it is named here, and would then be taken for emptied.
        return ["permissions_shown", "permissions"] if fixed or not self._may_write(request, obj) else []

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """Boxes to tick, or what the role holds."""
        shown_only = bool(self.get_readonly_fields(request, obj))
        return ["name", "permissions_shown" if shown_only else "permissions"]

    def _may_write(self, request: HttpRequest, obj: Group | None) -> bool:
        return self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)

    def formfield_for_manytomany(
        self, db_field: Field, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """The form's own field."""
        return (
            None
            if db_field.name == "permissions"
            else super().formfield_for_manytomany(db_field, request, **kwargs)
        )

    @display(description=_("permissions"))
    def permissions_shown(self, obj: Group) -> SafeString:
        """By app and page, in words."""
        held = obj.permissions.select_related("content_type").filter(
            pk__in=permissions.grantable().values("pk")
        )
        groups = [
            {
                "title": group.title,
                "pages": [
                    {"title": page.title, "deeds": "、".join(map(permissions.deed_of, page.permissions))}
                    for page in group.pages
                ],
            }
            for group in permissions.grouped(held)
        ]
        return mark_safe(render_to_string("backoffice/permissions_held.html", {"groups": groups}))  # noqa: S308 - a template's own output

    @display(description=_("standard role"), boolean=True)
    def standard_shown(self, obj: Group) -> bool:
        """Whether it is one that every tenant starts with."""
        return bool(_code_of(obj))

    @display(description=_("permissions"), ordering="held")
    def rights(self, obj: Any) -> int:
        """How many it holds."""
        return obj.held

    @display(description=_("members"), ordering="members")
    def size(self, obj: Any) -> int:
        """How many active people have the role."""
        return obj.members


def _code_of(group: Group) -> str:
    standard = getattr(group, "standard", None)
    return standard.code if standard else ""


for site in (tenant_site, platform_site):
    site.register(User, UserAdmin)
    site.register(Group, GroupAdmin)


@admin.register(Department, site=tenant_site)
class DepartmentAdmin(BackofficeAdmin):
    """The tree of departments."""

    form = DepartmentForm
    list_display = ["name", "parent", "size"]
    list_select_related = ["parent"]
    search_fields = ["name"]
    fields = ["name", "parent"]
    deletable = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Department]:
        """With the staff of each counted; who sees own stations only sees the own departments."""
        found = super().get_queryset(request).annotate(people=Count("staff", filter=Q(staff__is_active=True)))
        return found if _sees_all(request) else found.filter(below(request.user.department_id))  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Departments decide what people see."""
        return super().has_add_permission(request) and _sees_all(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Departments decide what people see."""
        return super().has_change_permission(request, obj) and _sees_all(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Departments decide what people see."""
        return super().has_delete_permission(request, obj) and _sees_all(request)

    @display(description=_("staff"), ordering="people")
    def size(self, obj: Any) -> int:
        """Active people of this very department."""
        return obj.people


def _sees_all(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.is_superuser or getattr(user, "scope", Scope.ALL) == Scope.ALL)
