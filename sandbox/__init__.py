"""Providers of payments and sign-in to try against: small HTTP servers like the real ones, for tests and the demo.

Each checks every request's signature with its own code and keys, keeps orders, refunds and bills, signs its answers,
sends signed notices, refuses in the provider's words, and fails on demand (`provider.FAULTS`). Nothing here knows the
clients: two independent readings of one protocol meet over HTTP. State lives in memory.
"""
