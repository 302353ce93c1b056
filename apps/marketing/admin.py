"""Activities in the back office: the text, the cover, the coupons, and whether drivers see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View
from unfold.contrib.forms.widgets import WysiwygWidget
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminFileFieldWidget

from apps.backoffice import pages, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import NoteForm, ReasonForm, dialog_button
from apps.backoffice.object_pages import ObjectPage
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.time import now
from apps.files import content, links
from apps.files.errors import FileEmpty
from apps.marketing import services, texts
from apps.marketing.enums import ActivityState
from apps.marketing.models import Activity
from apps.marketing.selectors import in_state

TONES = {
    ActivityState.DRAFT: "neutral",
    ActivityState.COMING: "info",
    ActivityState.RUNNING: "success",
    ActivityState.OVER: "neutral",
}


PICTURES_PAGE = "marketing_activity_picture"


class StateFilter(admin.SimpleListFilter):
    """Where it stands now."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """All states."""
        return list(ActivityState.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Activity]) -> QuerySet[Activity]:
        """See the class."""
        value = self.value()
        return (
            queryset.filter(in_state(ActivityState(value), now()))
            if value in ActivityState.values
            else queryset
        )


class TextWidget(WysiwygWidget):
    """The theme's editor, with pictures (static/backoffice/text-pictures.js)."""

    class Media:
        js = ("backoffice/text-pictures.js",)

    def __init__(self) -> None:
        words = {
            "address": reverse(f"admin:{PICTURES_PAGE}"),
            "types": sorted(content.PICTURES),
            "most": texts.MOST_BYTES,
            "insert": gettext("Insert a picture"),
            "caption": gettext("Describe the picture for who cannot see it"),
            "remove": gettext("Remove the picture"),
            "refused": gettext("Pictures are JPEG, PNG or WebP, 5 MB at most."),
            "foreign": gettext(
                "Pictures of other websites are not taken over: save it, then insert the file."
            ),
            "failed": gettext("The picture could not be uploaded. Try again."),
            "waiting": gettext("A picture is still being uploaded. Save again in a moment."),
        }
        super().__init__({"data-pictures": json.dumps(words)})


class ActivityForm(forms.ModelForm):
    """The text is cleaned as it is read, so that the audit log has what is stored."""

    def clean_text(self) -> str:
        """Without what may not stand there."""
        return texts.clean(self.cleaned_data["text"])


