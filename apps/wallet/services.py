"""Every movement of a customer's money. The wallet's row lock serialises them (lock order: order → wallet).

An enterprise's account is a wallet too (enterprise_accounts.py), locked behind those of customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from apps.common.bulk import update_rows
from apps.common.money import ZERO
from apps.common.time import now
from apps.customers.models import Customer, Enterprise
from apps.wallet import ledger
from apps.wallet.enums import AccountKind, HoldState, JournalKind
from apps.wallet.errors import AmountNotAllowed, HasDebt, InsufficientBalance
from apps.wallet.ledger import credit, debit
from apps.wallet.models import Debt, Hold, JournalEntry, Posting, Wallet
from apps.wallet.payment import Payment, PayOrder, pay


def wallet_of(*, customer: Customer) -> Wallet:
    """Return the customer's wallet, made at first sight."""
    wallet, _ = Wallet.objects.get_or_create(customer=customer)
    return wallet


def lock_wallet(*, customer_id: int) -> Wallet:
    """Lock and return a customer's wallet; must run inside `atomic()`."""
    return lock_wallets([customer_id])[customer_id]


def lock_wallets(customer_ids: Iterable[int]) -> dict[int, Wallet]:
    """Lock the wallets of several customers, always in the same order; must run inside `atomic()`."""
    wanted = set(customer_ids)
    # Plain SQL: every movement of money begins with this, and the query is worth more than building it.
    locked = Wallet.objects.raw(
        "SELECT * FROM wallet_wallet WHERE customer_id = ANY (%s) ORDER BY id FOR UPDATE", [list(wanted)]
    )
    found = {wallet.customer_id: wallet for wallet in locked if wallet.customer_id is not None}
    for customer_id in sorted(wanted - set(found)):
        Wallet.objects.get_or_create(customer_id=customer_id)
        found[customer_id] = Wallet.objects.select_for_update().get(customer_id=customer_id)
    return found


def account_of(*, enterprise: Enterprise) -> Wallet:
    """Return an enterprise's account, made at first sight."""
    account, _ = Wallet.objects.get_or_create(enterprise=enterprise)
    return account


def lock_accounts(enterprise_ids: Iterable[int]) -> dict[int, Wallet]:
    """Lock the accounts of several enterprises, always in the same order; must run inside `atomic()`."""
    wanted = set(enterprise_ids)
    locked = Wallet.objects.select_for_update().filter(enterprise__in=wanted).order_by("pk")
    found = {account.enterprise_id: account for account in locked if account.enterprise_id is not None}
    for enterprise_id in sorted(wanted - set(found)):
        Wallet.objects.get_or_create(enterprise_id=enterprise_id)
        found[enterprise_id] = Wallet.objects.select_for_update().get(enterprise_id=enterprise_id)
    return found


# --- Holds and charges ------------------------------------------------------------------------------------


def open_hold(
    *, customer: Customer, order_no: str, amount: Decimal | None, maximum: Decimal, at: datetime | None = None
) -> Hold:
    """Set money aside for an order: `amount` yuan, or all that is available up to `maximum`.

    Principal is held before bonus. Raises HasDebt, InsufficientBalance, AmountNotAllowed; nothing is held then.
    """
    if amount is not None and (amount <= 0 or amount > maximum):
        raise AmountNotAllowed(reason=f"0.01–{maximum}")
    with transaction.atomic():
        wallet = lock_wallet(customer_id=customer.pk)
        if wallet.debt:
            raise HasDebt(amount=wallet.debt)
        wanted = amount if amount is not None else min(wallet.available, maximum)
        if wanted <= 0 or wallet.available < wanted:
            raise InsufficientBalance(available=wallet.available, needed=max(wanted, Decimal("0.01")))
        principal = min(wanted, wallet.principal)
        return place_hold(wallet, order_no, principal, wanted - principal, at)


def place_hold(
    wallet: Wallet, order_no: str, principal: Decimal, bonus: Decimal, at: datetime | None
) -> Hold:
    """Set money of a locked wallet aside for an order, yuan; that there is so much is the caller's to know."""
    hold = Hold.objects.create(order_no=order_no, wallet=wallet, principal=principal, bonus=bonus)
    ledger.post(
        key=f"hold:{order_no}",
        kind=JournalKind.HOLD,
        wallet=wallet,
        reference=order_no,
        lines=_set_aside(wallet, principal, bonus),
        at=at,
    )
    return hold


