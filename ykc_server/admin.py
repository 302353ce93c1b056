"""The back office's views of the wire: the frame inspector, a pile's timeline, a record's bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, pgettext, pgettext_lazy
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from apps.backoffice import pages
from apps.common.schema import current_schema, schema_context
from apps.common.time import SHANGHAI, now
from apps.orders.models import TransactionRecord
from apps.piles.frames import keep_frames
from apps.piles.models import Pile, RawFrame
from ykc_server import timeline
from ykc_server.hexlines import MOST_CHARACTERS, frames_in
from ykc_server.inspector import FieldView, Inspection, inspect_frame
from ykc_server.protocol import ProtocolError, check_frame, decode
from ykc_server.protocol.crc import crc16
from ykc_server.timeline import Place, Wanted

INSPECT = "piles.inspect_frames"
SECRETS = "piles.view_frame_secrets"
KEEP_HOURS = {"1": 1, "24": 24, "0": 0}

# --- A frame in words -------------------------------------------------------------------------------------

ERRORS = {
    "bad_start": gettext_lazy("The first byte is not the start byte 68."),
    "bad_length": gettext_lazy("The length byte does not fit the bytes that are here."),
    "short_body": gettext_lazy("The body is too short for this type."),
    "unknown_frame": gettext_lazy("No frame of the protocol has this type."),
    "encrypted": gettext_lazy("The body is encrypted."),
    "bad_crc": gettext_lazy("The CRC is wrong."),
}
MEANINGS = [
    gettext_noop("not a start byte"),
    gettext_noop("plain"),
    gettext_noop("unknown"),
    gettext_noop("encrypted"),
    gettext_noop("cut off"),
    gettext_noop("high byte first"),
    gettext_noop("not available"),
    gettext_noop("none"),
    gettext_noop("no time"),
    gettext_noop("secret"),
]
"""What the inspector says in English, for the translators."""
_SHOULD = re.compile(r"should be ([0-9A-F]+)")
_FIT = re.compile(r"(-?\d+) would fit the bytes that are here")
_CUT = re.compile(r"cut off: (\d+) of (\d+) bytes")


def meaning_words(meaning: str) -> str:
    """Return a meaning of the inspector in the language of the page."""
    if found := _SHOULD.fullmatch(meaning):
        return _("should be %(bytes)s") % {"bytes": found[1]}
    if found := _FIT.fullmatch(meaning):
        return _("%(number)s would fit the bytes that are here") % {"number": found[1]}
    if found := _CUT.fullmatch(meaning):
        return _("cut off: %(here)s of %(whole)s bytes") % {"here": found[1], "whole": found[2]}
    return "; ".join(_part_words(part) for part in meaning.split("; "))


def _part_words(part: str) -> str:
    """Return a code's words, which may have a colon themselves, or the words and the state of a group of bits."""
    whole = _(part) if part else ""
    return whole if whole != part else ": ".join(_(word) if word else "" for word in part.split(": "))


def unit_words(unit: str) -> str:
    """Return a unit in the language of the page."""
    known = {
        "kWh": pgettext("unit", "kWh"),
        "yuan": _("yuan"),
        "yuan/kWh": f"{_('yuan')}/{pgettext('unit', 'kWh')}",
        "min": pgettext("unit", "min"),
    }
    return known.get(unit, unit)


def error_words(frame: bytes) -> str:
    """Return what is wrong with a frame, "" if nothing is."""
    try:
        if check_frame(frame) == "bad":
            return str(ERRORS["bad_crc"])
        decode(frame)
    except ProtocolError as error:
        return str(ERRORS.get(error.code, error))
    return ""


def frame_context(frame: bytes, *, show_secrets: bool) -> dict[str, Any]:
    """Return what a page shows of one frame."""
    inspection: Inspection = inspect_frame(frame, show_secrets=show_secrets)
    arrow = {"up": _("pile → platform"), "down": _("platform → pile")}
    return {
        "inspection": inspection,
        "type": f"0x{frame[5]:02X}" if len(frame) > 5 else "–",
        "direction": arrow.get(inspection.direction, ""),
        "error": error_words(frame),
        "size": len(frame),
        "rows": field_rows(inspection.fields),
    }


