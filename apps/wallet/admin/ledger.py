"""Wallets and the journal: shown, searched, exported, never written here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter
from unfold.decorators import display

from apps.backoffice import pages, shown
from apps.backoffice.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.backoffice.sites import tenant_site
from apps.common.money import ZERO
from apps.customers.admin import by_phone
from apps.customers.models import Customer
from apps.wallet.accounts import balances
from apps.wallet.admin.common import OfCustomer
from apps.wallet.admin.refunds import WalletRefundButton
from apps.wallet.enums import DEBIT_NORMAL, WALLET_ACCOUNTS, AccountKind
from apps.wallet.models import Account, JournalEntry, Posting, Wallet


@admin.register(Wallet, site=tenant_site)
class WalletAdmin(WalletRefundButton, ReadOnlyAdmin):
    """What each customer has, what is held and what is owed."""

    list_display = ["customer", "available_shown", "principal", "bonus", "held_shown", "debt"]
    list_select_related = ["customer"]
    search_fields = ["customer__nickname"]
    search_help_text = _("Nickname, or a whole phone number")
    ordering = ["-id"]
    fields = [
        ("customer", "available_shown"),
        ("held_shown", "debt"),
        ("principal", "bonus"),
        ("held_principal", "held_bonus"),
        ("frozen_principal", "frozen_bonus"),
    ]
    change_form_outer_after_template = "backoffice/wallet_entries.html"
    actions_detail = ["apply_refund"]
    export = [
        (_("customer"), "customer"),
        (_("principal"), "principal"),
        (_("bonus"), "bonus"),
        (_("held principal"), "held_principal"),
        (_("held bonus"), "held_bonus"),
        (_("frozen principal"), "frozen_principal"),
        (_("frozen bonus"), "frozen_bonus"),
        (_("debt"), "debt"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        """Those of enterprises have pages of their own."""
        return super().get_queryset(request).filter(customer__isnull=False)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Wallet], search_term: str
    ) -> tuple[QuerySet[Wallet], bool]:
        """By nickname or by the whole phone number."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(
            Q(customer__nickname__icontains=term) | Q(customer__phone=by_phone(term))
        ), False

    def detail(self, request: HttpRequest, obj: Wallet) -> dict[str, Any]:
        """The newest entries with their postings."""
        entries = obj.entries.prefetch_related("postings__account")[:30]
        every = f"{reverse('admin:wallet_journalentry_changelist')}?wallet__id__exact={obj.pk}"
        statement = reverse("admin:wallet_wallet_statement", args=[obj.pk])
        return {"entries": list(entries), "entries_url": every, "statement_url": statement}

    @display(description=_("available (yuan)"))
    def available_shown(self, obj: Wallet) -> str:
        """What may be spent now."""
        return shown.yuan(obj.available)

    @display(description=_("held (yuan)"))
    def held_shown(self, obj: Wallet) -> str:
        """What running charges hold."""
        return shown.yuan(obj.held)


class PostingInline(ReadOnlyInline):
    """The legs of an entry."""

    model = Posting
    fields = ["account", "debit_shown", "credit_shown"]
    readonly_fields = fields
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Posting]:
        """With what an account's name needs."""
        postings = super().get_queryset(request)
        return postings.select_related("account__wallet__customer", "account__wallet__enterprise")

    @display(description=_("debit"))
    def debit_shown(self, obj: Posting) -> str:
        """Positive amounts."""
        return shown.yuan(obj.amount) if obj.amount > 0 else ""

    @display(description=_("credit"))
    def credit_shown(self, obj: Posting) -> str:
        """Negative amounts."""
        return shown.yuan(-obj.amount) if obj.amount < 0 else ""


SEARCHED_WALLETS = 200
"""A search by nickname finds the entries of so many customers."""


