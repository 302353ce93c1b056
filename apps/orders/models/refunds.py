"""What of a settled order goes back."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.models import Reviewed
from apps.orders.enums import OrderRefundState
from apps.orders.models.orders import Order


class OrderRefund(Reviewed):
    """A part or all of a settled order that goes back to who paid it, once a person agreed.

    What goes back is asked for by fee kind; when it is done, it is known where it went: to principal and bonus in the
    shares that paid, and off the order's open debt; or to the enterprise.
    """

    refund_no = models.CharField(_("refund number"), max_length=32, unique=True)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="refunds", verbose_name=_("order")
    )
    electricity = MoneyField(_("electricity fee"))
    service = MoneyField(_("service fee"))
    principal = MoneyField(_("to principal"), default=0)
    bonus = MoneyField(_("to bonus"), default=0)
    debt = MoneyField(_("off the debt"), default=0)
    enterprise = MoneyField(_("to the enterprise"), default=0, db_default=0)
    state = models.CharField(
        _("state"), max_length=16, choices=OrderRefundState, default=OrderRefundState.APPLIED
    )
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    request_key = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("order refund")
        verbose_name_plural = _("order refunds")
        ordering = ["-id"]
        permissions = [
            ("apply_orderrefund", _("Can apply for refunds of orders")),
            ("review_orderrefund", _("Can approve or reject refunds of orders")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(electricity__gte=0, service__gte=0, principal__gte=0, bonus__gte=0, debt__gte=0)
                & (Q(electricity__gt=0) | Q(service__gt=0)),
                name="order_refund_positive",
            ),
            models.UniqueConstraint(fields=["order", "request_key"], name="order_refund_request_unique"),
            models.UniqueConstraint(
                fields=["order"], condition=Q(state=OrderRefundState.APPLIED), name="order_refund_one_open"
            ),
        ]

    def __str__(self) -> str:
        return self.refund_no

    @property
    def amount(self) -> Decimal:
        """Both fees, yuan."""
        return self.electricity + self.service
