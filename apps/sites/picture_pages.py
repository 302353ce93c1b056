"""The pictures of a station, on a page beside its form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from apps.backoffice import pages
from apps.backoffice.object_pages import ObjectPage
from apps.backoffice.people import staff_actor
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.files import links
from apps.sites import pictures
from apps.sites.models import Station, StationPicture


class PictureForm(forms.Form):
    """A picture, and what it shows."""

    file = forms.FileField(
        label=gettext_lazy("picture"),
        help_text=gettext_lazy("JPEG, PNG or WebP, 5 MB at most"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png,image/webp"}),
    )
    caption = forms.CharField(
        label=gettext_lazy("caption"), max_length=50, required=False, widget=UnfoldAdminTextInputWidget
    )


class PicturesPage(ObjectPage):
    """Look at a station's pictures; add one, remove one, choose the cover."""

    permission_required = (pictures.SHOWN_PERMISSION,)
    title = gettext_lazy("Pictures")
    template_name = "backoffice/station_pictures.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The pictures in their order."""
        rows = self.object.pictures.select_related("file").order_by("place", "id")
        found = [
            {"row": row, "address": links.path(row.file), "small": links.path(row.file, thumbnail=True)}
            for row in rows
        ]
        return super().get_context_data(
            pictures=found,
            form=kwargs.pop("form", None) or PictureForm(),
            may_change=self._may_change(),
            most=pictures.MOST,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do what the pressed button says, and write it to the audit log."""
        station: Station = self.object
        if not self._may_change():
            raise PermissionDenied
        if "upload" in request.POST:
            form = PictureForm(request.POST, request.FILES)
            if not form.is_valid():
                return self.render_to_response(self.get_context_data(form=form, **kwargs))
            return self._upload(request, station, form)
        key = whole_number(request.POST.get("picture"))
        picture = station.pictures.select_related("file").filter(pk=key).first()
        if picture is None:
            raise Http404
        self._change(request, station, picture)
        return HttpResponseRedirect(request.path)

    def _may_change(self) -> bool:
        return bool(self.request.user.has_perm("sites.change_station"))

    def _upload(self, request: HttpRequest, station: Station, form: PictureForm) -> HttpResponse:
        file = form.cleaned_data["file"]
        try:
            made = pictures.add_picture(
                station=station,
                file=file,
                name=file.name,
                owner=staff_actor(request),
                caption=form.cleaned_data["caption"],
            )
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)
        self.model_admin.audit(request, "changed", station, changes={"pictures": [None, str(made)]})
        messages.success(request, _("The picture is there."))
        return HttpResponseRedirect(request.path)

    def _change(self, request: HttpRequest, station: Station, picture: StationPicture) -> None:
        name = str(picture)
        if "remove" in request.POST:
            pictures.remove_picture(picture=picture)
            self.model_admin.audit(request, "changed", station, changes={"pictures": [name, None]})
            messages.success(request, _("The picture is gone."))
        elif "first" in request.POST:
            pictures.put_first(picture=picture)
            self.model_admin.audit(request, "changed", station, changes={"cover": [None, name]})


pages.add_page(Station, pages.Page("<path:object_id>/pictures/", "sites_station_pictures", PicturesPage))
pages.add_tab(
    Station,
    pages.Tab(gettext_lazy("Pictures"), "sites_station_pictures", pictures.SHOWN_PERMISSION, place=20),
)
