"""The tenant wall: with everything that alpha may use, nothing of beta is read, changed or even said to exist.

Every URL pattern, socket route and task has to be named here, with how it is probed: a new one fails the test of its
kind until it is. Each probe is also made where it must succeed, at beta, so that it cannot pass by being blunt.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from celery import current_app
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver
from django_tenants.utils import schema_context

from apps.accounts.models import User
from apps.backoffice.sites import platform_site, tenant_site
from apps.customers.models import Customer
from apps.miniapp.authentication import ticket_for, token_for
from apps.orders.models import Order, TransactionRecord
from apps.piles import drivers
from apps.piles.models import Pile, UpdateServer
from apps.piles.services import create_piles
from apps.sites.models import Station
from apps.tenancy.errors import RouteTaken
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import routes
from apps.wallet.models import PaymentNotice, Recharge
from chargeplat.sockets import websocket_urlpatterns
from tests import factories
from tests.staff import boss
from tests.wall.stock import FILE_NUMBER, LOGO_DIGEST, PILE_CODE, SECRET, Stock, digest, id_of, stock

ALPHA, BETA, PLATFORM = "alpha.test", "beta.test", "platform.test"

# --- What is known ----------------------------------------------------------------------------------------

STANDARD = {
    "",
    "add/",
    "export/",
    "export-file/",
    "<path:object_id>/",
    "<path:object_id>/change/",
    "<path:object_id>/delete/",
    "<path:object_id>/history/",
}
"""Pages that every model of a back office has."""

COMMANDS = ("refresh", "clock", "prices", "qr", "work", "reboot", "update")
"""What can be sent to a pile, and to all piles of a station."""

CARDS = ("write-cards", "clear-cards")
"""What can be done to the cards in them."""

SIGNING_IN: dict[str, set[str]] = {
    "accounts/loginprovider": set(),
    "accounts/signinpolicy": set(),
    "accounts/signinrecord": set(),
    "accounts/staffsession": {"<path:object_id>/end/"},
    "accounts/user": {
        "<id>/password/",
        *(f"<path:object_id>/{page}/" for page in ("unlock", "end-sessions", "reset-second-factor")),
    },
}
"""Staff and how they sign in, on both back offices."""

PILE_TABS = ("live", "commands", "alarms", "firmware", "qr-codes", "orders")
"""Pages of a pile that only show."""

STATION_TABS = ("pictures", "qr-codes")
"""Pages of a station that show; pictures are changed there by who may change stations."""

FRANCHISEE_TABS = ("contracts", "stations", "accounts")
"""Pages of a franchisee that show; what is on them is changed there by who may."""

TENANT_MODELS: dict[str, set[str]] = {
    "accounts/department": set(),
    **SIGNING_IN,
    "auth/group": set(),
    "backoffice/approval": {f"<path:object_id>/{page}/" for page in ("approve", "reject", "withdraw")},
    "backoffice/approvalpolicy": {"set/"},
    "backoffice/auditentry": set(),
    "coupons/coupon": {"<path:object_id>/void/"},
    "coupons/coupontemplate": {"<path:object_id>/give/"},
    "customers/agreement": {f"<path:object_id>/{page}/" for page in ("publish", "new-version")},
    "customers/card": {"<path:object_id>/state/"},
    "customers/customer": {"<path:object_id>/pin/", "<path:object_id>/invoice/"},
    "customers/driverappsettings": set(),
    "customers/enterprise": {
        f"<path:object_id>/{page}/" for page in ("add-members", "invitation", "account")
    },
    "customers/enterprisemember": {"<path:object_id>/end/", "<path:object_id>/limit/"},
    "customers/miniprogram": {"<path:object_id>/test/"},
    "customers/feedback": {f"<path:object_id>/{page}/" for page in ("answer", "assign", "note", "close")},
    "customers/vehicle": set(),
    "files/exportjob": set(),
    "franchisees/franchisee": {
        *(f"<path:object_id>/{page}/" for page in (*FRANCHISEE_TABS, "end", "resume")),
    },
    "invoices/invoiceapplication": {
        *(
            f"<path:object_id>/{page}/"
            for page in ("approve", "reject", "not-issued", "issue", "mark-red", "enter-red")
        ),
        "apply-for/",
    },
    "invoices/invoicepolicy": set(),
    "marketing/activity": {
        *(f"<path:object_id>/{page}/" for page in ("publish", "withdraw", "cover")),
        "picture/",
    },
    "notifications/mailaccount": {f"<path:object_id>/{page}/" for page in ("test", "switch")},
    "notifications/message": {"<path:object_id>/again/"},
    "notifications/robot": {"<path:object_id>/test/"},
    "notifications/smsaccount": {f"<path:object_id>/{page}/" for page in ("test", "switch")},
    "orders/energyday": {"reconcile/", "<path:object_id>/again/"},
    "orders/energydifference": {"<path:object_id>/resolve/"},
    "orders/abnormalorder": {
        f"<path:object_id>/{page}/" for page in ("recompute", "settle", "adjust", "close")
    },
    "orders/billingpolicy": set(),
    "orders/enterprisecharge": set(),
    "orders/order": {
        *(f"<path:object_id>/{page}/" for page in ("stop", "force-end", "refund")),
        "save-filter/",
        "forget-filter/",
    },
    "orders/orderrefund": {"<path:object_id>/approve/", "<path:object_id>/reject/"},
    "orders/transactionrecord": {"<path:object_id>/match/", "<path:object_id>/reject/"},
    "piles/alarm": {f"<path:object_id>/{page}/" for page in ("acknowledge", "assign", "note", "close")},
    "piles/alarmrule": set(),
    "piles/commandbatch": {"<path:object_id>/retry/"},
    "piles/connector": {
        *(f"<path:object_id>/{page}/" for page in ("refresh", "raise-lock", "lower-lock", "start")),
        "wall/",
    },
    "piles/notificationrule": {"<path:object_id>/test/"},
    "piles/pile": {
        *(
            f"<path:object_id>/{page}/"
            for page in (*COMMANDS, *CARDS, "ask-cards", "state", "move", "retire", "start")
        ),
        *(f"<path:object_id>/{page}/" for page in PILE_TABS),
        "batch/",
        "import/",
        "import/template/",
        "inspector/",
        "<path:object_id>/timeline/",
        "<path:object_id>/timeline/keep/",
        "<path:object_id>/timeline/export/",
    },
    "piles/newdevice": {"<path:object_id>/approve/"},
    "piles/offeredpile": set(),
    "piles/offlinecard": set(),
    "piles/pilecommand": set(),
    "piles/updateserver": set(),
    "pricing/holiday": {"new/", "<path:object_id>/remove/"},
    "pricing/priceassignment": set(),
    "pricing/pricepush": set(),
    "pricing/pricetask": {
        "new/",
        *(f"<path:object_id>/{page}/" for page in ("cancel", "roll-back", "push-again")),
    },
    "pricing/pricetemplate": {
        "new/",
        "compare/",
        "<path:object_id>/copy/",
        "<int:template_id>/version/",
        "<path:object_id>/new-version/",
        "<path:object_id>/assign/",
    },
    "pricing/retailprice": {"new/"},
    "reports/financereport": {"excel/", "again/"},
    "reports/reportschedule": {"<path:object_id>/send/", "<path:object_id>/switch/"},
    "sites/station": {
        f"<path:object_id>/{page}/" for page in (*COMMANDS, *CARDS, *STATION_TABS, "power-cap", "state")
    },
    "wallet/account": {"chart/", "trial-balance/", "<path:object_id>/statement/"},
    "wallet/bonustier": {"<path:object_id>/switch/"},
    "wallet/channelbillrow": set(),
    "wallet/channelday": {"reconcile/", "<path:object_id>/again/"},
    "wallet/channeldifference": {"<path:object_id>/query/", "<path:object_id>/resolve/"},
    "wallet/dayclosing": {"check-and-close/"},
    "wallet/debt": {"<path:object_id>/recover/"},
    "wallet/enterpriseaccount": {
        f"<path:object_id>/{page}/" for page in ("statement", "deposit", "withdraw")
    },
    "wallet/hold": set(),
    "wallet/journalentry": set(),
    "wallet/ledgercheck": {"check-now/"},
    "wallet/merchantaccount": {f"<path:object_id>/{page}/" for page in ("test", "default", "switch")},
    "wallet/paymentnotice": {"<path:object_id>/process/"},
    "wallet/recharge": {f"<path:object_id>/{page}/" for page in ("query", "wrong-amount")},
    "wallet/wallet": {"<path:object_id>/statement/", "<path:object_id>/refund/"},
    "wallet/walletpolicy": set(),
    "wallet/walletrefund": {f"<path:object_id>/{page}/" for page in ("approve", "by-hand", "reject")},
    "wallet/walletrefundpart": {"<path:object_id>/transferred/"},
}
"""Models of the tenant's back office, with what they have beside the standard pages."""

