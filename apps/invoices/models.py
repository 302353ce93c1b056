"""Titles that drivers keep, applications for invoices with their orders and files, and the company's rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.models import Reviewed, TimeStamped
from apps.customers.models import Customer
from apps.files.models import StoredFile
from apps.invoices.enums import LIVING, Fee, InvoiceKind, InvoiceState, TitleKind
from apps.invoices.rules import Line, lines
from apps.orders.models import Order

_TAX_CODE = RegexValidator(r"\A[0-9]{19}\Z", _("A tax code has 19 digits."))
_RATE = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal("0.20"))]


class InvoiceTitle(TimeStamped):
    """To whom a driver's invoices are made out (发票抬头). Applications keep a copy, so a title may go at any time."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="invoice_titles", verbose_name=_("customer")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=TitleKind)
    name = models.CharField(_("title"), max_length=100)
    tax_no = models.CharField(_("tax number"), max_length=20, blank=True)
    address = models.CharField(_("address"), max_length=100, blank=True)
    phone = models.CharField(_("company's phone"), max_length=30, blank=True)
    bank = models.CharField(_("bank"), max_length=100, blank=True)
    bank_account = models.CharField(_("bank account"), max_length=40, blank=True)
    email = models.EmailField(_("e-mail"), blank=True)
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        verbose_name = _("invoice title")
        verbose_name_plural = _("invoice titles")
        ordering = ["-is_default", "-id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "kind", "name", "tax_no"], name="invoice_title_unique"
            ),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(is_default=True), name="invoice_title_one_default"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InvoicePolicy(models.Model):
    """How this company invoices: one row. Read it with `selectors.invoice_policy`.

    Tax codes and rates are the accountant's decision: the defaults bill both fees as electricity at 13 %, as the tax
    administration answers for charging prices. An application keeps those it was made with.
    """

    single = models.BooleanField(default=True, unique=True, editable=False)
    is_enabled = models.BooleanField(_("drivers may apply"), default=True)
    allows_special = models.BooleanField(_("special invoices are offered"), default=True)
    minimum_amount = MoneyField(
        _("least amount"),
        default=0,
        help_text=_("of one invoice"),
        validators=[MinValueValidator(Decimal(0))],
    )
    most_orders = models.PositiveSmallIntegerField(
        _("most orders of one invoice"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(200)],
    )
    days = models.PositiveSmallIntegerField(
        _("days after settlement"),
        default=365,
        validators=[MinValueValidator(1)],
        help_text=_("so long a driver may ask for an order's invoice"),
    )
    electricity_name = models.CharField(_("name of the electricity line"), max_length=50, default="充电电费")
    electricity_code = models.CharField(
        _("tax code of the electricity line"),
        max_length=19,
        default="1100101020100000000",
        validators=[_TAX_CODE],
    )
    electricity_rate = models.DecimalField(
        _("tax rate of the electricity line"),
        max_digits=4,
        decimal_places=3,
        default=Decimal("0.130"),
        validators=_RATE,
        help_text=_("0.13 is 13 %"),
    )
    service_name = models.CharField(_("name of the service line"), max_length=50, default="充电服务费")
    service_code = models.CharField(
        _("tax code of the service line"),
        max_length=19,
        default="1100101020100000000",
        validators=[_TAX_CODE],
    )
    service_rate = models.DecimalField(
        _("tax rate of the service line"),
        max_digits=4,
        decimal_places=3,
        default=Decimal("0.130"),
        validators=_RATE,
        help_text=_("0.13 is 13 %"),
    )
    notice = models.CharField(
        _("notice to drivers"), max_length=200, blank=True, help_text=_("shown where they apply")
    )
    note = models.CharField(_("note"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("invoice rules")
        verbose_name_plural = _("invoice rules")
        constraints = [models.CheckConstraint(condition=Q(single=True), name="invoice_policy_single")]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    def terms(self) -> dict[str, dict[str, str]]:
        """Return how lines are named and taxed, as an application freezes it."""
        return {
            fee.value: {
                "name": getattr(self, f"{fee}_name"),
                "tax_code": getattr(self, f"{fee}_code"),
                "rate": str(getattr(self, f"{fee}_rate")),
            }
            for fee in Fee
        }


class InvoiceApplication(Reviewed):
    """An invoice from its application on (开票申请): to whom, over which orders, how much of each fee, and its number.

    Written by `services` alone. `reason` is the applicant's remark. Kept for ever (发票管理办法: five years at least).
    """

    application_no = models.CharField(_("application number"), max_length=32, unique=True)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="invoices", verbose_name=_("customer")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=InvoiceKind)
    title_kind = models.CharField(_("kind of title"), max_length=16, choices=TitleKind)
    title = models.CharField(_("title"), max_length=100)
    tax_no = models.CharField(_("tax number"), max_length=20, blank=True)
    address = models.CharField(_("address"), max_length=100, blank=True)
    phone = models.CharField(_("company's phone"), max_length=30, blank=True)
    bank = models.CharField(_("bank"), max_length=100, blank=True)
    bank_account = models.CharField(_("bank account"), max_length=40, blank=True)
    email = models.EmailField(_("e-mail"), blank=True)
    electricity = MoneyField(_("electricity fee"))
    service = MoneyField(_("service fee"))
    order_count = models.PositiveSmallIntegerField(_("orders"))
    terms = models.JSONField(_("names and tax of the lines"), help_text=_("frozen at the application"))
    state = models.CharField(_("state"), max_length=16, choices=InvoiceState, default=InvoiceState.APPLIED)
    provider = models.CharField(_("issued through"), max_length=16, blank=True)
    invoice_no = models.CharField(_("invoice number"), max_length=20, blank=True)
    issued_on = models.DateField(_("day of issue"), null=True, blank=True)
    issued_by = models.CharField(_("issued by"), max_length=100, blank=True)
    issued_at = models.DateTimeField(_("entered at"), null=True, blank=True)
    file = models.OneToOneField(
        StoredFile, models.PROTECT, null=True, blank=True, related_name="invoice", verbose_name=_("file")
    )
    fail_reason = models.CharField(_("why it failed"), max_length=200, blank=True)
    red_reason = models.CharField(_("why it is reversed"), max_length=200, blank=True)
    red_no = models.CharField(_("number of the red invoice"), max_length=20, blank=True)
    red_at = models.DateTimeField(_("reversed at"), null=True, blank=True)
    request_key = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("invoice application")
        verbose_name_plural = _("invoice applications")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [
            ("apply_invoiceapplication", _("Can apply for invoices on behalf of drivers")),
            ("review_invoiceapplication", _("Can approve or reject invoice applications")),
            ("issue_invoiceapplication", _("Can enter issued and red invoices")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer", "request_key"], name="invoice_request_unique"),
            models.UniqueConstraint(
                fields=["invoice_no"], condition=~Q(invoice_no=""), name="invoice_number_unique"
            ),
            models.UniqueConstraint(
                fields=["red_no"], condition=~Q(red_no=""), name="invoice_red_number_unique"
            ),
            models.CheckConstraint(condition=Q(electricity__gte=0, service__gte=0), name="invoice_amounts"),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="invoice_of_customer"),
            models.Index(fields=["state", "-id"], name="invoice_state"),
        ]

    def __str__(self) -> str:
        return self.application_no

    @property
    def amount(self) -> Decimal:
        """Both fees with tax, yuan."""
        return self.electricity + self.service

    @property
    def is_living(self) -> bool:
        """Whether its orders are taken."""
        return self.state in LIVING

    def lines(self) -> list[Line]:
        """Return the lines of the invoice."""
        return lines({Fee.ELECTRICITY.value: self.electricity, Fee.SERVICE.value: self.service}, self.terms)

    @property
    def tax(self) -> Decimal:
        """Tax of all lines, yuan."""
        return sum((line.tax for line in self.lines()), Decimal("0.00"))

    def as_json(self) -> dict[str, Any]:
        """Return what the audit log keeps of it."""
        return {"state": str(self.state), "amount": str(self.amount), "invoice_no": self.invoice_no}


class InvoiceItem(models.Model):
    """An order of an application. `refunded` is what of the order had gone back when the amounts were worked out."""

    application = models.ForeignKey(
        InvoiceApplication, on_delete=models.CASCADE, related_name="items", verbose_name=_("application")
    )
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="invoice_items", verbose_name=_("order")
    )
    electricity = MoneyField(_("electricity fee"))
    service = MoneyField(_("service fee"))
    refunded = MoneyField(_("refunded"), default=0)
    is_living = models.BooleanField(_("takes its order"), default=True)

    class Meta:
        verbose_name = _("order of an invoice")
        verbose_name_plural = _("orders of invoices")
        ordering = ["id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["order"], condition=Q(is_living=True), name="invoice_order_once")
        ]

    def __str__(self) -> str:
        return f"{self.application_id} {self.order_id}"
