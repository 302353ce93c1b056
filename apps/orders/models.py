"""Charging orders, every move they made, the records piles sent for them, and the lines of their bills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.common.differences import Difference
from apps.common.fields import DeviceAmountField, EnergyField, MoneyField, PriceField
from apps.common.models import Reviewed, TimeStamped
from apps.coupons.models import Coupon
from apps.customers.models import Customer, Enterprise
from apps.orders.audit import DEFAULT_RULES, Rules
from apps.orders.enums import (
    LIVE,
    EnergyDifferenceKind,
    EnergyRule,
    OrderRefundState,
    OrderSource,
    OrderState,
    RecordState,
    StopReason,
    Verdict,
)
from apps.piles.models import Connector, Pile
from apps.pricing.models import PriceVersion
from apps.pricing.tariff import Tariff, pile_balance
from apps.sites.models import Station
from apps.wallet.payment import PayOrder


class Order(TimeStamped):
    """One charge. Both tariffs are frozen at the start; the bill is written at settlement."""

    order_no = models.CharField(_("order number"), max_length=32, unique=True)
    transaction_no = models.CharField(_("transaction number"), max_length=32, unique=True)
    request_key = models.CharField(max_length=64, editable=False)
    source = models.CharField(_("source"), max_length=16, choices=OrderSource, default=OrderSource.APP)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="orders", verbose_name=_("customer")
    )
    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, related_name="orders", verbose_name=_("station")
    )
    connector = models.ForeignKey(
        Connector, on_delete=models.PROTECT, related_name="orders", verbose_name=_("connector")
    )
    state = models.CharField(_("state"), max_length=16, choices=OrderState, default=OrderState.PENDING)
    price_version = models.ForeignKey(
        PriceVersion, on_delete=models.PROTECT, related_name="orders", verbose_name=_("price version")
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
    )
    enterprise = models.ForeignKey(
        Enterprise,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("enterprise"),
    )
    enterprise_rule = models.JSONField(
        _("enterprise's discount"), null=True, blank=True, help_text=_("frozen at the start")
    )
    preset_amount = MoneyField(_("preset amount"), null=True, blank=True)
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
            models.Index(fields=["state", "created_at"], name="order_state"),
            models.Index(fields=["customer", "-id"], name="order_customer"),
            models.Index(fields=["station", "settled_at"], name="order_station_settled"),
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


class OrderRefund(Reviewed):
    """A part or all of a settled order that goes back to the wallet once a person agreed.

    What goes back is asked for by fee kind; when it is done, it is known where it went: to principal and bonus in the
    shares that paid, and off the order's open debt.
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


class TransactionRecord(models.Model):
    """A record (交易记录) as a pile sent it: committed before 0x40, kept for ever.

    Written by the gateway's group commit with plain SQL, so every column has its value there. The first of a
    transaction number is settled; a repetition is the same row (`digest`); a differing one goes to quarantine.
    """

    transaction_no = models.CharField(_("transaction number"), max_length=32, db_index=True)
    pile_code = models.CharField(_("pile code"), max_length=14)
    connector_no = models.CharField(_("connector number"), max_length=2)
    connection_pile_code = models.CharField(
        _("sent by"), max_length=14, help_text=_("the pile that was logged in on the connection")
    )
    protocol = models.CharField(_("protocol"), max_length=16)
    frame_type = models.PositiveSmallIntegerField(_("frame type"))
    body = models.BinaryField(_("raw bytes"))
    digest = models.CharField(_("digest"), max_length=64)
    report = models.JSONField(
        _("decoded"),
        null=True,
        blank=True,
        help_text=_("piles.reports.TransactionReport; empty if undecodable"),
    )
    received_at = models.DateTimeField(_("received at"))
    times_received = models.PositiveIntegerField(_("times received"), default=1)
    state = models.CharField(_("state"), max_length=16, choices=RecordState, default=RecordState.STORED)
    reason = models.CharField(_("reason"), max_length=64, blank=True)
    order = models.ForeignKey(
        Order,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="records",
        verbose_name=_("order"),
    )
    processed_at = models.DateTimeField(_("processed at"), null=True, blank=True)
    # The database fills these in for gateways of an older release, which write this table in plain SQL.
    decided_by = models.CharField(_("decided by"), max_length=100, blank=True, db_default="")
    decision = models.CharField(_("decision"), max_length=200, blank=True, db_default="")

    class Meta:
        permissions = [("decide_record", _("Can match or reject quarantined records"))]
        verbose_name = _("transaction record")
        verbose_name_plural = _("transaction records")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["transaction_no", "pile_code", "connector_no", "digest"], name="record_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["received_at"], condition=Q(state=RecordState.STORED), name="record_waiting"
            ),
            models.Index(fields=["pile_code", "id"], name="record_of_pile"),
            # A day's records: rows come in the order of this column, so a few pages hold the whole index.
            BrinIndex(fields=["received_at"], name="record_received", autosummarize=True),
        ]

    def __str__(self) -> str:
        return self.transaction_no