PLATFORM_MODELS: dict[str, set[str]] = {
    **SIGNING_IN,
    "auth/group": set(),
    "backoffice/auditentry": set(),
    "tenancy/domain": {"<path:object_id>/primary/", "<path:object_id>/remove/"},
    "tenancy/inboundroute": set(),
    "tenancy/newcomer": {"<path:object_id>/offer/", "<path:object_id>/drop/"},
    "tenancy/package": set(),
    "tenancy/supportsession": {"<path:object_id>/end/"},
    "tenancy/tenant": {
        "open/",
        "<path:object_id>/test/<slug:kind>/<slug:number>/",
        *(
            f"<path:object_id>/{page}/"
            for page in ("renew", "package", "suspend", "resume", "close", "domain")
        ),
    },
    "tenancy/tenantopening": {"<path:object_id>/retry/"},
}

SITE_PAGES = {
    "admin/": "admin/",
    "admin/login/": "admin/login/",
    "admin/logout/": "",
    "admin/password_change/": "admin/password_change/",
    "admin/password_change/done/": "admin/password_change/done/",
    "admin/jsi18n/": "admin/jsi18n/",
    **{
        f"admin/{page}/": f"admin/{page}/"
        for page in (
            *(f"sign-in/{step}" for step in ("phone", "second", "set-up", "password", "go-on")),
            *("me", "me/confirm", "me/set-up", "me/take-away", "me/codes", "me/phone"),
            "me/sessions/end-others",
        )
    },
    **{
        f"admin/{page.format('<slug:provider>')}/": f"admin/{page.format('wechat')}/"
        for page in ("sign-in/scan/{}", "sign-in/scan/{}/back", "me/bind/{}", "me/unbind/{}")
    },
    "admin/me/sessions/<int:number>/end/": "admin/me/sessions/900001/end/",
    "admin/search/": "admin/search/?s=990101&extended=1",
    "admin/autocomplete/": "admin/autocomplete/?app_label=orders&model_name=order&field_name=customer&term=",
    "admin/r/<path:content_type_id>/<path:object_id>/": "admin/r/1/900001/",
    "admin/^(?P<app_label>APPS)/$": "admin/orders/",
    "admin/(?P<url>.*)$": "admin/no-such-page",
}
"""Pages of a back office as such → the address to ask; logging out would end the probing."""

