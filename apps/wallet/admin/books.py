"""The books: chart of accounts, trial balance, statements, closed days, and what the checks of the ledger found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy
from django.views.generic import TemplateView
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.views import UnfoldModelAdminViewMixin

from apps.backoffice import pages, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.cells import EXPORT_ROWS, csv_file
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common import keyset
from apps.common.queue import enqueue
from apps.common.time import business_day, now, read_day
from apps.wallet import accounts, books
from apps.wallet.models import Account, DayBalance, DayClosing, JournalEntry, LedgerCheck, Posting, Wallet

LINES = 50
CHECK_TASK = "LEDGER_CHECK_TASK"
"""The setting that names the task of the layer above which knows all checks."""


class BooksPage(UnfoldModelAdminViewMixin, TemplateView):
    """A page of the books: days from and to in its address, a CSV file with `export`."""

    permission_required: tuple[str, ...] = ("wallet.view_account",)
    title: Any = ""
    model_admin: Any

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The page, or its file."""
        if "export" in request.GET:
            return self.file()
        return super().get(request, *args, **kwargs)

    def file(self) -> HttpResponse:
        """Return what the page shows as a file. Pages without one do not exist in this form."""
        raise Http404

    def download(self, name: str, titles: Iterable[Any], rows: Iterable[Iterable[Any]]) -> HttpResponse:
        """Return rows as a file, and say so in the audit log."""
        found = [list(row) for row in rows]
        changed = {"rows": [None, len(found)], "filter": [None, self.request.GET.urlencode()[:500]]}
        self.model_admin.audit(self.request, "exported", None, changes=changed)
        return csv_file(name, titles, found)

    def day(self, name: str) -> date | None:
        """Return a business day of the address; None when it is not given or no day."""
        text = self.request.GET.get(name, "").strip()
        if not text:
            return None
        try:
            return read_day(text)
        except ValueError:
            messages.warning(self.request, _("%(text)s is no date.") % {"text": text[:20]})
            return None

    def link(self, **parameters: Any) -> str:
        """Return this page's address with its days and other parameters."""
        words = {name: self.request.GET.get(name, "") for name in ("from", "to")} | parameters
        return f"?{urlencode({name: value for name, value in words.items() if value})}"


# --- Chart and trial balance ------------------------------------------------------------------------------


class TrialBalancePage(BooksPage):
    """Opening, debits, credits and closing of every kind of account for a range of business days."""

    title = gettext_lazy("Trial balance")
    template_name = "backoffice/trial_balance.html"

    def _balance(self) -> accounts.TrialBalance:
        today = business_day(now())
        last = self.day("to") or today
        first = self.day("from") or min(today.replace(day=1), last)
        if first > last:
            messages.warning(self.request, _("The first day lies behind the last one."))
            first = last
        return accounts.trial_balance(first=first, last=last)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Groups with their lines; the proof; how far days are closed."""
        found = self._balance()
        return super().get_context_data(
            balance=found,
            groups=_grouped(found),
            total=found.total,
            closed_through=books.closed_through(),
            export_url=self.link(export=1),
            **kwargs,
        )

    def file(self) -> HttpResponse:
        """The lines, and the sums that prove them."""
        found = self._balance()
        rows = [
            [line.group.label, line.kind.label, line.channel_label, *_figures(line.sums)]
            for line in found.lines
        ]
        rows.append([_("total"), "", "", *_figures(found.total)])
        titles = [
            pgettext("account", "group"),
            _("account"),
            _("channel"),
            pgettext("balance", "opening"),
            _("debits"),
            _("credits"),
            _("closing"),
        ]
        return self.download(f"{_('Trial balance')}-{found.first}-{found.last}", titles, rows)


class ChartPage(BooksPage):
    """The chart of accounts with the balances of this moment."""

    title = gettext_lazy("Chart of accounts")
    template_name = "backoffice/chart_of_accounts.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The four groups, kinds that never moved too."""
        today = business_day(now())
        found = accounts.trial_balance(first=today, last=today)
        used = {line.kind for line in found.lines}
        own = dict(Account.objects.filter(wallet=None).values_list("kind", "pk"))
        for kind, group in accounts.GROUPS.items():
            if kind not in used:
                line = accounts.TrialLine(group, kind, "", own.get(kind), accounts.Sums())
                found.lines.append(line)
        return super().get_context_data(groups=_grouped(found), total=found.total, **kwargs)


