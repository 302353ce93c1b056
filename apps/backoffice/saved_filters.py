"""Filters of a list that people keep under a name, for themselves or for everybody who sees the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from apps.backoffice.keyset import PASSING
from apps.backoffice.models import SavedFilter
from apps.backoffice.scope import is_outsider
from apps.common.ids import whole_number

LONGEST_QUERY = 2_000
MOST_OF_ONE = 20
SHARE = "backoffice.share_savedfilter"


class SaveForm(BaseDialogForm):
    """Under what name, and for whom."""

    name = forms.CharField(
        label=gettext_lazy("name"),
        max_length=30,
        help_text=gettext_lazy("A filter of yours that has this name is replaced."),
        widget=UnfoldAdminTextInputWidget,
    )
    is_shared = forms.BooleanField(
        label=gettext_lazy("for everybody who sees this list"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.request.user.has_perm(SHARE):
            del self.fields["is_shared"]


@dataclass(frozen=True)
class Chip:
    """A saved filter above its list."""

    filter_id: int
    name: str
    query: str
    active: bool
    own: bool
    owner: str


def kept(request: HttpRequest) -> str:
    """Return the filters, search and order of a list's address in one order, "" for the bare list."""
    query = request.GET.copy()
    for name in set(query) & PASSING:
        del query[name]
    for name in [name for name, values in query.lists() if not any(values)]:
        del query[name]
    return normal(query)


def normal(query: Any) -> str:
    """Return a query in one order, so that the same filters are the same text."""
    ordered = query.copy()
    ordered.clear()
    for name, values in sorted(query.lists()):
        ordered.setlist(name, values)
    return ordered.urlencode()


class SavedFilters:
    """For the page of a model: chips of saved filters above the list, and the button that saves the present one."""

    list_before_template = "backoffice/saved_filters.html"
    opts: Any
    admin_site: Any

    @property
    def _page(self) -> str:
        return str(self.opts.label_lower)

    def get_urls(self) -> list[Any]:
        """The page that forgets a filter."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_forget_filter"
        return [
            path("forget-filter/", self.admin_site.admin_view(self.forget_filter), name=name),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With the chips; saving keeps the filters that are set."""
        now_shown = kept(request)
        mine = Q(owner_id=request.user.pk)
        if not is_outsider(request.user):  # a filter by a driver's number would tell it
            mine |= Q(is_shared=True)
        rows = SavedFilter.objects.filter(mine, page=self._page)
        chips = [
            Chip(
                row.pk,
                row.name,
                row.query,
                row.query == now_shown,
                row.owner_id == request.user.pk,
                row.owner_name,
            )
            for row in rows.order_by("is_shared", "name", "pk")
        ]
        words = {
            "saved_filters": chips,
            "forget_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_forget_filter"),
            **(extra_context or {}),
        }
        response = super().changelist_view(request, words)  # type: ignore[misc]
        for item in (getattr(response, "context_data", None) or {}).get("actions_list") or ():
            if str(item.get("path", "")).endswith("/save-filter/"):
                item["path"] = f"{item['path']}?{now_shown}"
        return response

    @action(
        description=gettext_lazy("Save the filter"),
        url_path="save-filter",
        icon="bookmark_add",
        permissions=["keep_filter"],
        dialog={
            "title": gettext_lazy("Save the filter"),
            "description": gettext_lazy(
                "Filters, search and order of the list as it is now, to come back to with one click."
            ),
            "form_class": SaveForm,
            "form_submit_text": gettext_lazy("Save"),
        },
    )
    def save_filter(self, request: HttpRequest, form: SaveForm) -> HttpResponse:
        """Keep the present filters under a name."""
        query = kept(request)
        here = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        back = HttpResponse(headers={"HX-Redirect": f"{here}?{query}" if query else here})
        own = SavedFilter.objects.filter(owner_id=request.user.pk, page=self._page)
        if not query:
            messages.error(request, _("Nothing is filtered: set filters first, then save them."))
        elif len(query) > LONGEST_QUERY or not self._can_be_shown(request):
            messages.error(request, _("This filter cannot be saved."))
        elif own.exclude(name=form.cleaned_data["name"]).count() >= MOST_OF_ONE:
            messages.error(request, _("You have %s filters already: forget one first.") % MOST_OF_ONE)
        else:
            shared = bool(form.cleaned_data.get("is_shared"))
            SavedFilter.objects.update_or_create(
                owner_id=request.user.pk,
                page=self._page,
                name=form.cleaned_data["name"],
                defaults={"query": query, "is_shared": shared, "owner_name": str(request.user)[:100]},
            )
            messages.success(request, _("“%s” is saved.") % form.cleaned_data["name"])
        return back

    def _can_be_shown(self, request: HttpRequest) -> bool:
        try:
            self.get_changelist_instance(request)  # type: ignore[attr-defined]
        except IncorrectLookupParameters:
            return False
        return True

    def has_keep_filter_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who sees the list."""
        return bool(self.has_view_permission(request))  # type: ignore[attr-defined]

    def forget_filter(self, request: HttpRequest) -> HttpResponse:
        """Delete a filter of one's own; who may share deletes shared ones of others too."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_keep_filter_permission(request):
            raise PermissionDenied
        mine = Q(owner_id=request.user.pk)
        if request.user.has_perm(SHARE):  # type: ignore[union-attr]
            mine |= Q(is_shared=True)
        found = SavedFilter.objects.filter(mine, page=self._page, pk=whole_number(request.POST.get("filter")))
        row = found.first()
        if row is None:
            raise Http404
        row.delete()
        messages.success(request, _("“%s” is forgotten.") % row)
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
