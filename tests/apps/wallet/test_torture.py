"""Thirty-two threads on a few wallets: hold, charge, top up, recover, refund to channels and from orders, all at once.

The wallets' owners are members of an enterprise that pays: charges at its cost, bank transfers and refunds go through
its account meanwhile, behind the locks of the same wallets.

What each thread does is fixed by its seed; how the threads meet is not. After every thousand operations all of them
stop, and the books are held against every check of the ledger, against what the threads say they were told, and against
what money there can be. Meetings that are rare may not have come about by then: more rounds are played until they have.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from apps.backoffice import approvals
from apps.backoffice.enums import ApprovalState
from apps.backoffice.models import Approval
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.money import ZERO, from_fen
from apps.common.schema import current_schema, run_in_schema
from apps.common.time import now
from apps.customers.enterprises import add_members
from apps.customers.models import Customer, Enterprise, EnterpriseMember, Payer
from apps.orders import payers
from apps.orders import refunds as order_refunds
from apps.orders.enums import OrderRefundState
from apps.orders.ledger_check import CHECKS
from apps.orders.models import Order, OrderRefund
from apps.orders.settling import settle_record
from apps.wallet import enterprise_accounts, recharges, refund_run, refunds
from apps.wallet import services as wallets
from apps.wallet.models import Debt, EnterpriseAccount, Hold, Wallet, WalletRefund
from apps.wallet.payment import Payment, PayOrder
from tests import factories

pytestmark = pytest.mark.usefixtures("committed")

THREADS = 32
WALLETS = 4
SETTLED = 31
"""Settled orders, of the wallet that refunds are asked for mostly. What is asked back of them is a few fen each."""
PAID_BY_ENTERPRISE = 6
"""Settled orders that the enterprise paid."""
ROUND = 1_000
MORE_ROUNDS = 20
"""Played at most until everybody met. Twenty runs in a row needed none."""
MAXIMUM = Decimal("500.00")
ABOUT_ORDERS = {
    "open hold without a running order",
    "running order without an open hold",
    "order differs from the ledger",
}
"""Checks that need an order for each charge: here most have numbers only."""


@dataclass
class Told:
    """What the services told all threads, to be found again in the books. Each number counts once."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    paid_in: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    charged: dict[str, tuple[int, Decimal, tuple[Decimal, ...]]] = field(default_factory=dict)
    transferred: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    at_cost: dict[str, Decimal] = field(default_factory=dict)
    returned: dict[str, Decimal] = field(default_factory=dict)

    def recharge(self, number: str, customer: int, amount: Decimal) -> None:
        """A top-up is paid."""
        with self.lock:
            assert self.paid_in.setdefault(number, (customer, amount)) == (customer, amount)

    def charge(self, number: str, customer: int, payable: Decimal, payment: Any) -> None:
        """An order was charged: every answer about one order has to be the same."""
        split = (payment.from_principal, payment.from_bonus, payment.debt)
        with self.lock:
            known = self.charged.setdefault(number, (customer, payable, split))
            assert known == (customer, payable, split), (number, known, split)
            assert sum(split, ZERO) == payable

    def charge_at_cost(self, number: str, payable: Decimal, payment: Any) -> None:
        """An order was charged to the enterprise: all of it, and nothing to the driver."""
        with self.lock:
            assert payment == Payment(ZERO, ZERO, ZERO, from_enterprise=payable), (number, payment)
            assert self.at_cost.setdefault(number, payable) == payable

    def transfer(self, approval: Approval) -> None:
        """Money came to the enterprise's account or went from it, under the bank's number."""
        deposit = approval.operation == enterprise_accounts.DEPOSIT.code
        amount = Decimal(approval.payload["amount"])
        key, signed = (approval.operation, approval.payload["number"]), amount if deposit else -amount
        with self.lock:
            assert self.transferred.setdefault(key, signed) == signed

    def refund(self, refund: OrderRefund) -> None:
        """An order's fees went back, by one answer only; to the enterprise if that had paid."""
        with self.lock:
            assert refund.refund_no not in self.returned
            self.returned[refund.refund_no] = refund.enterprise