def _grouped(balance: accounts.TrialBalance) -> list[dict[str, Any]]:
    journal = reverse("admin:wallet_account_changelist")
    groups = []
    for group, lines, sums in balance.groups():
        rows = [
            {
                "line": line,
                "url": reverse("admin:wallet_account_statement", args=[line.account_id])
                if line.account_id
                else f"{journal}?kind__exact={line.kind.value}",
            }
            for line in lines
        ]
        groups.append({"group": group, "rows": rows, "sums": sums})
    return groups


def _figures(sums: accounts.Sums) -> list[str]:
    return [shown.yuan(value) for value in (sums.opening, sums.debits, sums.credits, sums.closing)]


# --- Statements -------------------------------------------------------------------------------------------


class StatementPage(BooksPage):
    """Lines newest first with the balance behind each; pages by place."""

    template_name = "backoffice/statement.html"
    model: Any
    titles: tuple[Any, ...] = ()
    row_model: Any = None

    def subject(self) -> Any:
        """Return the row whose statement it is. Raises Http404."""
        return self.model_admin.row(self.request, self.kwargs["object_id"])

    def lines(self, subject: Any, *, before: Any, limit: int) -> accounts.Lines:
        """Return a page of lines."""
        raise NotImplementedError

    def cells(self, line: Any) -> list[Any]:
        """Return a line as values, in the order of `titles`."""
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The page's lines and the ways to the next."""
        subject = self.subject()
        before = self._before()
        found = self.lines(subject, before=before, limit=LINES)
        opts = self.model._meta
        return super().get_context_data(
            subject=subject,
            subject_url=reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[subject.pk]),
            lines=found.rows,
            older=self.link(before=found.older) if found.older else "",
            newest=self.link() if before else "",
            first=self.day("from"),
            last=self.day("to"),
            export_url=self.link(export=1),
            **kwargs,
        )

    def file(self) -> HttpResponse:
        """Up to EXPORT_ROWS lines of the range of days."""
        subject = self.subject()
        found = self.lines(subject, before=None, limit=EXPORT_ROWS)
        return self.download(
            f"{self.title}-{subject.pk}", self.titles, (self.cells(row) for row in found.rows)
        )

    def _before(self) -> Any:
        text = self.request.GET.get("before", "")
        if not text:
            return None
        try:
            return keyset.read_place(self.row_model, accounts.PLACE, text)
        except keyset.BadPlace as error:
            raise Http404 from error


class AccountStatementPage(StatementPage):
    """One account's postings."""

    title = gettext_lazy("Statement of an account")
    template_name = "backoffice/account_statement.html"
    model = Account
    row_model = Posting
    titles = (
        gettext_lazy("business day"),
        gettext_lazy("posted at"),
        gettext_lazy("kind"),
        gettext_lazy("reference"),
        gettext_lazy("debit"),
        gettext_lazy("credit"),
        gettext_lazy("balance"),
    )

    def lines(self, subject: Any, *, before: Any, limit: int) -> accounts.Lines:
        """Postings."""
        return accounts.account_statement(
            account=subject, first=self.day("from"), last=self.day("to"), before=before, limit=limit
        )

    def cells(self, line: accounts.AccountLine) -> list[Any]:
        """A posting: debit and credit in columns of their own."""
        posting, entry = line.posting, line.posting.entry
        amount = posting.amount
        return [
            posting.business_day,
            entry.posted_at,
            entry.get_kind_display(),
            entry.reference,
            amount if amount > 0 else "",
            -amount if amount < 0 else "",
            line.balance,
        ]