def raise_hold(*, order_no: str, reason: str, maximum: Decimal, at: datetime | None = None) -> Hold | None:
    """Add all that is available to an open hold, up to `maximum` yuan in all, principal before bonus.

    Once per order and `reason` (the number of the top-up that brought the money). Returns the hold, or None when
    nothing was added: the hold is closed or full, nothing is available, or it was done before.
    """
    key = f"raise:{order_no}:{reason}"
    with transaction.atomic():
        found = Hold.objects.filter(order_no=order_no).first()
        if found is None:
            return None
        wallet = Wallet.objects.select_for_update().get(pk=found.wallet_id)
        hold = Hold.objects.select_for_update().get(pk=found.pk)
        more = min(wallet.available, maximum - hold.amount)
        if hold.state != HoldState.OPEN or wallet.debt or more <= 0:
            return None
        if ledger.JournalEntry.objects.filter(key=key).exists():
            return None
        principal = min(more, wallet.principal)
        bonus = more - principal
        ledger.post(
            key=key,
            kind=JournalKind.HOLD,
            wallet=wallet,
            reference=order_no,
            lines=_set_aside(wallet, principal, bonus),
            at=at,
        )
        hold.principal += principal
        hold.bonus += bonus
        hold.save(update_fields=["principal", "bonus", "updated_at"])
    return hold


def release_hold(*, order_no: str, at: datetime | None = None) -> None:
    """Give a hold back. Nothing happens when it is closed already or there is none."""
    with transaction.atomic():
        found = Hold.objects.filter(order_no=order_no).first()
        if found is None:
            return
        wallet = Wallet.objects.select_for_update().get(pk=found.wallet_id)
        hold = Hold.objects.select_for_update().get(pk=found.pk)
        if hold.state != HoldState.OPEN:
            return
        ledger.post(
            key=f"release:{order_no}",
            kind=JournalKind.RELEASE,
            wallet=wallet,
            reference=order_no,
            lines=_give_back(wallet, hold.principal, hold.bonus),
            at=at,
        )
        _close(hold, HoldState.RELEASED, at)


def charge(
    *,
    customer: Customer,
    order_no: str,
    electricity: Decimal,
    service: Decimal,
    enterprise_discount: Decimal = ZERO,
    coupon_discount: Decimal = ZERO,
    pay_order: PayOrder = PayOrder.PRINCIPAL_FIRST,
    bonus_ratio: Decimal = ZERO,
    at: datetime | None = None,
) -> Payment:
    """Take what an order costs, once per order, and close its hold: `Till.charge` for one order."""
    with transaction.atomic():
        till = Till({order_no: customer.pk})
        payment = till.charge(
            order_no=order_no,
            electricity=electricity,
            service=service,
            enterprise_discount=enterprise_discount,
            coupon_discount=coupon_discount,
            pay_order=pay_order,
            bonus_ratio=bonus_ratio,
            at=at,
        )
        till.write()
    return payment


class PostedMeanwhile(RuntimeError):
    """A charge was in the journal that was not there under the wallet's lock: whoever wrote it had not locked it."""


