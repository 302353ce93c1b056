"""Starting a charge for a driver from the page of a gun or of a pile: asked for, looked at, then sent."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import audit, pages, shown
from apps.backoffice.object_pages import ObjectPage
from apps.backoffice.people import client_address, staff_actor
from apps.common.errors import DomainError
from apps.common.time import now
from apps.customers.admin import driver_by_phone
from apps.customers.models import Customer
from apps.orders import services
from apps.orders.enums import OrderSource
from apps.orders.models import Order
from apps.piles.admin.wall import GUN_TONES
from apps.piles.models import Connector, Pile
from apps.sites import hours
from apps.sites.models import Station

START = "orders.start_order"


class StartForm(forms.Form):
    """Who charges where for how much, and why staff start it. The driver is named by a whole phone number."""

    phone = forms.CharField(
        label=_("driver's phone number"),
        max_length=16,
        help_text=_("The whole number. The driver's wallet pays, or the enterprise."),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )
    gun = forms.ModelChoiceField(
        label=_("gun"),
        queryset=Connector.objects.none(),
        to_field_name="code",
        widget=UnfoldAdminSelectWidget,
    )
    preset_amount = forms.DecimalField(
        label=_("preset amount (yuan)"),
        required=False,
        min_value=Decimal("0.01"),
        max_digits=8,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, guns: QuerySet[Connector], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        gun: Any = self.fields["gun"]
        gun.queryset = guns
        gun.label_from_instance = lambda one: f"{one.code} · {one.status.get_state_display()}"
        gun.initial = guns[0] if len(guns) == 1 else None
        self.fields["preset_amount"].help_text = gettext(
            "Empty: all that is available, up to %(maximum)s yuan."
        ) % {"maximum": services.hold_maximum()}
        self.customer: Customer | None = None

    def clean_phone(self) -> str:
        """Of somebody who is there."""
        phone: str = self.cleaned_data["phone"]
        self.customer = driver_by_phone(phone)
        return phone


class StartPage(ObjectPage):
    """Two steps, so that no mistyped number spends another driver's money: what is asked for, then who it is."""

    permission_required = (START,)
    title = _("Start a charge")
    template_name = "backoffice/start_charge.html"
    guns: Callable[[], QuerySet[Connector]]
    """The guns to choose from."""
    station: Station
    """Where they are."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The form, and whether the station is closed at this hour."""
        station = self.station
        is_open = hours.is_open(station.opening_hours, now())
        return super().get_context_data(
            form=kwargs.pop("form", None) or StartForm(guns=self.guns()),
            hours_words="" if is_open else hours.words(station.opening_hours),
            place=station,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show who it is; once that is confirmed, start and go to the order."""
        form = StartForm(request.POST, guns=self.guns())
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        customer: Any = form.customer
        if request.POST.get("confirmed") != str(customer.pk) or not request.POST.get("request_key"):
            whole = request.user.has_perm("customers.view_phone")  # type: ignore[union-attr]
            return self.render_to_response(
                self.get_context_data(
                    form=form,
                    customer=customer,
                    phone=customer.phone if whole else customer.masked_phone,
                    gun=form.cleaned_data["gun"],
                    gun_label=shown.state(form.cleaned_data["gun"].status, GUN_TONES),
                    request_key=uuid4().hex,
                    **kwargs,
                )
            )
        try:
            order = self._start(request, form, customer)
        except DomainError as error:
            form.add_error(None, str(error))
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        messages.success(request, gettext("The start is sent."))
        return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order.pk]))

    def _start(self, request: HttpRequest, form: StartForm, customer: Customer) -> Order:
        """Start once, however often the button is pressed. Raises as `start_charge` does."""
        words, actor = form.cleaned_data, staff_actor(request)
        key = f"staff-{actor.id}-{request.POST.get('request_key', '')[:32]}"
        order = services.start_charge(
            customer=customer,
            connector_code=words["gun"].code,
            request_key=key,
            preset_amount=words["preset_amount"],
            actor=actor,
            source=OrderSource.STAFF,
            outside_hours=words["reason"],
        )
        with transaction.atomic():
            # Two presses at once both come here with the one order: by its lock the second one sees what is written.
            Order.objects.select_for_update(of=("self",)).get(pk=order.pk)
            if not audit.is_recorded("orders.order_started", order):
                audit.record(
                    actor,
                    "orders.order_started",
                    order,
                    changes={
                        "customer": [None, customer.masked_phone],
                        "gun": [None, words["gun"].code],
                        "preset_amount": [None, words["preset_amount"]],
                    },
                    reason=words["reason"],
                    address=client_address(request),
                )
        return order


class StartAtPilePage(StartPage):
    """At one of a pile's guns."""

    permission_required = (START, "piles.view_pile")

    def guns(self) -> QuerySet[Connector]:
        """Those of the pile."""
        return self.object.connectors.select_related("status").order_by("code")

    @property
    def station(self) -> Station:  # type: ignore[override]
        """The pile's."""
        found: Station = self.object.station
        return found


class StartAtGunPage(StartPage):
    """At a gun."""

    permission_required = (START, "piles.view_connector")

    def guns(self) -> QuerySet[Connector]:
        """This one."""
        return Connector.objects.filter(pk=self.object.pk).select_related("status")

    @property
    def station(self) -> Station:  # type: ignore[override]
        """That of its pile."""
        found: Station = self.object.pile.station
        return found


for _model, _view in ((Pile, StartAtPilePage), (Connector, StartAtGunPage)):
    _name = f"orders_{_model._meta.model_name}_start"
    pages.add_page(_model, pages.Page("<path:object_id>/start/", _name, _view))
    pages.add_tab(_model, pages.Tab(StartPage.title, _name, START, place=38))