class WalletStatementPage(StatementPage):
    """One customer's money, movement by movement."""

    permission_required = ("wallet.view_wallet",)
    title = gettext_lazy("Statement of a wallet")
    template_name = "backoffice/wallet_statement.html"
    model = Wallet
    row_model = JournalEntry
    titles = (
        gettext_lazy("business day"),
        gettext_lazy("posted at"),
        gettext_lazy("kind"),
        gettext_lazy("reference"),
        gettext_lazy("change of principal"),
        gettext_lazy("change of bonus"),
        gettext_lazy("change of what is set aside"),
        gettext_lazy("change of debt"),
        gettext_lazy("principal"),
        gettext_lazy("bonus"),
        gettext_lazy("set aside"),
        gettext_lazy("debt"),
    )

    def lines(self, subject: Any, *, before: Any, limit: int) -> accounts.Lines:
        """Entries."""
        return accounts.wallet_statement(
            wallet=subject, first=self.day("from"), last=self.day("to"), before=before, limit=limit
        )

    def cells(self, line: accounts.WalletLine) -> list[Any]:
        """An entry: changes, then balances."""
        entry = line.entry
        sums = [
            value
            for one in (line.change, line.after)
            for value in (one.principal, one.bonus, one.set_aside, one.debt)
        ]
        return [entry.business_day, entry.posted_at, entry.get_kind_display(), entry.reference, *sums]


pages.add_page(Account, pages.Page("chart/", "wallet_chart", ChartPage))
pages.add_page(Account, pages.Page("trial-balance/", "wallet_trial_balance", TrialBalancePage))
pages.add_page(
    Account, pages.Page("<path:object_id>/statement/", "wallet_account_statement", AccountStatementPage)
)
pages.add_page(
    Wallet, pages.Page("<path:object_id>/statement/", "wallet_wallet_statement", WalletStatementPage)
)


# --- Closed days and checks -------------------------------------------------------------------------------


def _ask(page: Any, request: HttpRequest, *, close: bool) -> HttpResponse:
    """Let a worker check the books, and close the days that are over when nothing is found."""
    actor = staff_actor(request)
    task = import_string(getattr(settings, CHECK_TASK))
    if not enqueue(task, actor.kind, actor.id, actor.name, close=close):
        messages.error(request, _("The task queue is away. Please try again in a minute."))
        return _list_again(page, request)
    messages.success(request, _("The check has begun. Look again in a moment."))
    return _list_again(page, request)