def field_rows(views: tuple[FieldView, ...] | list[FieldView]) -> list[dict[str, Any]]:
    """Return fields with everything in words; `raw` in pairs of digits."""
    return [
        {
            "view": view,
            "raw": " ".join(re.findall("..", view.raw)) or "··" * min(view.length, 8),
            "value": _value(view),
            "unit": unit_words(view.unit),
            "meaning": meaning_words(view.meaning),
        }
        for view in views
    ]


def _value(view: FieldView) -> str:
    if isinstance(view.value, dict):
        return str(view.value.get("value", ""))
    return "" if view.value is None else str(view.value)


# --- Pages ------------------------------------------------------------------------------------------------


class WirePage(UnfoldModelAdminViewMixin, TemplateView):
    """A page of the theme under the piles' pages."""

    permission_required: tuple[str, ...] = (INSPECT,)
    title: Any = ""
    model_admin: Any

    @property
    def show_secrets(self) -> bool:
        """Whether this person reads passwords."""
        return bool(self.request.user.has_perm(SECRETS))

    def pile(self) -> Pile:
        """Return the page's pile, if this person may see it. Raises Http404."""
        found: Pile = self.model_admin.row(self.request, self.kwargs["object_id"])
        return found


class InspectorPage(WirePage):
    """Paste bytes, or come from a stored frame: every byte in words. Stored frames are named by pile and place."""

    title = gettext_lazy("Frame inspector")
    template_name = "ykc_server/inspector.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The empty page, a stored frame (?pile=&frame=), short bytes (?hex=), or on to a pile (?code=)."""
        if code := request.GET.get("code", "").strip():
            found = self.model_admin.get_queryset(request).filter(pile_code=code).first()
            if found is not None:
                return HttpResponseRedirect(reverse("admin:piles_pile_timeline", args=[found.pk]))
            messages.warning(request, _("There is no pile of this code."))
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Pasted bytes: by POST, so that they stand in no log of addresses."""
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The frames, one after the other."""
        text = (self.request.POST.get("hex") or self.request.GET.get("hex", ""))[:MOST_CHARACTERS]
        stored = self._stored()
        frames = [bytes(stored.frame)] if stored else frames_in(text)
        if text.strip() and not frames:
            messages.warning(self.request, _("There is no frame in this text."))
        return super().get_context_data(
            text=text,
            stored=stored,
            frames=[frame_context(frame, show_secrets=self.show_secrets) for frame in frames],
            action=reverse("admin:piles_inspector"),
            **kwargs,
        )

    def _stored(self) -> RawFrame | None:
        asked = self.request.GET.get("frame", "")
        if not asked:
            return None
        place = Place.read(asked)
        pile = self.model_admin.row(self.request, self.request.GET.get("pile", ""))
        found = (
            place
            and RawFrame.objects.filter(pile_code=pile.pile_code, at=place.at, number=place.number).first()
        )
        if not found:
            raise Http404
        return found


class TimelinePage(WirePage):
    """Everything that happened to a pile, newest first; the first page renews itself."""

    title = pgettext_lazy("pile", "Timeline")
    template_name = "ykc_server/timeline.html"
    part = "ykc_server/timeline_rows.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The filter, the page's entries and the way to the next ones."""
        pile = self.pile()
        asked = self.request.GET
        wanted = Wanted.read(asked)
        before = Place.read(asked.get("before", ""))
        found = timeline.page(pile=pile, wanted=wanted, before=before, show_secrets=self.show_secrets)
        kept = pile.frames_kept_until if pile.frames_kept_until and pile.frames_kept_until > now() else None
        query = asked.copy()
        for name in ("before", "part", "seen"):
            query.pop(name, None)
        shown = "".join(f"{entry.place}{entry.label}{entry.gap}" for entry in found.entries)
        return super().get_context_data(
            pile=pile,
            object_tabs=pages.tabs(Pile, self.request, pile),
            wanted=wanted,
            kinds=timeline.KINDS.items(),
            found=found,
            before=before,
            live=before is None and wanted.until is None,
            kept=kept,
            may_keep=self.request.user.has_perm("piles.change_pile"),
            query=query.urlencode(),
            since=_local(wanted.since),
            until=_local(wanted.until),
            show_secrets=self.show_secrets,
            seen=hashlib.sha256(shown.encode()).hexdigest()[:16],
            refreshed_at=now(),
            inspector=reverse("admin:piles_inspector"),
            **kwargs,
        )

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """The whole page, or for the live tail its rows; nothing when they are what it has."""
        if "part" not in self.request.GET:
            return super().render_to_response(context, **kwargs)
        if self.request.GET.get("seen") == context["seen"]:
            return HttpResponse(status=204)
        self.template_name = self.part
        return super().render_to_response(context, **kwargs)


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%dT%H:%M:%S}" if moment else ""