TENANT_PAGES = {
    "admin/badges/": "admin/badges/",
    "admin/overview/tree/": "admin/overview/tree/?station=900001",
    "admin/package/": "admin/package/",
    "admin/display/": "admin/display/?at=station:900001",
    "admin/display/data/": "admin/display/data/?at=station:900001",
}
"""Pages of a tenant's back office that belong to no model → the address to ask."""

NUMBERS_ONLY = {"admin/badges/", "admin/package/"}
"""Those that say how many rows there are and no word of any: no mark could show, so the numbers are compared."""

NOTICES = "notices/<slug:code>/<slug:channel>/<int:merchant_id>/"
FILES = {
    "files/upload/": "files/upload/",
    "files/<uuid:number>/": f"files/{FILE_NUMBER}/",
    "files/<uuid:number>/thumbnail/": f"files/{FILE_NUMBER}/thumbnail/",
}
"""Pages of files → the address that asks for beta's."""

LOGO = "logo/<slug:code>/<slug:digest>.png"
OTHER_PAGES = {
    "": "",
    "i18n/setlang/": "i18n/setlang/",
    NOTICES: "notices/beta/wechatpay/900001/",
    LOGO: f"logo/beta/{LOGO_DIGEST}.png",
}
SUPPORT = {"support/enter/<str:ticket>/": "support/enter/no-ticket/", "support/leave/": "support/leave/"}
"""Ways of the platform's staff into and out of a tenant's back office (tests/apps/accounts/test_support.py)."""
GUN_PAGE = {"c/<str:code>": f"c/{PILE_CODE}01"}
"""The public page of a gun → beta's, which only beta's host has."""

SAME_FOR_ALL = {"^h5(?:/(?P<path>.*))?$"}
"""Static pages without a row of anybody's."""


NOBODYS = 987_654_321
"""An id that no tenant has."""

EVERYWHERE = {
    "latitude": "31.2304",
    "longitude": "121.4737",
    "south": "-90",
    "west": "-180",
    "north": "90",
    "east": "180",
}
"""Of lists and maps: all that there is."""

OPEN, OWN, FOREIGN = "open to all", "one's own", "named by a number"
API: dict[str, tuple[str, str]] = {
    "app": (OPEN, "app"),
    "agreements": (OPEN, "agreements"),
    "agreements/<number:kind>": (OPEN, "agreements/privacy"),
    "auth/sms-code": (OPEN, "auth/sms-code"),
    "auth/login": (OPEN, "auth/login"),
    "auth/wechat": (OPEN, "auth/wechat"),
    "auth/alipay": (OPEN, "auth/alipay"),
    "auth/bind-phone": (OPEN, "auth/bind-phone"),
    "auth/refresh": (OPEN, "auth/refresh"),
    "me": (OWN, "me"),
    "me/profile": (OWN, "me/profile"),
    "me/avatar": (OWN, "me/avatar"),
    "me/avatar/ticket": (OWN, "me/avatar/ticket"),
    "me/data-export": (OWN, "me/data-export"),
    "me/deletion": (OWN, "me/deletion"),
    "me/consents": (OWN, "me/consents"),
    "me/devices": (OWN, "me/devices"),
    "me/devices/<number:number>/sign-out": (FOREIGN, "me/devices/{0.device}/sign-out"),
    "me/phone": (OWN, "me/phone"),
    "me/phone/code": (OWN, "me/phone/code"),
    "stations": (OPEN, "stations"),
    "cities": (OPEN, "cities"),
    "map": (OPEN, "map"),
    "stations/<number:station_no>/coupons": (FOREIGN, "stations/{0.station_no}/coupons"),
    "stations/<number:station_no>": (FOREIGN, "stations/{0.station_no}"),
    "connectors/<str:code>": (FOREIGN, "connectors/{0.pile_code}01"),
    "connectors/<str:code>/coupons": (FOREIGN, "connectors/{0.pile_code}01/coupons"),
    "coupons": (OWN, "coupons"),
    "coupons/offers": (OWN, "coupons/offers"),
    "quotes": (OWN, "quotes"),
    "vehicles": (OWN, "vehicles"),
    "vehicles/<int:vehicle_id>": (FOREIGN, "vehicles/{0.vehicle_id}"),
    "vehicles/<int:vehicle_id>/default": (FOREIGN, "vehicles/{0.vehicle_id}/default"),
    "vehicles/<int:vehicle_id>/remove": (FOREIGN, "vehicles/{0.vehicle_id}/remove"),
    "activities": (OPEN, "activities"),
    "activities/banners": (OPEN, "activities/banners"),
    "activities/<number:activity_id>": (FOREIGN, "activities/{0.activity_id}"),
    "charges": (OWN, "charges"),
    "charges/<number:order_no>": (FOREIGN, "charges/{0.live.order_no}"),
    "charges/<number:order_no>/stop": (FOREIGN, "charges/{0.live.order_no}/stop"),
    "charges/<number:order_no>/ticket": (FOREIGN, "charges/{0.live.order_no}/ticket"),
    "enterprise": (OWN, "enterprise"),
    "enterprise/join": (OWN, "enterprise/join"),
    "enterprise/leave": (OWN, "enterprise/leave"),
    "enterprise/payer": (OWN, "enterprise/payer"),
    "messages": (OWN, "messages"),
    "messages/unread": (OWN, "messages/unread"),
    "messages/read": (OWN, "messages/read"),
    "messages/<int:message_id>/read": (FOREIGN, "messages/{0.message_id}/read"),
    "order-counts": (OWN, "order-counts"),
    "orders": (OWN, "orders"),
    "orders/<number:order_no>": (FOREIGN, "orders/{0.live.order_no}"),
    "orders/<number:order_no>/refunds": (FOREIGN, "orders/{0.own_order_no}/refunds"),
    "order-refunds": (OWN, "order-refunds"),
    "order-refunds/<number:refund_no>": (FOREIGN, "order-refunds/{0.order_refund_no}"),
    "order-refunds/<number:refund_no>/cancel": (FOREIGN, "order-refunds/{0.order_refund_no}/cancel"),
    "feedback": (OWN, "feedback"),
    "feedback/photos": (OWN, "feedback/photos"),
    "feedback/<number:feedback_no>": (FOREIGN, "feedback/{0.feedback_no}"),
    "invoices": (OWN, "invoices"),
    "invoices/<number:application_no>": (FOREIGN, "invoices/{0.invoice_no}"),
    "invoices/<number:application_no>/cancel": (FOREIGN, "invoices/{0.invoice_no}/cancel"),
    "invoice-options": (OWN, "invoice-options"),
    "invoice-orders": (OWN, "invoice-orders"),
    "invoice-titles": (OWN, "invoice-titles"),
    "invoice-titles/<number:title_id>": (FOREIGN, "invoice-titles/{0.title_id}"),
    "invoice-titles/<number:title_id>/remove": (FOREIGN, "invoice-titles/{0.title_id}/remove"),
    "wallet": (OWN, "wallet"),
    "wallet/refunds": (OWN, "wallet/refunds"),
    "wallet/refunds/<number:refund_no>": (FOREIGN, "wallet/refunds/{0.refund_no}"),
    "wallet/refunds/<number:refund_no>/cancel": (FOREIGN, "wallet/refunds/{0.refund_no}/cancel"),
    "wallet/statement": (OWN, "wallet/statement"),
    "wallet/recharge-options": (OWN, "wallet/recharge-options"),
    "wallet/recharges": (OWN, "wallet/recharges"),
    "wallet/recharges/<number:recharge_no>": (FOREIGN, "wallet/recharges/{0.recharge_no}"),
    "wallet/recharges/<number:recharge_no>/sandbox-pay": (
        FOREIGN,
        "wallet/recharges/{0.recharge_no}/sandbox-pay",
    ),
    "schema/": (OPEN, "schema/"),
    "docs/": (OPEN, "docs/"),
    "^.*$": (OPEN, "no-such-path"),
    "auth/logout": (OWN, "auth/logout"),  # the last one: it ends the session that asks
}
"""Paths of the driver API → what they are, and the path that asks for beta's thing."""