class CheckingAdmin(ReadOnlyAdmin):
    """Both lists have a button that checks the books."""

    def has_run_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may check the books and close days."""
        return self.allowed(request, "run_ledgercheck")


@admin.register(DayClosing, site=tenant_site)
class DayClosingAdmin(CheckingAdmin):
    """Closed business days."""

    list_display = ["day", "entries", "moved", "digest_shown", "closed_shown", "closed_by"]
    list_filter = [("day", RangeDateFilter)]
    list_before_template = "backoffice/books_state.html"
    fields = [
        ("day", "entries"),
        ("moved", "closed_shown"),
        "closed_by",
        ("digest", "previous_digest"),
    ]
    change_form_outer_after_template = "backoffice/day_balances.html"
    actions_list = ["check_and_close", "export_csv", "export_file"]
    export = [
        (gettext_lazy("business day"), "day"),
        (gettext_lazy("entries"), "entries"),
        (gettext_lazy("sum of debits"), "moved"),
        (gettext_lazy("digest"), "digest"),
        (gettext_lazy("digest of the day before"), "previous_digest"),
        (pgettext_lazy("day", "closed at"), "closed_at"),
        (gettext_lazy("closed by"), "closed_by"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With what is closed, what is open, and the last check."""
        closed = books.closed_through()
        state = {
            "closed_through": closed,
            "open_days": len(books.days_to_close(until=books.closable_until())),
            "check": LedgerCheck.objects.first(),
        }
        return super().changelist_view(request, {**(extra_context or {}), "books": state})

    def detail(self, request: HttpRequest, obj: DayClosing) -> dict[str, Any]:
        """The day's balances by kind."""
        trial = f"{reverse('admin:wallet_trial_balance')}?from={obj.day}&to={obj.day}"
        return {"balances": list(DayBalance.objects.filter(day=obj.day)), "trial_url": trial}

    @action(
        description=gettext_lazy("Check and close"),
        url_path="check-and-close",
        icon="lock",
        permissions=["run"],
        dialog={
            "title": gettext_lazy("Check the books and close what is over?"),
            "description": gettext_lazy(
                "If the check finds nothing, every business day that is over is closed: nothing can be booked on it "
                "any more. If it finds a difference, the days stay open."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": gettext_lazy("Check and close"),
        },
    )
    def check_and_close(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        """Ask a worker to do it."""
        return _ask(self, request, close=True)

    @display(description=gettext_lazy("digest"))
    def digest_shown(self, obj: DayClosing) -> str:
        """Enough to compare."""
        return f"{obj.digest[:16]}…"

    @display(description=pgettext_lazy("day", "closed at"), ordering="closed_at")
    def closed_shown(self, obj: DayClosing) -> str:
        """To the second."""
        return shown.moment(obj.closed_at)


@admin.register(LedgerCheck, site=tenant_site)
class LedgerCheckAdmin(CheckingAdmin):
    """What the nightly checks of the ledger found; the newest is the alarm."""

    list_display = ["started_shown", "result_shown", "entries_shown", "took_shown", "asked_by"]
    fields = [
        ("started_shown", "took_shown"),
        ("result_shown", "asked_by"),
    ]
    change_form_outer_after_template = "backoffice/ledger_check.html"
    actions_list = ["check_now", "export_csv", "export_file"]
    export = [
        (gettext_lazy("started at"), "started_at"),
        (gettext_lazy("finished at"), "finished_at"),
        (gettext_lazy("differences"), "differences"),
        (gettext_lazy("entries"), lambda row: row.totals.get("entries", "")),
        (gettext_lazy("asked by"), "asked_by"),
    ]

    def detail(self, request: HttpRequest, obj: LedgerCheck) -> dict[str, Any]:
        """Every difference with its figures."""
        return {"found": obj.found, "totals": obj.totals, "more": obj.differences - len(obj.found)}

    @action(
        description=gettext_lazy("Check now"),
        url_path="check-now",
        icon="rule",
        permissions=["run"],
        dialog={
            "title": gettext_lazy("Check the books now?"),
            "description": gettext_lazy(
                "Journal, wallets, holds, debts, orders, top-ups and closed days are compared. Nothing is changed."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": gettext_lazy("Check now"),
        },
    )
    def check_now(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        """Ask a worker to do it."""
        return _ask(self, request, close=False)

    @display(description=gettext_lazy("started at"), ordering="id")
    def started_shown(self, obj: LedgerCheck) -> str:
        """To the second."""
        return shown.moment(obj.started_at)

    @display(description=gettext_lazy("duration"))
    def took_shown(self, obj: LedgerCheck) -> str:
        """Seconds."""
        return f"{(obj.finished_at - obj.started_at).total_seconds():.1f} s"

    @display(description=gettext_lazy("result"), ordering="differences")
    def result_shown(self, obj: LedgerCheck) -> SafeString:
        """Clean, or how many differences."""
        return check_label(obj)

    @display(description=gettext_lazy("entries"))
    def entries_shown(self, obj: LedgerCheck) -> str:
        """How many were checked."""
        return str(obj.totals.get("entries", shown.EMPTY))


def check_label(check: LedgerCheck) -> SafeString:
    """Return a check's result as a label."""
    if not check.differences:
        return shown.label(_("no differences"), "success")
    return shown.label(_("%(count)s differences") % {"count": check.differences}, "danger")


def _list_again(page: ReadOnlyAdmin, request: HttpRequest) -> HttpResponse:
    """Return a dialog's last answer: the list loads anew."""
    name = f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist"
    return HttpResponse(headers={"HX-Redirect": reverse(name)})
