"""Proof that the books are right: what `check_ledger` asks of one tenant's schema.

Each check is one query that returns what is wrong; a clean ledger returns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from apps.wallet.books import BOOK_CHECKS

CHECKS: dict[str, str] = {
    # --- the journal itself
    "entry does not sum to zero": """
        select e.key as subject, sum(p.amount) as difference
        from wallet_journalentry e join wallet_posting p on p.entry_id = e.id
        group by e.key having sum(p.amount) <> 0""",
    "entry without two lines": """
        select e.key as subject, count(p.id) as lines
        from wallet_journalentry e left join wallet_posting p on p.entry_id = e.id
        group by e.key having count(p.id) < 2""",
    # --- cached balances
    "wallet differs from its accounts": """
        with sums as (
            select a.wallet_id,
                -sum(p.amount) filter (where a.kind in ('customer_principal', 'enterprise_balance')) as principal,
                -sum(p.amount) filter (where a.kind = 'customer_bonus') as bonus,
                -sum(p.amount) filter (where a.kind in ('held_principal', 'enterprise_held')) as held_principal,
                -sum(p.amount) filter (where a.kind = 'held_bonus') as held_bonus,
                -sum(p.amount) filter (where a.kind = 'frozen_principal') as frozen_principal,
                -sum(p.amount) filter (where a.kind = 'frozen_bonus') as frozen_bonus,
                sum(p.amount) filter (where a.kind = 'customer_debt') as debt
            from wallet_posting p join wallet_account a on a.id = p.account_id
            where a.wallet_id is not null group by a.wallet_id)
        select w.id as subject, w.principal, s.principal as booked_principal, w.bonus, s.bonus as booked_bonus,
            w.held_principal, s.held_principal as booked_held_principal, w.held_bonus,
            s.held_bonus as booked_held_bonus, w.frozen_principal, s.frozen_principal as booked_frozen_principal,
            w.frozen_bonus, s.frozen_bonus as booked_frozen_bonus, w.debt, s.debt as booked_debt
        from wallet_wallet w left join sums s on s.wallet_id = w.id
        where (w.principal, w.bonus, w.held_principal, w.held_bonus, w.frozen_principal, w.frozen_bonus, w.debt)
            is distinct from
            (coalesce(s.principal, 0), coalesce(s.bonus, 0), coalesce(s.held_principal, 0),
             coalesce(s.held_bonus, 0), coalesce(s.frozen_principal, 0), coalesce(s.frozen_bonus, 0),
             coalesce(s.debt, 0))""",
    "account of the other kind of owner": """
        select a.id as subject, a.kind, w.customer_id, w.enterprise_id
        from wallet_account a join wallet_wallet w on w.id = a.wallet_id
        where (a.kind in ('enterprise_balance', 'enterprise_held')) <> (w.enterprise_id is not null)""",
    # --- holds and debts
    "held money differs from open holds": """
        select w.id as subject, w.held_principal + w.held_bonus as held, coalesce(h.held, 0) as holds
        from wallet_wallet w left join (
            select wallet_id, sum(principal) as principal, sum(bonus) as bonus, sum(principal + bonus) as held
            from wallet_hold where state = 'open' group by wallet_id) h on h.wallet_id = w.id
        where w.held_principal <> coalesce(h.principal, 0) or w.held_bonus <> coalesce(h.bonus, 0)""",
    "open hold without a running order": """
        select h.order_no as subject, o.state
        from wallet_hold h left join orders_order o on o.order_no = h.order_no
        where h.state = 'open' and (o.state is null or o.state in ('completed', 'failed', 'pending'))""",
    "running order without an open hold": """
        select o.order_no as subject, o.state, h.state as hold
        from orders_order o left join wallet_hold h on h.order_no = o.order_no
        where o.state in ('starting', 'charging', 'stopping', 'settling') and h.state is distinct from 'open'""",
    "debt differs from open debts": """
        select w.id as subject, w.debt, coalesce(d.owed, 0) as owed
        from wallet_wallet w left join (
            select wallet_id, sum(amount - recovered - cancelled) as owed from wallet_debt group by wallet_id) d
            on d.wallet_id = w.id
        where w.debt <> coalesce(d.owed, 0)""",
    # --- orders and revenue
    "order's bill differs from its lines": """
        select o.order_no as subject, o.electricity_fee, o.service_fee, o.energy_kwh,
            coalesce(l.electricity, 0) as electricity_lines, coalesce(l.service, 0) as service_lines
        from orders_order o left join (
            select order_id, sum(electricity_fee) as electricity, sum(service_fee) as service,
                sum(energy_kwh) as energy from orders_billline group by order_id) l on l.order_id = o.id
        where (o.electricity_fee, o.service_fee, o.energy_kwh) is distinct from
            (coalesce(l.electricity, 0), coalesce(l.service, 0), coalesce(l.energy, 0))""",
    "bill line is not energy times price": """
        select o.order_no as subject, l.rate_class, l.electricity_fee, l.service_fee
        from orders_billline l join orders_order o on o.id = l.order_id
        where l.electricity_fee <> round(l.energy_kwh * l.electricity_price, 2)
            or l.service_fee <> round(l.energy_kwh * l.service_price, 2)""",
    "order's payment does not add up": """
        select order_no as subject, payable, paid_principal, paid_bonus, debt, paid_enterprise, enterprise_discount,
            coupon_discount
        from orders_order
        where paid_principal + paid_bonus + debt + paid_enterprise <> payable
            or (payer = 'enterprise' and paid_principal + paid_bonus + debt <> 0)
            or (payer = 'wallet' and paid_enterprise <> 0) or (payer = 'enterprise' and enterprise_id is null)
            or electricity_payable + service_payable <> payable
            or bonus_electricity + bonus_service <> paid_bonus
            or bonus_electricity > electricity_payable or bonus_service > service_payable
            or payable <> electricity_fee + service_fee - enterprise_discount - coupon_discount
            or electricity_payable not between 0 and electricity_fee
            or service_payable not between 0 and service_fee
            or platform_borne + station_borne <> enterprise_discount + coupon_discount
            or (state <> 'completed' and (payable <> 0 or electricity_fee + service_fee <> 0))""",
    "order's discounts differ from their explanation": """
        select o.order_no as subject, o.enterprise_discount, o.coupon_discount, s.enterprise, s.coupon
        from orders_order o
        join lateral (
            select coalesce(sum(saving) filter (where step = 'enterprise'), 0) as enterprise,
                coalesce(sum(saving) filter (where step = 'coupon'), 0) as coupon
            from jsonb_to_recordset(o.explanation) as steps (step text, saving numeric)) s on true
        where (o.enterprise_discount, o.coupon_discount) <> (s.enterprise, s.coupon)
            or (s.enterprise > 0 and o.enterprise_id is null)""",
    # --- coupons
    "order's coupon differs from the coupon": """
        select coalesce(o.order_no, c.order_no) as subject, o.coupon_discount, c.saved, c.state as coupon
        from (select * from orders_order where coupon_id is not null) o
        full join (select * from coupons_coupon where state in ('reserved', 'used')) c on c.order_no = o.order_no
        where o.id is null or c.id is null or o.coupon_id <> c.id or o.customer_id <> c.customer_id
            or c.saved <> o.coupon_discount or (c.state = 'used') <> (o.state = 'completed')""",
    "coupon discount without a coupon": """
        select order_no as subject, coupon_discount
        from orders_order where coupon_discount <> 0 and coupon_id is null""",
    "coupons claimed differ from the template": """
        select t.name as subject, t.claimed, t.stock, count(c.id) as coupons
        from coupons_coupontemplate t left join coupons_coupon c on c.template_id = t.id
        group by t.id having t.claimed <> count(c.id)""",
    "order differs from the ledger": """
        with booked as (
            select e.reference,
                -sum(p.amount) filter (where a.kind = 'revenue_electricity') as electricity,
                -sum(p.amount) filter (where a.kind = 'revenue_service') as service,
                sum(p.amount) filter (where a.kind in ('held_principal', 'customer_principal')) as principal,
                sum(p.amount) filter (where a.kind in ('held_bonus', 'customer_bonus')) as bonus,
                sum(p.amount) filter (where a.kind = 'enterprise_discount') as enterprise,
                sum(p.amount) filter (where a.kind = 'coupon_discount') as coupon,
                sum(p.amount) filter (where a.kind = 'customer_debt') as debt,
                sum(p.amount) filter (where a.kind in ('enterprise_held', 'enterprise_balance')) as paid
            from wallet_journalentry e
            join wallet_posting p on p.entry_id = e.id join wallet_account a on a.id = p.account_id
            where e.kind = 'charge' group by e.reference)
        select coalesce(o.order_no, b.reference) as subject, o.state, o.payable, b.electricity, b.service
        from orders_order o full join booked b on b.reference = o.order_no
        where (coalesce(o.electricity_fee, 0), coalesce(o.service_fee, 0), coalesce(o.paid_principal, 0),
               coalesce(o.paid_bonus, 0), coalesce(o.debt, 0), coalesce(o.enterprise_discount, 0),
               coalesce(o.coupon_discount, 0), coalesce(o.paid_enterprise, 0)) is distinct from
            (coalesce(b.electricity, 0), coalesce(b.service, 0), coalesce(b.principal, 0),
             coalesce(b.bonus, 0), coalesce(b.debt, 0), coalesce(b.enterprise, 0), coalesce(b.coupon, 0),
             coalesce(b.paid, 0))""",
    "order's money is not its payer's": """
        select o.order_no as subject, o.payer, e.key, w.customer_id, w.enterprise_id
        from orders_order o join wallet_journalentry e on e.reference = o.order_no
        join wallet_wallet w on w.id = e.wallet_id
        where e.kind in ('hold', 'release', 'charge') and case when o.payer = 'enterprise'
            then w.enterprise_id is distinct from o.enterprise_id
            else w.customer_id is distinct from o.customer_id end""",
    "settled order without its record": """
        select o.order_no as subject, count(r.id) as records
        from orders_order o left join orders_transactionrecord r on r.order_id = o.id and r.state = 'settled'
        where o.state = 'completed' and not exists (
            select from backoffice_approval a
            where a.object_kind = 'orders.order' and a.object_id = o.id::text and a.state = 'executed'
                and a.operation in ('orders.adjust', 'orders.close_unbilled'))
        group by o.id
        having count(r.id) <> 1 + (select count(*) from orders_parallelleg l where l.order_id = o.id)""",
    "order closed without a bill has one": """
        select o.order_no as subject, o.payable, o.energy_kwh
        from backoffice_approval a join orders_order o on o.id::text = a.object_id
        where a.object_kind = 'orders.order' and a.state = 'executed' and a.operation = 'orders.close_unbilled'
            and (o.payable <> 0 or o.energy_kwh <> 0 or o.state <> 'completed')""",
    "adjusted order is not billed as approved": """
        select o.order_no as subject, o.energy_kwh, w.approved
        from backoffice_approval a join orders_order o on o.id::text = a.object_id
        join lateral (
            select coalesce(sum(e.value::numeric), 0) as approved
            from jsonb_each_text(a.payload -> 'energies') e) w on true
        where a.object_kind = 'orders.order' and a.state = 'executed' and a.operation = 'orders.adjust'
            and o.energy_kwh <> w.approved""",
    "connector with two live charges": """
        select c.code as subject, count(*) as charges
        from (select connector_id from orders_order where state in ('pending', 'starting', 'charging', 'stopping')
            union all select connector_id from orders_parallelleg where is_live) used
        join piles_connector c on c.id = used.connector_id
        group by c.code having count(*) > 1""",
    "live gun of an order that is over": """
        select o.order_no as subject, o.state
        from orders_parallelleg l join orders_order o on o.id = l.order_id
        where l.is_live and o.state not in ('pending', 'starting', 'charging', 'stopping')""",
    # --- refunds of orders
    "order's refunds differ from its columns": """
        select o.order_no as subject, o.refunded_electricity, o.refunded_service,
            coalesce(r.electricity, 0) as electricity, coalesce(r.service, 0) as service
        from orders_order o left join (
            select order_id, sum(electricity) as electricity, sum(service) as service
            from orders_orderrefund where state = 'done' group by order_id) r on r.order_id = o.id
        where (o.refunded_electricity, o.refunded_service) is distinct from
            (coalesce(r.electricity, 0), coalesce(r.service, 0))""",
    "order refund differs from the ledger": """
        with booked as (
            select e.reference,
                sum(p.amount) filter (where a.kind = 'revenue_electricity') as electricity,
                sum(p.amount) filter (where a.kind = 'revenue_service') as service,
                -sum(p.amount) filter (where a.kind = 'customer_principal') as principal,
                -sum(p.amount) filter (where a.kind = 'customer_bonus') as bonus,
                -sum(p.amount) filter (where a.kind = 'customer_debt') as debt,
                -sum(p.amount) filter (where a.kind = 'enterprise_balance') as enterprise
            from wallet_journalentry e
            join wallet_posting p on p.entry_id = e.id join wallet_account a on a.id = p.account_id
            where e.kind = 'order_refund' group by e.reference)
        select coalesce(r.refund_no, b.reference) as subject, r.electricity, r.service, r.principal, r.bonus, r.debt,
            r.enterprise
        from (select * from orders_orderrefund where state = 'done') r full join booked b on b.reference = r.refund_no
        where (r.electricity, r.service, r.principal, r.bonus, r.debt, r.enterprise) is distinct from
            (coalesce(b.electricity, 0), coalesce(b.service, 0), coalesce(b.principal, 0), coalesce(b.bonus, 0),
             coalesce(b.debt, 0), coalesce(b.enterprise, 0))""",
    "order refund does not add up": """
        select refund_no as subject, state, electricity, service, principal, bonus, debt, enterprise
        from orders_orderrefund
        where principal + bonus + debt + enterprise <>
            case when state = 'done' then electricity + service else 0 end""",
    "order gave back more than it was paid": """
        select o.order_no as subject, o.paid_principal, o.paid_bonus, o.debt, o.paid_enterprise, r.principal, r.bonus,
            r.debt as cancelled, r.enterprise
        from orders_order o
        join (select order_id, sum(principal) as principal, sum(bonus) as bonus, sum(debt) as debt,
                sum(enterprise) as enterprise
            from orders_orderrefund where state = 'done' group by order_id) r on r.order_id = o.id
        left join wallet_debt d on d.order_no = o.order_no
        where r.principal > o.paid_principal + coalesce(d.recovered - d.recovered_bonus, 0)
            or r.bonus > o.paid_bonus + coalesce(d.recovered_bonus, 0) or r.debt <> coalesce(d.cancelled, 0)
            or r.enterprise > o.paid_enterprise""",
    # --- refunds of wallets
    "frozen money differs from open refunds": """
        select w.id as subject, w.frozen_principal, w.frozen_bonus, coalesce(r.principal, 0) as principal,
            coalesce(r.bonus, 0) as bonus
        from wallet_wallet w left join (
            select wallet_id, sum(amount - paid - given_back) as principal, sum(bonus_forfeited) as bonus
            from wallet_walletrefund where state in ('applied', 'approved', 'executing', 'returned')
            group by wallet_id) r on r.wallet_id = w.id
        where (w.frozen_principal, w.frozen_bonus) is distinct from
            (coalesce(r.principal, 0), coalesce(r.bonus, 0))""",
    "wallet refund differs from the ledger": """
        with booked as (
            select e.reference,
                -sum(p.amount) filter (where e.kind = 'refund_freeze' and a.kind = 'frozen_principal') as frozen,
                -sum(p.amount) filter (where e.kind = 'refund_freeze' and a.kind = 'frozen_bonus') as bonus,
                sum(p.amount) filter (where e.kind = 'refund_paid' and a.kind = 'frozen_principal') as paid,
                sum(p.amount) filter (where e.kind = 'refund_back' and a.kind = 'frozen_principal') as back,
                sum(p.amount) filter (where e.kind = 'refund_paid' and a.kind = 'frozen_bonus') as taken
            from wallet_journalentry e
            join wallet_posting p on p.entry_id = e.id join wallet_account a on a.id = p.account_id
            where e.kind in ('refund_freeze', 'refund_paid', 'refund_back') group by e.reference)
        select coalesce(r.refund_no, b.reference) as subject, r.state, r.amount, b.frozen, r.paid, b.paid as booked,
            r.given_back, b.back, r.bonus_taken, b.taken
        from wallet_walletrefund r full join booked b on b.reference = r.refund_no
        where (r.amount, r.bonus_forfeited, r.paid, r.given_back, r.bonus_taken) is distinct from
            (coalesce(b.frozen, 0), coalesce(b.bonus, 0), coalesce(b.paid, 0), coalesce(b.back, 0),
             coalesce(b.taken, 0))""",
    "parts of a refund do not add up": """
        select r.refund_no as subject, r.state, r.amount, r.paid, r.given_back, sum(p.amount) as parts
        from wallet_walletrefund r left join wallet_walletrefundpart p
            on p.refund_id = r.id and p.state <> 'replaced'
        group by r.id
        having coalesce(sum(p.amount), 0) <> r.amount
            or coalesce(sum(p.amount) filter (where p.state = 'done'), 0) <> r.paid
            or coalesce(sum(p.amount) filter (where p.state = 'given_back'), 0) <> r.given_back
            or (r.state in ('done', 'rejected', 'cancelled') and r.paid + r.given_back <> r.amount)""",
    "part of a refund differs from the ledger": """
        with booked as (
            select substr(e.key, 8) as number, sum(p.amount) filter (where p.amount > 0) as amount
            from wallet_journalentry e join wallet_posting p on p.entry_id = e.id
            where e.kind = 'refund_paid' and e.key like 'refund:%%' group by e.key)
        select coalesce(p.out_refund_no, b.number) as subject, p.state, p.amount, b.amount as booked
        from (select * from wallet_walletrefundpart where state = 'done') p
        full join booked b on b.number = p.out_refund_no
        where p.amount is distinct from b.amount""",
    "payment's refunds differ from their parts": """
        select r.recharge_no as subject, r.amount, r.refunded, coalesce(p.amount, 0) as parts
        from wallet_recharge r left join (
            select recharge_id, sum(amount) as amount from wallet_walletrefundpart
            where state not in ('given_back', 'replaced') group by recharge_id) p on p.recharge_id = r.id
        where r.refunded <> coalesce(p.amount, 0)""",
    # --- top-ups
    "top-up differs from the ledger": """
        with booked as (
            select e.reference, sum(p.amount) as amount
            from wallet_journalentry e
            join wallet_posting p on p.entry_id = e.id join wallet_account a on a.id = p.account_id
            where e.kind = 'recharge' and a.kind = 'channel_clearing' group by e.reference)
        select coalesce(r.recharge_no, b.reference) as subject, r.state, r.amount, b.amount as booked
        from wallet_recharge r full join booked b on b.reference = r.recharge_no
        where case when r.state = 'paid' then r.amount else 0 end is distinct from coalesce(b.amount, 0)""",
    "top-up's bonus differs from the ledger": """
        with booked as (
            select e.reference, sum(p.amount) as bonus
            from wallet_journalentry e
            join wallet_posting p on p.entry_id = e.id join wallet_account a on a.id = p.account_id
            where e.kind = 'recharge' and a.kind = 'bonus_expense' group by e.reference)
        select r.recharge_no as subject, r.state, r.bonus, b.bonus as booked
        from wallet_recharge r left join booked b on b.reference = r.recharge_no
        where case when r.state = 'paid' then r.bonus else 0 end is distinct from coalesce(b.bonus, 0)""",
    "channel fee differs from its bill": """
        with booked as (
            select e.reference, sum(p.amount) as amount
            from wallet_journalentry e
            join wallet_posting p on p.entry_id = e.id join wallet_account a on a.id = p.account_id
            where e.kind = 'channel_fee' and a.kind = 'channel_fee' group by e.reference)
        select coalesce(d.reference, b.reference) as subject, d.fee, d.fee_booked, b.amount as booked
        from (select 'FEE' || merchant_id || '-' || to_char(day, 'YYYYMMDD') as reference, fee, fee_booked
              from wallet_channelday) d full join booked b on b.reference = d.reference
        where coalesce(d.fee_booked, 0) <> coalesce(b.amount, 0)
            or round(coalesce(d.fee, 0), 2) <> coalesce(d.fee_booked, 0)""",
    # --- reconciliation
    "channel's day differs from the rows of its bill": """
        select d.id as subject, d.day, d.their_payments, d.their_paid, d.their_refunds, d.their_refunded, d.fee,
            b.payments, b.paid, b.refunds, b.refunded, b.fee as row_fee
        from wallet_channelday d
        left join lateral (
            select count(*) filter (where kind = 'payment') as payments,
                count(*) filter (where kind = 'refund' and state <> 'failed') as refunds,
                coalesce(sum(amount) filter (where kind = 'payment'), 0) as paid,
                coalesce(sum(amount) filter (where kind = 'refund' and state <> 'failed'), 0) as refunded,
                coalesce(sum(fee), 0) as fee
            from wallet_channelbillrow where channel_day_id = d.id and not superseded) b on true
        where (d.their_payments, d.their_paid, d.their_refunds, d.their_refunded, d.fee) is distinct from
            (b.payments, b.paid, b.refunds, b.refunded, b.fee)""",
    "open differences of a channel's day": """
        select d.id as subject, d.day, d.differences_open, count(x.id) as there
        from wallet_channelday d left join wallet_channeldifference x on x.channel_day_id = d.id and x.state = 'open'
        group by d.id having d.differences_open <> count(x.id)""",
    "difference about another payment or refund": """
        select x.id as subject, x.trade_kind, x.out_no, x.ours, c.recharge_no, c.amount, p.out_refund_no,
            p.amount as part
        from wallet_channeldifference x left join wallet_recharge c on c.id = x.recharge_id
        left join wallet_walletrefundpart p on p.id = x.refund_part_id
        where case when x.trade_kind = 'refund' then (x.out_no, x.ours) is distinct from (p.out_refund_no, p.amount)
                and (p.id is not null or x.kind <> 'only_theirs')
            else (x.out_no, x.ours) is distinct from (c.recharge_no, c.amount)
                and (c.id is not null or x.kind <> 'only_theirs') end""",
    **BOOK_CHECKS,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is wrong: which check, about what, with the figures."""

    check: str
    subject: str
    figures: dict[str, str]


