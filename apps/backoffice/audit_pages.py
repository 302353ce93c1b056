"""The audit log's own page: the operation log of staff."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from apps.backoffice import diff, shown
from apps.backoffice.admin import ReadOnlyAdmin, action_words
from apps.backoffice.models import AuditEntry
from apps.backoffice.people import KINDS
from apps.backoffice.sites import platform_site, tenant_site
from apps.backoffice.time_filter import TimeFilter


def values_of(column: str) -> list[str]:
    """Return the different values of an indexed column of the audit log, hopping from one to the next: the log may
    have millions of rows, and a few dozen values."""
    table, name = connection.ops.quote_name(AuditEntry._meta.db_table), connection.ops.quote_name(column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"with recursive hop as (select min({name}) as value from {table} union all "  # noqa: S608 - names of ours
            f"select (select min({name}) from {table} where {name} > hop.value) from hop where hop.value is not null) "
            "select value from hop where value <> ''"
        )
        return [value for (value,) in cursor.fetchall()]


class ActionFilter(DropdownFilter):
    """By what was done, in words."""

    title = gettext_lazy("action")
    parameter_name = "action__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The actions that the log has."""
        return sorted(((one, action_words(one)) for one in values_of("action")), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Entries of the chosen action."""
        return queryset.filter(action=self.value()) if self.value() else queryset


class ObjectKindFilter(DropdownFilter):
    """By the kind of object, in words."""

    title = gettext_lazy("object kind")
    parameter_name = "object_kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The kinds that the log has."""
        return sorted(((one, _kind_words(one)) for one in values_of("object_kind")), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Entries about the chosen kind."""
        return queryset.filter(object_kind=self.value()) if self.value() else queryset


class ActorFilter(DropdownFilter):
    """By who did it: staff, drivers, piles, the command line, the system."""

    title = gettext_lazy("actor kind")
    parameter_name = "actor_kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All kinds, without looking through the log."""
        return [(kind, str(words)) for kind, words in KINDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Entries of the chosen kind."""
        return queryset.filter(actor_kind=self.value()) if self.value() else queryset


def _kind_words(label: str) -> str:
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label


class AuditEntryAdmin(ReadOnlyAdmin):
    """The audit log: the operation log of staff."""

    list_display = ["at_shown", "actor_name", "action_shown", "object_shown", "changes_shown", "address"]
    show_full_result_count = False
    list_filter = [("at", TimeFilter), ActionFilter, ObjectKindFilter, ActorFilter]
    search_fields = ["actor_name", "object_name", "object_id"]
    date_hierarchy = "at"
    export = [
        (gettext_lazy("time"), "at"),
        (gettext_lazy("actor"), "actor_name"),
        (gettext_lazy("action"), lambda row: action_words(row.action)),
        (gettext_lazy("object kind"), "object_kind"),
        (gettext_lazy("object id"), "object_id"),
        (gettext_lazy("object"), "object_name"),
        (gettext_lazy("changes"), lambda row: row.changes or ""),
        (gettext_lazy("reason"), "reason"),
        (gettext_lazy("address"), "address"),
    ]
    fields = [
        ("at_shown", "action_shown"),
        ("actor_name", "address"),
        ("actor_kind_shown", "actor_id"),
        ("object_name", "object_kind_shown"),
        "object_id",
        "changes_table",
        "reason",
        ("hash", "previous_hash"),
    ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """An object's history is asked for by its id."""
        return lookup == "object_id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description=gettext_lazy("time"), ordering="id")
    def at_shown(self, obj: AuditEntry) -> str:
        """To the second."""
        return shown.moment(obj.at)

    @display(description=gettext_lazy("action"), ordering="action")
    def action_shown(self, obj: AuditEntry) -> str:
        """What was done, in words."""
        return action_words(obj.action)

    @display(description=gettext_lazy("object"), ordering="object_name")
    def object_shown(self, obj: AuditEntry) -> str:
        """The object's name as it was then."""
        return obj.object_name or shown.EMPTY

    @display(description=gettext_lazy("actor kind"), ordering="actor_kind")
    def actor_kind_shown(self, obj: AuditEntry) -> str:
        """Staff, a driver, a pile, the command line or the system."""
        return str(KINDS.get(obj.actor_kind, obj.actor_kind))

    @display(description=gettext_lazy("object kind"), ordering="object_kind")
    def object_kind_shown(self, obj: AuditEntry) -> str:
        """What the model is called."""
        return _kind_words(obj.object_kind)

    @display(description=gettext_lazy("changes"))
    def changes_shown(self, obj: AuditEntry) -> str:
        """The names of what changed."""
        names = diff.names(obj.changes, obj.object_kind)
        return (", ".join(names[:4]) + ("…" if len(names) > 4 else "")) or shown.EMPTY

    @display(description=gettext_lazy("changes"))
    def changes_table(self, obj: AuditEntry) -> SafeString:
        """What changed, before and after."""
        return mark_safe(  # noqa: S308 - a template's own output
            render_to_string("backoffice/diff.html", {"rows": diff.rows(obj.changes, obj.object_kind)})
        )


for site in (tenant_site, platform_site):
    site.register(AuditEntry, AuditEntryAdmin)
