"""`make e2e`: a charge, then money with a coupon, refunds and the provider's bill."""

import sys

from tests.e2e.drive import main
from tests.e2e.money import money

sys.exit(main(money))
