from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from apps.common.money import AmountError
from apps.wallet import ledger, recharges, selectors, services
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.errors import AmountNotAllowed, ChannelNotAvailable, KeyReused
from apps.wallet.models import JournalEntry, Posting
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")
CASH, OWN, HELD = AccountKind.CHANNEL_CLEARING, AccountKind.CUSTOMER_PRINCIPAL, AccountKind.HELD_PRINCIPAL


def post(customer, *lines, key="k"):
    wallet = services.lock_wallet(customer_id=customer.pk)
    return ledger.post(key=key, kind=JournalKind.RECHARGE, wallet=wallet, reference="r", lines=lines)


def balances(customer):
    wallet = services.wallet_of(customer=customer)
    return wallet.principal, wallet.held_principal


def test_an_entry_moves_the_wallet_and_its_legs_sum_to_zero():
    customer = factories.a_customer("0")
    entry = post(
        customer, ledger.debit(CASH, Decimal("5.00"), "sandbox"), ledger.credit(OWN, Decimal("5.00"))
    )
    assert balances(customer) == (Decimal("5.00"), Decimal("0.00"))
    assert [(leg.account.kind, leg.amount) for leg in entry.postings.all()] == [
        ("channel_clearing", Decimal("5.00")),
        ("customer_principal", Decimal("-5.00")),
    ]


def test_the_same_key_moves_nothing_again():
    customer = factories.a_customer("0")
    lines = ledger.debit(CASH, Decimal("5.00"), "sandbox"), ledger.credit(OWN, Decimal("5.00"))
    assert post(customer, *lines) == post(customer, *lines)
    assert balances(customer) == (Decimal("5.00"), Decimal("0.00"))


def test_lines_that_do_not_balance_are_refused():
    customer = factories.a_customer("0")
    with pytest.raises(ledger.UnbalancedEntry):
        post(customer, ledger.debit(CASH, Decimal("5.00")), ledger.credit(OWN, Decimal("4.99")))
    with pytest.raises(AmountError):
        post(customer, ledger.debit(CASH, Decimal("0.005")), ledger.credit(OWN, Decimal("0.005")))
    assert JournalEntry.objects.count() == 0


def test_lines_of_zero_are_no_entry():
    customer = factories.a_customer("0")
    assert post(customer, ledger.debit(OWN, Decimal(0)), ledger.credit(HELD, Decimal(0))) is None


def test_a_balance_below_zero_is_refused_by_the_database():
    customer = factories.a_customer("5.00")
    with pytest.raises(IntegrityError), transaction.atomic():
        post(customer, ledger.debit(OWN, Decimal("5.01")), ledger.credit(HELD, Decimal("5.01")))
    assert balances(customer) == (Decimal("5.00"), Decimal("0.00"))


@pytest.mark.parametrize(
    "statement",
    [
        "update wallet_posting set amount = amount * 2",
        "delete from wallet_posting",
        "update wallet_journalentry set memo = 'x'",
        "delete from wallet_journalentry",
    ],
)
def test_the_journal_cannot_be_changed(statement):
    factories.a_customer("5.00")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Posting.objects.count() == 2


def test_a_hold_takes_principal_before_bonus_and_gives_each_back():
    customer = factories.a_customer("10.00")
    wallet = services.lock_wallet(customer_id=customer.pk)
    lines = [
        ledger.debit(AccountKind.BONUS_EXPENSE, Decimal("5.00")),
        ledger.credit(AccountKind.CUSTOMER_BONUS, Decimal("5.00")),
    ]
    ledger.post(key="b", kind=JournalKind.RECHARGE, wallet=wallet, reference="r", lines=lines)
    hold = services.open_hold(
        customer=customer, order_no="C1", amount=Decimal("12.00"), maximum=Decimal("300.00")
    )
    assert (hold.principal, hold.bonus) == (Decimal("10.00"), Decimal("2.00"))
    payment = services.charge(
        customer=customer, order_no="C1", electricity=Decimal("8.00"), service=Decimal("3.00")
    )
    assert (payment.from_principal, payment.from_bonus, payment.debt) == (
        Decimal("10.00"),
        Decimal("1.00"),
        0,
    )
    wallet.refresh_from_db()
    assert (wallet.principal, wallet.bonus, wallet.held) == (
        Decimal("0.00"),
        Decimal("4.00"),
        Decimal("0.00"),
    )
    again = services.charge(
        customer=customer, order_no="C1", electricity=Decimal("8.00"), service=Decimal("3.00")
    )
    assert again == payment