class Player:
    """One thread's operations. Orders belong to all threads, so that they meet over them."""

    def __init__(
        self,
        seed: str,
        customers: list[Customer],
        orders: list[tuple[int, str, int]],
        settled: list[str],
        told: Told,
        *,
        enterprise: Enterprise,
        costs: list[tuple[int, str, int]],
    ) -> None:
        self.random = random.Random(seed)
        self.customers = customers
        self.enterprise = enterprise
        self.account = EnterpriseAccount.objects.get(enterprise=enterprise)
        self.orders = orders  # (customer, number, seed of its fees), the newest last
        self.costs = costs  # the same of those at the enterprise's cost
        self.settled = settled
        self.told = told
        self.count = 0
        self.name = seed
        self.recharges: list[tuple[int, str]] = []

    def play(self, operations: int) -> None:
        """Do so many operations. Only what the rules refuse may be refused."""
        deeds: list[tuple[Callable[[], None], int]] = [
            (self.hold, 26),
            (self.charge, 26),
            (self.release, 8),
            (self.raise_hold, 8),
            (self.recharge, 24),
            (self.pay_again, 8),
            (self.late_charge, 4),
            (self.ask_refund, 8),
            (self.decide_refund, 12),
            (self.ask_order_refund, 8),
            (self.decide_order_refund, 10),
            (self.hold_at_cost, 12),
            (self.charge_at_cost, 12),
            (self.release_at_cost, 4),
            (self.late_charges, 4),
            (self.ask_transfer, 16),
            (self.decide_transfer, 16),
        ]
        for _ in range(operations):
            deed = self.random.choices([one for one, _ in deeds], [weight for _, weight in deeds])[0]
            self.count += 1
            try:
                deed()
                self.told.done[deed.__name__] += 1
            except DomainError as error:
                self.told.refused[f"{deed.__name__} {error.code}"] += 1

    def hold(self) -> None:
        """Begin a charge; not with the last wallet, which has no holds, so that refunds get through."""
        place = self.random.randrange(len(self.customers) - 1)
        number = f"T{self.name}-{self.count}".replace(":", "-")
        whole = self.random.random() < 0.2
        amount = None if whole else from_fen(self.random.randint(1, 30_000))
        fees = self.random.randrange(10**9)
        wallets.open_hold(customer=self.customers[place], order_no=number, amount=amount, maximum=MAXIMUM)
        self.orders.append((place, number, fees))

    def charge(self) -> None:
        """Settle somebody's charge: fees, discounts and way of paying belong to the order, whoever settles it."""
        if not self.orders:
            return
        place, number, seed = self._some_order()
        dice = random.Random(seed)
        electricity, service, enterprise = fees_of(dice)
        coupon = min(from_fen(dice.choice((0, 500, 1_000))), electricity + service - enterprise)
        payment = wallets.charge(
            customer=self.customers[place],
            order_no=number,
            electricity=electricity,
            service=service,
            enterprise_discount=enterprise,
            coupon_discount=coupon,
            pay_order=dice.choice(list(PayOrder)),
            bonus_ratio=Decimal("0.30"),
        )
        payable = electricity + service - enterprise - coupon
        self.told.charge(number, self.customers[place].pk, payable, payment)

    def release(self) -> None:
        """A start failed, perhaps while its record arrives."""
        if self.orders:
            wallets.release_hold(order_no=self._some_order()[1])

    def raise_hold(self) -> None:
        """Money came while charging."""
        if self.orders:
            reason = f"R{self.random.randrange(3)}"
            wallets.raise_hold(order_no=self._some_order()[1], reason=reason, maximum=MAXIMUM)

    def recharge(self) -> None:
        """Top up; what is owed is paid first."""
        place = self.random.randrange(len(self.customers))
        customer, amount = self.customers[place], from_fen(self.random.randint(100, 20_000))
        made = recharges.create_recharge(
            customer=customer, amount=amount, channel="sandbox", request_key=f"{self.name}-{self.count}"
        )
        self.recharges.append((place, made.recharge_no))
        recharges.pay_sandbox(customer=customer, recharge_no=made.recharge_no)
        self.told.recharge(made.recharge_no, customer.pk, amount)

    def pay_again(self) -> None:
        """The provider says once more that a top-up is paid."""
        if self.recharges:
            place, number = self.random.choice(self.recharges)
            recharges.pay_sandbox(customer=self.customers[place], recharge_no=number)

    def late_charge(self) -> None:
        """A record came late: charged without a hold, to the wallet that refunds are asked for."""
        place, number = len(self.customers) - 1, f"L{self.name}-{self.count}".replace(":", "-")
        payable = from_fen(self.random.randint(0, 2_000))
        payment = wallets.charge(
            customer=self.customers[place], order_no=number, electricity=payable, service=ZERO
        )
        self.told.charge(number, self.customers[place].pk, payable, payment)

    def ask_refund(self) -> None:
        """Ask for principal back: a part, or all of it."""
        customer = self.customers[-1] if self.random.random() < 0.8 else self.random.choice(self.customers)
        amount = None if self.random.random() < 0.3 else from_fen(self.random.randint(1, 10_000))
        refunds.apply(
            customer=customer,
            amount=amount,
            reason="",
            applied_by=Actor("customer", str(customer.pk)),
            request_key=f"{self.name}-{self.count}",
        )

    def decide_refund(self) -> None:
        """Approve, reject, withdraw or pay whatever refund there is, whoever else is doing so."""
        newest = list(WalletRefund.objects.select_related("wallet__customer").order_by("-id")[:4])
        if not newest:
            return
        refund = self.random.choice(newest)
        number, reviewer = refund.refund_no, Actor("staff", self.name)
        match self.random.randrange(6):
            case 0:
                refunds.reject(refund_no=number, reviewer=reviewer, reason="x")
            case 1:
                customer = refund.wallet.customer
                actor = Actor("customer", str(customer.pk))
                refunds.cancel(refund_no=number, customer=customer, actor=actor)
            case 2:
                refund_run.run_due()
            case _:
                refunds.approve(refund_no=number, reviewer=reviewer)

    def ask_order_refund(self) -> None:
        """Ask for some fen of a settled order's fees back, sometimes for all that is left."""
        electricity, service = (from_fen(self.random.randint(0, 40)) for _ in range(2))
        everything = self.random.random() < 0.05
        order_refunds.apply(
            order_no=self.random.choice(self.settled),
            electricity=None if everything else electricity,
            service=None if everything else service,
            reason="x",
            applied_by=Actor("staff", self.name),
            request_key=f"{self.name}-{self.count}",
        )

    def decide_order_refund(self) -> None:
        """Approve or reject a refund that was asked for lately, whoever else is doing so."""
        newest = OrderRefund.objects.order_by("-id").values_list("refund_no", flat=True)[:12]
        if not newest:
            return
        number, reviewer = self.random.choice(newest), Actor("staff", f"{self.name} too")
        if self.random.random() < 0.2:
            order_refunds.reject(refund_no=number, reviewer=reviewer, reason="x")
        else:
            self.told.refund(order_refunds.approve(refund_no=number, reviewer=reviewer))

    def hold_at_cost(self) -> None:
        """Begin a charge of any member at the enterprise's cost."""
        place = self.random.randrange(len(self.customers))
        number = f"E{self.name}-{self.count}".replace(":", "-")
        amount = None if self.random.random() < 0.2 else from_fen(self.random.randint(1, 30_000))
        fees = self.random.randrange(10**9)
        customer = self.customers[place]
        member = EnterpriseMember.objects.select_related("enterprise").get(phone=customer.phone)
        with transaction.atomic():
            payers.hold(
                member=member, customer=customer, order_no=number, amount=amount, maximum=MAXIMUM, at=now()
            )
        self.costs.append((place, number, fees))

    def charge_at_cost(self) -> None:
        """Settle somebody's charge that the enterprise pays, whatever was held of its account."""
        if not self.costs:
            return
        place, number, seed = self._some_order(self.costs)
        electricity, service, discount = fees_of(random.Random(seed))
        with transaction.atomic():
            till = wallets.Till({number: self.customers[place].pk}, {number: self.enterprise.pk})
            payment = self._ring_up(till, number, electricity, service, discount)
            till.write()
        self.told.charge_at_cost(number, electricity + service - discount, payment)

    def release_at_cost(self) -> None:
        """A start at the enterprise's cost failed, perhaps while its record arrives."""
        if self.costs:
            wallets.release_hold(order_no=self._some_order(self.costs)[1])

    def late_charges(self) -> None:
        """Two records came late and are settled together: of a driver's wallet, and of the enterprise's account."""
        customer = self.random.choice(self.customers)
        own, cost = (f"{kind}{self.name}-{self.count}".replace(":", "-") for kind in "ME")
        fees = {number: from_fen(self.random.randint(0, 2_000)) for number in (own, cost)}
        with transaction.atomic():
            till = wallets.Till(dict.fromkeys(fees, customer.pk), {cost: self.enterprise.pk})
            paid = {number: self._ring_up(till, number, fee, ZERO, ZERO) for number, fee in fees.items()}
            till.write()
        self.told.charge(own, customer.pk, fees[own], paid[own])
        self.told.charge_at_cost(cost, fees[cost], paid[cost])

    def ask_transfer(self) -> None:
        """Ask to book what came from the enterprise or went back to it, sometimes what is booked already."""
        known = list(self.told.transferred)
        again = known and self.random.random() < 0.2
        number = self.random.choice(known)[1] if again else f"B{self.name}-{self.count}"
        came = self.random.random() < 0.6
        ask = enterprise_accounts.request_deposit if came else enterprise_accounts.request_withdrawal
        amount = from_fen(self.random.randint(10_000, 80_000) if came else self.random.randint(1, 2_000))
        actor = Actor("staff", self.name)
        ask(account=self.account, amount=amount, number=number, actor=actor, reason="x")

    def decide_transfer(self) -> None:
        """Approve or reject a transfer that waits or was asked for lately, whoever else is doing so."""
        asked = Approval.objects.filter(object_kind="wallet.enterpriseaccount").order_by("-id")
        numbers = asked.values_list("pk", flat=True)
        # One request of a kind at a time: one that waits must be found again when others came after it.
        chosen = {*numbers[:2], *numbers.filter(state=ApprovalState.PENDING)}
        if not chosen:
            return
        number, reviewer = self.random.choice(sorted(chosen)), Actor("staff", f"{self.name} too")
        if self.random.random() < 0.2:
            approvals.reject(number, reviewer, "x")
            return
        approval = approvals.approve(number, reviewer)
        if approval.state == ApprovalState.EXECUTED:
            self.told.transfer(approval)

    def _some_order(self, orders: list[tuple[int, str, int]] | None = None) -> tuple[int, str, int]:
        chosen = self.orders if orders is None else orders
        newest = chosen[-24:]
        return self.random.choice(newest if self.random.random() < 0.9 else chosen[:])

    def _ring_up(
        self, till: wallets.Till, number: str, electricity: Decimal, service: Decimal, discount: Decimal
    ) -> Payment:
        return till.charge(
            order_no=number,
            electricity=electricity,
            service=service,
            enterprise_discount=discount,
            coupon_discount=ZERO,
            pay_order=PayOrder.PRINCIPAL_FIRST,
            bonus_ratio=ZERO,
            at=None,
        )


