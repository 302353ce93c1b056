"""Ways out: one module for each provider. They know no tables; `sms`, `mail` and `robots` make them of rows."""
