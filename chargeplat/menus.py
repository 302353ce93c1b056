"""The two sidebars, each built from what the person may see: a group without items does not show."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import get_urlconf, reverse
from django.utils.translation import gettext as _

from apps.tenancy import features
from apps.wallet.models import EnterpriseAccount

Item = tuple[Any, str, str]
"""Title, icon, and where to: model as `app.model` (its list), the name of an URL, or `permission@name of an URL`."""

Group = tuple[Any, Any, list[Item]]
"""Section ("" for none; groups of one section stand together under its heading), title, entries."""


def subheader(request: HttpRequest) -> str:
    """Return whose back office this is: the tenant's name, or the platform."""
    return str(getattr(connection.tenant, "name", "") or "")


def stylesheet(request: HttpRequest) -> str:
    """Return the address of our stylesheet beside the theme's."""
    return static("backoffice/admin.css")


def badges_script(request: HttpRequest) -> str:
    """Return the address of the script that puts numbers beside the menu's entries."""
    return static("backoffice/badges.js")


def script(request: HttpRequest) -> str:
    """Return the address of our script beside the theme's."""
    return static("backoffice/theme.js")


def favicon(request: HttpRequest) -> str:
    """Return the address of the icon in the browser's tab."""
    return static("backoffice/favicon.svg")


