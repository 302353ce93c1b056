"""A charging order, every move it made, its further guns, its curve and the lines of its bill."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, ExtractHour
from django.utils.translation import gettext_lazy as _

from apps.common.fields import DeviceAmountField, EnergyField, MoneyField, PriceField
from apps.common.models import TimeStamped
from apps.common.time import SHANGHAI
from apps.coupons.models import Coupon
from apps.customers.models import Customer, Enterprise, EnterpriseMember, Payer
from apps.orders.enums import LIVE, OrderSource, OrderState, StopReason, Verdict
from apps.orders.limits import Limits
from apps.piles.models import Connector
from apps.pricing.models import PriceVersion
from apps.pricing.tariff import Tariff, pile_balance
from apps.sites.models import Station

BEGAN_HOUR = ExtractHour(Coalesce("charging_at", "started_at", "created_at"), tzinfo=SHANGHAI)
"""The hour of the day in which an order's charge began, 0 to 23; `order_by_hour` is an index of it."""


class Order(TimeStamped):
    """One charge. Both tariffs are frozen at the start; the bill is written at settlement."""

    order_no = models.CharField(_("order number"), max_length=32, unique=True)
    transaction_no = models.CharField(_("transaction number"), max_length=32, unique=True)
    request_key = models.CharField(max_length=64, editable=False)
    source = models.CharField(_("source"), max_length=16, choices=OrderSource, default=OrderSource.APP)
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        related_name="orders",
        verbose_name=_("customer"),
        db_index=False,
    )
    station = models.ForeignKey(
        Station,
        on_delete=models.PROTECT,
        related_name="orders",
        verbose_name=_("station"),
        db_index=False,
    )
    connector = models.ForeignKey(
        Connector, on_delete=models.PROTECT, related_name="orders", verbose_name=_("connector")
    )
    state = models.CharField(_("state"), max_length=16, choices=OrderState, default=OrderState.PENDING)
    price_version = models.ForeignKey(
        PriceVersion,
        on_delete=models.PROTECT,
        related_name="orders",
        verbose_name=_("price version"),
        db_index=False,
    )
    tariff = models.JSONField(_("infrastructure tariff"), help_text=_("frozen at the start"))
    retail_tariff = models.JSONField(
        _("retail tariff"), help_text=_("frozen at the start; what the driver pays")
    )
    coupon_choice = models.CharField(
        _("coupon asked for"),
        max_length=20,
        default="best",
        help_text=_("best: the best one at settlement; none; or the number of one"),
    )
    coupon = models.ForeignKey(
        Coupon,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("coupon"),
        db_index=False,
    )
    enterprise = models.ForeignKey(
        Enterprise,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("enterprise"),
        db_index=False,
    )
    enterprise_member = models.ForeignKey(
        EnterpriseMember,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("enterprise member"),
        db_index=False,
    )
    enterprise_rule = models.JSONField(
        _("enterprise's discount"), null=True, blank=True, help_text=_("frozen at the start")
    )
    payer = models.CharField(
        _("paid by"), max_length=10, choices=Payer, default=Payer.WALLET, db_default=Payer.WALLET
    )
    preset_amount = MoneyField(_("preset amount"), null=True, blank=True)
    limit_energy_kwh = EnergyField(_("preset energy (kWh)"), null=True, blank=True)
    limit_minutes = models.PositiveIntegerField(_("preset minutes"), null=True, blank=True)
    limit_soc_percent = models.PositiveSmallIntegerField(_("preset state of charge"), null=True, blank=True)
    plate = models.CharField(
        _("plate"),
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text=_("of the car that the driver chose"),
    )
    hold_amount = MoneyField(_("hold"), default=0)
    # When what happened.
    start_sent_at = models.DateTimeField(_("start sent at"), null=True, blank=True)
    start_answered_at = models.DateTimeField(_("start answered at"), null=True, blank=True)
    waiting_for_plug = models.BooleanField(_("waiting for the plug"), default=False)
    charging_at = models.DateTimeField(_("charging since"), null=True, blank=True)
    stop_requested_at = models.DateTimeField(_("stop requested at"), null=True, blank=True)
    stop_confirmed_at = models.DateTimeField(_("stop confirmed at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    stop_reason = models.CharField(
        _("stop reason"), max_length=16, choices=StopReason, blank=True, default=""
    )
    stop_code = models.CharField(_("pile's stop code"), max_length=4, blank=True)
    fail_reason = models.CharField(_("failure"), max_length=32, blank=True)
    # The bill.
    energy_kwh = EnergyField(_("energy (kWh)"), default=0)
    electricity_fee = MoneyField(_("electricity fee"), default=0)
    service_fee = MoneyField(_("service fee"), default=0)
    enterprise_discount = MoneyField(_("enterprise discount"), default=0)
    coupon_discount = MoneyField(_("coupon discount"), default=0)
    electricity_payable = MoneyField(_("electricity payable"), default=0)
    service_payable = MoneyField(_("service payable"), default=0)
    payable = MoneyField(_("payable"), default=0)
    platform_borne = MoneyField(_("discount borne by the platform"), default=0)
    station_borne = MoneyField(_("discount borne by the station"), default=0)
    paid_principal = MoneyField(_("paid from principal"), default=0)
    paid_bonus = MoneyField(_("paid from bonus"), default=0)
    paid_enterprise = MoneyField(_("paid by the enterprise"), default=0, db_default=0)
    bonus_electricity = MoneyField(_("electricity paid from bonus"), default=0)
    bonus_service = MoneyField(_("service paid from bonus"), default=0)
    debt = MoneyField(_("debt"), default=0)
    explanation = models.JSONField(
        _("how the bill came about"),
        default=list,
        blank=True,
        help_text=_("one entry per step of the discounts"),
    )
    refunded_electricity = MoneyField(_("electricity fee refunded"), default=0, db_default=0)
    refunded_service = MoneyField(_("service fee refunded"), default=0, db_default=0)
    verdict = models.CharField(_("audit verdict"), max_length=8, choices=Verdict, blank=True, default="")
    findings = models.JSONField(_("audit findings"), default=list, blank=True)
    vin = models.CharField(_("VIN"), max_length=17, blank=True)
    card_no = models.CharField(_("card's chip number"), max_length=16, blank=True)
    parallel_seq = models.CharField(
        _("parallel number"), max_length=12, blank=True, help_text=_("of a charge over several guns")
    )
    abort_words = models.JSONField(_("why the battery or the charger ended it"), default=list, blank=True)

    class Meta:
        verbose_name = _("charging order")
        verbose_name_plural = _("charging orders")
        ordering = ["-id"]
        permissions = [
            ("start_order", _("Can start a charge for a driver")),
            ("stop_order", _("Can stop a charge")),
            ("force_end_order", _("Can end an order whose pile is lost, with a second person")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer", "request_key"], name="order_request_unique"),
            models.UniqueConstraint(
                fields=["connector"], condition=Q(state__in=sorted(LIVE)), name="order_one_live"
            ),
            models.CheckConstraint(
                condition=Q(
                    refunded_electricity__gte=0,
                    refunded_service__gte=0,
                    refunded_electricity__lte=F("electricity_payable"),
                    refunded_service__lte=F("service_payable"),
                ),
                name="order_refund_bounds",
            ),
        ]
        indexes = [
            # Each move of an order writes every index that has a row for it: what is not asked for has none.
            models.Index(fields=["customer", "-id"], name="order_customer"),
            models.Index(
                fields=["settled_at"], condition=Q(settled_at__isnull=False), name="order_by_settled"
            ),  # reports roll up a day at a time
            models.Index(
                fields=["station", "settled_at"],
                condition=Q(settled_at__isnull=False),
                name="order_by_station_settled",
            ),
            # Most orders have neither: what is empty is not written at each of an order's moves.
            models.Index(fields=["coupon"], condition=Q(coupon__isnull=False), name="order_of_coupon"),
            models.Index(
                fields=["enterprise"], condition=Q(enterprise__isnull=False), name="order_of_enterprise"
            ),
            models.Index(
                fields=["enterprise", "created_at"],
                condition=Q(payer=Payer.ENTERPRISE),
                name="order_paid_by_enterprise",
            ),  # what is used of its monthly limit
            models.Index(
                fields=["enterprise_member", "created_at"],
                condition=Q(payer=Payer.ENTERPRISE),
                name="order_paid_for_member",
            ),  # and of a member's
            # The list, newest first, by each of its filters: else one that finds little reads every order. What nearly
            # all orders have is found soon by the index of created_at.
            models.Index(
                fields=["state", "created_at"], condition=~Q(state="completed"), name="order_by_state"
            ),
            models.Index(fields=["station", "created_at"], name="order_by_station"),
            models.Index(
                fields=["verdict", "created_at"],
                condition=Q(verdict__in=["flagged", "held"]),
                name="order_by_verdict",
            ),
            models.Index(fields=["source", "created_at"], condition=~Q(source="app"), name="order_by_source"),
            # With all that the expression reads: the orders of an hour are counted in the index alone.
            models.Index(
                BEGAN_HOUR, "created_at", include=["charging_at", "started_at"], name="order_by_hour"
            ),
        ]

    def __str__(self) -> str:
        return self.order_no

    @property
    def refundable_electricity(self) -> Decimal:
        """What of the electricity payable may still go back, yuan."""
        return self.electricity_payable - self.refunded_electricity

    @property
    def refundable_service(self) -> Decimal:
        """What of the service payable may still go back, yuan."""
        return self.service_payable - self.refunded_service

    @property
    def total_fee(self) -> Decimal:
        """Electricity and service fee before any discount, yuan."""
        return self.electricity_fee + self.service_fee

    @property
    def limits(self) -> Limits:
        """What the driver wants to stop the charge, beside the hold."""
        return Limits(self.limit_energy_kwh, self.limit_minutes, self.limit_soc_percent)

    @property
    def own_hold(self) -> Decimal | None:
        """The hold as its driver is told it, yuan; None where it is an enterprise's: what that has is not told."""
        return None if self.payer == Payer.ENTERPRISE else self.hold_amount

    @property
    def is_retail(self) -> bool:
        """Whether the driver pays other prices than the pile counts by."""
        return bool(self.tariff != self.retail_tariff)

    def pile_balance(self) -> Decimal:
        """The hold as the pile's balance, yuan, at the prices that the pile counts by."""
        if not self.is_retail:
            return self.hold_amount
        return pile_balance(self.hold_amount, self.frozen_tariff(), self.frozen_retail_tariff())

    def frozen_tariff(self) -> Tariff:
        """The infrastructure tariff as it was at the start; the pile's amounts are audited against it."""
        return Tariff.from_json(self.tariff)

    def frozen_retail_tariff(self) -> Tariff:
        """The tariff that the driver pays."""
        return Tariff.from_json(self.retail_tariff)


class AbnormalOrders(models.Manager):
    """Orders that wait for a person."""

    def get_queryset(self) -> models.QuerySet:
        """Only those in ABNORMAL."""
        return super().get_queryset().filter(state=OrderState.ABNORMAL)


class AbnormalOrder(Order):
    """An order in ABNORMAL, as the queue of those shows it."""

    objects = AbnormalOrders()

    class Meta:
        proxy = True
        verbose_name = _("abnormal order")
        verbose_name_plural = _("abnormal orders")
        permissions = [
            ("decide_abnormalorder", _("Can propose how an abnormal order is closed")),
            ("approve_abnormalorder", _("Can approve how an abnormal order is closed")),
        ]


class EnterpriseCharges(models.Manager):
    """Settled orders that enterprises paid for."""

    def get_queryset(self) -> models.QuerySet:
        """Only those."""
        return super().get_queryset().filter(payer=Payer.ENTERPRISE, settled_at__isnull=False)


class EnterpriseCharge(Order):
    """An order that an enterprise paid for, as its monthly statement lists it."""

    objects = EnterpriseCharges()

    class Meta:
        proxy = True
        ordering = ["-settled_at", "-id"]
        verbose_name = _("charge paid by an enterprise")
        verbose_name_plural = _("charges paid by enterprises")


class ParallelLeg(models.Model):
    """A further gun of an order that charges one car over several (并充); the order itself is the main gun's."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="legs", verbose_name=_("order"))
    connector = models.ForeignKey(
        Connector, on_delete=models.PROTECT, related_name="legs", verbose_name=_("connector")
    )
    transaction_no = models.CharField(_("transaction number"), max_length=32, unique=True)
    is_live = models.BooleanField(_("occupies its connector"), default=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("further gun")
        verbose_name_plural = _("further guns")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["connector"], condition=Q(is_live=True), name="leg_one_live")
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.transaction_no}"


class OrderCurve(models.Model):
    """What a charge looked like over time, thinned from telemetry when the order was settled.

    `points`: [[seconds since start, kW, SOC %, V, A, kWh, highest °C], …], at most a few hundred; null is unknown.
    """

    order = models.OneToOneField(
        Order, on_delete=models.CASCADE, primary_key=True, related_name="curve", verbose_name=_("order")
    )
    points = models.JSONField(_("points"), default=list)

    class Meta:
        verbose_name = _("charging curve")
        verbose_name_plural = _("charging curves")

    def __str__(self) -> str:
        return str(self.order_id)


class OrderEvent(models.Model):
    """One step in an order's life: a move between states, or a fact without a move (both states equal)."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events", verbose_name=_("order"))
    at = models.DateTimeField(_("time"))
    kind = models.CharField(_("event"), max_length=32)
    from_state = models.CharField(_("from"), max_length=16, choices=OrderState)
    to_state = models.CharField(_("to"), max_length=16, choices=OrderState)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)

    class Meta:
        verbose_name = _("order event")
        verbose_name_plural = _("order events")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.from_state}→{self.to_state}"


class BillLine(models.Model):
    """One rate class of a settled order, each fee rounded half up to the fen (docs/worked-examples.md)."""

    order = models.ForeignKey(
        Order, on_delete=models.CASCADE, related_name="lines", verbose_name=_("order"), db_index=False
    )
    rate_class = models.CharField(_("rate class"), max_length=12)
    energy_kwh = EnergyField(_("energy (kWh)"))
    electricity_price = PriceField(_("electricity price"))
    service_price = PriceField(_("service price"))
    electricity_fee = MoneyField(_("electricity fee"))
    service_fee = MoneyField(_("service fee"))
    pile_amount = DeviceAmountField(_("pile's amount"), null=True, blank=True)

    class Meta:
        verbose_name = _("bill line")
        verbose_name_plural = _("bill lines")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["order", "rate_class"], name="bill_line_unique")]

    def __str__(self) -> str:
        return f"{self.order_id} {self.rate_class}"