SOCKETS = {
    r"^ws/admin/guns/(?P<station_id>[0-9]{1,18})/$",
    r"^ws/v1/charges/(?P<order_no>[0-9A-Za-z_-]{1,32})/$",
    "",
}

TASKS = {
    "accounts.purge",
    "accounts.end_late_visits",
    "coupons.expire",
    "customers.export_data",
    "customers.purge",
    "customers.purge_inbox",
    "customers.tell",
    "files.find_exports",
    "files.purge",
    "files.run_export",
    "invoices.follow_refund",
    "invoices.follow_refunds",
    "notifications.deliver_app",
    "notifications.deliver_due",
    "notifications.purge",
    "orders.check_books",
    "orders.check_meter",
    "orders.close_books",
    "orders.connector_changed",
    "orders.raise_holds",
    "orders.reconcile_energy",
    "orders.settle_pending",
    "orders.store_curve",
    "orders.store_missing_curves",
    "orders.tell_settled",
    "orders.watch_orders",
    "orders.watch_limits",
    "orders.watch_starts",
    "orders.watch_unbilled",
    "piles.deliver_batch",
    "piles.expire_commands",
    "piles.keep_partitions",
    "piles.sync_cards",
    "piles.sync_clocks",
    "piles.watch_alarms",
    "piles.watch_silent_piles",
    "pricing.push_due_prices",
    "reports.roll",
    "reports.roll_again",
    "reports.sample_online",
    "reports.send_due",
    "reports.tell_platform",
    "reports.tell_platform_again",
    "tenancy.fan_out",
    "tenancy.find_openings",
    "tenancy.open_tenant",
    "tenancy.suspend_expired",
    "wallet.reconcile",
    "wallet.check_recharge",
    "wallet.check_recharges",
    "wallet.execute_refund",
    "wallet.execute_refunds",
    "wallet.process_notice",
    "wallet.process_notices",
    "wallet.refresh_keys",
}


def patterns(urlconf: str) -> set[str]:
    """Every URL pattern, with the list of apps in one of them left out."""

    def walk(resolver: Any, before: str) -> Iterator[str]:
        for entry in resolver.url_patterns:
            here = before + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry, here)
            else:
                yield re.sub(r"\(\?P<app_label>[a-z|]+\)", "(?P<app_label>APPS)", here)

    return set(walk(get_resolver(urlconf), ""))


def known(models: dict[str, set[str]]) -> set[str]:
    pages = {f"admin/{model}/{page}" for model, extra in models.items() for page in STANDARD | extra}
    return pages | set(SITE_PAGES) | set(OTHER_PAGES)


def test_every_url_is_known_here() -> None:
    tenants = {*TENANT_PAGES, *FILES, *GUN_PAGE, *SUPPORT, *(f"api/v1/{path}" for path in API)}
    assert patterns(settings.ROOT_URLCONF) == known(TENANT_MODELS) | tenants | SAME_FOR_ALL
    assert patterns(settings.PUBLIC_SCHEMA_URLCONF) == known(PLATFORM_MODELS)