def fees_of(dice: random.Random) -> tuple[Decimal, Decimal, Decimal]:
    """Return an order's fees for electricity and service, and the enterprise's discount."""
    electricity, service = (from_fen(dice.choice((0, 1, dice.randint(2, 20_000)))) for _ in range(2))
    return electricity, service, from_fen(dice.randint(0, int(service * 100)) // 3)


def wrong() -> list[tuple[str, Any]]:
    """What the checks of the ledger find wrong."""
    found = []
    with connection.cursor() as cursor:
        for check, query in CHECKS.items():
            if check not in ABOUT_ORDERS:
                cursor.execute(f"{query} limit 3")
                found += [(check, row) for row in cursor.fetchall()]
    return found


def check(customers: list[Customer], told: Told) -> None:
    """Hold the books against the checks, and against what was told."""
    assert wrong() == []
    paid: defaultdict[int, Decimal] = defaultdict(lambda: ZERO)
    spent: defaultdict[int, Decimal] = defaultdict(lambda: ZERO)
    owed: defaultdict[int, Decimal] = defaultdict(lambda: ZERO)
    for customer, amount in told.paid_in.values():
        paid[customer] += amount
    for customer, payable, split in told.charged.values():
        spent[customer] += payable
        owed[customer] += split[2]
    for wallet in Wallet.objects.filter(customer__in=customers):
        bonus = sum(wallet.recharges.filter(state="paid").values_list("bonus", flat=True), ZERO)
        there = wallet.available + wallet.held + wallet.frozen - wallet.debt
        back = sum(
            (
                refund.amount
                for refund in OrderRefund.objects.filter(
                    order__customer=wallet.customer_id,
                    order__payer=Payer.WALLET,
                    state=OrderRefundState.DONE,
                )
            ),
            ZERO,
        )
        gone = sum((refund.paid + refund.bonus_taken for refund in wallet.refunds.all()), ZERO)
        assert there == paid[wallet.customer_id] + bonus + back - spent[wallet.customer_id] - gone
        debts = list(Debt.objects.filter(wallet=wallet))
        assert sum((debt.amount for debt in debts), ZERO) == owed[wallet.customer_id]
        assert sum((debt.outstanding for debt in debts), ZERO) == wallet.debt
        holds = Hold.objects.filter(wallet=wallet, state="open")
        assert sum((hold.amount for hold in holds), ZERO) == wallet.held
    account = EnterpriseAccount.objects.get()
    moved = sum(told.transferred.values(), ZERO) - sum(told.at_cost.values(), ZERO)
    assert account.principal + account.held == moved + sum(told.returned.values(), ZERO)
    holds = Hold.objects.filter(wallet=account, state="open")
    assert sum((hold.amount for hold in holds), ZERO) == account.held


def paying_enterprise(customers: list[Customer], told: Told) -> Enterprise:
    """A post-paid enterprise that all of them are members of, with a little money and a little credit."""
    enterprise = factories.a_paying_enterprise(
        balance="200.00", account_kind="postpaid", credit_limit=Decimal("300.00")
    )
    told.transfer(Approval.objects.get())
    add_members(enterprise=enterprise, phones=[one.phone for one in customers], actor=Actor("staff", "x"))
    return enterprise


def settled_orders(customers: list[Customer], told: Told) -> list[str]:
    """Orders that are settled already, every third with a debt: most of the last wallet, some of the first.

    And some that the enterprise paid.
    """
    numbers = []
    for place in range(SETTLED):
        customer = customers[0] if place % 10 == 9 else customers[-1]
        amount = "72.00" if Wallet.objects.filter(customer=customer, debt__gt=0).exists() else "20.00"
        told.recharge(factories.top_up(customer, amount), customer.pk, Decimal(amount))
        order = factories.a_charging_order(customer=customer, payer="wallet")
        energy = "60.0000" if place % 3 == 0 else "10.0000"  # 72 yuan, or 12
        settle_record(record_id=factories.a_record(order, {"flat": energy}).pk)
        order.refresh_from_db()
        payment = Payment(from_principal=order.paid_principal, from_bonus=order.paid_bonus, debt=order.debt)
        told.charge(order.order_no, customer.pk, order.payable, payment)
        numbers.append(order.order_no)
    for _ in range(PAID_BY_ENTERPRISE):
        order = factories.a_settled_order(customer=customers[0], payer="enterprise")
        told.charge_at_cost(
            order.order_no, order.payable, Payment(ZERO, ZERO, ZERO, from_enterprise=order.paid_enterprise)
        )
        numbers.append(order.order_no)
    assert Order.objects.filter(debt__gt=0).exists()
    return numbers


def torture(operations: int, seed: int) -> None:
    """Play so many operations, with a check after every ROUND of them; then more until what should meet has met."""
    customers = [factories.a_customer("0") for _ in range(WALLETS + 1)]
    orders: list[tuple[int, str, int]] = []
    costs: list[tuple[int, str, int]] = []
    told = Told()
    enterprise = paying_enterprise(customers, told)
    settled = settled_orders(customers, told)
    players = [
        Player(f"{seed}:{thread}", customers, orders, settled, told, enterprise=enterprise, costs=costs)
        for thread in range(THREADS)
    ]
    schema = current_schema()

    def run(player: Player, share: int) -> None:
        try:
            run_in_schema(schema, player.play, share)
        finally:
            connection.close()

    def play(share: int) -> None:
        shares = [share // THREADS + (thread < share % THREADS) for thread in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            for result in [pool.submit(run, *one) for one in zip(players, shares, strict=True)]:
                result.result()  # a deadlock or any other fault of a thread is raised here
        check(customers, told)

    for done in range(0, operations, ROUND):
        play(min(ROUND, operations - done))
    for _ in range(MORE_ROUNDS):
        if have_met(told):
            return
        play(ROUND)
    must_have_met(told)


def have_met(told: Told) -> bool:
    """Whether `must_have_met` holds by now."""
    try:
        must_have_met(told)
    except AssertionError:
        return False
    return True


def must_have_met(told: Told) -> None:
    """The run was one: every operation succeeded many times, and the rules refused what they should."""
    for deed in ("hold", "charge", "release", "raise_hold", "recharge", "pay_again", "late_charge"):
        assert told.done[deed] > 10, told.done
    assert "hold wallet.insufficient" in told.refused, told.refused
    assert any(refusal.endswith(" wallet.debt") for refusal in told.refused), told.refused
    assert any(split[2] for _, _, split in told.charged.values())
    assert Debt.objects.exclude(closed_at=None).exists()
    assert WalletRefund.objects.filter(state="done").exists()
    assert {"ask_refund wallet.refund_under_way", "decide_refund wallet.refund_decided"} <= set(told.refused)
    assert OrderRefund.objects.filter(state=OrderRefundState.DONE).count() > 10
    assert OrderRefund.objects.filter(state=OrderRefundState.REJECTED).exists()
    refused = {
        "ask_order_refund orders.refund_open",
        "ask_order_refund wallet.charge_running",
        "decide_order_refund orders.refund_decided",
    }
    assert refused <= set(told.refused), told.refused
    must_have_met_the_enterprise(told)


def must_have_met_the_enterprise(told: Told) -> None:
    """Its account was short at times, money came and went, charges and refunds of its own met over it."""
    for deed in ("hold_at_cost", "charge_at_cost", "release_at_cost", "late_charges", "ask_transfer"):
        assert told.done[deed] > 10, told.done
    assert {amount > 0 for amount in told.transferred.values()} == {True, False}, told.transferred
    assert any(told.returned.values()), told.returned
    refused = {
        "hold_at_cost wallet.enterprise_short",
        "ask_transfer approvals.already_requested",
        "ask_transfer wallet.transfer_booked",
        "decide_transfer approvals.already_decided",
    }
    assert refused <= set(told.refused), told.refused


def test_money_stays_right_when_everything_happens_at_once() -> None:
    torture(1_500, seed=7)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("seed", [1])
def test_twenty_thousand_operations_at_once(seed: int) -> None:
    torture(20_000, seed)
