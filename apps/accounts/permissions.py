"""Which permissions mean something in a back office, grouped by app and page, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Permission
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.backoffice import pages
from apps.backoffice.sites import platform_site, tenant_site
from apps.common.schema import in_public

DEEDS = {"view": _("view"), "add": _("add"), "change": _("change"), "delete": _("delete")}
BUTTONS = frozenset(
    {
        "customers.add_enterprisemember",
        "customers.change_card",
        "customers.change_enterprisemember",
        "piles.add_pile",
        "piles.add_pilecommand",
        "piles.change_pile",
        "pricing.add_priceassignment",
        "pricing.add_priceversion",
        "pricing.add_retailprice",
        "sites.change_station",
        "tenancy.change_newcomer",
    }
)
"""Ordinary permissions that buttons ask for, on pages whose form nobody can change."""

IN_WORDS = {
    "add_pilecommand": pgettext_lazy("permission", "ask piles for their state and set their clock"),
}
"""Ordinary permissions whose "add" and "change" would say little."""


class _Everybody:
    """Somebody who may do everything, to ask a page what it lets anybody do at all."""

    is_active = is_staff = is_superuser = True
    is_anonymous = False
    pk = None

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        return True

    def has_module_perms(self, app: str) -> bool:
        return True


@cache
def meaningful(site: AdminSite) -> frozenset[str]:
    """Return the permissions ("app.codename") that some page, panel, list or button of this back office asks for."""
    request = HttpRequest()
    request.user = _Everybody()  # type: ignore[assignment]
    found: set[str] = set()
    registered = _registered(site)
    labels = {model._meta.app_label for model in registered}
    for model, page in registered.items():
        found |= _deeds(page, request)
        for inline in page.inlines:
            found |= _deeds(inline(model, site), request)
        found |= pages.permissions(model)
    elsewhere = {*_registered(tenant_site), *_registered(platform_site)} - set(registered)
    for model in apps.get_models():
        label = model._meta.app_label
        if label in labels and model not in elsewhere:
            found |= {f"{label}.{codename}" for codename, _name in model._meta.permissions}
    return frozenset(found | {name for name in BUTTONS if name.partition(".")[0] in labels})


def _registered(site: AdminSite) -> dict[type[Model], Any]:
    return site._registry  # noqa: SLF001 - Django has no other way to ask for all


def _deeds(page: Any, request: HttpRequest) -> set[str]:
    asked = {
        "view": True,
        "add": page.has_add_permission(request, None)
        if hasattr(page, "parent_model")
        else page.has_add_permission(request),
        "change": page.has_change_permission(request),
        "delete": page.has_delete_permission(request),
    }
    opts = page.opts
    return {f"{opts.app_label}.{deed}_{opts.model_name}" for deed, may in asked.items() if may}


def grantable() -> QuerySet[Permission]:
    """Return the permissions that can be given in the back office of the current schema."""
    names = meaningful(platform_site if in_public() else tenant_site)
    wanted = Q(pk__in=())
    for app in {name.partition(".")[0] for name in names}:
        codes = [name.partition(".")[2] for name in names if name.startswith(f"{app}.")]
        wanted |= Q(content_type__app_label=app, codename__in=codes)
    return Permission.objects.select_related("content_type").filter(wanted)


def name_of(permission: Permission) -> str:
    """Return "app.codename", as `has_perm` takes it."""
    return f"{permission.content_type.app_label}.{permission.codename}"


def names(permissions: Iterable[Permission]) -> set[str]:
    """Return "app.codename" of each."""
    return {name_of(permission) for permission in permissions}


def deed_of(permission: Permission) -> str:
    """Return what a permission lets do, without its page: "view", "stop charges"."""
    if permission.codename in IN_WORDS:
        return str(IN_WORDS[permission.codename])
    deed, _dash, rest = permission.codename.partition("_")
    if deed in DEEDS and rest == permission.content_type.model:
        return str(DEEDS[deed])
    return gettext(permission.name)


def words(permission: Permission) -> str:
    """Return a permission as "charging order: view"; its stored name is English."""
    model = permission.content_type.model_class()
    subject = model._meta.verbose_name if model else permission.content_type.model
    return f"{subject}: {deed_of(permission)}"


@dataclass
class Page:
    """The permissions of one kind of rows: those of every page (view, add, change, delete) first."""

    title: str
    permissions: list[Permission] = field(default_factory=list)


@dataclass
class Group:
    """The pages of one app."""

    title: str
    pages: list[Page] = field(default_factory=list)


def grouped(permissions: Iterable[Permission]) -> list[Group]:
    """Return permissions by app and page, in the order of the installed apps and of their models."""
    by_model: dict[tuple[str, str], list[Permission]] = {}
    for permission in permissions:
        kind = permission.content_type
        by_model.setdefault((kind.app_label, kind.model), []).append(permission)
    groups = []
    for config in apps.get_app_configs():
        found = [
            Page(
                str(model._meta.verbose_name_plural),
                sorted(by_model[config.label, model._meta.model_name or ""], key=_ordinary_first),
            )
            for model in config.get_models()
            if (config.label, model._meta.model_name) in by_model
        ]
        if found:
            groups.append(Group(str(config.verbose_name), found))
    return groups


def _ordinary_first(permission: Permission) -> tuple[int, str]:
    deed, _dash, rest = permission.codename.partition("_")
    ordinary = deed in DEEDS and rest == permission.content_type.model
    return (list(DEEDS).index(deed) if ordinary else len(DEEDS), permission.codename)


def of_user(user: User) -> set[str]:
    """Return the permissions that a person has by roles and by their own, also while the account is disabled."""
    rows = Permission.objects.filter(Q(group__user=user) | Q(user=user))
    return {
        f"{app}.{code}" for app, code in rows.order_by().values_list("content_type__app_label", "codename")
    }