def test_every_model_of_the_back_offices_is_known_here() -> None:
    for site, models in ((tenant_site, TENANT_MODELS), (platform_site, PLATFORM_MODELS)):
        registered = {f"{model._meta.app_label}/{model._meta.model_name}" for model in site._registry}
        assert registered == set(models)


def test_every_socket_and_task_is_known_here() -> None:
    assert {str(entry.pattern) for entry in websocket_urlpatterns} == SOCKETS
    assert {name for name in current_app.tasks if not name.startswith("celery.")} == TASKS


# --- Fixtures ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def worker() -> None:
    """Every task is registered, as in a worker."""
    current_app.loader.import_default_modules()


@pytest.fixture
def beta(tenant: Tenant, other_tenant: Tenant) -> Stock:
    with schema_context("t_beta"):
        return stock()


@pytest.fixture(autouse=True)
def sms_log(settings: Any, tmp_path: Any) -> None:
    settings.SMS_LOG = tmp_path / "sms.log"


def boss_of(schema: str, host: str) -> Client:
    with schema_context(schema):
        return boss(host)


def app_of(host: str, token: object, **headers: str) -> Client:
    return Client(headers={"host": host, "authorization": f"Bearer {token}", **headers})


def text_of(response: HttpResponse) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode(errors="replace") + str(dict(response.headers))


def shown(response: HttpResponse, stock: Stock, asked: str = "") -> list[str]:
    """Beta's marks in an answer, but for those that were in the question (errors say what was asked for)."""
    text = text_of(response)
    return [mark for mark in stock.marks if mark in text and mark not in asked]


# --- Back office ------------------------------------------------------------------------------------------


def object_pages(models: dict[str, set[str]]) -> list[tuple[str, str]]:
    """(model, page with {id}) for every page of one object."""
    return [
        (model, re.sub(r"<[a-z_:]+>", "{id}", page))
        for model, extra in models.items()
        for page in sorted(STANDARD | extra)
        if "<" in page
    ]


def filled_in(model: str, mine: Station) -> dict[str, object]:
    """What makes the forms of all dialogs and confirmations complete."""
    state = {"sites/station": "closed", "customers/card": "frozen"}.get(model, "disabled")
    server = UpdateServer.objects.get_or_create(name="x", defaults={"host": "h"})[0]
    commands = {"server": server.pk, "path": "/x", "when": "idle", "download_minutes": 5, "format": "gun"}
    commands |= {"kind": "dc", "power_kw": "60", "gun_count": "1", "pin": "1234"}
    driver, _ = Customer.objects.get_or_create(phone="+8613900001111")
    commands |= {"phones": driver.phone, "batch": "b"}
    commands |= {"work": "allowed", "max_power_percent": 100, "kw": "100"}
    commands |= {"electricity": "0.01", "service": "0.01"}
    commands |= {"name": "x", "amount": "0.01", "transfer_no": "x", "transfer_to": "x"}
    commands |= {"account_kind": "prepaid", "number": "x"}
    to = "13900001111" if model == "notifications/smsaccount" else "nobody@alpha.test"
    commands |= {
        "to": to,
        "template": "code",
        "note": "x",
        "text": "x",
        "person": User.objects.values_list("pk", flat=True)[0],
    }
    dialog = {
        "post": "yes",
        "_form_submitted": "on",
        "reason": "x",
        "state": state,
        "station": mine.pk,
        "what": "new",
    }
    return {**dialog, **commands}


def plain(response: HttpResponse, number: object) -> str:
    """A page without the row's number in its addresses and without what is new in every answer."""
    text = re.sub(
        r'(name="csrfmiddlewaretoken" value="|X-CSRFToken": "|name="batch" value=")[^"]*',
        r"\1",
        response.content.decode(),
    )
    return text.replace(str(number), "NUMBER")


def ids_at_beta() -> dict[str, object]:
    with schema_context("t_beta"):
        return {
            f"{model._meta.app_label}/{model._meta.model_name}": id_of(model)
            for model in tenant_site._registry
        }


@pytest.mark.timeout(400)  # some 600 requests
def test_no_page_of_an_object_opens_with_another_tenants_id(beta: Stock) -> None:
    staff, there = boss_of("t_alpha", ALPHA), boss_of("t_beta", BETA)
    mine = factories.a_station()
    ids, before = ids_at_beta(), digest("t_beta")
    for model, page in object_pages(TENANT_MODELS):
        path, nowhere = (f"/admin/{model}/{page.format(id=number)}" for number in (ids[model], NOBODYS))
        for method in (staff.get, staff.post):
            data = {} if method == staff.get else filled_in(model, mine)
            response, unknown = method(path, data), method(nowhere, data)
            assert shown(response, beta) == [], path
            # Nobody at alpha can tell beta's row from one that does not exist.
            assert response.status_code == unknown.status_code, path
            if response.status_code == 200:  # a dialog asks before it looks for the row
                assert method == staff.get, path
                assert plain(response, ids[model]) == plain(unknown, NOBODYS), path
            else:
                assert response.status_code in {302, 403, 404, 405}, (path, response.status_code)
            if response.status_code == 302:  # to the start page: "perhaps it was deleted"
                assert shown(staff.get(response["Location"], follow=True), beta) == [], path
    assert digest("t_beta") == before
    # Now beta's own staff: the pages exist, asking changes nothing, and what is sent acts.
    for model, page in object_pages(TENANT_MODELS):
        path = f"/admin/{model}/{page.format(id=ids[model])}"
        assert there.get(path, follow=True).status_code in {200, 403, 405}, (
            f"{path} is no page at beta either"
        )
    assert digest("t_beta") == before
    there.post(f"/admin/piles/pile/{ids['piles/pile']}/state/", filled_in("piles/pile", mine))
    assert digest("t_beta") != before