def tenant_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar of a tenant's back office: what both platforms share, then each of them, then the company."""
    infrastructure, users, company = _("Infrastructure platform"), _("User platform"), _("Company")
    groups: list[Group] = [
        (
            "",
            _("Operations"),
            [
                (_("Overview"), "dashboard", "admin:index"),
                (_("Wall display"), "tv", "orders.view_order@admin:wall_display"),
                (_("Finance reports"), "finance_mode", "reports.financereport"),
                (_("Reports by mail"), "schedule_send", "reports.reportschedule"),
                (_("Approvals"), "approval", "backoffice.approval"),
                (_("Downloads"), "download", "admin:files_exportjob_changelist"),
            ],
        ),
        (
            infrastructure,
            _("Monitoring"),
            [
                (_("Gun wall"), "electric_car", "piles.view_connector@admin:piles_gun_wall"),
                (_("Alarms"), "notifications", "piles.alarm"),
                (_("Alarm rules"), "rule", "piles.alarmrule"),
                (_("Notification rules"), "campaign", "piles.notificationrule"),
            ],
        ),
        (
            infrastructure,
            _("Assets"),
            [
                (_("Stations"), "location_on", "sites.station"),
                (_("Piles"), "ev_station", "piles.pile"),
                (_("New devices"), "new_releases", "piles.newdevice"),
            ],
        ),
        (
            infrastructure,
            _("Prices"),
            [
                (_("Price templates"), "price_change", "pricing.pricetemplate"),
                (_("Price tasks"), "event_repeat", "pricing.pricetask"),
                (_("Holiday calendar"), "calendar_month", "pricing.holiday"),
                (_("Price pushes"), "publish", "pricing.pricepush"),
                (_("Price history"), "history", "pricing.priceassignment"),
            ],
        ),
        (
            infrastructure,
            _("Maintenance"),
            [
                (_("Pile commands"), "settings_remote", "piles.pilecommand"),
                (_("Bulk commands"), "dynamic_feed", "piles.commandbatch"),
                (_("Offline cards"), "sd_card", "piles.offlinecard"),
                (_("Update servers"), "dns", "piles.updateserver"),
                (_("Frame inspector"), "data_object", "piles.inspect_frames@admin:piles_inspector"),
            ],
        ),
        (
            infrastructure,
            _("Orders"),
            [
                (_("Charging orders"), "receipt_long", "orders.order"),
                (_("Abnormal orders"), "running_with_errors", "orders.abnormalorder"),
                (_("Transaction records"), "description", "orders.transactionrecord"),
                (_("Energy reconciliation"), "electric_meter", "orders.energyday"),
                (_("Energy differences"), "offline_bolt", "orders.energydifference"),
            ],
        ),
        (
            infrastructure,
            _("Franchising"),
            [(_("Franchisees"), "handshake", "franchisees.franchisee")],
        ),
        (
            users,
            _("Sales"),
            [
                (_("Piles for drivers"), "charger", "piles.offeredpile"),
                (_("Retail prices"), "sell", "pricing.retailprice"),
            ],
        ),
        (
            users,
            _("Recharges and refunds"),
            [
                (_("Recharge orders"), "add_card", "wallet.recharge"),
                (_("Order refunds"), "undo", "orders.orderrefund"),
                (_("Wallet refunds"), "currency_exchange", "wallet.walletrefund"),
                (_("Refund payouts"), "send_money", "wallet.walletrefundpart"),
                (_("Debts"), "money_off", "wallet.debt"),
            ],
        ),
        (
            users,
            _("Invoices"),
            [
                (_("Invoice applications"), "request_quote", "invoices.invoiceapplication"),
                (_("Invoice rules"), "rule", "invoices.invoicepolicy"),
            ],
        ),
        (
            users,
            _("Customers"),
            [
                (_("Customers"), "person", "customers.customer"),
                (_("Enterprises"), "business_center", "customers.enterprise"),
                (_("Enterprise members"), "groups", "customers.enterprisemember"),
                *_enterprise_money(),
                (_("Charging cards"), "credit_card", "customers.card"),
                (_("Vehicles"), "directions_car", "customers.vehicle"),
                (_("Feedback"), "rate_review", "customers.feedback"),
            ],
        ),
        (
            users,
            _("Marketing"),
            [
                (_("Activities"), "celebration", "marketing.activity"),
                (_("Bonus tiers"), "redeem", "wallet.bonustier"),
                (_("Coupon templates"), "confirmation_number", "coupons.coupontemplate"),
                (_("Coupons"), "local_activity", "coupons.coupon"),
            ],
        ),
        (
            users,
            _("Mini-program"),
            [
                (_("Mini-program settings"), "phone_iphone", "customers.driverappsettings"),
                (_("Sign-in of drivers"), "key", "customers.miniprogram"),
                (_("Agreements"), "gavel", "customers.agreement"),
            ],
        ),
        (
            company,
            _("Books"),
            [
                (_("Wallets"), "account_balance_wallet", "wallet.wallet"),
                (_("Holds"), "lock_clock", "wallet.hold"),
                (_("Journal"), "menu_book", "wallet.journalentry"),
                (_("Chart of accounts"), "account_tree", "wallet.view_account@admin:wallet_chart"),
                (_("Accounts"), "list_alt", "wallet.account"),
                (_("Trial balance"), "balance", "wallet.view_account@admin:wallet_trial_balance"),
                (_("Day closings"), "lock", "wallet.dayclosing"),
                (_("Ledger checks"), "rule", "wallet.ledgercheck"),
            ],
        ),
        (
            company,
            _("Reconciliation"),
            [
                (_("Channel reconciliation"), "account_balance", "wallet.channelday"),
                (_("Channel differences"), "difference", "wallet.channeldifference"),
                (_("Channels' bills"), "receipt", "wallet.channelbillrow"),
                (_("Payment notices"), "mark_email_read", "wallet.paymentnotice"),
            ],
        ),
        (
            company,
            _("Staff and security"),
            [
                (_("Staff"), "badge", "accounts.user"),
                (_("Departments"), "account_tree", "accounts.department"),
                (_("Roles"), "admin_panel_settings", "auth.group"),
                (_("Sign-in policy"), "policy", "accounts.signinpolicy"),
                (_("Sign-in with a QR code"), "qr_code_scanner", "accounts.loginprovider"),
                (_("Sessions"), "devices", "accounts.staffsession"),
                (_("Sign-in log"), "login", "accounts.signinrecord"),
                (_("Operation log"), "history", "backoffice.auditentry"),
            ],
        ),
        (
            company,
            _("Notifications"),
            [
                (_("Messages"), "outgoing_mail", "notifications.message"),
                (_("SMS accounts"), "sms", "notifications.smsaccount"),
                (_("Mailboxes"), "mail", "notifications.mailaccount"),
                (_("Chat robots"), "smart_toy", "notifications.robot"),
            ],
        ),
        (
            company,
            _("Settings"),
            [
                (_("Billing policy"), "tune", "orders.billingpolicy"),
                (_("Wallet rules"), "rule", "wallet.walletpolicy"),
                (_("Second-person rules"), "rule_settings", "backoffice.approvalpolicy"),
                (_("Merchant accounts"), "store", "wallet.merchantaccount"),
                (_("Package"), "inventory_2", "reports.view_ownpackage@admin:own_package"),
            ],
        ),
    ]
    return _visible(request, groups)