class AccountKindFilter(DropdownFilter):
    """Entries that touch an account of this kind."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The chart of accounts."""
        return list(AccountKind.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
        """By the entries' postings. The tenant's own accounts are few: named, their statistics help the planner."""
        kind = self.value()
        if kind not in AccountKind.values:
            return queryset
        accounts: Any = Account.objects.filter(kind=kind)
        if kind not in WALLET_ACCOUNTS:
            accounts = list(accounts.values_list("pk", flat=True))
        return queryset.filter(
            Exists(Posting.objects.filter(entry=OuterRef("pk"), account__in=accounts).order_by())
        )


@admin.register(JournalEntry, site=tenant_site)
class JournalEntryAdmin(OfCustomer):
    """Every movement of money, with its legs."""

    keyset = ("business_day", "id")
    list_display = ["posted_shown", "business_day", "kind", "reference", "customer_shown", "amount_shown"]
    list_filter = [("kind", ChoicesDropdownFilter), ("business_day", RangeDateFilter), AccountKindFilter]
    search_fields = ["reference"]
    search_help_text = _("Order or recharge number, nickname, or a whole phone number")
    fields = [
        ("kind", "reference"),
        "customer_shown",
        ("posted_shown", "business_day"),
        "amount_shown",
        ("key", "memo"),
    ]
    inlines = [PostingInline]
    export = [
        (_("posted at"), "posted_at"),
        (_("business day"), "business_day"),
        (_("kind"), "get_kind_display"),
        (_("reference"), "reference"),
        (_("customer"), lambda row: row.wallet or ""),
        (_("amount"), "moved"),
        (_("memo"), "memo"),
    ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """A wallet's page links to its entries."""
        return lookup == "wallet__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[JournalEntry], search_term: str
    ) -> tuple[QuerySet[JournalEntry], bool]:
        """By number, whole phone number or nickname: the wallets are looked up first, for the sake of the indexes."""
        term = search_term.strip()
        if not term:
            return queryset, False
        of_customer = (
            Q(customer__phone=by_phone(term))
            | Q(customer__nickname__icontains=term)
            | Q(enterprise__name__icontains=term)
        )
        wallets = list(Wallet.objects.filter(of_customer).values_list("pk", flat=True)[:SEARCHED_WALLETS])
        return queryset.filter(Q(reference=term) | Q(wallet__in=wallets)), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[JournalEntry]:
        """With the sum of the debits: what the entry moves."""
        legs = Posting.objects.filter(entry=OuterRef("pk"), amount__gt=0).order_by().values("entry")
        moved = Subquery(legs.annotate(moved=Sum("amount")).values("moved"))
        return super().get_queryset(request).annotate(moved=moved)

    @display(description=_("posted at"))
    def posted_shown(self, obj: JournalEntry) -> str:
        """To the second."""
        return shown.moment(obj.posted_at)

    @display(description=_("amount (yuan)"))
    def amount_shown(self, obj: JournalEntry) -> str:
        """What the entry moves."""
        return shown.yuan(obj.moved)  # type: ignore[attr-defined]


@admin.register(Account, site=tenant_site)
class AccountAdmin(ReadOnlyAdmin):
    """Single accounts with balances, in each account's normal direction. The chart is a page of its own."""

    keyset = ("id",)
    list_display = ["name_shown", "balance_shown", "statement_shown"]
    list_select_related = ["wallet__customer", "wallet__enterprise"]
    list_filter = [("kind", ChoicesDropdownFilter)]
    search_fields = ["wallet__customer__nickname", "wallet__enterprise__name"]
    fields = [
        ("kind", "wallet"),
        "channel_shown",
        "balance_shown",
        "statement_shown",
    ]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the balances of the page's accounts, asked for at once."""
        changes = super().get_changelist_instance(request)
        found = balances([account.pk for account in changes.result_list])
        for account in changes.result_list:
            account.balance = found[account.pk]
        return changes

    @display(description=_("channel"))
    def channel_shown(self, obj: Account) -> str:
        """In words."""
        return obj.channel_label or shown.EMPTY

    @display(description=_("account"))
    def name_shown(self, obj: Account) -> str:
        """Kind and owner."""
        return str(obj)

    @display(description=_("balance (yuan)"))
    def balance_shown(self, obj: Account) -> str:
        """Debits less credits, or the other way for accounts that grow by credits."""
        total = getattr(obj, "balance", None)
        if total is None:
            total = balances([obj.pk]).get(obj.pk, ZERO)
        return shown.yuan(total if obj.kind in DEBIT_NORMAL else ZERO - total)

    @display(description=_("statement"))
    def statement_shown(self, obj: Account) -> str:
        """A link to the account's postings."""
        return format_html(
            '<a class="bo-link" href="{}">{}</a>',
            reverse("admin:wallet_account_statement", args=[obj.pk]),
            gettext("statement"),
        )


# --- What a customer's page shows of the wallet -----------------------------------------------------------


def customer_panel(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """Return a customer's wallet, or None before the first top-up."""
    return {"wallet": Wallet.objects.filter(customer=customer).first()}


pages.add_panel(
    Customer,
    pages.Panel(
        _("Wallet"), "backoffice/customer_wallet.html", customer_panel, "wallet.view_wallet", above=True
    ),
)
