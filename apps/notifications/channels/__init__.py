"""Ways out: one module for each provider."""