def test_no_list_export_search_or_form_shows_another_tenants_rows(beta: Stock) -> None:
    staff, there = boss_of("t_alpha", ALPHA), boss_of("t_beta", BETA)
    before = digest("t_beta")
    paths = [
        f"/admin/{model}/{page}"
        for model, extra in TENANT_MODELS.items()
        for page in sorted(STANDARD | extra)
        if "<" not in page
    ]
    groups = (SITE_PAGES, TENANT_PAGES, OTHER_PAGES, FILES, GUN_PAGE, SUPPORT)
    paths += [f"/{path}" for group in groups for path in group.values() if path]
    seen_at_beta = set()
    for path in paths:
        response = staff.get(path, follow=True)
        assert response.status_code in {200, 403, 404, 405}, (path, response.status_code)
        assert shown(response, beta) == [], path
        if shown(there.get(path, follow=True), beta):
            seen_at_beta.add(path)
    # The marks are what these pages show: every list and every export has one where the rows are.
    blind = {f"/admin/{model}/" for model in TENANT_MODELS} - seen_at_beta
    assert blind == set()
    assert {"/admin/search/?s=990101&extended=1", "/admin/orders/order/export/"} <= seen_at_beta
    assert {f"/{path}" for path in set(TENANT_PAGES.values()) - NUMBERS_ONLY} <= seen_at_beta
    badges = [client.get("/admin/badges/").json()["badges"] for client in (staff, there)]
    assert badges == [{}, {"/admin/piles/alarm/": 1}]
    used = [
        re.findall(r'data-used="(\d+)"', client.get("/admin/package/").content.decode())[:2]
        for client in (staff, there)
    ]
    assert used[0] == ["0", "0"]
    assert "0" not in used[1]
    assert {f"/files/{FILE_NUMBER}/", f"/files/{FILE_NUMBER}/thumbnail/"} <= seen_at_beta
    assert f"/c/{PILE_CODE}01" in seen_at_beta
    logo = f"/{OTHER_PAGES[LOGO]}"
    assert [client.get(logo).status_code for client in (staff, there)] == [404, 200]
    assert digest("t_beta") == before


def test_staff_of_a_tenant_and_of_the_platform_are_strangers_elsewhere(beta: Stock) -> None:
    """A session is good on the host where it was opened, and nowhere else."""
    homes = {ALPHA: "t_alpha", BETA: "t_beta", PLATFORM: "public"}
    for home, schema in homes.items():
        session = boss_of(schema, home).cookies[settings.SESSION_COOKIE_NAME].value
        for host in homes:
            client = Client(headers={"host": host})
            client.cookies[settings.SESSION_COOKIE_NAME] = session
            answer = client.get("/admin/")
            if host == home:
                assert answer.status_code == 200
            else:
                assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_x_tenant_steers_no_back_office(beta: Stock) -> None:
    staff = boss_of("t_alpha", ALPHA)
    assert staff.get("/admin/orders/order/", headers={"x-tenant": "beta"}).status_code == 404
    platform = boss_of("public", PLATFORM)
    assert platform.get("/admin/orders/order/", headers={"x-tenant": "beta"}).status_code == 404
    assert shown(platform.get("/admin/", headers={"x-tenant": "beta"}), beta) == []


def test_the_platform_has_no_pages_of_tenants_rows_nor_tenants_of_the_platforms(beta: Stock) -> None:
    platform, staff = boss_of("public", PLATFORM), boss_of("t_alpha", ALPHA)
    for model in sorted(set(TENANT_MODELS) - set(PLATFORM_MODELS)):
        assert platform.get(f"/admin/{model}/").status_code == 404, model
    for model in sorted(set(PLATFORM_MODELS) - set(TENANT_MODELS)):
        assert staff.get(f"/admin/{model}/").status_code == 404, model
    for model, page in object_pages(PLATFORM_MODELS):
        if model in TENANT_MODELS:
            number = ids_at_beta()[model]
            path, nowhere = (f"/admin/{model}/{page.format(id=one)}" for one in (number, NOBODYS))
            answer = platform.get(path)
            assert answer.status_code in {200, 302, 403, 404}, path
            if answer.status_code == 200:  # a dialog asks before it looks for the row
                assert plain(answer, number) == plain(platform.get(nowhere), NOBODYS), path
            assert shown(platform.get(path, follow=True), beta) == [], path
    for model in sorted(set(PLATFORM_MODELS) & set(TENANT_MODELS)):
        assert shown(platform.get(f"/admin/{model}/"), beta) == [], model


# --- Driver API -------------------------------------------------------------------------------------------


def ask(client: Client, path: str, stock: Stock) -> dict[str, HttpResponse]:
    """GET and POST a path, the POST with beta's things in its body."""
    body = {
        "connector_code": f"{stock.pile_code}01",
        "preset_amount": "10.00",
        "amount": "10.00",
        "channel": "sandbox",
        "phone": "13900007777",
        "code": "000000",
        "plate": "沪A99012",
        "reason": "x",
        "kind": "personal",
        "name": "x",
        "text": "x",
    }
    return {
        "get": client.get(f"/api/v1/{path}", EVERYWHERE),
        "post": client.post(
            f"/api/v1/{path}",
            json.dumps(body),
            content_type="application/json",
            headers={"idempotency-key": re.sub("[^a-z]", "-", path)},
        ),
    }


