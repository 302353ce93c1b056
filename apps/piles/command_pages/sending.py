"""Who may send what, and how a page sends it: to one pile, or to many as a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.backoffice.people import staff_actor
from apps.common.errors import DomainError
from apps.piles import bulk, gateway
from apps.piles.command_pages.dialogs import (
    CommandForm,
)
from apps.piles.commands import Command
from apps.piles.enums import CommandKind
from apps.piles.models import CommandBatch, Pile

PERMISSIONS = {
    CommandKind.READ_REALTIME: "add_pilecommand",
    CommandKind.SYNC_TIME: "add_pilecommand",
    CommandKind.SET_BILLING_MODEL: "push_prices",
    CommandKind.SET_QR: "set_qr",
    CommandKind.SET_WORK: "set_work",
    CommandKind.REBOOT: "reboot_pile",
    CommandKind.UPDATE: "update_pile",
    CommandKind.LOCK: "move_lock",
    CommandKind.SYNC_CARDS: "manage_offline_cards",
}
"""Who may send what, beside the superuser; other kinds are sent by use cases, not from these pages."""


class Commanding:
    """Who may send what: one permission for each kind, on the pages of piles, guns, stations and batches."""

    def _may(self, request: HttpRequest, kind: CommandKind) -> bool:
        return request.user.has_perm(f"piles.{PERMISSIONS[kind]}")  # type: ignore[union-attr]

    def has_command_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask piles for their state and set their clocks."""
        return self._may(request, CommandKind.SYNC_TIME)

    def has_prices_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may push prices."""
        return self._may(request, CommandKind.SET_BILLING_MODEL)

    def has_qr_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may set QR codes."""
        return self._may(request, CommandKind.SET_QR)

    def has_work_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may lock piles and limit their power."""
        return self._may(request, CommandKind.SET_WORK)

    def has_reboot_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may reboot piles."""
        return self._may(request, CommandKind.REBOOT)

    def has_update_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may update firmware."""
        return self._may(request, CommandKind.UPDATE)

    def has_lock_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may move ground locks."""
        return self._may(request, CommandKind.LOCK)

    def has_cards_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may write and delete the cards in piles."""
        return self._may(request, CommandKind.SYNC_CARDS)


def send_from_page(
    page: Any, request: HttpRequest, pile: Pile, obj: Model, *, commands: Sequence[Command], reason: str
) -> None:
    """Send commands to one pile and say so, or say that it is offline or that there is nothing to send."""
    if not pile.is_online:
        messages.warning(request, _("The pile is offline, nothing was sent."))
    elif not commands:
        messages.warning(request, _("There is nothing to send to these piles."))
    else:
        for command in commands:
            gateway.send(pile=pile, command=command, actor=staff_actor(request), reason=reason)
        changes = {"command": [None, commands[0].kind.value]}
        page.audit(request, "commanded", obj, changes=changes, reason=reason)
        messages.success(request, _("Sent. The answer shows under pile commands."))


def send_batch(
    page: Any,
    request: HttpRequest,
    commands: Callable[[], Mapping[int, list[Command]]],
    form: CommandForm,
    *,
    scope: str,
) -> HttpResponse | None:
    """Send to many piles and lead to the batch's page; None, with a message, when a rule says no."""
    reason = form.cleaned_data["reason"]
    try:
        batch = bulk.send_each(
            kind=form.kind, commands=commands(), actor=staff_actor(request), scope=scope, reason=reason
        )
    except DomainError as error:
        messages.error(request, str(error))
        return None
    return batch_made(page, request, batch, reason)


def batch_made(page: Any, request: HttpRequest, batch: CommandBatch, reason: str) -> HttpResponse:
    """Write the batch to the audit log and lead to its page."""
    changes = {"command": [None, batch.kind], "piles": [None, batch.scope], "count": [None, batch.total]}
    page.audit(request, "commanded", batch, changes=changes, reason=reason)
    return HttpResponseRedirect(reverse("admin:piles_commandbatch_change", args=[batch.pk]))


def to_dialog(response: HttpResponse) -> HttpResponse:
    """Return a redirect as a dialog's last answer."""
    return HttpResponse(headers={"HX-Redirect": response["Location"]})
