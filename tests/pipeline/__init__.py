"""The whole way from a charge to money, without a database, against the oracle: `make oracle`."""