def test_a_drivers_own_token_reaches_nothing_of_another_tenant(beta: Stock) -> None:
    driver = factories.a_customer("100.00")
    with schema_context("t_beta"):
        token_there = token_for(beta.customer)
    here, there = app_of(ALPHA, token_for(driver)), app_of(BETA, token_there)
    before = digest("t_beta")
    asked: dict[str, str] = {}
    for kind, template in API.values():
        path = template.format(beta)
        for method, response in ask(here, path, beta).items():
            asked_for = path if method == "get" else f"{path} {beta.pile_code}"
            assert shown(response, beta, asked_for) == [], (method, path)
            if kind == FOREIGN:
                assert response.status_code in {404, 405}, (method, path, response.status_code)
            if response.status_code == 404:
                asked[path] = method
    assert digest("t_beta") == before
    named = {template.format(beta) for kind, template in API.values() if kind == FOREIGN}
    assert named <= set(asked)
    assert {"charges", "quotes"} <= set(asked), "a start with beta's gun is a start with no gun"
    # The same numbers are good where they belong.
    for path in sorted(named):
        response = ask(there, path, beta)[asked[path]]
        assert response.status_code in {200, 201, 202}, (path, response.status_code, response.content)
    with schema_context("t_beta"):
        assert Order.objects.get(pk=beta.live.pk).stop_requested_at is not None


@pytest.mark.parametrize(("host", "code"), [(ALPHA, None), (ALPHA, "alpha"), (PLATFORM, "alpha")])
def test_another_tenants_token_is_no_token(beta: Stock, host: str, code: str | None) -> None:
    """Also where a customer of alpha has the same id."""
    factories.a_customer(id=beta.customer.pk)
    with schema_context("t_beta"):
        token = token_for(beta.customer)
    client = app_of(host, token, **({"x-tenant": code} if code else {}))
    before = digest("t_beta"), digest("t_alpha")
    for kind, template in API.values():
        for method, response in ask(client, template.format(beta), beta).items():
            path = (method, template)
            assert shown(response, beta) == [], path
            if kind == OWN or (kind == FOREIGN and response.status_code != 405):
                assert response.status_code in {401, 405}, (path, response.status_code)
    assert (digest("t_beta"), digest("t_alpha")) == before
    assert app_of(PLATFORM, token, **{"x-tenant": "beta"}).get("/api/v1/me").status_code == 200


def test_a_sign_in_code_is_good_where_it_was_asked_for(beta: Stock, settings: Any) -> None:
    def post(host: str, path: str, **body: str) -> HttpResponse:
        client = Client(headers={"host": host})
        return client.post(f"/api/v1/auth/{path}", json.dumps(body), content_type="application/json")

    assert post(BETA, "sms-code", phone="13900008888").status_code in {200, 202, 204}
    code = settings.SMS_LOG.read_text().split()[-1]
    assert post(ALPHA, "login", phone="13900008888", code=code).status_code in {400, 401, 403}
    assert post(BETA, "login", phone="13900008888", code=code).status_code == 200


# --- Sockets, tasks, caches, routes -----------------------------------------------------------------------


def close_code(host: str, path: str, first: dict[str, str] | None = None) -> int | None:
    """Open a socket, say `first`, and return how it was closed; None when it showed a picture instead."""
    from chargeplat.asgi import application

    async def go() -> int | None:
        socket = WebsocketCommunicator(application, path, [(b"host", host.encode())])
        try:
            assert await socket.connect(timeout=10) == (True, None)
            if first is not None:
                await socket.send_json_to(first)
            message = await socket.receive_output(timeout=10)
            return message["code"] if message["type"] == "websocket.close" else None
        finally:
            await socket.disconnect(timeout=10)
            await get_channel_layer().flush()

    return asyncio.run(go())


def test_a_socket_opens_for_its_own_tenant_only(committed: Tenant, other_tenant: Tenant) -> None:
    with schema_context("t_beta"):
        order = factories.a_charging_order()
        path, token = f"/ws/v1/charges/{order.order_no}/", {"token": str(token_for(order.customer))}

        def ticket() -> str:
            return f"{path}?ticket={ticket_for(order.customer, order.order_no)}"

        tickets = [ticket() for _ in range(3)]
    mine = factories.a_customer(id=order.customer_id)
    assert close_code(ALPHA, tickets[0]) == 4401
    assert close_code(ALPHA, path, token) == 4401
    assert close_code("nobody.test", tickets[1]) == 4401
    # A driver of alpha, with the same id, who knows beta's order number.
    assert close_code(ALPHA, path, {"token": str(token_for(mine))}) == 4404
    assert close_code(ALPHA, f"{path}?ticket={ticket_for(mine, order.order_no)}") == 4404
    assert close_code(BETA, path, {"token": str(token_for(mine))}) == 4401
    assert close_code(ALPHA, "/ws/v1/other/") == 4404
    # And where it belongs.
    assert close_code(BETA, tickets[2]) is None
    assert close_code(BETA, path, token) is None


def opened(host: str, session: str, station_id: int) -> int | str:
    """Open a station's gun wall with a session of the back office: how it was closed, or its first picture."""
    from chargeplat.asgi import application

    async def go() -> int | str:
        cookie = f"{settings.SESSION_COOKIE_NAME}={session}"
        headers = [(b"host", host.encode()), (b"origin", f"http://{host}".encode())]
        path = f"/ws/admin/guns/{station_id}/"
        socket = WebsocketCommunicator(application, path, [*headers, (b"cookie", cookie.encode())])
        try:
            assert await socket.connect(timeout=10) == (True, None)
            message = await socket.receive_output(timeout=10)
            return message["code"] if message["type"] == "websocket.close" else message["text"]
        finally:
            await socket.disconnect(timeout=10)

    return asyncio.run(go())


