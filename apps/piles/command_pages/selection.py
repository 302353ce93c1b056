"""A page that asks before something is done to the piles that are ticked in their list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.common.errors import DomainError
from apps.piles.models import Pile

FIRST = 10


def asking_page(
    page: Any, request: HttpRequest, piles: QuerySet[Pile], *, name: str, form: Any, title: Any, text: Any
) -> HttpResponse:
    """Return the page that names the piles and holds the form of the action `name`."""
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "text": text,
        "form": form,
        "opts": page.opts,
        "count": piles.count(),
        "first": list(piles[:FIRST]),
        "selected": request.POST.getlist(admin.helpers.ACTION_CHECKBOX_NAME),
        "chosen_action": name,
        "select_across": request.POST.get("select_across", "0"),
    }
    return TemplateResponse(request, "backoffice/bulk_command.html", context)


def ask_for_selection(
    page: Any,
    request: HttpRequest,
    piles: QuerySet[Pile],
    *,
    name: str,
    form_class: Any,
    title: Any,
    text: Any,
    do: Callable[[HttpRequest, list[int], Any], None],
) -> HttpResponse:
    """Ask by the form, then `do` it to the ids of the piles and go back to the list; what a rule says is a message."""
    form = form_class(request=request, data=request.POST if "_form_submitted" in request.POST else None)
    if not form.is_valid():
        return asking_page(page, request, piles, name=name, form=form, title=title, text=text)
    try:
        do(request, list(piles.order_by("pk").values_list("pk", flat=True)), form)
    except DomainError as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(request.get_full_path())