class BillLine(models.Model):
    """One rate class of a settled order, each fee rounded half up to the fen (docs/worked-examples.md)."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines", verbose_name=_("order"))
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


class EnergyDay(TimeStamped):
    """What a pile delivered on one business day by its records, its bills, its meters and its telemetry, kWh.

    A charge belongs to the day on which its record arrived (without a record: on which it was started).
    """

    pile = models.ForeignKey(
        Pile, on_delete=models.PROTECT, related_name="energy_days", verbose_name=_("pile")
    )
    day = models.DateField(_("business day"), db_index=True)
    charges = models.PositiveIntegerField(_("charges"), default=0)
    recorded_kwh = EnergyField(_("by records (kWh)"), default=0)
    billed_kwh = EnergyField(_("billed (kWh)"), default=0)
    metered_kwh = EnergyField(_("by meters (kWh)"), default=0)
    gap_kwh = EnergyField(_("between charges (kWh)"), default=0)
    sampled_kwh = EnergyField(_("by telemetry (kWh)"), default=0)
    differences_found = models.PositiveIntegerField(_("differences"), default=0)
    differences_open = models.PositiveIntegerField(_("open differences"), default=0)
    reconciled_at = models.DateTimeField(_("reconciled at"))

    class Meta:
        verbose_name = _("energy reconciliation")
        verbose_name_plural = _("energy reconciliation")
        ordering = ["-day", "pile"]
        permissions = [("reconcile_energy", _("Can reconcile energy and resolve differences"))]
        constraints = [models.UniqueConstraint(fields=["day", "pile"], name="energy_day_unique")]
        indexes = [models.Index(fields=["day"], condition=Q(differences_open__gt=0), name="energy_day_open")]

    def __str__(self) -> str:
        return f"{self.day} {self.pile}"


class EnergyDifference(Difference):
    """One charge, or one step of a meter, of which two sources say different things."""

    energy_day = models.ForeignKey(
        EnergyDay,
        on_delete=models.CASCADE,
        related_name="differences",
        verbose_name=_("energy reconciliation"),
    )
    kind = models.CharField(_("kind"), max_length=24, choices=EnergyDifferenceKind)
    connector_no = models.CharField(_("connector number"), max_length=2, blank=True)
    transaction_no = models.CharField(_("transaction number"), max_length=32, blank=True, db_index=True)
    order = models.ForeignKey(
        Order,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="energy_differences",
        verbose_name=_("order"),
    )
    ours_kwh = EnergyField(_("ours (kWh)"), default=0)
    theirs_kwh = EnergyField(_("the pile's (kWh)"), default=0)

    class Meta:
        verbose_name = _("energy difference")
        verbose_name_plural = _("energy differences")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["energy_day", "kind", "subject"], name="energy_difference_unique")
        ]

    @property
    def difference_kwh(self) -> Decimal:
        """What the pile says beyond us, kWh."""
        return self.theirs_kwh - self.ours_kwh


_ZERO_OR_MORE = [MinValueValidator(Decimal(0))]
_PERCENT = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))]


def _small_energy(name: Any, default: Decimal, help_text: Any) -> models.DecimalField:
    return models.DecimalField(
        name, max_digits=8, decimal_places=4, default=default, validators=_ZERO_OR_MORE, help_text=help_text
    )


def _percent(name: Any, default: Decimal, help_text: Any) -> models.DecimalField:
    return models.DecimalField(
        name, max_digits=5, decimal_places=2, default=default, validators=_PERCENT, help_text=help_text
    )


class BillingPolicy(models.Model):
    """How this tenant bills, pays and audits: one row. An order does not freeze it: what counts is the settlement.

    Defaults are what the field needs (docs: reference of the protocol, 4.4). Read it with `selectors.billing_policy`.
    """

    single = models.BooleanField(default=True, unique=True, editable=False)
    energy_rule = models.CharField(
        _("billed energy"),
        max_length=8,
        choices=EnergyRule,
        default=EnergyRule.METERED,
        help_text=_("A record whose energies with losses are all zero is billed by its metered energy."),
    )
    pay_order = models.CharField(
        _("what pays first"),
        max_length=16,
        choices=[
            (PayOrder.PRINCIPAL_FIRST.value, _("principal, then bonus")),
            (PayOrder.BONUS_FIRST.value, _("bonus, then principal")),
            (PayOrder.RATIO.value, _("both, by ratio")),
        ],
        default=PayOrder.PRINCIPAL_FIRST.value,
    )
    bonus_ratio = models.DecimalField(
        _("bonus share"),
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.00"),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(1))],
        help_text=_("0 to 1; only for “both, by ratio”: 0.30 lets the bonus pay 30 % of a bill"),
    )
    sum_exact_kwh = _small_energy(
        _("periods against total: exact (kWh)"),
        DEFAULT_RULES.sum_exact_kwh,
        _("a larger difference is flagged"),
    )
    sum_tolerance_kwh = _small_energy(
        _("periods against total: tolerance (kWh)"),
        DEFAULT_RULES.sum_tolerance_kwh,
        _("a larger difference is held for a person"),
    )
    meter_tolerance_kwh = _small_energy(
        _("meter against total (kWh)"),
        DEFAULT_RULES.meter_tolerance_kwh,
        _("a larger difference is flagged; a meter that ran backwards is always held"),
    )
    power_margin_percent = _percent(
        _("margin on rated power (%)"),
        DEFAULT_RULES.power_margin_percent,
        _("more energy than the gun's power allows in that time, with this margin, is held"),
    )
    samples_tolerance_kwh = _small_energy(
        _("samples against total (kWh)"),
        DEFAULT_RULES.samples_tolerance_kwh,
        _("the record against the pile's last report while charging; a larger difference is flagged"),
    )
    samples_tolerance_percent = _percent(
        _("samples against total (%)"),
        DEFAULT_RULES.samples_tolerance_percent,
        _("added to the kilowatt-hours"),
    )
    amount_per_period_yuan = models.DecimalField(
        _("amount by period (yuan)"),
        max_digits=6,
        decimal_places=2,
        default=DEFAULT_RULES.amount_per_period_yuan,
        validators=_ZERO_OR_MORE,
        help_text=_("the pile's total against ours: so much for each period with energy"),
    )
    amount_percent = _percent(
        _("amount (%)"), DEFAULT_RULES.amount_percent, _("of our bill, added; a larger difference is flagged")
    )
    clock_exact_s = models.PositiveIntegerField(
        _("clock: exact (s)"),
        default=DEFAULT_RULES.clock_exact_s,
        help_text=_("a clock that is off by more is flagged where it moved energy to another price"),
    )
    clock_tolerance_s = models.PositiveIntegerField(
        _("clock: tolerance (s)"),
        default=DEFAULT_RULES.clock_tolerance_s,
        help_text=_("start and end against what the platform saw; more is flagged"),
    )
    late_after_minutes = models.PositiveIntegerField(
        _("late after (min)"),
        default=DEFAULT_RULES.late_after_minutes,
        help_text=_("a record that comes later after the end is flagged"),
    )
    note = models.CharField(_("note"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("billing policy")
        verbose_name_plural = _("billing policy")
        constraints = [
            models.CheckConstraint(condition=Q(single=True), name="billing_policy_single"),
            models.CheckConstraint(
                condition=Q(bonus_ratio__gte=0, bonus_ratio__lte=1), name="billing_policy_ratio"
            ),
            models.CheckConstraint(
                condition=Q(sum_tolerance_kwh__gte=F("sum_exact_kwh")),
                name="billing_policy_tolerances",
                violation_error_message=_("The tolerance is at least the exact difference."),
            ),
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @property
    def use_loss(self) -> bool:
        """Whether energy with losses is billed."""
        return self.energy_rule == EnergyRule.LOSS

    def rules(self) -> Rules:
        """Return the thresholds as the audit takes them."""
        names = [field for field in Rules.__dataclass_fields__ if field != "use_loss"]
        return Rules(use_loss=self.use_loss, **{name: getattr(self, name) for name in names})
