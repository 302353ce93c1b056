"""The button on an order's page that ends it although its pile is lost."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.backoffice.dialogs import ReasonForm
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.common.errors import DomainError
from apps.orders import abnormal
from apps.orders.models import Order


class ForceEndButton:
    """Of the order's page."""

    @action(
        description=_("Force end"),
        url_path="force-end",
        icon="power_off",
        variant=ActionVariant.DANGER,
        permissions=["force_end"],
        dialog={
            "title": _("End this order by hand?"),
            "description": _(
                "Only for an order whose pile is lost: its gun is freed, the money stays held, and the order waits "
                "among the abnormal ones until it is closed by its record or by a person. A second person has to "
                "approve it."
            ),
            "form_class": ReasonForm,
            "form_submit_text": _("Ask for it"),
        },
    )
    def force_end(self: Any, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Ask for the end of an order."""
        order = self.row(request, object_id)
        try:
            approval = abnormal.request_force_end(
                order_no=order.order_no,
                actor=staff_actor(request),
                reason=form.cleaned_data["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, order)
        if approval.state == ApprovalState.PENDING:
            messages.warning(request, gettext("Asked for. It waits for a second person to approve it."))
            return self.back_to(request, order)
        return self.back_to(request, order, _("The order is ended; it waits among the abnormal orders."))

    def has_force_end_permission(self: Any, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask for it; the button shows while the order is under way."""
        if not self.allowed(request, "force_end_order"):
            return False
        return object_id is None or Order.objects.filter(pk=object_id, state__in=abnormal.ENDABLE).exists()
