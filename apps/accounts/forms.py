"""Forms of staff and roles, with the rules of who may give what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth.models import Group, Permission
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import UserChangeForm, UserCreationForm

from apps.accounts import permissions, policy, rules
from apps.accounts.departments import below
from apps.accounts.enums import Scope
from apps.accounts.models import Department, User
from apps.common.phones import PhoneInvalid, normalize_phone


class PermissionTable(forms.CheckboxSelectMultiple):
    """Permissions as boxes to tick, by app and page."""

    use_fieldset = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups: list[permissions.Group] = []
        self.locked: set[int] = set()

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """The groups, with what is ticked and what this person cannot change."""
        ticked = {str(one) for one in value or ()}
        groups = [
            {
                "title": group.title,
                "pages": [
                    {
                        "title": page.title,
                        "boxes": [
                            {
                                "value": one.pk,
                                "text": permissions.deed_of(one),
                                "ticked": str(one.pk) in ticked,
                                "locked": one.pk in self.locked,
                            }
                            for one in page.permissions
                        ],
                    }
                    for page in group.pages
                ],
            }
            for group in self.groups
        ]
        for group in groups:
            boxes = [box for page in group["pages"] for box in page["boxes"]]
            group["ticked"], group["all"] = sum(box["ticked"] for box in boxes), len(boxes)
        return {"widget": {"name": name, "groups": groups, "attrs": attrs or {}}}

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """By the project's templates: those of forms are looked for in packages only."""
        found = render_to_string("backoffice/permission_table.html", self.get_context(name, value, attrs))
        return mark_safe(found)  # noqa: S308 - a template's own output


class PermissionsField(forms.ModelMultipleChoiceField):
    """Permissions that mean something here; those that the person lacks stay as they are."""

    widget = PermissionTable

    def hold(self, actor: User) -> None:
        """Offer what can be given here, and lock what `actor` does not have."""
        self.queryset = permissions.grantable()
        found = list(self.queryset)
        self.widget.groups = permissions.grouped(found)
        self.widget.locked = {one.pk for one in found if not rules.has_all(actor, [permissions.name_of(one)])}


def settle_permissions(
    actor: User, before: Iterable[Permission], after: Iterable[Permission]
) -> list[Permission]:
    """Return what is stored: `after`, and of `before` what `actor` cannot see or give.

    A box that cannot be ticked is not sent, so its absence takes nothing away. Raises ValidationError for a
    permission that `actor` adds without having it.
    """
    old, new = set(before), set(after)
    lacking = rules.missing(actor, new - old)
    if lacking:
        raise forms.ValidationError(
            gettext("You can only give what you have yourself. You lack: %(permissions)s"),
            params={"permissions": "、".join(lacking)},
        )
    can_give = {one for one in permissions.grantable() if rules.has_all(actor, permissions.names([one]))}
    return sorted(new | (old - can_give), key=lambda one: one.pk)


class RoleForm(forms.ModelForm):
    """A role's name and permissions."""

    actor: User
    permissions = PermissionsField(queryset=Permission.objects.none(), required=False, label=_("Permissions"))

    class Meta:
        model = Group
        fields = ["name", "permissions"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "permissions" in self.fields:
            self.fields["permissions"].hold(self.actor)  # type: ignore[attr-defined]

    def clean_permissions(self) -> list[Permission]:
        """Nobody gives or takes more than they have."""
        before = self.instance.permissions.select_related("content_type") if self.instance.pk else []
        return settle_permissions(self.actor, before, self.cleaned_data["permissions"])


class BoxList(forms.CheckboxSelectMultiple):
    """Rows to choose from, as boxes to tick; those that the person may not give or take are locked."""

    use_fieldset = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.locked: set[int] = set()

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """By the project's templates, as PermissionTable."""
        ticked = {str(one) for one in value or ()}
        boxes = [
            {
                "value": str(key),
                "text": text,
                "ticked": str(key) in ticked,
                "locked": int(str(key)) in self.locked,
            }
            for key, text in self.choices
        ]
        context = {"widget": {"name": name, "boxes": boxes, "attrs": attrs or {}}}
        return mark_safe(render_to_string("backoffice/box_list.html", context))  # noqa: S308 - a template's own output


class StaffForm(UserChangeForm):
    """A person's account."""

    actor: User
    groups = forms.ModelMultipleChoiceField(
        queryset=Group.objects.order_by("name"), required=False, label=_("roles"), widget=BoxList
    )
    user_permissions = PermissionsField(
        queryset=Permission.objects.none(), required=False, label=_("rights beside roles")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "user_permissions" in self.fields:
            self.fields["user_permissions"].hold(self.actor)  # type: ignore[attr-defined]
        if (
            "scope" in self.fields
        ):  # an account of a franchisee is made on the franchisee's page and stays one
            offered = [choice for choice in Scope.choices if choice[0] != Scope.FRANCHISEE]
            self.fields["scope"].choices = offered  # type: ignore[attr-defined]
        if "groups" in self.fields:
            groups = self.fields["groups"].queryset  # type: ignore[attr-defined]
            self.fields["groups"].widget.locked = {one.pk for one in rules.beyond(self.actor, groups)}

    def clean_phone(self) -> str:
        """In its one form."""
        return in_one_form(self.cleaned_data["phone"])

    def clean_user_permissions(self) -> list[Permission]:
        """Given by superusers only (the page shows the field to nobody else)."""
        before = self.instance.user_permissions.select_related("content_type") if self.instance.pk else []
        return settle_permissions(self.actor, before, self.cleaned_data["user_permissions"])

    def clean_groups(self) -> Any:
        """Roles are given and taken by who has all that they hold."""
        before = set(self.instance.groups.all()) if self.instance.pk else set()
        after = set(self.cleaned_data["groups"])
        beyond = rules.beyond(self.actor, before ^ after)
        if beyond:
            raise forms.ValidationError(
                gettext("You cannot give or take these roles, which hold more than you have: %(roles)s"),
                params={"roles": "、".join(group.name for group in beyond)},
            )
        return self.cleaned_data["groups"]

    def clean(self) -> dict[str, Any]:
        """A scope by department needs one."""
        words = super().clean() or self.cleaned_data
        if words.get("scope") == Scope.DEPARTMENT and words.get("department") is None:
            self.add_error("department", gettext("Name the department whose stations this person sees."))
        return words


class NewStaffForm(UserCreationForm):
    """A new person; who is given a password chooses another one at the first sign-in, by the policy."""

    def clean_phone(self) -> str:
        """In its one form."""
        return in_one_form(self.cleaned_data["phone"])

    def save(self, commit: bool = True) -> User:
        """Note that somebody else knows the password."""
        self.instance.must_change_password = policy.current().first_sign_in_changes
        user: User = super().save(commit=commit)
        return user


def in_one_form(phone: str) -> str:
    """Return a phone in E.164 form, "" for none. Raises ValidationError."""
    try:
        return normalize_phone(phone) if phone.strip() else ""
    except PhoneInvalid as error:
        raise forms.ValidationError(str(error)) from None


class DepartmentForm(forms.ModelForm):
    """A department and what it is part of."""

    class Meta:
        model = Department
        fields = ["name", "parent"]

    def clean_parent(self) -> Department | None:
        """No department is part of itself or of one below it."""
        parent: Department | None = self.cleaned_data["parent"]
        if parent is not None and self.instance.pk:
            # Two moves at once could close a circle that neither sees.
            list(Department.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
            if Department.objects.filter(below(self.instance.pk), pk=parent.pk).exists():
                raise forms.ValidationError(
                    gettext("A department cannot be part of itself or of one below it.")
                )
        return parent
