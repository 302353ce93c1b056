"""Wallets and the journal: shown, searched, exported, never written here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import display

from apps.backoffice import pages, shown
from apps.backoffice.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.backoffice.sites import tenant_site
from apps.common.money import ZERO
from apps.customers.admin import by_phone
from apps.customers.models import Customer
from apps.wallet.admin.common import OfCustomer
from apps.wallet.enums import DEBIT_NORMAL
from apps.wallet.models import Account, JournalEntry, Posting, Wallet


@admin.register(Wallet, site=tenant_site)
class WalletAdmin(ReadOnlyAdmin):
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
        entries = obj.entries.prefetch_related("postings__account").order_by("-id")[:30]
        every = f"{reverse('admin:wallet_journalentry_changelist')}?wallet__id__exact={obj.pk}"
        return {"entries": list(entries), "entries_url": every}

    @display(description=_("available"))
    def available_shown(self, obj: Wallet) -> str:
        """What may be spent now."""
        return shown.yuan(obj.available)

    @display(description=_("held"))
    def held_shown(self, obj: Wallet) -> str:
        """What running charges hold."""
        return shown.yuan(obj.held)


class PostingInline(ReadOnlyInline):
    """The legs of an entry."""

    model = Posting
    fields = ["account", "debit_shown", "credit_shown"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Posting]:
        """With what an account's name needs."""
        return super().get_queryset(request).select_related("account__wallet__customer")

    @display(description=_("debit"))
    def debit_shown(self, obj: Posting) -> str:
        """Positive amounts."""
        return shown.yuan(obj.amount) if obj.amount > 0 else ""

    @display(description=_("credit"))
    def credit_shown(self, obj: Posting) -> str:
        """Negative amounts."""
        return shown.yuan(-obj.amount) if obj.amount < 0 else ""


@admin.register(JournalEntry, site=tenant_site)
class JournalEntryAdmin(OfCustomer):
    """Every movement of money, with its legs."""

    number_field = "reference"
    show_full_result_count = False
    list_display = ["posted_shown", "kind", "reference", "customer_shown", "amount_shown"]
    list_filter = [("kind", ChoicesDropdownFilter), ("business_day", RangeDateFilter)]
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
        (_("customer"), lambda row: row.wallet.customer if row.wallet else ""),
        (_("amount"), "moved"),
        (_("memo"), "memo"),
    ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """A wallet's page links to its entries."""
        return lookup == "wallet__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[JournalEntry]:
        """With the sum of the debits: what the entry moves."""
        legs = Posting.objects.filter(entry=OuterRef("pk"), amount__gt=0).order_by().values("entry")
        moved = Subquery(legs.annotate(moved=Sum("amount")).values("moved"))
        return super().get_queryset(request).annotate(moved=moved)

    @display(description=_("posted at"), ordering="id")
    def posted_shown(self, obj: JournalEntry) -> str:
        """To the second."""
        return shown.moment(obj.posted_at)

    @display(description=_("amount"), ordering="moved")
    def amount_shown(self, obj: JournalEntry) -> str:
        """What the entry moves."""
        return shown.yuan(obj.moved)  # type: ignore[attr-defined]


@admin.register(Account, site=tenant_site)
class AccountAdmin(ReadOnlyAdmin):
    """The chart of accounts with balances, in each account's normal direction."""

    list_display = ["name_shown", "channel", "balance_shown"]
    list_select_related = ["wallet__customer"]
    list_filter = [("kind", ChoicesDropdownFilter)]
    search_fields = ["wallet__customer__nickname"]
    ordering = ["kind", "id"]
    fields = [
        ("kind", "wallet"),
        "channel",
        "balance_shown",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        """With the sum of the postings."""
        legs = Posting.objects.filter(account=OuterRef("pk")).order_by().values("account")
        total = Subquery(legs.annotate(total=Sum("amount")).values("total"))
        return super().get_queryset(request).annotate(balance=total)

    @display(description=_("account"), ordering="kind")
    def name_shown(self, obj: Account) -> str:
        """Kind and owner."""
        return str(obj)

    @display(description=_("balance"), ordering="balance")
    def balance_shown(self, obj: Account) -> str:
        """Debits less credits, or the other way for accounts that grow by credits."""
        total: Decimal = obj.balance or ZERO  # type: ignore[attr-defined]
        return shown.yuan(total if obj.kind in DEBIT_NORMAL else ZERO - total)


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