def test_more_than_the_hold_is_taken_from_available_money_at_once():
    customer = factories.a_customer("30.00")
    services.open_hold(customer=customer, order_no="C1", amount=Decimal("10.00"), maximum=Decimal("300.00"))
    payment = services.charge(
        customer=customer, order_no="C1", electricity=Decimal("12.00"), service=Decimal("3.00")
    )
    assert (payment.from_principal, payment.debt) == (Decimal("15.00"), 0)
    assert balances(customer) == (Decimal("15.00"), Decimal("0.00"))


def test_another_orders_hold_is_not_touched():
    customer = factories.a_customer("30.00")
    for number in ("C1", "C2"):
        services.open_hold(
            customer=customer, order_no=number, amount=Decimal("15.00"), maximum=Decimal("300.00")
        )
    payment = services.charge(
        customer=customer, order_no="C1", electricity=Decimal("20.00"), service=Decimal("0.00")
    )
    assert (payment.from_principal, payment.debt) == (Decimal("15.00"), Decimal("5.00"))
    assert balances(customer) == (Decimal("0.00"), Decimal("15.00"))


def test_a_top_up_is_made_once_for_a_key_and_only_for_the_same_request():
    customer = factories.a_customer("0")
    make = lambda amount: recharges.create_recharge(  # noqa: E731
        customer=customer, amount=Decimal(amount), channel="sandbox", request_key="k"
    )
    assert make("20.00") == make("20.00")
    with pytest.raises(KeyReused):
        make("21.00")


@pytest.mark.parametrize("amount", ["0.99", "5000.01", "0", "-1", "1.001"])
def test_amounts_that_cannot_be_topped_up(amount):
    with pytest.raises(AmountNotAllowed):
        recharges.create_recharge(
            customer=factories.a_customer("0"), amount=Decimal(amount), channel="sandbox", request_key="k"
        )


def test_a_channel_that_is_not_enabled(settings):
    settings.RECHARGE_CHANNELS = []
    with pytest.raises(ChannelNotAvailable):
        recharges.create_recharge(
            customer=factories.a_customer("0"), amount=Decimal(5), channel="sandbox", request_key="k"
        )


def test_a_confirmation_of_another_amount_books_nothing():
    customer = factories.a_customer("0")
    recharge = recharges.create_recharge(
        customer=customer, amount=Decimal("20.00"), channel="sandbox", request_key="k"
    )
    with pytest.raises(AmountNotAllowed):
        recharges.recharge_paid(
            recharge_no=recharge.recharge_no, amount=Decimal("2000.00"), channel_trade_no="T"
        )
    assert balances(customer) == (Decimal("0.00"), Decimal("0.00"))


def test_a_statement_shows_what_came_and_went_but_no_holds():
    customer = factories.a_customer("30.00")
    services.open_hold(customer=customer, order_no="C1", amount=Decimal("10.00"), maximum=Decimal("300.00"))
    services.charge(customer=customer, order_no="C1", electricity=Decimal("3.00"), service=Decimal("1.00"))
    lines = selectors.statement(wallet=services.wallet_of(customer=customer))
    assert [(line.kind, line.change) for line in lines] == [
        ("charge", Decimal("-4.00")),
        ("recharge", Decimal("30.00")),
    ]
    page = selectors.statement(wallet=services.wallet_of(customer=customer), before_id=lines[0].id)
    assert [line.kind for line in page] == ["recharge"]


def test_entries_of_several_wallets_are_written_at_once_each_once():
    rich, poor = factories.a_customer("10.00"), factories.a_customer("1.00")
    wallets = services.lock_wallets([rich.pk, poor.pk])

    def hold(key, customer, amount):
        lines = [ledger.debit(OWN, Decimal(amount)), ledger.credit(HELD, Decimal(amount))]
        drafted = ledger.draft(
            key=key, kind=JournalKind.HOLD, wallet=wallets[customer.pk], reference="r", lines=lines
        )
        drafted.move_wallet()
        return drafted

    drafts = [hold("a", rich, "2.00"), hold("b", rich, "3.00"), hold("c", poor, "1.00")]
    assert ledger.write(drafts) == 3
    assert (wallets[rich.pk].principal, wallets[rich.pk].held_principal) == (Decimal("5.00"), Decimal("5.00"))
    assert balances(rich) == (Decimal("5.00"), Decimal("5.00"))
    assert balances(poor) == (Decimal("0.00"), Decimal("1.00"))
    assert ledger.write([drafts[0], hold("d", rich, "0.50")]) == 1
    assert balances(rich) == (Decimal("4.50"), Decimal("5.50"))
    legs = Posting.objects.filter(entry__key="d").order_by("id").values_list("account__kind", "amount")
    assert list(legs) == [("customer_principal", Decimal("0.50")), ("held_principal", Decimal("-0.50"))]
    with pytest.raises(ValueError, match="two entries of one key"):
        ledger.write([drafts[0], drafts[0]])
    assert services.lock_wallets([]) == {}
