"""Staff and roles, on both back offices."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import Field, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.accounts.models import User
from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.sites import platform_site, tenant_site
from apps.common.schema import in_public

PLATFORM_APPS = ("accounts", "auth", "backoffice", "tenancy")
HIDDEN_APPS = ("admin", "contenttypes", "guardian", "sessions")


def grantable() -> QuerySet[Permission]:
    """Return the permissions that mean something in this back office."""
    found = Permission.objects.select_related("content_type").exclude(content_type__app_label__in=HIDDEN_APPS)
    if in_public():
        return found.filter(content_type__app_label__in=PLATFORM_APPS)
    return found.exclude(content_type__app_label="tenancy")


DEEDS = {"add": _("add"), "change": _("change"), "delete": _("delete"), "view": _("view")}


def permission_words(permission: Permission) -> str:
    """Return a permission as "charging order: view"; its stored name is English."""
    model = permission.content_type.model_class()
    subject = model._meta.verbose_name if model else permission.content_type.model
    deed, _dash, rest = permission.codename.partition("_")
    if deed in DEEDS and rest == permission.content_type.model:
        return f"{subject}: {DEEDS[deed]}"
    return f"{subject}: {gettext(permission.name)}"


class UserAdmin(BackofficeAdmin, DjangoUserAdmin):
    """Staff. Only a superuser may make superusers or change one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "display_name", "phone", "active_shown", "roles_shown", "last_login_shown"]
    list_filter = ["is_active", "is_superuser", "groups"]
    search_fields = ["username", "display_name", "phone"]
    ordering = ["username"]
    filter_horizontal = ["groups", "user_permissions"]
    fieldsets = [
        (None, {"fields": [("username", "display_name"), ("phone", "email"), "password"]}),
        (_("Permissions"), {"fields": [("is_active", "is_superuser"), "groups", "user_permissions"]}),
        (_("Times"), {"fields": [("last_login", "date_joined")]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "display_name", "phone", "usable_password", "password1", "password2"]})
    ]
    readonly_fields = ["last_login", "date_joined"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With the roles of each."""
        return super().get_queryset(request).prefetch_related("groups")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Whoever is entered here works in the back office."""
        obj.is_staff = True
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A superuser's account is changed by superusers only."""
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:  # type: ignore[union-attr]
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only a superuser gives rights; others could give themselves any."""
        fields = [*super().get_readonly_fields(request, obj)]
        if not request.user.is_superuser:  # type: ignore[union-attr]
            fields += ["is_superuser", "groups", "user_permissions"]
        return fields

    def formfield_for_manytomany(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        """Only permissions that mean something here."""
        if db_field.name != "user_permissions":
            return super().formfield_for_manytomany(db_field, request, **kwargs)
        field = super().formfield_for_manytomany(db_field, request, queryset=grantable(), **kwargs)
        field.label_from_instance = permission_words
        return field

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

    @display(description=_("last login"), ordering="last_login")
    def last_login_shown(self, obj: User) -> str:
        """To the second."""
        return shown.moment(obj.last_login)


class GroupAdmin(BackofficeAdmin, DjangoGroupAdmin):
    """Roles: named sets of permissions. Only a superuser changes them."""

    list_display = ["name", "size"]
    filter_horizontal = ["permissions"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """With the members of each."""
        return super().get_queryset(request).prefetch_related("user_set")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser) and super().has_add_permission(request)  # type: ignore[union-attr]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers: a role could be given any right."""
        return bool(request.user.is_superuser) and super().has_change_permission(request, obj)  # type: ignore[union-attr]

    def formfield_for_manytomany(
        self, db_field: Field, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Only permissions that mean something here."""
        field = super().formfield_for_manytomany(db_field, request, queryset=grantable(), **kwargs)
        field.label_from_instance = permission_words
        return field

    @display(description=_("members"))
    def size(self, obj: Group) -> int:
        """How many people have the role."""
        return len(obj.user_set.all())  # type: ignore[attr-defined]


for site in (tenant_site, platform_site):
    site.register(User, UserAdmin)
    site.register(Group, GroupAdmin)
