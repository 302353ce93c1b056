"""Top-ups: create → pay → told by a notice, or asked for when the provider is silent → closed after their time.

A row is written before the provider is called, under a number that the provider knows it by. A provider's silence is
never a no: `check_recharge` asks by the same number until there is an answer, driven by `next_check_at`, so that a
process that dies at any step leaves nothing that is not found again. Money is booked once, by `recharge_paid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.urls import reverse

from apps.common.ids import dated_number
from apps.common.money import to_fen
from apps.common.schema import current_schema
from apps.common.time import now
from apps.customers import agreements
from apps.customers.models import Customer, CustomerIdentity, IdentityProvider
from apps.tenancy.selectors import tenant_of_schema
from apps.wallet import bonus, debts, ledger, signals
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import (
    AlreadyPaid,
    Channel,
    Mismatch,
    NotConfigured,
    PaymentOrder,
    Refused,
    Trade,
    TradeState,
    Unknown,
    UnknownKey,
)
from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.enums import AccountKind, ChannelName, JournalKind, RechargeState
from apps.wallet.errors import (
    AmountNotAllowed,
    ChannelBusy,
    ChannelNotAvailable,
    ChannelRefused,
    KeyReused,
    PayerUnknown,
    RechargeClosed,
    RechargeNotFound,
)
from apps.wallet.ledger import credit, debit
from apps.wallet.merchants import key_unknown, merchant_for
from apps.wallet.models import MerchantAccount, Recharge
from apps.wallet.services import lock_wallet

log = structlog.get_logger(__name__)

RECHARGE_MINIMUM = Decimal("1.00")
RECHARGE_MAXIMUM = Decimal("5000.00")
LIFETIME = timedelta(minutes=15)
CHECK_GAPS_S = (30, 30, 60, 120, 240)
"""When the provider is asked, counted from the creation on; the last one is repeated."""
AFTER_CLOSING = timedelta(minutes=30)
"""Once more after a top-up was closed: a payment that was under way then, and whose notice was lost."""
GIVES_UP_AFTER = timedelta(days=2)
"""A provider that has not answered for so long is asked every hour."""
PROVIDERS = {
    ChannelName.WECHATPAY.value: IdentityProvider.WECHAT,
    ChannelName.ALIPAY.value: IdentityProvider.ALIPAY,
}
"""Whose ids of customers a channel takes as the payer."""


# --- Begin ------------------------------------------------------------------------------------------------


def create_recharge(
    *, customer: Customer, amount: Decimal, channel: str, request_key: str, at: datetime | None = None
) -> Recharge:
    """Make a top-up order, once per `request_key`, with the bonus that is offered now.

    Raises AmountNotAllowed outside 1 to 5,000 yuan or with parts of a fen, ChannelNotAvailable, PayerUnknown when the
    customer has not signed in with the app to be paid in, KeyReused when the key belongs to a top-up of another amount
    or channel, and ConsentNeeded when an agreement is published to which the customer has not agreed.
    """
    if not RECHARGE_MINIMUM <= amount <= RECHARGE_MAXIMUM or amount != amount.quantize(Decimal("0.01")):
        raise AmountNotAllowed(reason=f"{RECHARGE_MINIMUM}–{RECHARGE_MAXIMUM}")
    merchant = merchant_for(channel)
    payer = _payer(customer, merchant)
    moment = at or now()
    with transaction.atomic():
        wallet = lock_wallet(customer_id=customer.pk)
        known = Recharge.objects.filter(wallet=wallet, request_key=request_key).first()
        if known is not None:
            if (known.amount, known.channel) != (amount, channel):
                raise KeyReused
            return known
        agreements.check(customer, agreements.TO_TOP_UP)
        recharge = Recharge(
            wallet=wallet,
            request_key=request_key,
            amount=amount,
            channel=channel,
            merchant=merchant,
            payer=payer,
            created_at=moment,
            expires_at=moment + LIFETIME,
            next_check_at=moment + timedelta(seconds=CHECK_GAPS_S[0]),
        )
        _numbered(recharge, moment)
        bonus.freeze(recharge, at=moment)
    log.info("recharge_created", recharge_no=recharge.recharge_no, channel=channel, amount=str(amount))
    return recharge


def prepare_payment(*, recharge: Recharge) -> Mapping[str, str]:
    """Make a top-up known to its provider and return what the driver's phone needs to pay it.

    May be repeated. A top-up that turns out to be paid is booked, and nothing is returned. Calls the provider, so it
    must not run inside a transaction. Raises RechargeClosed, ChannelNotAvailable, ChannelRefused, and ChannelBusy when
    the provider does not answer: the same request again is the right thing then.
    """
    if recharge.state == RechargeState.PAID:
        return {}
    if recharge.state != RechargeState.CREATED or recharge.expires_at is None or recharge.expires_at <= now():
        raise RechargeClosed
    channel = _channel(recharge)
    order = PaymentOrder(
        out_trade_no=recharge.recharge_no,
        amount=recharge.amount,
        description=f"充值 {recharge.amount:.2f} 元",
        payer=recharge.payer,
        notify_url=notice_url(_merchant(recharge)),
        expires_at=recharge.expires_at,
    )
    for last in (False, True):
        try:
            return channel.create(order).client_params
        except AlreadyPaid:
            check_recharge(recharge_no=recharge.recharge_no)
            return {}
        except Refused as error:
            log.error("recharge_refused", recharge_no=recharge.recharge_no, code=error.code)
            Recharge.objects.filter(pk=recharge.pk).update(problem=f"create: {error.code}"[:100])
            raise ChannelRefused from error
        except Unknown as error:
            # The provider may have it by now: the same number again is the same order.
            _look_for_keys(recharge, error)
            if last:
                raise ChannelBusy from error
    raise AssertionError


def notice_url(merchant: MerchantAccount) -> str:
    """Return where a merchant's provider sends its notices: on the platform's host, without a query string."""
    tenant = tenant_of_schema(current_schema())
    path = reverse("payment_notice", settings.ROOT_URLCONF, [tenant.code, merchant.channel, merchant.pk])
    return f"{settings.NOTICE_BASE_URL.rstrip('/')}{path}"


def _payer(customer: Customer, merchant: MerchantAccount) -> str:
    """Who pays, in the words of the provider: known from a sign-in in its app, never from the request."""
    provider = PROVIDERS.get(merchant.channel)
    if provider is None:
        return ""
    identity = CustomerIdentity.objects.filter(
        customer=customer, provider=provider, app_id=merchant.app_id
    ).first()
    if identity is None:
        raise PayerUnknown
    return identity.openid


def _numbered(recharge: Recharge, moment: datetime) -> None:
    """Save under a number that nobody has: six random digits within a second meet one day."""
    for _ in range(5):
        recharge.recharge_no = dated_number("R", at=moment)
        try:
            with transaction.atomic():
                recharge.save(force_insert=True)
            return
        except IntegrityError:
            if not Recharge.objects.filter(recharge_no=recharge.recharge_no).exists():
                raise
    raise ChannelBusy


def _merchant(recharge: Recharge) -> MerchantAccount:
    if recharge.merchant is None:
        raise ChannelNotAvailable(channel=recharge.channel)
    return recharge.merchant


def _look_for_keys(recharge: Recharge, error: Unknown) -> None:
    if isinstance(error, UnknownKey):
        key_unknown(merchant=_merchant(recharge))


def _channel(recharge: Recharge) -> Channel:
    try:
        return channel_of(_merchant(recharge))
    except NotConfigured as error:
        log.error("merchant_not_configured", merchant_id=recharge.merchant_id, field=error.field)
        raise ChannelNotAvailable(channel=recharge.channel) from error


# --- Ask --------------------------------------------------------------------------------------------------


def check_recharge(*, recharge_no: str) -> Recharge:
    """Ask the provider what became of a top-up, and do what follows: book it, close it, or ask again later.

    One that is past its time and not paid is closed at the provider first; what was paid in between is found then.
    Calls the provider, so it must not run inside a transaction. Raises RechargeNotFound, ChannelNotAvailable, and
    ChannelBusy or ChannelRefused after having written down when to ask again.
    """
    recharge = Recharge.objects.select_related("merchant").filter(recharge_no=recharge_no).first()
    if recharge is None:
        raise RechargeNotFound
    if recharge.state == RechargeState.PAID:
        return recharge
    channel = _channel(recharge)
    try:
        trade = channel.query(recharge.recharge_no)
        overdue = recharge.expires_at is None or recharge.expires_at <= now()
        if recharge.state == RechargeState.CREATED and overdue and not trade.paid:
            try:
                channel.close(recharge.recharge_no)
                trade = Trade(out_trade_no=recharge.recharge_no, state=TradeState.CLOSED)
            except AlreadyPaid:
                trade = channel.query(recharge.recharge_no)
    except Unknown as error:
        _look_for_keys(recharge, error)
        _asked(recharge, str(error))
        raise ChannelBusy from error
    except Refused as error:
        log.error("recharge_query_refused", recharge_no=recharge_no, code=error.code)
        _asked(recharge, error.code)
        raise ChannelRefused from error
    if trade.paid:
        return accept_trade(recharge=recharge, trade=trade)
    if trade.state == TradeState.CLOSED:
        return _closed(recharge)
    _asked(recharge, "")
    recharge.refresh_from_db()
    return recharge


def ask(recharge: Recharge) -> Trade:
    """Return what the provider says of a top-up now; nothing follows from it.

    Calls the provider: never inside a transaction. Raises ChannelNotAvailable, ChannelBusy, ChannelRefused.
    """
    channel = _channel(recharge)
    try:
        return channel.query(recharge.recharge_no)
    except Unknown as error:
        _look_for_keys(recharge, error)
        raise ChannelBusy from error
    except Refused as error:
        log.error("recharge_query_refused", recharge_no=recharge.recharge_no, code=error.code)
        raise ChannelRefused from error


def accept_trade(*, recharge: Recharge, trade: Trade) -> Recharge:
    """Book a payment that the provider told of, if it is exactly this top-up's.

    Raises Mismatch otherwise: nothing is booked, and the top-up shows the problem until a person has looked.
    """
    try:
        trade.must_pay(out_trade_no=recharge.recharge_no, amount=recharge.amount)
    except Mismatch as error:
        log.error(
            "recharge_mismatch",
            recharge_no=recharge.recharge_no,
            field=error.field,
            asked=str(recharge.amount),
            told=str(trade.amount),
        )
        problem = f"{error.field}: {trade.amount if error.field == 'amount' else trade.state}"
        Recharge.objects.filter(pk=recharge.pk).update(problem=problem[:100], next_check_at=None)
        raise
    return recharge_paid(
        recharge_no=recharge.recharge_no,
        amount=recharge.amount,
        channel_trade_no=trade.channel_trade_no,
        paid_at=trade.paid_at,
    )


def due_recharges(*, limit: int = 500) -> list[str]:
    """Claim the top-ups whose provider has to be asked now, and return their numbers.

    Their next time is written at once, so that a second caller does not get them, and one that dies loses none.
    """
    moment = now()
    with transaction.atomic():
        rows = list(
            Recharge.objects.select_for_update(skip_locked=True)
            .filter(next_check_at__lte=moment)
            .order_by("next_check_at")[:limit]
        )
        for row in rows:
            row.next_check_at = moment + timedelta(seconds=_gap_s(row))
        Recharge.objects.bulk_update(rows, ["next_check_at"])
    return [row.recharge_no for row in rows]


def _asked(recharge: Recharge, problem: str) -> None:
    """Write down that there is no end yet, and when to ask again."""
    moment = now()
    next_check_at = moment + timedelta(seconds=_gap_s(recharge))
    if recharge.state == RechargeState.CREATED and recharge.expires_at and moment < recharge.expires_at:
        next_check_at = min(next_check_at, recharge.expires_at)
    if recharge.state == RechargeState.CLOSED and not problem:
        next_check_at = None  # type: ignore[assignment]
    Recharge.objects.filter(pk=recharge.pk, state=recharge.state).update(
        checked_at=moment, next_check_at=next_check_at, checks=F("checks") + 1, problem=problem[:100]
    )


def _gap_s(recharge: Recharge) -> int:
    if recharge.expires_at is not None and now() > recharge.expires_at + GIVES_UP_AFTER:
        return 3600
    return CHECK_GAPS_S[min(recharge.checks, len(CHECK_GAPS_S) - 1)]


def _closed(recharge: Recharge) -> Recharge:
    """Mark a top-up that the provider takes no money for any more; money that comes all the same is booked."""
    moment = now()
    with transaction.atomic():
        lock_wallet(customer_id=recharge.wallet.customer_id)
        row = Recharge.objects.select_for_update().get(pk=recharge.pk)
        row.checked_at, row.checks, row.problem = moment, row.checks + 1, ""
        if row.state == RechargeState.CREATED:
            row.state, row.closed_at = RechargeState.CLOSED, moment
            row.next_check_at = moment + AFTER_CLOSING
            log.info("recharge_closed", recharge_no=row.recharge_no)
        else:
            row.next_check_at = None
        row.save(
            update_fields=[
                "state",
                "closed_at",
                "checked_at",
                "checks",
                "problem",
                "next_check_at",
                "updated_at",
            ]
        )
    return row


# --- Booked -----------------------------------------------------------------------------------------------


def pay_sandbox(*, customer: Customer, recharge_no: str, at: datetime | None = None) -> Recharge:
    """Let the sandbox channel say that a top-up of this customer is paid.

    Raises RechargeNotFound, and ChannelNotAvailable where that channel is not allowed.
    """
    recharge = Recharge.objects.filter(
        wallet__customer=customer, recharge_no=recharge_no, channel=ChannelName.SANDBOX
    ).first()
    if recharge is None:
        raise RechargeNotFound
    if ChannelName.SANDBOX not in settings.RECHARGE_CHANNELS:
        raise ChannelNotAvailable(channel=recharge.channel)
    trade = SandboxChannel().pay(recharge.recharge_no, recharge.amount, at=at)
    return recharge_paid(
        recharge_no=recharge_no, amount=recharge.amount, channel_trade_no=trade.channel_trade_no, at=at
    )


def recharge_paid(
    *,
    recharge_no: str,
    amount: Decimal,
    channel_trade_no: str,
    paid_at: datetime | None = None,
    at: datetime | None = None,
) -> Recharge:
    """Book a paid top-up with its bonus, once, and pay open debts with it, oldest first.

    One that was closed before is booked as well: the money has come. `paid_at` is the provider's word; it is booked
    `at` the time when it is known (default: now), since the day of the payment may be closed. Raises RechargeNotFound,
    and AmountNotAllowed when the channel says another amount than the order's.
    """
    found = Recharge.objects.select_related("wallet").filter(recharge_no=recharge_no).first()
    if found is None:
        raise RechargeNotFound
    with transaction.atomic():
        wallet = lock_wallet(customer_id=found.wallet.customer_id)
        recharge = Recharge.objects.select_for_update().get(pk=found.pk)
        recharge.wallet = wallet
        if to_fen(amount) != to_fen(recharge.amount):
            raise AmountNotAllowed(reason=f"{amount} ≠ {recharge.amount}")
        if recharge.state == RechargeState.PAID:
            return recharge
        late = recharge.state == RechargeState.CLOSED
        book(recharge, channel_trade_no=channel_trade_no, paid_at=paid_at, at=at)
    log.info("recharge_paid", recharge_no=recharge_no, amount=str(amount), late=late)
    return recharge


def book(
    recharge: Recharge,
    *,
    channel_trade_no: str,
    paid_at: datetime | None = None,
    at: datetime | None = None,
) -> None:
    """Book a locked top-up that is not paid yet, with its locked wallet in `recharge.wallet`; see `recharge_paid`."""
    wallet, recharge_no = recharge.wallet, recharge.recharge_no
    if recharge.state == RechargeState.CLOSED:
        bonus.settle_late(recharge)
    recharge.state = RechargeState.PAID
    recharge.channel_trade_no = channel_trade_no
    recharge.paid_at = paid_at or at or now()
    recharge.next_check_at, recharge.problem = None, ""
    recharge.save(
        update_fields=["state", "channel_trade_no", "paid_at", "next_check_at", "problem", "updated_at"]
    )
    ledger.post(
        key=f"recharge:{recharge_no}",
        kind=JournalKind.RECHARGE,
        wallet=wallet,
        reference=recharge_no,
        lines=[
            debit(AccountKind.CHANNEL_CLEARING, recharge.amount, recharge.channel),
            credit(AccountKind.CUSTOMER_PRINCIPAL, recharge.amount),
            debit(AccountKind.BONUS_EXPENSE, recharge.bonus),
            credit(AccountKind.CUSTOMER_BONUS, recharge.bonus),
        ],
        at=at,
    )
    debts.recover(wallet, recharge_no, at)
    transaction.on_commit(partial(signals.recharge_paid.send_robust, sender=None, recharge_no=recharge_no))