def platform_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar of the platform's back office."""
    groups: list[Group] = [
        (
            "",
            _("Platform"),
            [
                (_("Overview"), "dashboard", "admin:index"),
                (_("Tenants"), "apartment", "tenancy.tenant"),
                (_("Openings of tenants"), "add_business", "tenancy.tenantopening"),
                (_("Packages"), "inventory_2", "tenancy.package"),
                (_("Domains"), "language", "tenancy.domain"),
                (_("Support visits"), "support_agent", "tenancy.supportsession"),
                (_("Inbound routes"), "alt_route", "tenancy.inboundroute"),
                (_("First-seen devices"), "new_releases", "tenancy.newcomer"),
            ],
        ),
        (
            "",
            _("Staff and security"),
            [
                (_("Staff"), "badge", "accounts.user"),
                (_("Roles"), "admin_panel_settings", "auth.group"),
                (_("Sign-in policy"), "policy", "accounts.signinpolicy"),
                (_("Sign-in with a QR code"), "qr_code_scanner", "accounts.loginprovider"),
                (_("Sessions"), "devices", "accounts.staffsession"),
                (_("Sign-in log"), "login", "accounts.signinrecord"),
                (_("Operation log"), "history", "backoffice.auditentry"),
            ],
        ),
    ]
    return _visible(request, groups)


def _enterprise_money() -> list[Item]:
    """Accounts and statements of enterprises; without the feature while there are any: what they have can go back."""
    if not features.has("enterprises") and not EnterpriseAccount.objects.exists():
        return []
    return [
        (_("Enterprise accounts"), "account_balance_wallet", "wallet.enterpriseaccount"),
        (_("Enterprise statements"), "receipt_long", "orders.enterprisecharge"),
    ]


def _visible(request: HttpRequest, groups: list[Group]) -> list[dict[str, Any]]:
    shown = []
    for section, title, items in groups:
        entries = [entry for item in items if (entry := _entry(request, item))]
        if entries:
            shown.append({"section": section, "title": title, "items": entries})
    _mark_where_we_are(request.path, [entry for group in shown for entry in group["items"]])
    return shown


def _mark_where_we_are(path: str, entries: list[dict[str, Any]]) -> None:
    """The theme lights every entry whose address is in the path; a page under another's is one place, not two."""
    within = [entry["link"] for entry in entries if path.startswith(entry["link"])]
    here = max(within, key=len, default="")
    for entry in entries:
        entry["active"] = entry["link"] == here and (here != reverse("admin:index") or path == here)


def _entry(request: HttpRequest, item: Item) -> dict[str, Any] | None:
    title, icon, name = item
    permission, _at, address = name.rpartition("@")
    if ":" in address:
        if permission and not request.user.has_perm(permission):
            return None
        return {"title": title, "icon": icon, "link": _link(address, get_urlconf())}
    app, model = name.split(".")
    if not request.user.has_perm(f"{app}.view_{model}"):
        return None
    return {"title": title, "icon": icon, "link": _link(f"admin:{app}_{model}_changelist", get_urlconf())}


@cache
def _link(name: str, urlconf: str | None) -> str:
    """Return the address of a page: each page has eighty of them beside it, and they are the same for everybody."""
    return reverse(name, urlconf)