def differences(*, limit: int = 100) -> list[Difference]:
    """Run every check in the current schema, on one snapshot, and return what is wrong (at most `limit` per check)."""
    found: list[Difference] = []
    with transaction.atomic(), connection.cursor() as cursor:
        # Money moves while we look: all checks must see the same moment.
        if not connection.needs_rollback and len(connection.savepoint_ids) == 0:
            cursor.execute("set transaction isolation level repeatable read")
        for check, query in CHECKS.items():
            cursor.execute(f"{query} limit %s", [limit])
            names = [column.name for column in cursor.description or ()]
            for row in cursor.fetchall():
                figures: dict[str, Any] = dict(zip(names, row, strict=True))
                subject = str(figures.pop("subject"))
                found.append(Difference(check, subject, {key: str(value) for key, value in figures.items()}))
    return found


def totals() -> dict[str, str]:
    """Return the figures that a clean run reports: entries, orders settled, revenue, money of customers."""
    with connection.cursor() as cursor:
        cursor.execute(
            """select (select count(*) from wallet_journalentry) as entries,
                (select count(*) from orders_order where state = 'completed') as settled_orders,
                (select coalesce(sum(payable), 0) from orders_order where state = 'completed') as revenue,
                (select coalesce(sum(principal + bonus), 0) from wallet_wallet
                  where enterprise_id is null) as available,
                (select coalesce(sum(principal), 0.00) from wallet_wallet
                  where enterprise_id is not null) as enterprises,
                (select coalesce(sum(held_principal + held_bonus), 0) from wallet_wallet) as held,
                (select coalesce(sum(debt), 0) from wallet_wallet) as debt"""
        )
        names = [column.name for column in cursor.description or ()]
        return {name: str(value) for name, value in zip(names, cursor.fetchone() or (), strict=True)}
