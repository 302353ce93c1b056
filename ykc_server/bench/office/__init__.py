"""Pages of the back office over five million orders, against the same pages over a few hundred."""
