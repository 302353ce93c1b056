"""Reconciliation with payment channels: days with their bills, differences, and what a person does about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    RangeDateFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleDateWidget

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.days import DayField
from apps.backoffice.differences import ROWS, TONES, DifferenceAdmin, OpenFilter, day_label, of_tab, tabs
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.differences import DifferenceState
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.wallet import reconcile
from apps.wallet.channels.base import Mismatch
from apps.wallet.enums import BillState, ChannelDifferenceKind
from apps.wallet.models import ChannelBillRow, ChannelDay, ChannelDifference, MerchantAccount

BILL_TONES = {BillState.WAITING: "warning", BillState.FAILED: "danger", BillState.RECONCILED: "success"}


class MerchantDayForm(BaseDialogForm):
    """Which account's bill of which day."""

    merchant = forms.ModelChoiceField(
        label=gettext_lazy("merchant account"),
        queryset=MerchantAccount.objects.none(),
        widget=UnfoldAdminSelectWidget,
    )
    day = DayField(label=gettext_lazy("business day"), widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["merchant"].queryset = MerchantAccount.objects.order_by("channel", "id")
        self.fields["day"].initial = business_day(now()) - timedelta(days=1)


@admin.register(ChannelDay, site=tenant_site)
class ChannelDayAdmin(ReadOnlyAdmin):
    """Days of merchant accounts."""

    show_full_result_count = False
    list_display = [
        "day_shown",
        "merchant",
        "channel_shown",
        "bill_shown",
        "their_paid",
        "our_paid",
        "their_refunded",
        "our_refunded",
        "fee_booked",
        "result_shown",
    ]
    list_select_related = ["merchant"]
    list_filter = [
        OpenFilter,
        ("state", ChoicesDropdownFilter),
        ("merchant", RelatedDropdownFilter),
        ("day", RangeDateFilter),
    ]
    list_before_template = "backoffice/channel_chips.html"
    search_fields = ["merchant__name", "merchant__merchant_no"]
    search_help_text = gettext_lazy("Name or number of the merchant account")
    actions_list = [*ReadOnlyAdmin.actions_list, "reconcile_day"]
    actions_detail = ["reconcile_again"]
    change_form_template = "backoffice/reconciliation.html"
    export = [
        (gettext_lazy("business day"), "day"),
        (gettext_lazy("merchant account"), "merchant.name"),
        (gettext_lazy("merchant number"), "merchant.merchant_no"),
        (gettext_lazy("channel"), "merchant.get_channel_display"),
        (gettext_lazy("state"), "get_state_display"),
        (gettext_lazy("payments by the bill"), "their_payments"),
        (gettext_lazy("paid by the bill"), "their_paid"),
        (gettext_lazy("our top-ups"), "our_payments"),
        (gettext_lazy("paid by our top-ups"), "our_paid"),
        (gettext_lazy("refunds by the bill"), "their_refunds"),
        (gettext_lazy("refunded by the bill"), "their_refunded"),
        (gettext_lazy("our refunds"), "our_refunds"),
        (gettext_lazy("refunded by us"), "our_refunded"),
        (gettext_lazy("fee by the bill"), "fee"),
        (gettext_lazy("fee booked"), "fee_booked"),
        (gettext_lazy("differences"), "differences_found"),
        (gettext_lazy("open differences"), "differences_open"),
        (gettext_lazy("problem"), "problem"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How many days wait for a person, or for their bill, above the list."""
        counts = {
            "undecided": ChannelDay.objects.filter(differences_open__gt=0).count(),
            "missing": ChannelDay.objects.exclude(state=BillState.RECONCILED).count(),
        }
        return super().changelist_view(request, {**counts, **(extra_context or {})})

    def detail(self, request: HttpRequest, obj: ChannelDay) -> dict[str, Any]:
        """Both sides' sums, and the differences in tabs by kind."""
        found = tabs(request, obj.differences.all(), ChannelDifferenceKind.choices)
        rows = of_tab(obj.differences.all(), found)
        there = next(tab.count for tab in found if tab.active)
        yuan = pgettext("unit", "yuan")
        return {
            "figures": [
                (_("paid by the bill"), shown.yuan(obj.their_paid), _both(yuan, obj.their_payments)),
                (_("paid by our top-ups"), shown.yuan(obj.our_paid), _both(yuan, obj.our_payments)),
                (_("refunded by the bill"), shown.yuan(obj.their_refunded), _both(yuan, obj.their_refunds)),
                (_("refunded by us"), shown.yuan(obj.our_refunded), _both(yuan, obj.our_refunds)),
                (_("fee booked"), shown.yuan(obj.fee_booked), yuan),
                (_("open differences"), obj.differences_open, ""),
            ],
            "facts": [
                (_("business day"), f"{obj.day}"),
                (
                    _("merchant account"),
                    format_html(
                        '<a href="{}">{}</a> {}',
                        reverse("admin:wallet_merchantaccount_change", args=[obj.merchant_id]),
                        obj.merchant,
                        obj.merchant.get_channel_display(),
                    ),
                ),
                (_("state"), shown.state(obj, BILL_TONES)),
                (_("problem"), obj.problem or shown.EMPTY),
                (_("next try"), shown.moment(obj.next_try_at)),
                (_("bill downloaded at"), shown.moment(obj.downloaded_at)),
                (_("revision of the bill"), obj.revision or shown.EMPTY),
                (_("fee by the bill"), f"{obj.fee:.5f}"),
                (_("reconciled at"), shown.moment(obj.reconciled_at)),
                (
                    _("rows of the bill"),
                    format_html(
                        '<a href="{}?channel_day__id__exact={}">{}</a>',
                        reverse("admin:wallet_channelbillrow_changelist"),
                        obj.pk,
                        obj.their_payments + obj.their_refunds,
                    ),
                ),
            ],
            "tabs": found,
            "columns": [
                (_("our number"), False),
                (_("payment or refund"), False),
                (_("kind"), False),
                (_("channel's number"), False),
                (_("time"), False),
                (_("ours (yuan)"), True),
                (_("the channel's (yuan)"), True),
                (_("difference (yuan)"), True),
            ],
            "rows": [
                {
                    "difference": row,
                    "link": reverse("admin:wallet_channeldifference_change", args=[row.pk]),
                    "cells": [
                        (row.out_no, False),
                        (row.get_trade_kind_display(), False),
                        (row.get_kind_display(), False),
                        (row.channel_no or shown.EMPTY, False),
                        (shown.moment(row.at), False),
                        (shown.yuan(row.ours), True),
                        (shown.yuan(row.theirs), True),
                        (f"{row.difference:+.2f}", True),
                    ],
                    "state": shown.state(row, TONES),
                }
                for row in rows
            ],
            "hidden": max(0, there - ROWS),
            "list_url": f"{reverse('admin:wallet_channeldifference_changelist')}?channel_day__id__exact={obj.pk}",
        }

    @action(
        description=gettext_lazy("Reconcile a day"),
        url_path="reconcile",
        icon="sync",
        variant=ActionVariant.PRIMARY,
        permissions=["reconcile"],
        dialog={
            "title": gettext_lazy("Reconcile a day"),
            "description": gettext_lazy(
                "The bill is fetched from the payment provider and matched with our top-ups and refunds. It may be "
                "repeated: nothing is booked twice."
            ),
            "form_class": MerchantDayForm,
            "form_submit_text": gettext_lazy("Reconcile"),
        },
    )
    def reconcile_day(self, request: HttpRequest, form: MerchantDayForm) -> HttpResponse:
        """Fetch and match a bill that was chosen."""
        self._reconcile(request, form.cleaned_data["merchant"], form.cleaned_data["day"], None)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:wallet_channelday_changelist")})

    @action(
        description=gettext_lazy("Reconcile anew"),
        url_path="again",
        icon="sync",
        permissions=["reconcile"],
        dialog={
            "title": gettext_lazy("Reconcile this day anew"),
            "description": gettext_lazy(
                "The bill is fetched from the payment provider and matched with our top-ups and refunds. It may be "
                "repeated: nothing is booked twice."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": gettext_lazy("Reconcile"),
        },
    )
    def reconcile_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Fetch and match this row's bill."""
        row = self.row(request, object_id)
        self._reconcile(request, row.merchant, row.day, row)
        return self.back_to(request, row)

    def _reconcile(
        self, request: HttpRequest, merchant: MerchantAccount, day: Any, row: ChannelDay | None
    ) -> None:
        try:
            run = reconcile.reconcile_day(merchant=merchant, day=day)
        except DomainError as error:
            messages.error(request, str(error))
            return
        changes = {"day": [None, str(day)], "merchant": [None, merchant.name], "state": [None, run.state]}
        self.audit(request, "reconciled", row, changes=changes)
        if run.problem:
            messages.warning(request, _("There is no new bill: %(problem)s") % {"problem": run.problem})
        else:
            words = {"day": day, "rows": run.rows, "open": run.undecided}
            messages.success(
                request, _("%(day)s is reconciled: %(rows)s rows, %(open)s open differences.") % words
            )

    def has_reconcile_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may have bills fetched."""
        return self.allowed(request, "reconcile_channel")

    @display(description=gettext_lazy("business day"), ordering="day")
    def day_shown(self, obj: ChannelDay) -> str:
        """As 2026-11-23."""
        return str(obj.day)

    @display(description=gettext_lazy("channel"), ordering="merchant__channel")
    def channel_shown(self, obj: ChannelDay) -> str:
        """Of the account."""
        return obj.merchant.get_channel_display()  # type: ignore[attr-defined]

    @display(description=gettext_lazy("bill"), ordering="state")
    def bill_shown(self, obj: ChannelDay) -> SafeString:
        """Whether it is there."""
        return shown.state(obj, BILL_TONES)

    @display(description=gettext_lazy("result"), ordering="differences_open")
    def result_shown(self, obj: ChannelDay) -> SafeString | str:
        """Whether all is explained."""
        return day_label(obj) if obj.reconciled_at else shown.EMPTY


def _both(unit: str, number: int) -> str:
    return f"{unit} · {_('%(count)s payments') % {'count': number}}"


@admin.register(ChannelDifference, site=tenant_site)
class ChannelDifferenceAdmin(DifferenceAdmin):
    """Every difference with a channel: open ones are resolved with a reason, or healed by asking the provider."""

    resolve_permission = "reconcile_channel"
    actions_detail = ["query_now", "resolve"]
    list_display = [
        "out_no",
        "day_shown",
        "merchant_shown",
        "trade_kind",
        "kind",
        "ours",
        "theirs",
        "difference_shown",
        "at_shown",
        "state_shown",
    ]
    list_select_related = ["channel_day__merchant", "recharge", "refund_part"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("trade_kind", ChoicesDropdownFilter),
        ("channel_day__merchant", RelatedDropdownFilter),
        ("channel_day__day", RangeDateFilter),
        ("resolved_at", TimeFilter),
    ]
    search_fields = ["out_no", "channel_no"]
    search_help_text = gettext_lazy("Our number, or the channel's")
    fields = [
        ("out_no", "kind"),
        ("day_shown", "merchant_shown"),
        ("trade_kind", "channel_no"),
        ("ours", "theirs"),
        ("difference_shown", "state_shown"),
        ("recharge", "refund_shown"),
        ("figures_shown", "at_shown"),
        ("resolution", "resolved_by"),
        ("resolved_shown", "reopened"),
    ]
    export = [
        (gettext_lazy("business day"), "channel_day.day"),
        (gettext_lazy("merchant account"), "channel_day.merchant.name"),
        (gettext_lazy("our number"), "out_no"),
        (gettext_lazy("channel's number"), "channel_no"),
        (gettext_lazy("payment or refund"), "get_trade_kind_display"),
        (gettext_lazy("kind"), "get_kind_display"),
        (gettext_lazy("time"), "at"),
        (gettext_lazy("ours (yuan)"), "ours"),
        (gettext_lazy("the channel's (yuan)"), "theirs"),
        (gettext_lazy("difference (yuan)"), "difference"),
        (gettext_lazy("state"), "get_state_display"),
        (gettext_lazy("resolution"), "resolution"),
        (gettext_lazy("resolved by"), "resolved_by"),
        (gettext_lazy("resolved at"), "resolved_at"),
    ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """A day's page links to its differences."""
        return lookup == "channel_day__id__exact" or super().lookup_allowed(lookup, value, request)

    def resolve_difference(self, request: HttpRequest, row: ChannelDifference, reason: str) -> Any:
        """Close it, or ask a second person to."""
        approval = reconcile.request_resolution(
            difference=row, reason=reason, actor=staff_actor(request), address=client_address(request)
        )
        if approval.state == ApprovalState.PENDING:
            return _("A second person has to approve it: it waits among the approvals.")
        return _("The difference is resolved.")

    @action(
        description=gettext_lazy("Query now"),
        url_path="query",
        icon="sync",
        permissions=["query"],
        dialog={
            "title": gettext_lazy("Query now"),
            "description": gettext_lazy(
                "The payment provider is asked. What is done there is booked here, once, and the day is matched anew."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": gettext_lazy("Query now"),
        },
    )
    def query_now(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Ask the provider."""
        row = self.row(request, object_id)
        try:
            reconcile.query_now(difference_id=row.pk)
        except (DomainError, Mismatch) as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        before = row.state
        row.refresh_from_db()
        self.audit(request, "queried", row, changes={"state": [before, row.state]})
        if row.state == DifferenceState.OPEN:
            messages.warning(request, _("The provider was asked. The difference is still there."))
            return self.back_to(request, row)
        return self.back_to(request, row, _("The provider was asked, and the difference is gone."))

    def has_query_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may; the button shows where asking can help."""
        if not self.allowed(request, "reconcile_channel"):
            return False
        if object_id is None:
            return True
        row = ChannelDifference.objects.select_related("recharge", "refund_part").filter(pk=object_id).first()
        return row is not None and reconcile.can_heal(row)

    @display(description=gettext_lazy("business day"), ordering="channel_day__day")
    def day_shown(self, obj: ChannelDifference) -> str:
        """As 2026-11-23."""
        return str(obj.channel_day.day)

    @display(description=gettext_lazy("merchant account"), ordering="channel_day__merchant")
    def merchant_shown(self, obj: ChannelDifference) -> str:
        """Its name."""
        return str(obj.channel_day.merchant)

    @display(description=gettext_lazy("difference (yuan)"))
    def difference_shown(self, obj: ChannelDifference) -> str:
        """What the channel says beyond us."""
        return f"{obj.difference:+.2f}"

    @display(description=gettext_lazy("wallet refund"))
    def refund_shown(self, obj: ChannelDifference) -> SafeString | str:
        """The refund that its part belongs to."""
        if obj.refund_part is None:
            return shown.EMPTY
        address = reverse("admin:wallet_walletrefund_change", args=[obj.refund_part.refund_id])
        return format_html('<a href="{}">{}</a>', address, obj.refund_part)

    @display(description=gettext_lazy("time"), ordering="at")
    def at_shown(self, obj: ChannelDifference) -> str:
        """To the second."""
        return shown.moment(obj.at)

    @display(description=gettext_lazy("figures"))
    def figures_shown(self, obj: ChannelDifference) -> str:
        """What else is known, in words."""
        words = []
        if obj.figures.get("state"):
            words.append(_("our state: %(state)s") % {"state": reconcile.state_words(obj)})
        if obj.figures.get("copy"):
            words.append(_("the bill has it %(times)s times") % {"times": obj.figures["copy"]})
        if obj.figures.get("merchant"):
            words.append(_("with us it belongs to another merchant account"))
        return "; ".join(words) or shown.EMPTY


@admin.register(ChannelBillRow, site=tenant_site)
class ChannelBillRowAdmin(ReadOnlyAdmin):
    """The bills as they were downloaded."""

    show_full_result_count = False
    list_display = [
        "out_no",
        "day_shown",
        "kind",
        "state",
        "amount",
        "fee",
        "channel_trade_no",
        "at_shown",
        "revision",
        "superseded",
    ]
    list_select_related = ["channel_day__merchant"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("merchant", RelatedDropdownFilter),
        ("channel_day__day", RangeDateFilter),
        "superseded",
    ]
    search_fields = ["out_no", "out_trade_no", "channel_trade_no"]
    search_help_text = gettext_lazy("Our number, or the channel's")
    fields = [
        ("out_no", "kind"),
        ("day_shown", "at_shown"),
        ("out_trade_no", "channel_trade_no"),
        ("channel_refund_no", "amount"),
        ("fee", "state"),
        ("revision", "superseded"),
    ]
    export = [
        (gettext_lazy("business day"), "channel_day.day"),
        (gettext_lazy("merchant account"), "channel_day.merchant.name"),
        (gettext_lazy("kind"), "get_kind_display"),
        (gettext_lazy("state"), "get_state_display"),
        (gettext_lazy("our number"), "out_no"),
        (gettext_lazy("our number of the payment"), "out_trade_no"),
        (gettext_lazy("channel's trade number"), "channel_trade_no"),
        (gettext_lazy("channel's refund number"), "channel_refund_no"),
        (gettext_lazy("amount"), "amount"),
        (gettext_lazy("fee"), "fee"),
        (gettext_lazy("time"), "at"),
        (gettext_lazy("revision of the bill"), "revision"),
    ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """A day's page links to its rows."""
        return lookup == "channel_day__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description=gettext_lazy("bill"), ordering="channel_day")
    def day_shown(self, obj: ChannelBillRow) -> str:
        """Day and account."""
        return str(obj.channel_day)

    @display(description=gettext_lazy("time"), ordering="at")
    def at_shown(self, obj: ChannelBillRow) -> str:
        """To the second."""
        return shown.moment(obj.at)
