"""Closed business days: what the journal said then, chained day by day, and what the last checks of it found.

A closed day takes no more entries (a trigger on the journal refuses them). Its snapshot makes opening balances quick:
`AccountDay` has a row for each account that moved on the day, `DayBalance` one for each kind and channel there is.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.wallet.enums import AccountKind
from apps.wallet.models.ledger import Account


class DayClosing(models.Model):
    """One closed business day. `digest` is taken over its entries, its balances and the digest of the day before."""

    day = models.DateField(_("business day"), unique=True)
    entries = models.PositiveIntegerField(_("entries"))
    moved = MoneyField(_("sum of debits"), help_text=_("Equal to the sum of credits."))
    digest = models.CharField(_("digest"), max_length=64)
    previous_digest = models.CharField(_("digest of the day before"), max_length=64, blank=True)
    closed_at = models.DateTimeField(_("closed at"))
    closed_by = models.CharField(_("closed by"), max_length=100)

    class Meta:
        verbose_name = _("day closing")
        verbose_name_plural = _("day closings")
        ordering = ["-day"]

    def __str__(self) -> str:
        return str(self.day)


class DayBalance(models.Model):
    """One kind of account (and channel) on a closed day: what moved, and the balance at the end, debits positive."""

    day = models.DateField(_("business day"))
    kind = models.CharField(_("kind"), max_length=24, choices=AccountKind)
    channel = models.CharField(_("channel"), max_length=16, blank=True)
    debits = MoneyField(_("debits"))
    credits = MoneyField(_("credits"))
    balance = MoneyField(_("balance"))

    class Meta:
        verbose_name = _("balance of a day")
        verbose_name_plural = _("balances of a day")
        ordering = ["kind", "channel"]
        constraints = [models.UniqueConstraint(fields=["day", "kind", "channel"], name="day_balance_unique")]

    def __str__(self) -> str:
        return f"{self.day} {self.kind} {self.channel}"


class AccountDay(models.Model):
    """One account on a closed day on which it moved: debits, credits, and the balance at the end, debits positive."""

    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        related_name="days",
        verbose_name=_("account"),
        db_index=False,
    )
    day = models.DateField(_("business day"), db_index=True)
    debits = MoneyField(_("debits"))
    credits = MoneyField(_("credits"))
    balance = MoneyField(_("balance"))

    class Meta:
        verbose_name = _("day of an account")
        verbose_name_plural = _("days of an account")
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="account_day_unique")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day}"


class LedgerCheck(models.Model):
    """One run of all checks of the books, and what it found. The newest run is the alarm, when it found something."""

    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))
    differences = models.PositiveIntegerField(_("differences"))
    found = models.JSONField(_("found"), default=list)
    totals = models.JSONField(_("totals"), default=dict)
    asked_by = models.CharField(_("asked by"), max_length=100)

    class Meta:
        permissions = [("run_ledgercheck", _("Can check the books and close business days"))]
        verbose_name = _("ledger check")
        verbose_name_plural = _("ledger checks")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
