"""Accounts of enterprises: balances, bank transfers in and out, statements."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from apps.backoffice import pages, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.customers.models import Enterprise, EnterpriseAccountKind
from apps.tenancy import features
from apps.wallet import accounts, enterprise_accounts
from apps.wallet.admin.books import StatementPage
from apps.wallet.models import EnterpriseAccount, JournalEntry
from apps.wallet.services import account_of


class TransferForm(ReasonForm):
    """How much, and the bank's number, which is booked once."""

    amount = forms.DecimalField(
        label=_("amount (yuan)"),
        max_digits=14,
        decimal_places=2,
        min_value=Decimal("0.01"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    number = forms.CharField(
        label=_("reference number of the transfer"), max_length=40, widget=UnfoldAdminTextInputWidget
    )


@admin.register(EnterpriseAccount, site=tenant_site)
class EnterpriseAccountAdmin(ReadOnlyAdmin):
    """What each enterprise has transferred and its members have not charged yet; below zero it owes."""

    list_display = ["enterprise", "kind_shown", "balance_shown", "held_shown", "credit_shown", "free_shown"]
    list_select_related = ["enterprise"]
    list_filter = [("enterprise__account_kind", ChoicesDropdownFilter)]
    search_fields = ["enterprise__name"]
    ordering = ["enterprise__name"]
    fields = [
        ("enterprise_link", "kind_shown"),
        ("balance_shown", "held_shown"),
        ("credit_shown", "free_shown"),
    ]
    readonly_fields = ["enterprise_link"]
    actions_detail = ["deposit", "withdraw"]
    change_form_outer_after_template = "backoffice/wallet_entries.html"
    export = [
        (_("enterprise"), "enterprise.name"),
        (_("account"), "enterprise.get_account_kind_display"),
        (_("balance"), "principal"),
        (_("held"), "held_principal"),
        (_("credit limit (yuan)"), "enterprise.credit"),
    ]

    def detail(self, request: HttpRequest, obj: EnterpriseAccount) -> dict[str, Any]:
        """The newest entries with their postings."""
        entries = JournalEntry.objects.filter(wallet_id=obj.pk).prefetch_related("postings__account")[:30]
        every = f"{reverse('admin:wallet_journalentry_changelist')}?wallet__id__exact={obj.pk}"
        statement = reverse("admin:wallet_enterpriseaccount_statement", args=[obj.pk])
        return {"entries": list(entries), "entries_url": every, "statement_url": statement}

    @dialog_button(
        _("Top up"),
        url="deposit",
        icon="add_card",
        permission="deposit",
        variant=ActionVariant.PRIMARY,
        text=_(
            "What the enterprise transferred to your bank account. A second person approves by the rules."
        ),
        form=TransferForm,
        submit=_("Ask for it"),
    )
    def deposit(self, request: HttpRequest, form: TransferForm, object_id: str) -> HttpResponse:
        """Ask to book money that came."""
        return self._transfer(request, form, object_id, enterprise_accounts.request_deposit)

    @dialog_button(
        pgettext_lazy("money", "Withdraw"),
        url="withdraw",
        icon="undo",
        permission="transfer",
        text=_(
            "What you transferred back to the enterprise, at most its balance. A second person approves by the rules."
        ),
        form=TransferForm,
        submit=_("Ask for it"),
    )
    def withdraw(self, request: HttpRequest, form: TransferForm, object_id: str) -> HttpResponse:
        """Ask to book money that went."""
        return self._transfer(request, form, object_id, enterprise_accounts.request_withdrawal)

    def _transfer(self, request: HttpRequest, form: TransferForm, object_id: str, ask: Any) -> HttpResponse:
        account, words = self.row(request, object_id), form.cleaned_data
        try:
            approval = ask(
                account=account,
                amount=words["amount"],
                number=words["number"],
                actor=staff_actor(request),
                reason=words["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, account)
        if approval.state == ApprovalState.PENDING:
            messages.warning(request, gettext("Asked for. It waits for a second person to approve it."))
            return self.back_to(request, account)
        return self.back_to(request, account, _("The transfer is booked."))

    def has_transfer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask for transfers to be booked."""
        return self.allowed(request, "transfer_enterpriseaccount")

    def has_deposit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Without the feature nothing more comes in; what is there may go back."""
        return self.has_transfer_permission(request, object_id) and features.has("enterprises")

    @display(description=_("enterprise"))
    def enterprise_link(self, obj: EnterpriseAccount) -> str:
        """A link to its page, where there is one."""
        if not features.has("enterprises"):
            return str(obj.enterprise)
        url = reverse("admin:customers_enterprise_change", args=[obj.enterprise_id])
        return format_html('<a class="bo-link" href="{}">{}</a>', url, obj.enterprise)

    @display(description=_("account"), ordering="enterprise__account_kind")
    def kind_shown(self, obj: EnterpriseAccount) -> str:
        """Pre-paid or post-paid."""
        return obj.enterprise.get_account_kind_display() if obj.enterprise else shown.EMPTY

    @display(description=_("balance (yuan)"), ordering="principal")
    def balance_shown(self, obj: EnterpriseAccount) -> str:
        """Without what is held."""
        return shown.yuan(obj.principal)

    @display(description=_("held (yuan)"), ordering="held_principal")
    def held_shown(self, obj: EnterpriseAccount) -> str:
        """What running charges hold."""
        return shown.yuan(obj.held)

    @display(description=_("credit limit (yuan)"))
    def credit_shown(self, obj: EnterpriseAccount) -> str:
        """Of a post-paid account."""
        return shown.yuan(obj.enterprise.credit) if obj.enterprise and obj.enterprise.credit else shown.EMPTY

    @display(description=_("may be charged (yuan)"))
    def free_shown(self, obj: EnterpriseAccount) -> str:
        """Balance and credit."""
        return (
            shown.yuan(enterprise_accounts.spendable(obj, obj.enterprise)) if obj.enterprise else shown.EMPTY
        )


class EnterpriseStatementPage(StatementPage):
    """An enterprise's money, movement by movement."""

    permission_required = ("wallet.view_enterpriseaccount",)
    title = _("Statement of an enterprise account")
    template_name = "backoffice/enterprise_statement.html"
    model = EnterpriseAccount
    row_model = JournalEntry
    titles = (
        _("business day"),
        _("posted at"),
        _("kind"),
        _("reference"),
        _("change of balance"),
        _("change of what is set aside"),
        _("balance"),
        _("set aside"),
    )

    def lines(self, subject: Any, *, before: Any, limit: int) -> accounts.Lines:
        """Entries."""
        return accounts.wallet_statement(
            wallet=subject, first=self.day("from"), last=self.day("to"), before=before, limit=limit
        )

    def cells(self, line: accounts.WalletLine) -> list[Any]:
        """An entry: changes, then balances."""
        entry = line.entry
        sums = [value for one in (line.change, line.after) for value in (one.principal, one.set_aside)]
        return [entry.business_day, entry.posted_at, entry.get_kind_display(), entry.reference, *sums]


pages.add_page(
    EnterpriseAccount,
    pages.Page("<path:object_id>/statement/", "wallet_enterpriseaccount_statement", EnterpriseStatementPage),
)


# --- What an enterprise's page shows of its account -------------------------------------------------------


def enterprise_panel(_request: HttpRequest, enterprise: Enterprise) -> dict[str, Any]:
    """Return an enterprise's account, made when it is first looked at; None without one."""
    if enterprise.account_kind == EnterpriseAccountKind.NONE:
        return {"account": EnterpriseAccount.objects.filter(enterprise=enterprise).first()}
    account = account_of(enterprise=enterprise)
    return {"account": account, "free": enterprise_accounts.spendable(account, enterprise)}


pages.add_panel(
    Enterprise,
    pages.Panel(
        _("Account"),
        "backoffice/enterprise_account.html",
        enterprise_panel,
        "wallet.view_enterpriseaccount",
        above=True,
    ),
)
