"""Franchisees: companies whose stations we run, what was agreed with them, and who of them signs in."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import BigIntegerRangeField, DateRangeField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.common.models import TimeStamped
from apps.files.models import StoredFile
from apps.franchisees.enums import FranchiseeState
from apps.sites.models import Station


class Franchisee(TimeStamped):
    """A company that owns stations which we run (加盟商)."""

    name = models.CharField(_("name"), max_length=50, unique=True, help_text=_("as staff call it"))
    company = models.CharField(_("company"), max_length=100, help_text=_("as on its business licence"))
    credit_code = models.CharField(
        _("unified social credit code"),
        max_length=18,
        blank=True,
        validators=[
            RegexValidator(
                r"^[0-9A-HJ-NPQRTUWXY]{18}$",
                _("18 digits and capitals are needed, as on the business licence."),
            )
        ],
    )
    contact = models.CharField(_("contact"), max_length=50, blank=True)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    state = models.CharField(
        _("state"), max_length=8, choices=FranchiseeState, default=FranchiseeState.ACTIVE, editable=False
    )
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("franchisee")
        verbose_name_plural = _("franchisees")
        ordering = ["name"]
        permissions = [
            ("sign_contract", _("Can enter and end contracts of franchisees")),
            ("assign_stations", _("Can give stations to franchisees and take them back")),
            ("open_accounts", _("Can open and close accounts of franchisees")),
            ("end_franchisee", _("Can end and resume the work with a franchisee")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["credit_code"],
                condition=~Q(credit_code=""),
                name="franchisee_credit_code_unique",
                violation_error_message=_("Another franchisee has this unified social credit code."),
            )
        ]

    def __str__(self) -> str:
        return self.name


def _range(function: str, field: models.Field, *ends: str) -> Func:
    return Func(*(F(end) for end in ends), Value("[]"), function=function, output_field=field)


def _never_at_once(name: str, of: str, first: str, last: str) -> ExclusionConstraint:
    """No two rows of the same `of` have a day in common. Ranges need no extension, plain equality would."""
    return ExclusionConstraint(
        name=name,
        expressions=[
            (_range("int8range", BigIntegerRangeField(), of, of), "&&"),
            (_range("daterange", DateRangeField(), first, last), "&&"),
        ],
    )


def _percent(name: Any) -> models.DecimalField:
    return models.DecimalField(
        name,
        max_digits=7,
        decimal_places=4,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
    )


class FranchiseeContract(TimeStamped):
    """What was agreed for a time: days are those of Asia/Shanghai, both ends included; shares are per cent of a fee."""

    franchisee = models.ForeignKey(
        Franchisee, on_delete=models.PROTECT, related_name="contracts", verbose_name=_("franchisee")
    )
    number = models.CharField(_("contract number"), max_length=50, unique=True)
    starts_on = models.DateField(_("first day"))
    ends_on = models.DateField(_("last day"))
    service_share = _percent(_("franchisee's share of the service fee (%)"))
    electricity_share = _percent(_("franchisee's share of the electricity fee (%)"))
    file = models.OneToOneField(
        StoredFile,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="franchise_contract",
        verbose_name=_("file"),
    )
    note = models.CharField(_("note"), max_length=200, blank=True)
    signed_by = models.CharField(_("entered by"), max_length=100)

    class Meta:
        verbose_name = _("franchise contract")
        verbose_name_plural = _("franchise contracts")
        ordering = ["-starts_on"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="franchise_contract_days"),
            models.CheckConstraint(
                condition=Q(service_share__range=(0, 100), electricity_share__range=(0, 100)),
                name="franchise_contract_shares",
            ),
            _never_at_once("franchise_contracts_apart", "franchisee_id", "starts_on", "ends_on"),
        ]

    def __str__(self) -> str:
        return self.number

    def runs_on(self, day: date) -> bool:
        """Return whether the contract is in force on a day."""
        return self.starts_on <= day <= self.ends_on


class FranchiseeStation(TimeStamped):
    """That a station belongs to a franchisee from a day until another, both included; without a last day, still.

    Rows stay when the station goes to somebody else, so reports of earlier days say whose it was then.
    """

    franchisee = models.ForeignKey(
        Franchisee, on_delete=models.PROTECT, related_name="stations", verbose_name=_("franchisee")
    )
    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, related_name="franchisees", verbose_name=_("station")
    )
    starts_on = models.DateField(_("first day"))
    ends_on = models.DateField(_("last day"), null=True, blank=True)
    given_by = models.CharField(_("entered by"), max_length=100)

    class Meta:
        verbose_name = _("franchisee's station")
        verbose_name_plural = _("franchisees' stations")
        ordering = ["-starts_on", "-id"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_on=None) | Q(ends_on__gte=F("starts_on")), name="franchisee_station_days"
            ),
            _never_at_once("franchisee_station_of_one", "station_id", "starts_on", "ends_on"),
        ]

    def __str__(self) -> str:
        return str(self.station)


class FranchiseeAccount(TimeStamped):
    """That an account of the back office is of a franchisee: it sees the stations that the franchisee has today."""

    franchisee = models.ForeignKey(
        Franchisee, on_delete=models.PROTECT, related_name="accounts", verbose_name=_("franchisee")
    )
    user = models.OneToOneField(
        User, on_delete=models.PROTECT, related_name="franchisee_account", verbose_name=_("account")
    )

    class Meta:
        verbose_name = _("franchisee's account")
        verbose_name_plural = _("franchisees' accounts")
        ordering = ["id"]
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user)
