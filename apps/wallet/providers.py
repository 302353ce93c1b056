"""Merchant accounts as the platform sees them: which there are, and whether they work."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from apps.common.ids import whole_number
from apps.tenancy.connections import Connection, Kind, Outcome, register
from apps.wallet import merchants
from apps.wallet.models import MerchantAccount


def _found() -> Iterator[Connection]:
    for account in MerchantAccount.objects.order_by("channel", "id"):
        name = f"{account.get_channel_display()} {account.name}"
        yield Connection(str(account.pk), name, account.merchant_no, account.is_active)


def _test(number: str) -> Outcome | None:
    account = MerchantAccount.objects.filter(pk=whole_number(number)).first()
    if account is None:
        return None
    found = merchants.check_connection(merchant=account)
    return Outcome(found.ok, str(merchants.CAUSES.get(found.cause, found.cause)))


register(Kind("payment", _("payment"), _found, _test))
