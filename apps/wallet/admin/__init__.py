"""Back-office pages of the wallet; each module registers its own."""

from apps.wallet.admin import books, charges, ledger, merchants, payments  # noqa: F401 - they register themselves