class Till:
    """Charges of one or many orders: wallets and holds are locked together, the money is moved in a few statements.

    Charges are worked out one after the other on the locked balances; nothing moves before `write`. Inside `atomic()`.
    """

    def __init__(self, orders: Mapping[str, int], paid_by: Mapping[str, int] | None = None) -> None:
        """Lock the wallets of these orders, number → customer's id, and then the holds.

        Those of `paid_by` (number → enterprise's id) are paid by the accounts of enterprises instead.
        """
        paid_by = paid_by or {}
        wallets = lock_wallets(customer_id for number, customer_id in orders.items() if number not in paid_by)
        accounts = lock_accounts(paid_by.values()) if paid_by else {}
        self._wallets = {
            number: accounts[paid_by[number]] if number in paid_by else wallets[customer_id]
            for number, customer_id in orders.items()
        }
        locked = (
            Hold.objects.select_for_update().filter(order_no__in=orders).defer("created_at").order_by("id")
        )
        self._holds = {hold.order_no: hold for hold in locked}
        posted = JournalEntry.objects.filter(key__in=[f"charge:{order_no}" for order_no in orders])
        self._charged = set(posted.values_list("key", flat=True))
        self._drafts: list[ledger.Draft] = []
        self._closed: list[Hold] = []
        self._debts: list[Debt] = []

    def charge(
        self,
        *,
        order_no: str,
        electricity: Decimal,
        service: Decimal,
        enterprise_discount: Decimal,
        coupon_discount: Decimal,
        pay_order: PayOrder,
        bonus_ratio: Decimal,
        at: datetime | None,
    ) -> Payment:
        """Take what an order costs, once per order, and close its hold.

        `electricity` and `service` are the fees before discounts: revenue is booked gross, and what was taken off
        beside it. Payable is fees less discounts. Which money pays, of hold and available money together, `pay_order`
        says (and `bonus_ratio`, 0 to 1); of each kind what is held goes first. The rest of the hold is given back.
        What all of it cannot cover becomes a debt; an enterprise's account goes below zero instead. An order whose
        hold was given back before (a late record) is paid from available money. Returns where the money came from; an
        order that was charged before returns the same and moves nothing.
        """
        wallet, hold = self._wallets[order_no], self._holds.get(order_no)
        key = f"charge:{order_no}"
        if key in self._charged or (hold is not None and hold.state == HoldState.SETTLED):
            return _payment_of(order_no)
        held = hold if hold is not None and hold.state == HoldState.OPEN else None
        held_principal = held.principal if held else ZERO
        held_bonus = held.bonus if held else ZERO
        payable = electricity + service - enterprise_discount - coupon_discount
        if wallet.enterprise_id is not None:
            payment = Payment(ZERO, ZERO, ZERO, from_enterprise=payable)
        else:
            payment = pay(
                payable,
                held_principal + wallet.principal,
                held_bonus + wallet.bonus,
                pay_order,
                bonus_ratio,
            )
        from_principal = payment.from_principal + payment.from_enterprise
        from_held_principal = min(from_principal, held_principal)
        from_held_bonus = min(payment.from_bonus, held_bonus)
        lines = [
            debit(wallet.held_account, from_held_principal),
            debit(AccountKind.HELD_BONUS, from_held_bonus),
            debit(wallet.free_account, from_principal - from_held_principal),
            debit(AccountKind.CUSTOMER_BONUS, payment.from_bonus - from_held_bonus),
            debit(AccountKind.CUSTOMER_DEBT, payment.debt),
            debit(AccountKind.ENTERPRISE_DISCOUNT, enterprise_discount),
            debit(AccountKind.COUPON_DISCOUNT, coupon_discount),
            credit(AccountKind.REVENUE_ELECTRICITY, electricity),
            credit(AccountKind.REVENUE_SERVICE, service),
        ]
        self._draft(key, JournalKind.CHARGE, wallet, order_no, lines, at)
        if held is not None:
            rest = _give_back(wallet, held_principal - from_held_principal, held_bonus - from_held_bonus)
            self._draft(f"release:{order_no}", JournalKind.RELEASE, wallet, order_no, rest, at)
            held.state = HoldState.SETTLED
            held.closed_at = at or now()
            self._closed.append(held)
        if payment.debt:
            self._debts.append(Debt(order_no=order_no, wallet=wallet, amount=payment.debt))
        return payment

    def _draft(  # noqa: PLR0917 - the parts of an entry
        self,
        key: str,
        kind: JournalKind,
        wallet: Wallet,
        order_no: str,
        lines: list[ledger.Line],
        at: datetime | None,
    ) -> None:
        drafted = ledger.draft(key=key, kind=kind, wallet=wallet, reference=order_no, lines=lines, at=at)
        if drafted is not None:
            drafted.move_wallet()  # the next charge of this wallet finds what this one leaves
            self._drafts.append(drafted)

    def write(self) -> None:
        """Move the money of all charges. Raises what `ledger.write` raises, and PostedMeanwhile."""
        if self._drafts and ledger.write(self._drafts) < len(self._drafts):
            raise PostedMeanwhile
        update_rows(self._closed, ["state", "closed_at"])
        Debt.objects.bulk_create(self._debts)
        self._drafts, self._closed, self._debts = [], [], []


def _payment_of(order_no: str) -> Payment:
    """What the charge of an order took, read from its journal entry."""
    sums = dict.fromkeys(AccountKind, ZERO)
    rows = Posting.objects.filter(entry__key=f"charge:{order_no}").values_list("account__kind", "amount")
    for kind, amount in rows:
        sums[AccountKind(kind)] += amount
    return Payment(
        from_principal=sums[AccountKind.HELD_PRINCIPAL] + sums[AccountKind.CUSTOMER_PRINCIPAL],
        from_bonus=sums[AccountKind.HELD_BONUS] + sums[AccountKind.CUSTOMER_BONUS],
        debt=sums[AccountKind.CUSTOMER_DEBT],
        from_enterprise=sums[AccountKind.ENTERPRISE_HELD] + sums[AccountKind.ENTERPRISE_BALANCE],
    )


def _set_aside(wallet: Wallet, principal: Decimal, bonus: Decimal) -> list[ledger.Line]:
    return [
        debit(wallet.free_account, principal),
        debit(AccountKind.CUSTOMER_BONUS, bonus),
        credit(wallet.held_account, principal),
        credit(AccountKind.HELD_BONUS, bonus),
    ]


def _give_back(wallet: Wallet, principal: Decimal, bonus: Decimal) -> list[ledger.Line]:
    return [
        debit(wallet.held_account, principal),
        debit(AccountKind.HELD_BONUS, bonus),
        credit(wallet.free_account, principal),
        credit(AccountKind.CUSTOMER_BONUS, bonus),
    ]


def _close(hold: Hold, state: HoldState, at: datetime | None) -> None:
    hold.state = state
    hold.closed_at = at or now()
    hold.save(update_fields=["state", "closed_at", "updated_at"])
