"""Registering many piles: consecutive codes by a form, or a table that is looked at row by row before it is taken."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.generic import TemplateView, View
from unfold.views import UnfoldModelAdminViewMixin
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import pages, scope
from apps.backoffice.people import staff_actor
from apps.common.errors import DomainError
from apps.files import content
from apps.files import services as files
from apps.files.models import StoredFile
from apps.piles import fleet, sheets
from apps.piles.enums import PileKind
from apps.piles.models import Pile
from apps.sites.models import Station

ADD = "piles.add_pile"
MOST_AT_ONCE = 500
ROWS_SHOWN = 300


def stations_for(request: HttpRequest) -> Any:
    """Return the stations that a person may put piles at."""
    return scope.narrow(Station.objects.order_by("name"), request.user)


class BatchForm(forms.Form):
    """Piles with consecutive codes, all alike."""

    station = forms.ModelChoiceField(
        label=gettext_lazy("station"), queryset=Station.objects.none(), widget=UnfoldAdminSelectWidget
    )
    first_code = forms.RegexField(
        r"^[0-9]{14}$",
        label=gettext_lazy("first pile code"),
        error_messages={"invalid": gettext_lazy("14 digits are needed.")},
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "maxlength": "14"}),
    )
    count = forms.IntegerField(
        label=gettext_lazy("number of piles"),
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=10,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    gun_count = forms.IntegerField(
        label=gettext_lazy("number of guns"),
        min_value=1,
        max_value=fleet.MOST_GUNS,
        initial=2,
        help_text=gettext_lazy("of each pile"),
        widget=UnfoldAdminIntegerFieldWidget,
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("kind"), choices=PileKind, initial=PileKind.DC, widget=UnfoldAdminSelectWidget
    )
    power_kw = forms.DecimalField(
        label=gettext_lazy("power (kW)"),
        min_value=1,
        max_digits=8,
        decimal_places=2,
        initial=120,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    brand = forms.CharField(
        label=gettext_lazy("brand"), max_length=50, required=False, widget=UnfoldAdminTextInputWidget
    )
    model = forms.CharField(
        label=gettext_lazy("model"), max_length=50, required=False, widget=UnfoldAdminTextInputWidget
    )
    name = forms.CharField(
        label=gettext_lazy("name"),
        max_length=46,
        required=False,
        help_text=gettext_lazy("# becomes the number: “No. #” makes “No. 1”, “No. 2” …"),
        widget=UnfoldAdminTextInputWidget,
    )
    first_number = forms.IntegerField(
        label=gettext_lazy("first number"),
        min_value=0,
        max_value=9999,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def rows(self) -> list[fleet.NewPile]:
        """Return the piles of a valid form. Raises InvalidInput for codes beyond 14 digits."""
        words = self.cleaned_data
        codes = fleet.consecutive(words["first_code"], words["count"])
        return [
            fleet.NewPile(
                words["station"],
                code,
                words["kind"],
                words["power_kw"],
                words["gun_count"],
                name=words["name"].replace("#", str(number))[:50],
                brand=words["brand"],
                model=words["model"],
            )
            for number, code in enumerate(codes, words["first_number"])
        ]


class SheetForm(forms.Form):
    """A table."""

    file = forms.FileField(
        label=gettext_lazy("table"),
        help_text=gettext_lazy(
            "xlsx or CSV, 5,000 rows at most; nothing is registered before you have seen it"
        ),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".xlsx,.csv"}),
    )


class AddingPage(UnfoldModelAdminViewMixin, TemplateView):
    """A page for who may register piles."""

    permission_required: tuple[str, ...] = (ADD,)
    title: Any = ""
    model_admin: Any

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the model's words, for the way back."""
        return super().get_context_data(opts=self.model_admin.opts, **kwargs)

    def registered(self, piles: list[Pile]) -> HttpResponse:
        """Write what was registered to the audit log, one entry for all of them, and lead to the list."""
        codes = [pile.pile_code for pile in piles]
        changes = {"count": [None, len(codes)], "pile_code": [None, ", ".join(codes)[:2000]]}
        self.model_admin.audit(self.request, "added", None, changes=changes)
        text = ngettext("%(count)s pile is registered.", "%(count)s piles are registered.", len(codes))
        messages.success(self.request, text % {"count": len(codes)})
        return HttpResponseRedirect(reverse("admin:piles_pile_changelist"))


