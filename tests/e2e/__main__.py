"""`make e2e`."""

import sys

from tests.e2e.drive import main

sys.exit(main())
