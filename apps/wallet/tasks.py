"""Celery entry points of the wallet."""

from contextlib import suppress

from celery import shared_task


@shared_task(name="wallet.process_notice")
def process_notice(notice_id: int) -> None:
    """Do what a payment provider told."""
    from apps.wallet import notices
    from apps.wallet.errors import NoticeNotFound

    with suppress(NoticeNotFound):
        notices.process_notice(notice_id=notice_id)


@shared_task(name="wallet.process_notices")
def process_notices() -> None:
    """Find notices whose task was lost."""
    from apps.wallet import notices

    for notice_id in notices.pending_notices():
        process_notice.delay(notice_id)


@shared_task(name="wallet.check_recharge")
def check_recharge(recharge_no: str) -> None:
    """Ask the provider about one top-up; its row says when to ask again if there is no answer."""
    from apps.common.errors import DomainError
    from apps.wallet import recharges
    from apps.wallet.channels.base import Mismatch

    with suppress(DomainError, Mismatch):
        recharges.check_recharge(recharge_no=recharge_no)


@shared_task(name="wallet.check_recharges")
def check_recharges() -> None:
    """Ask about every top-up whose time has come."""
    from apps.wallet import recharges

    for recharge_no in recharges.due_recharges():
        check_recharge.delay(recharge_no)


@shared_task(name="wallet.refresh_keys")
def refresh_keys(merchant_id: int | None = None) -> None:
    """Look for new platform certificates of WeChat Pay."""
    from apps.wallet import merchants

    merchants.refresh_all_keys(merchant_id=merchant_id)


@shared_task(name="wallet.reconcile")
def reconcile() -> None:
    """Fetch and match the bills of payment channels that are due."""
    from apps.wallet import reconcile as reconciliation

    reconciliation.reconcile_due()


@shared_task(name="wallet.execute_refund")
def execute_refund(refund_no: str) -> None:
    """Pay one approved refund through its channels."""
    from apps.wallet import refund_run
    from apps.wallet.errors import RefundNotFound

    with suppress(RefundNotFound):
        refund_run.run_refund(refund_no=refund_no)


@shared_task(name="wallet.execute_refunds")
def execute_refunds() -> None:
    """Begin approved refunds, and ask about every part whose time has come or whose task died."""
    from apps.wallet import refund_run

    refund_run.run_due()
