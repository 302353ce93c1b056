"""Money of customers: a double-entry journal, and a wallet row with the balances that it adds up to.

Every movement is a JournalEntry with postings that sum to zero (a deferred trigger refuses anything else), written
only by `ledger.post`. Journal rows are never changed or deleted (a trigger refuses that too). A posting's amount is
positive for a debit and negative for a credit. The wallet's columns are caches of its accounts' balances, moved in
the same statement batch under the wallet's row lock; `check_ledger` proves that they agree.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.customers.models import Customer, Enterprise
from apps.wallet.enums import AccountKind, JournalKind, channel_label


class Wallet(TimeStamped):
    """A customer's money: what is free (principal, bonus), held for charges, frozen for refunds, and owed to us.

    Or an enterprise's account (docs/adr/0010): `principal` is its balance, below zero where it owes, `held_principal`
    what its members' charges hold; it has no bonus, no debts, and nothing frozen.
    """

    customer = models.OneToOneField(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="wallet",
        verbose_name=_("customer"),
    )
    enterprise = models.OneToOneField(
        Enterprise,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="wallet",
        verbose_name=_("enterprise"),
    )
    principal = MoneyField(_("principal"), default=0)
    bonus = MoneyField(_("bonus"), default=0)
    held_principal = MoneyField(_("held principal"), default=0)
    held_bonus = MoneyField(_("held bonus"), default=0)
    frozen_principal = MoneyField(_("frozen principal"), default=0)
    frozen_bonus = MoneyField(_("frozen bonus"), default=0)
    debt = MoneyField(_("debt"), default=0)

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    bonus__gte=0,
                    held_principal__gte=0,
                    held_bonus__gte=0,
                    frozen_principal__gte=0,
                    frozen_bonus__gte=0,
                    debt__gte=0,
                )
                & (Q(principal__gte=0) | Q(enterprise__isnull=False)),
                name="wallet_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(customer__isnull=False, enterprise__isnull=True)
                | Q(
                    customer__isnull=True,
                    enterprise__isnull=False,
                    bonus=0,
                    held_bonus=0,
                    frozen_principal=0,
                    frozen_bonus=0,
                    debt=0,
                ),
                name="wallet_of_one",
            ),
        ]

    def __str__(self) -> str:
        return str(self.customer or self.enterprise)

    @property
    def free_account(self) -> AccountKind:
        """The account of its principal, or of an enterprise's balance."""
        return AccountKind.ENTERPRISE_BALANCE if self.enterprise_id else AccountKind.CUSTOMER_PRINCIPAL

    @property
    def held_account(self) -> AccountKind:
        """The account of what is held of that."""
        return AccountKind.ENTERPRISE_HELD if self.enterprise_id else AccountKind.HELD_PRINCIPAL

    @property
    def available(self) -> Decimal:
        """What may be spent or held now, yuan."""
        return self.principal + self.bonus

    @property
    def held(self) -> Decimal:
        """What running orders hold, yuan."""
        return self.held_principal + self.held_bonus

    @property
    def frozen(self) -> Decimal:
        """What waits for refunds to the payment channels, yuan."""
        return self.frozen_principal + self.frozen_bonus


class EnterpriseAccounts(models.Manager):
    """Wallets of enterprises."""

    def get_queryset(self) -> models.QuerySet:
        """Only those, with what their names need."""
        return super().get_queryset().filter(enterprise__isnull=False).select_related("enterprise")


class EnterpriseAccount(Wallet):
    """The account of an enterprise, as its pages show it."""

    objects = EnterpriseAccounts()

    class Meta:
        proxy = True
        verbose_name = _("enterprise account")
        verbose_name_plural = _("enterprise accounts")
        permissions = [
            ("transfer_enterpriseaccount", _("Can ask to book top-ups and withdrawals of enterprises")),
            ("approve_enterpriseaccount", _("Can approve top-ups and withdrawals of enterprises")),
        ]


class Account(models.Model):
    """One account of the chart: a wallet's own, a channel's, or the tenant's."""

    kind = models.CharField(_("kind"), max_length=24, choices=AccountKind)
    wallet = models.ForeignKey(
        Wallet,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="accounts",
        verbose_name=_("wallet"),
    )
    channel = models.CharField(_("channel"), max_length=16, blank=True)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "wallet", "channel"], name="account_unique", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.wallet or self.channel_label}".strip()

    @property
    def channel_label(self) -> str:
        """The channel in words."""
        return channel_label(self.channel)


class JournalEntry(models.Model):
    """One movement of money. `key` makes posting it idempotent; `reference` is the order or recharge number."""

    key = models.CharField(_("key"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=24, choices=JournalKind)
    reference = models.CharField(_("reference"), max_length=40, db_index=True)
    wallet = models.ForeignKey(
        Wallet,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="entries",
        verbose_name=_("wallet"),
        db_index=False,
    )
    posted_at = models.DateTimeField(_("posted at"))
    business_day = models.DateField(_("business day"))
    memo = models.CharField(_("memo"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal")
        ordering = ["-business_day", "-id"]
        indexes = [
            # In the order in which lists walk them: the ledger may have millions of rows.
            models.Index(fields=["business_day", "id"], name="journal_by_day"),
            models.Index(fields=["kind", "business_day", "id"], name="journal_by_kind"),
            models.Index(fields=["wallet", "business_day", "id"], name="journal_by_wallet"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.reference}"


class Posting(models.Model):
    """One leg of a journal entry: positive debit, negative credit, never zero. `business_day` is the entry's."""

    entry = models.ForeignKey(
        JournalEntry, on_delete=models.PROTECT, related_name="postings", verbose_name=_("journal entry")
    )
    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        related_name="postings",
        verbose_name=_("account"),
        db_index=False,
    )
    amount = MoneyField(_("amount"))
    business_day = models.DateField(_("business day"))

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("postings")
        ordering = ["id"]
        indexes = [models.Index(fields=["account", "business_day", "id"], name="posting_by_account")]
        constraints = [models.CheckConstraint(condition=~Q(amount=0), name="posting_not_zero")]

    def __str__(self) -> str:
        return f"{self.account} {self.amount}"
