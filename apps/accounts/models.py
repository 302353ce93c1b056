"""Staff: people who work in a back office. Drivers are customers, not staff."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.enums import Scope
from apps.common.models import TimeStamped


class Department(TimeStamped):
    """A part of the company. Departments are a tree; stations and staff belong to them."""

    name = models.CharField(_("name"), max_length=50)
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("part of"),
        help_text=_("who has this department or one above it as scope sees its stations"),
    )

    class Meta:
        verbose_name = _("department")
        verbose_name_plural = _("departments")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["parent", "name"], nulls_distinct=False, name="department_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A member of staff, of one tenant or (in the public schema) of the platform."""

    display_name = models.CharField(_("name"), max_length=50, blank=True)
    phone = models.CharField(_("phone"), max_length=20, blank=True)
    department = models.ForeignKey(
        Department,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="staff",
        verbose_name=_("department"),
    )
    scope = models.CharField(
        _("scope"),
        max_length=16,
        choices=Scope,
        default=Scope.ALL,
        help_text=_("whose orders, piles and figures this person sees; roles say what may be done with them"),
    )

    class Meta(AbstractUser.Meta):
        verbose_name = _("staff member")
        verbose_name_plural = _("staff")
        permissions = [
            ("assign_roles", _("Can give roles to staff")),
            ("set_scope", _("Can set which stations staff see")),
        ]

    def __str__(self) -> str:
        return self.display_name or self.username


class StandardRole(models.Model):
    """Which role of this back office is one of ours (apps.accounts.roles), and what it was last given by us.

    By that a later version can add what is new without undoing what the tenant changed.
    """

    code = models.CharField(_("code"), max_length=32, unique=True)
    group = models.OneToOneField(
        Group,
        on_delete=models.SET_NULL,
        null=True,
        related_name="standard",
        verbose_name=_("role"),
    )
    given = models.JSONField(_("permissions given"), default=list)

    class Meta:
        verbose_name = _("standard role")
        verbose_name_plural = _("standard roles")

    def __str__(self) -> str:
        return self.code
