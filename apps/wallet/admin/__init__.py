"""Back-office pages of the wallet; each module registers its own."""

from apps.wallet.admin import (  # noqa: F401 - they register themselves
    books,
    charges,
    enterprises,
    ledger,
    merchants,
    payments,
    reconciliation,
    refunds,
)
