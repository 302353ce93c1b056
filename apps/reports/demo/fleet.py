"""The demo's company that pays for its drivers' charges: post-paid, with limits, a top-up that two people booked.

Its charges came first, at its credit; the top-up was booked when the demo was made.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from apps.backoffice import approvals
from apps.backoffice.enums import ApprovalState
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.money import ZERO
from apps.customers.enterprises import add_members, set_account
from apps.customers.models import Customer, Enterprise, EnterpriseAccountKind, EnterpriseMember, Payer
from apps.orders import payers
from apps.orders import refunds as order_refunds
from apps.orders.balance import hold_maximum
from apps.orders.enums import OrderState
from apps.orders.models import Order, OrderRefund
from apps.reports.demo.plan import FIRST_OLDER_DRIVER
from apps.tenancy import features
from apps.wallet import enterprise_accounts
from apps.wallet.services import account_of

COMPANY = "顺风同城配送"
SPENT = 7
FLEET = (3, SPENT, 11, 19, *range(FIRST_OLDER_DRIVER + 2, FIRST_OLDER_DRIVER + 6))
"""Its drivers. What SPENT may charge in a month is soon used up."""
SPENT_LIMIT = Decimal("30.00")
CREDIT, LIMIT, MEMBER_LIMIT = Decimal("10000.00"), Decimal("12000.00"), Decimal("2500.00")
"""Yuan, more than the demo's days cost: who pays is the same in whatever order they are made."""
TOP_UP, NUMBER = Decimal("8000.00"), "BOC2026000118"
REFUND_KEY = "seed:fleet"


def seed_fleet(drivers: dict[int, Customer], actor: Actor) -> None:
    """Make the company with its members, and let it pay for them: once, so that staff may change all of it."""
    if not features.has("enterprises"):
        return
    enterprise, created = Enterprise.objects.get_or_create(
        name=COMPANY,
        defaults={"percent_off": Decimal(15), "contact": "车队 李经理", "station_share": Decimal(30)},
    )
    if created:
        add_members(enterprise=enterprise, phones=[one.phone for one in drivers.values()], actor=actor)
    if enterprise.account_kind == EnterpriseAccountKind.NONE and _top_up() is None:
        members = EnterpriseMember.objects.filter(enterprise=enterprise)
        for number, driver in drivers.items():
            limit = SPENT_LIMIT if number == SPENT else None
            members.filter(phone=driver.phone).update(name=driver.nickname, monthly_limit=limit)
        set_account(
            enterprise=enterprise,
            account_kind=EnterpriseAccountKind.POSTPAID,
            credit_limit=CREDIT,
            monthly_limit=LIMIT,
            member_monthly_limit=MEMBER_LIMIT,
        )


def pays(*, customer: Customer, station_id: int, amount: Decimal | None, at: datetime) -> bool:
    """Return whether a driver's enterprise pays a charge of `amount` yuan that begins then (None: of any amount)."""
    if not payers.choose(customer=customer, asked=None).pays:
        return False
    offer = payers.offer_of(
        customer=customer, station_id=station_id, amount=amount, maximum=hold_maximum(), at=at
    )
    return offer is not None and not offer.problem


def plate_of(driver: Customer) -> str:
    """Return the plate of the company's car that a driver has."""
    return f"沪AD{driver.phone[-5:]}"


def book_top_up(asker: Actor, approver: Actor) -> None:
    """Let one person ask to book what the company transferred, and another approve where the tenant's rule wants so."""
    asked = _top_up()
    if asked is None and features.has("enterprises"):
        asked = enterprise_accounts.request_deposit(
            account=account_of(enterprise=Enterprise.objects.get(name=COMPANY)),
            amount=TOP_UP,
            number=NUMBER,
            actor=asker,
            reason="对公转账到账",
        )
    if asked is not None and asked.state == ApprovalState.PENDING:
        approvals.approve(asked.pk, approver)


def _top_up() -> Approval | None:
    """What was asked for, whatever became of it."""
    return Approval.objects.filter(operation=enterprise_accounts.DEPOSIT.code, payload__number=NUMBER).first()


def give_one_back(asker: Actor, reviewer: Actor) -> None:
    """Refund the service fee of one charge to the company, once, two people again."""
    paid = Order.objects.filter(enterprise__name=COMPANY, payer=Payer.ENTERPRISE, state=OrderState.COMPLETED)
    order = paid.filter(service_payable__gt=2).order_by("-id").first()
    if order is None or OrderRefund.objects.filter(request_key=REFUND_KEY).exists():
        return
    refund = order_refunds.apply(
        order_no=order.order_no,
        electricity=ZERO,
        service=order.refundable_service,
        reason="充电功率过低",
        applied_by=asker,
        request_key=REFUND_KEY,
    )
    order_refunds.approve(refund_no=refund.refund_no, reviewer=reviewer)