class BatchPage(AddingPage):
    """Register piles with consecutive codes: all of them or none."""

    title = gettext_lazy("Register several piles")
    template_name = "backoffice/pile_batch.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The empty form, or the one that was sent."""
        form = kwargs.pop("form", None) or BatchForm(initial={"station": self.request.GET.get("station")})
        form.fields["station"].queryset = stations_for(self.request)
        return super().get_context_data(form=form, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Register them, or say what is in the way."""
        form = BatchForm(request.POST)
        form.fields["station"].queryset = stations_for(request)  # type: ignore[attr-defined]
        if form.is_valid():
            try:
                return self.registered(fleet.register(form.rows(), actor=staff_actor(request)))
            except DomainError as error:
                form.add_error("first_code", str(error))
        return self.render_to_response(self.get_context_data(form=form, **kwargs))


class ImportPage(AddingPage):
    """A table is sent, looked at row by row, then taken: all of it, or the good rows where the person says so."""

    title = gettext_lazy("Import piles")
    template_name = "backoffice/pile_import.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The form, or the preview of the person's own file."""
        context = super().get_context_data(form=kwargs.pop("form", None) or SheetForm(), **kwargs)
        context["columns"] = sheets.COLUMNS
        if file := self._file():
            try:
                preview = self._preview(file)
            except DomainError as error:
                context["unreadable"] = str(error)
                return context
            rows = [*preview.bad, *preview.good]
            context |= {
                "file": file,
                "preview": preview,
                "rows": [
                    {"row": row, "cells": [row.words.get(column.name, "") for column in sheets.COLUMNS]}
                    for row in rows[:ROWS_SHOWN]
                ],
                "hidden": max(0, len(rows) - ROWS_SHOWN),
            }
        return context

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Keep a file and show it, or take the one that was shown."""
        if file := self._file():
            return self._take(request, file)
        form = SheetForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        sent = form.cleaned_data["file"]
        try:
            kept = files.store(kind=sheets.SHEET, file=sent, name=sent.name, owner=staff_actor(request))
        except DomainError as error:
            form.add_error("file", str(error))
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        return HttpResponseRedirect(f"{request.path}?file={kept.number}")

    def _file(self) -> StoredFile | None:
        """The file that the address names, if it is this person's own. Raises Http404."""
        asked = self.request.GET.get("file")
        if not asked:
            return None
        owner = staff_actor(self.request)
        try:
            number = uuid.UUID(asked)
        except ValueError as error:
            raise Http404 from error
        own = StoredFile.objects.filter(
            number=number, kind=sheets.SHEET.name, owner_kind=owner.kind, owner_id=owner.id
        )
        found = own.first()
        if found is None:
            raise Http404
        return found

    def _preview(self, file: StoredFile) -> sheets.Preview:
        stations = {station.station_no: station for station in stations_for(self.request)}
        with files.open_content(file) as opened:
            return sheets.look_at(opened, stations=stations)

    def _take(self, request: HttpRequest, file: StoredFile) -> HttpResponse:
        try:
            preview = self._preview(file)
            if preview.good and str(len(preview.good)) == request.POST.get("good"):
                piles = sheets.take(
                    preview, actor=staff_actor(request), only_good="only_good" in request.POST
                )
                files.discard(file)
                return self.registered(piles)
            messages.error(
                request, _("Something changed since the preview. Look at it again, then accept it.")
            )
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(request.get_full_path())


class TemplateFile(UnfoldModelAdminViewMixin, View):
    """An empty table to fill in."""

    permission_required = (ADD,)
    title: Any = ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """As xlsx, or with ?format=csv as CSV."""
        form = "csv" if request.GET.get("format") == "csv" else "xlsx"
        media_type = content.CSV if form == "csv" else content.XLSX
        return HttpResponse(
            sheets.template(form),
            content_type=media_type,
            headers={"Content-Disposition": f'attachment; filename="piles.{form}"'},
        )


pages.add_page(Pile, pages.Page("import/template/", "piles_pile_import_template", TemplateFile))
