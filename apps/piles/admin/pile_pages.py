"""The pages of a pile beside its form: live state, commands, alarms, firmware, QR codes; and a station's QR codes."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.backoffice import pages, scope, shown
from apps.backoffice.object_pages import ObjectPage
from apps.common.errors import DomainError
from apps.common.time import now
from apps.piles import qr_sheets
from apps.piles.admin.wall import GUN_TONES, LOCK_TONES
from apps.piles.command_pages.pages import COMMAND_TONES, result_words, took_words
from apps.piles.enums import CommandKind, PileState
from apps.piles.models import Alarm, Connector, Pile
from apps.sites.models import Station

ROWS = 50
CODES_SHOWN = 60
SEE, SEE_COMMANDS, SEE_ALARMS = "piles.view_pile", "piles.view_pilecommand", "piles.view_alarm"


class StatePage(ObjectPage):
    """What the pile and each of its guns say now; it renews itself."""

    permission_required = (SEE,)
    title = pgettext_lazy("pile", "State")
    template_name = "backoffice/pile_state.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Each gun with its last word and its ground lock."""
        guns = self.object.connectors.select_related("status", "lock").order_by("connector_no")
        rows = [
            {
                "gun": gun,
                "state": shown.state(gun.status, GUN_TONES),
                "lock": getattr(gun, "lock", None),
                "lock_state": shown.state(gun.lock, LOCK_TONES) if hasattr(gun, "lock") else "",
            }
            for gun in guns
        ]
        return super().get_context_data(rows=rows, refreshed_at=now(), **kwargs)


class CommandsPage(ObjectPage):
    """What was asked of the pile, newest first."""

    permission_required = (SEE, SEE_COMMANDS)
    title = _("Commands")
    template_name = "backoffice/pile_commands.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The newest ones; the list has them all."""
        found = self.object.commands.order_by("-id")[:ROWS]
        everything = f"{reverse('admin:piles_pilecommand_changelist')}?q={self.object.pile_code}"
        return super().get_context_data(rows=command_rows(found), everything=everything, **kwargs)


class AlarmsPage(ObjectPage):
    """Alarms of the pile, open ones first."""

    permission_required = (SEE, SEE_ALARMS)
    title = _("Alarms")
    template_name = "backoffice/pile_alarms.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The newest ones; the list has them all."""
        alarms = scope.narrow(Alarm.objects.filter(pile_code=self.object.pile_code), self.request.user)
        found = alarms.order_by(F("closed_at").desc(nulls_first=True), "-id")[:ROWS]
        everything = f"{reverse('admin:piles_alarm_changelist')}?open=all&q={self.object.pile_code}"
        return super().get_context_data(rows=found, everything=everything, **kwargs)


class FirmwarePage(ObjectPage):
    """Which software the pile says that it runs, and the updates that were sent to it."""

    permission_required = (SEE, SEE_COMMANDS)
    title = _("Firmware")
    template_name = "backoffice/pile_firmware.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The updates, and how many piles of this model run which version."""
        pile = self.object
        found = pile.commands.filter(kind=CommandKind.UPDATE).order_by("-id")[:ROWS]
        return super().get_context_data(
            rows=command_rows(found),
            may_update=self.request.user.has_perm("piles.update_pile"),
            form=reverse("admin:piles_pile_change", args=[pile.pk]),
            **kwargs,
        )


class QrPage(ObjectPage):
    """The QR code of each gun, and sheets of them to print."""

    permission_required = (SEE,)
    title = _("QR codes")
    template_name = "backoffice/qr_codes.html"

    def guns(self) -> QuerySet[Connector]:
        """Those of the pile."""
        return Connector.objects.filter(pile=self.object)

    def get(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page, or with ?layout= the PDF."""
        layout = request.GET.get("layout")
        if layout in qr_sheets.Layout.values:
            guns = self.guns().exclude(pile__state=PileState.RETIRED)
            return qr_answer(self.model_admin, request, guns, qr_sheets.Layout(layout), str(self.object))
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The first codes, drawn."""
        guns = (
            self.guns()
            .exclude(pile__state=PileState.RETIRED)
            .select_related("pile__station")
            .order_by("code")
        )
        total = guns.count()
        labels = qr_sheets.labels_of(list(guns[:CODES_SHOWN]), fallback=scan_address(self.request))
        return super().get_context_data(
            labels=[{"label": label, "svg": mark_safe(qr_sheets.svg(label.text))} for label in labels],  # noqa: S308
            total=total,
            hidden=max(0, total - CODES_SHOWN),
            layouts=qr_sheets.Layout.choices,
            **kwargs,
        )


class StationQrPage(QrPage):
    """The QR codes of all guns of a station."""

    permission_required = (SEE, "sites.view_station")

    def guns(self) -> QuerySet[Connector]:
        """Those of its piles."""
        return Connector.objects.filter(pile__station=self.object)


def scan_address(request: Any) -> str:
    """Return what QR codes begin with where neither station nor tenant says: this site's page of a gun."""
    return str(request.build_absolute_uri("/c/"))


def qr_answer(
    model_admin: Any, request: Any, guns: QuerySet[Connector], layout: qr_sheets.Layout, name: str
) -> HttpResponse:
    """Return a sheet of QR codes as a PDF, or a page that says why there is none."""
    found = guns.select_related("pile__station").order_by("code")[: qr_sheets.MOST_LABELS + 1]
    labels = qr_sheets.labels_of(list(found), fallback=scan_address(request))
    try:
        sheet = qr_sheets.pdf(labels, layout=layout, title=name)
    except DomainError as error:
        context = {**model_admin.admin_site.each_context(request), "title": _("QR codes"), "text": str(error)}
        return TemplateResponse(request, "backoffice/refusal.html", context, status=error.status)
    return HttpResponse(
        sheet,
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="qr-{now():%Y%m%d-%H%M%S}.pdf"'},
    )


def command_rows(commands: Any) -> list[dict[str, Any]]:
    """Return commands with their words."""
    return [
        {
            "command": row,
            "state": shown.state(row, COMMAND_TONES),
            "result": result_words(row),
            "took": took_words(row),
            "path": row.payload.get("path", ""),
        }
        for row in commands
    ]


for _place, (_path, _name, _view) in enumerate(
    [
        ("live/", "piles_pile_live", StatePage),
        ("commands/", "piles_pile_commands", CommandsPage),
        ("alarms/", "piles_pile_alarms", AlarmsPage),
        ("firmware/", "piles_pile_firmware", FirmwarePage),
        ("qr-codes/", "piles_pile_qr", QrPage),
    ]
):
    pages.add_page(Pile, pages.Page(f"<path:object_id>/{_path}", _name, _view))
    pages.add_tab(Pile, pages.Tab(_view.title, _name, _view.permission_required[-1], place=10 * (_place + 1)))
pages.add_page(Station, pages.Page("<path:object_id>/qr-codes/", "piles_station_qr", StationQrPage))
pages.add_tab(Station, pages.Tab(StationQrPage.title, "piles_station_qr", SEE, place=30))