@admin.register(Activity, site=tenant_site)
class ActivityAdmin(BackofficeAdmin):
    """News and coupons for drivers."""

    form = ActivityForm
    list_display = [
        "title",
        "state_shown",
        "from_shown",
        "until_shown",
        "banner_shown",
        "coupons_shown",
        "published_shown",
    ]
    list_filter = [StateFilter, "is_banner", ("starts_at", TimeFilter)]
    search_fields = ["title", "summary"]
    search_help_text = _("Headline or summary")
    autocomplete_fields = ["coupon_templates"]
    readonly_fields = ["state_shown", "text_shown"]
    actions_detail = ["publish", "withdraw"]
    export = [
        (_("headline"), "title"),
        (_("summary"), "summary"),
        (_("state"), lambda activity: activity.state_at(now()).label),
        (_("starts at"), "starts_at"),
        (_("ends at"), "ends_at"),
        (_("banner"), "is_banner"),
        (_("published at"), "published_at"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Activity]:
        """With the number of coupons."""
        return super().get_queryset(request).annotate(coupons=Count("coupon_templates"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The text as it looks for who may not change it."""
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return [
            "title",
            "summary",
            "text" if may_write else "text_shown",
            "starts_at",
            "ends_at",
            "coupon_templates",
            ("is_banner", "banner_link", "position"),
            *(["state_shown"] if obj else []),
        ]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The text has an editor."""
        if db_field.name == "text":
            return db_field.formfield(widget=TextWidget())
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @dialog_button(
        _("Publish"),
        url="publish",
        icon="campaign",
        permission="publish",
        text=_("Drivers see it while its period runs."),
        form=NoteForm,
        variant=ActionVariant.PRIMARY,
    )
    def publish(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Show it."""
        return self._switch(request, form, object_id, services.publish, _("The activity is published."))

    @dialog_button(
        _("Withdraw"),
        url="withdraw",
        icon="visibility_off",
        permission="withdraw",
        text=_("Drivers do not see it any more. Coupons that were claimed stay good."),
        form=ReasonForm,
    )
    def withdraw(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Take it away."""
        return self._switch(request, form, object_id, services.withdraw, _("The activity is withdrawn."))

    def _switch(
        self, request: HttpRequest, form: Any, object_id: str, deed: Callable[..., Activity], message: Any
    ) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            with transaction.atomic():
                done = deed(activity=row)
                changes = {"is_published": [row.is_published, done.is_published]}
                self.audit(
                    request, "state_changed", done, changes=changes, reason=form.cleaned_data["reason"]
                )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, message)

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish; the button shows for one that is not."""
        return self._may_publish(request, object_id, is_published=False)

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish may withdraw what is published."""
        return self._may_publish(request, object_id, is_published=True)

    def _may_publish(self, request: HttpRequest, object_id: Any, *, is_published: bool) -> bool:
        if not self.allowed(request, "publish_activity"):
            return False
        return object_id is None or Activity.objects.filter(pk=object_id, is_published=is_published).exists()

    @display(description=_("state"))
    def state_shown(self, obj: Activity) -> str:
        """As a label."""
        state = obj.state_at(now())
        return shown.label(state.label, TONES[state])

    @display(description=_("text"))
    def text_shown(self, obj: Activity) -> SafeString:
        """As drivers see it."""
        return mark_safe(texts.clean(obj.text))  # noqa: S308 - cleaned at this moment

    @display(description=_("starts at"), ordering="starts_at")
    def from_shown(self, obj: Activity) -> str:
        """To the minute."""
        return shown.minute(obj.starts_at)

    @display(description=_("ends at"), ordering="ends_at")
    def until_shown(self, obj: Activity) -> str:
        """To the minute."""
        return shown.minute(obj.ends_at)

    @display(description=_("published at"), ordering="published_at")
    def published_shown(self, obj: Activity) -> str:
        """To the minute."""
        return shown.minute(obj.published_at) if obj.is_published else shown.EMPTY

    @display(description=_("banner"), ordering="is_banner")
    def banner_shown(self, obj: Activity) -> str:
        """Whether, and where among them."""
        return gettext("yes, %(position)s") % {"position": obj.position} if obj.is_banner else shown.EMPTY

    @display(description=_("coupons"))
    def coupons_shown(self, obj: Any) -> str:
        """How many kinds."""
        return str(obj.coupons) if obj.coupons else shown.EMPTY


class CoverForm(forms.Form):
    """A picture."""

    file = forms.FileField(
        label=_("picture"),
        help_text=_("JPEG, PNG or WebP, 5 MB at most; 16:9 looks best"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png,image/webp"}),
    )


class CoverPage(ObjectPage):
    """The picture of an activity."""

    permission_required = (texts.VIEW,)
    title = _("Cover")
    template_name = "backoffice/activity_cover.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The picture that is there, and the form for another."""
        cover = self.object.cover
        return super().get_context_data(
            cover_link=links.path(cover) if cover else "",
            form=kwargs.pop("form", None) or CoverForm(),
            may_change=self.request.user.has_perm("marketing.change_activity"),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Store it."""
        activity: Activity = self.object
        if not request.user.has_perm("marketing.change_activity"):  # type: ignore[union-attr]
            raise PermissionDenied
        form = CoverForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        file = form.cleaned_data["file"]
        try:
            services.set_cover(activity=activity, file=file, name=file.name, actor=staff_actor(request))
        except DomainError as error:
            form.add_error("file", str(error))
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        self.model_admin.audit(request, "changed", activity, changes={"cover": [None, file.name]})
        messages.success(request, gettext("The picture is there."))
        return HttpResponseRedirect(request.path)


class PictureUpload(View):
    """Takes a picture for a text that is being written, which may be that of an activity that is not there yet."""

    http_method_names = ["post"]
    model_admin: Any = None

    def post(self, request: HttpRequest) -> HttpResponse:
        """201 with the address by which the text shows it, or what is wrong with it in words."""
        page = self.model_admin
        if not (page.has_add_permission(request) or page.has_change_permission(request)):
            raise PermissionDenied
        file = request.FILES.get("file")
        try:
            if file is None:
                raise FileEmpty
            stored = services.add_picture(file=file, name=file.name or "", actor=staff_actor(request))
        except DomainError as error:
            return JsonResponse({"error": str(error)}, status=error.status)
        return JsonResponse({"address": links.path(stored)}, status=201)


pages.add_page(Activity, pages.Page("picture/", PICTURES_PAGE, PictureUpload))
pages.add_page(Activity, pages.Page("<path:object_id>/cover/", "marketing_activity_cover", CoverPage))
pages.add_tab(Activity, pages.Tab(_("Cover"), "marketing_activity_cover", texts.VIEW, place=20))
