"""Each check of the ledger finds what it is there for, and a clean ledger passes."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection

from apps.common.time import business_day, now
from apps.orders import refunds, settling
from apps.orders.ledger_check import CHECKS, differences
from apps.wallet.books import BOOK_CHECKS
from apps.wallet.merchants import merchant_for
from apps.wallet.models import SandboxTrade
from apps.wallet.reconcile import reconcile_day
from tests import factories
from tests.apps.orders.test_refunds import LI, ask
from tests.apps.wallet.test_refunds import ask as ask_wallet

pytestmark = pytest.mark.usefixtures("tenant")

A_LEG = (
    "insert into orders_parallelleg (order_id, connector_id, transaction_no, is_live)"
    " select id, connector_id, '1', true from orders_order"
)
AN_APPROVAL = (
    "insert into backoffice_approval (operation, object_kind, object_id, object_name, object_version, payload, changes,"
    " digest, reason, requested_at, requested_by_kind, requested_by_id, requested_by_name, second_person, state,"
    " decided_by_kind, decided_by_id, decided_by_name, decision, error)"
    " select '{operation}', 'orders.order', id::text, order_no, '', '{payload}', '{{}}',"
    " '', '', now(), 'staff', '1', '', true, 'executed', '', '', '', '', '' from orders_order where state = 'completed'"
)
A_DIFFERENCE = (
    "insert into wallet_channeldifference (channel_day_id, kind, trade_kind, subject, out_no, channel_no, ours, at,"
    " figures, state, resolution, resolved_by, reopened, created_at, updated_at)"
    " select id, 'only_ours', 'refund', 'x', 'x', '', 1, now(), '{}', 'cleared', '', '', 0, now(), now()"
    " from wallet_channelday"
)
# What breaks each check. Triggers and constraints refuse most of it, so they are off while it is done.
DAMAGE = {
    "entry does not sum to zero": "update wallet_posting set amount = amount + 1"
    " where id = (select max(id) from wallet_posting)",
    "entry without two lines": "insert into wallet_journalentry (key, kind, reference, posted_at, business_day, memo)"
    " values ('x', 'hold', 'x', now(), now(), '')",
    "wallet differs from its accounts": "update wallet_wallet set principal = principal + 0.01",
    "account of the other kind of owner": "update wallet_account set kind = 'enterprise_held'"
    " where kind = 'held_principal'",
    "held money differs from open holds": "update wallet_hold set state = 'released' where state = 'open'",
    "open hold without a running order": "update wallet_hold set state = 'open' where state = 'settled'",
    "running order without an open hold": "delete from wallet_hold where state = 'open'",
    "debt differs from open debts": "update wallet_wallet set debt = debt + 5",
    "order's bill differs from its lines": "update orders_order set service_fee = service_fee + 1"
    " where state = 'completed'",
    "bill line is not energy times price": "update orders_billline set electricity_price = electricity_price * 2",
    "order's payment does not add up": "update orders_order set paid_principal = paid_principal + 1"
    " where state = 'completed'",
    "order's discounts differ from their explanation": "update orders_order set explanation ="
    """ '[{"step": "enterprise", "saving": "1.00"}]' where state = 'completed'""",
    "order's coupon differs from the coupon": "update coupons_coupon set saved = saved + 1 where state = 'used'",
    "coupon discount without a coupon": "update orders_order set coupon_id = null where state = 'completed'",
    "coupons claimed differ from the template": "update coupons_coupontemplate set claimed = claimed + 1",
    "order differs from the ledger": "delete from orders_order where state = 'completed'",
    "order's money is not its payer's": "update orders_order set payer = 'enterprise' where state = 'completed'",
    "settled order without its record": "update orders_transactionrecord set state = 'quarantined'",
    "order closed without a bill has one": AN_APPROVAL.format(
        operation="orders.close_unbilled", payload="{}"
    ),
    "adjusted order is not billed as approved": AN_APPROVAL.format(
        operation="orders.adjust", payload='{"energies": {"flat": "5.0000"}}'
    ),
    "connector with two live charges": A_LEG + " where state = 'charging'",
    "live gun of an order that is over": A_LEG + " where state = 'completed'",
    "order's refunds differ from its columns": "update orders_order set refunded_service = 1"
    " where state = 'completed'",
    "order refund differs from the ledger": "update orders_orderrefund set electricity = electricity + 1",
    "order refund does not add up": "update orders_orderrefund set principal = principal - 1",
    "order gave back more than it was paid": "update orders_orderrefund set principal = principal + 100",
    "channel's day differs from the rows of its bill": "update wallet_channelday set their_refunded = 1",
    "open differences of a channel's day": "update wallet_channelday set differences_open = 1",
    "difference about another payment or refund": A_DIFFERENCE,
    "channel fee differs from its bill": "update wallet_channelday set fee_booked = 0.02",
    "frozen money differs from open refunds": "update wallet_wallet set frozen_principal = frozen_principal + 1",
    "wallet refund differs from the ledger": "update wallet_walletrefund set amount = amount + 1",
    "parts of a refund do not add up": "update wallet_walletrefundpart set amount = amount + 1",
    "part of a refund differs from the ledger": "update wallet_walletrefundpart set state = 'done'",
    "payment's refunds differ from their parts": "update wallet_recharge set refunded = refunded + 1",
    "top-up differs from the ledger": "update wallet_recharge set amount = amount + 1",
    "top-up's bonus differs from the ledger": "update wallet_recharge set bonus = bonus + 1",
}


@pytest.fixture
def business(tenant):
    """One order settled at a discount and with a coupon, and one that runs."""
    customer = factories.a_customer("20.00")
    factories.an_enterprise(customer)
    factories.a_coupon(customer, save_amount=Decimal("0.40"))
    order = factories.a_charging_order(customer=customer)
    settling.settle_record(record_id=factories.a_record(order, {"peak": "3.3333"}).pk)
    ask_wallet(factories.a_customer("10.00"), "4.00")
    refunds.approve(refund_no=ask(order, "1.00", "0.00").refund_no, reviewer=LI)
    factories.a_charging_order()
    merchant = merchant_for("sandbox")
    SandboxTrade.objects.update(at=now() - timedelta(days=1))
    reconcile_day(merchant=merchant, day=business_day(now()) - timedelta(days=1))


def test_a_clean_ledger(business, capsys):
    assert differences() == []
    call_command("check_ledger", "--tenant", "alpha", "--json")
    report = json.loads(capsys.readouterr().out)["t_alpha"]
    assert report["differences"] == []
    assert report["totals"] == {
        "entries": "10",
        "settled_orders": "1",
        "revenue": "5.20",
        "available": "21.80",
        "enterprises": "0.00",
        "held": "100.00",
        "debt": "0.00",
    }


def test_every_check_has_its_damage():
    """Those of closed days are in tests/apps/wallet/test_books.py."""
    assert set(DAMAGE) == set(CHECKS) - set(BOOK_CHECKS)


@pytest.mark.parametrize("check", DAMAGE)
def test_damage_is_found(business, check, capsys):
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(DAMAGE[check])
        assert cursor.rowcount > 0
    assert check in {found.check for found in differences()}
    with pytest.raises(SystemExit) as stopped:
        call_command("check_ledger", "--tenant", "alpha")
    assert stopped.value.code == 1
    assert check in capsys.readouterr().out


def test_the_books_of_a_debt(tenant):
    order = factories.a_charging_order(customer=factories.a_customer("1.00"))
    settling.settle_record(record_id=factories.a_record(order, {"peak": "3.3333"}).pk)
    order.refresh_from_db()
    assert order.debt == Decimal("5.00")
    assert differences() == []