class KeepFrames(WirePage):
    """Keep all frames of a pile for some hours, or stop it."""

    permission_required = (INSPECT, "piles.change_pile")
    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Set the time and write it to the audit log."""
        pile = self.pile()
        hours = KEEP_HOURS.get(request.POST.get("hours", ""))
        if hours is None:
            return HttpResponse(status=400)
        before, until = pile.frames_kept_until, now() + timedelta(hours=hours) if hours else None
        keep_frames(pile=pile, until=until)
        self.model_admin.audit(request, "frames_kept", pile, changes={"frames_kept_until": [before, until]})
        messages.success(
            request,
            _("All frames are kept from now on.") if hours else _("Frames are no longer all kept."),
        )
        return HttpResponseRedirect(reverse("admin:piles_pile_timeline", args=[pile.pk]))


class ExportFrames(WirePage):
    """The filtered frames as a file."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Stream hex lines (?form=hex) or lines of JSON; the export is in the audit log."""
        pile, wanted = self.pile(), Wanted.read(request.GET)
        form = "hex" if request.GET.get("form") == "hex" else "jsonl"
        changes = {"filter": [None, request.GET.urlencode()[:500]]}
        self.model_admin.audit(request, "frames_exported", pile, changes=changes)
        name = f"{pile.pile_code}-{now():%Y%m%d-%H%M%S}.{'txt' if form == 'hex' else 'jsonl'}"
        lines = _in_schema(
            current_schema(),
            timeline.export_lines(pile=pile, wanted=wanted, form=form, show_secrets=self.show_secrets),
        )
        return StreamingHttpResponse(
            lines,
            content_type="text/plain; charset=utf-8" if form == "hex" else "application/x-ndjson",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
        )


def _in_schema(schema: str, lines: Iterator[str]) -> Iterator[str]:
    """Read each piece in the tenant's schema: the body is made after the request has left it."""
    while True:
        with schema_context(schema):
            piece = "".join(islice(lines, timeline.EXPORT_STEP))
        if not piece:
            return
        yield piece


# --- Parts of other pages ---------------------------------------------------------------------------------


def record_bytes(request: HttpRequest, record: TransactionRecord) -> dict[str, Any]:
    """Return the body of a record, byte by byte. Records that came over no wire have none."""
    body = bytes(record.body)
    if record.protocol != "ykc" or body.startswith(b"{"):
        return {"rows": []}
    head = bytes([0x68, min(len(body) + 4, 255), 0, 0, 0, record.frame_type])
    frame = head + body
    frame += crc16(frame[2:]).to_bytes(2, "little")
    shown = inspect_frame(frame, show_secrets=False).fields
    return {"rows": field_rows([view for view in shown if view.part in ("body", "extra", "after")])}


def pile_panel(request: HttpRequest, pile: Pile) -> dict[str, Any]:
    """Return the newest entries of a pile's timeline."""
    found = timeline.page(pile=pile, wanted=Wanted(), limit=8)
    return {"pile": pile, "found": found, "inspector": reverse("admin:piles_inspector")}


for address, name, view in (
    ("inspector/", "piles_inspector", InspectorPage),
    ("<path:object_id>/timeline/", "piles_pile_timeline", TimelinePage),
    ("<path:object_id>/timeline/keep/", "piles_pile_keep", KeepFrames),
    ("<path:object_id>/timeline/export/", "piles_pile_frames", ExportFrames),
):
    pages.add_page(Pile, pages.Page(address, name, view))
pages.add_tab(Pile, pages.Tab(pgettext_lazy("pile", "Timeline"), "piles_pile_timeline", INSPECT, place=60))
pages.add_panel(
    TransactionRecord,
    pages.Panel(
        gettext_lazy("Byte by byte"), "ykc_server/fields.html", record_bytes, "orders.view_transactionrecord"
    ),
)
pages.add_panel(
    Pile, pages.Panel(pgettext_lazy("pile", "Timeline"), "ykc_server/pile_timeline.html", pile_panel, INSPECT)
)