def test_a_gun_wall_opens_for_its_own_tenants_staff_only(committed: Tenant, other_tenant: Tenant) -> None:
    homes = {}
    for schema, host in (("t_alpha", ALPHA), ("t_beta", BETA)):
        with schema_context(schema):
            session = boss(host).cookies[settings.SESSION_COOKIE_NAME].value
            homes[host] = session
    with schema_context("t_beta"):
        station = factories.a_station(name=SECRET)
        gun = factories.a_pile(station=station).connectors.get()

    assert opened(ALPHA, homes[ALPHA], station.pk) == 4404
    assert opened(ALPHA, homes[BETA], station.pk) == 4401
    assert opened(BETA, homes[ALPHA], station.pk) == 4401
    assert opened(PLATFORM, homes[BETA], station.pk) == 4401
    assert opened("nobody.test", homes[BETA], station.pk) == 4401
    assert f"gun-{gun.pk}" in str(opened(BETA, homes[BETA], station.pk))


def test_a_task_works_in_the_schema_it_was_sent_with(beta: Stock) -> None:
    before = digest("t_beta")
    arguments = {
        "orders.connector_changed": [
            beta.live.transaction_no,
            f"{beta.pile_code}02",
            "plugged",
            "1.0000",
            "2026-01-01T00:00:00+08:00",
        ],
        "files.run_export": [beta.export_id],
        "invoices.follow_refund": [beta.settled.order_no],
        "orders.check_books": ["staff", "1", "x", True],
        "orders.check_meter": [beta.waiting_record.pk],
        "orders.raise_holds": [beta.recharge_no],
        "orders.store_curve": [beta.settled.order_no],
        "orders.tell_settled": [beta.settled.order_no],
        "customers.tell": [[[beta.customer.pk, "charge_started", beta.live.order_no]]],
        "piles.deliver_batch": [beta.batch.pk],
        "reports.roll_again": ["2026-01-01", "2026-01-02"],
        "tenancy.open_tenant": [0],
        "wallet.check_recharge": [beta.open_recharge_no],
        "wallet.execute_refund": [beta.refund_no],
        "wallet.process_notice": [beta.notice_id],
    }
    for name in sorted(TASKS - {"tenancy.fan_out"}):
        current_app.tasks[name].apply_async(arguments.get(name, []), headers={"_schema_name": "t_alpha"})
        assert connection.schema_name == "t_alpha"
        assert digest("t_beta") == before, name
    current_app.tasks["orders.settle_pending"].apply_async(headers={"_schema_name": "t_beta"})
    current_app.tasks["piles.deliver_batch"].apply_async([beta.batch.pk], headers={"_schema_name": "t_beta"})
    for name in ("wallet.check_recharge", "wallet.process_notice"):
        current_app.tasks[name].apply_async(arguments[name], headers={"_schema_name": "t_beta"})
    with schema_context("t_beta"):
        assert beta.batch.commands.get().tries == 1
        assert Recharge.objects.get(recharge_no=beta.open_recharge_no).checks == 1
        assert PaymentNotice.objects.get(pk=beta.notice_id).state == "failed"
        assert TransactionRecord.objects.get(pk=beta.waiting_record.pk).state == "settled"


def test_a_task_sent_inside_a_tenant_stays_there(beta: Stock) -> None:
    before = digest("t_beta")
    current_app.tasks["orders.settle_pending"].delay()
    assert digest("t_beta") == before


def test_beat_reaches_each_tenant_in_its_own_schema(beta: Stock) -> None:
    with schema_context("public"):
        assert current_app.tasks["tenancy.fan_out"].apply_async(["orders.settle_pending"]).get() == 2
    with schema_context("t_beta"):
        assert TransactionRecord.objects.get(pk=beta.waiting_record.pk).state == "settled"


def test_caches_do_not_meet(tenant: Tenant, other_tenant: Tenant) -> None:
    cache.set("wall", "alpha's")
    with schema_context("t_beta"):
        assert cache.get("wall") is None
        cache.set("wall", "beta's")
    with schema_context("public"):
        assert cache.get("wall") is None
    assert cache.get("wall") == "alpha's"


def test_a_pile_is_reached_by_its_own_tenant_only(
    tenant: Tenant, other_tenant: Tenant, redis_server: None
) -> None:
    channel = "ykc.gateway.wall"
    drivers.redis_client().hset(drivers.routes_key("t_beta"), "99010100000001", f"{channel}|1")
    drivers.redis_client().set(drivers.process_key(channel), "1", ex=15)
    message = {"type": "pile.command", "pile_code": "99010100000001"}
    driver = drivers.ChannelDriver()
    assert driver.deliver(schema="t_alpha", pile_code="99010100000001", message=message) == "offline"
    assert driver.deliver(schema="t_beta", pile_code="99010100000001", message=message) == ""


def test_a_pile_code_belongs_to_one_tenant(beta: Stock) -> None:
    assert routes("pile", [beta.pile_code]) == {beta.pile_code: "t_beta"}
    station = factories.a_station()
    with pytest.raises(RouteTaken):
        factories.a_pile(station=station, pile_code=beta.pile_code)
    several = create_piles(
        station=station,
        first_code="99010100000000",
        count=3,
        gun_count=1,
        kind="dc",
        power_kw=Decimal(60),
        actor=factories.SYSTEM,
    )
    with pytest.raises(RouteTaken):
        list(several)
    assert not Pile.objects.exists()
    assert routes("pile", ["99010100000000", beta.pile_code]) == {beta.pile_code: "t_beta"}
    with schema_context("t_beta"):
        assert Station.objects.get().name == SECRET
