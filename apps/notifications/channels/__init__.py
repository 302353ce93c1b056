"""Ways out: one module for each provider. They know no tables; `apps.notifications.accounts` makes them of rows."""
