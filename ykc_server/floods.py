"""How many logins that lead to nothing an address may send: a token bucket for each.

A login is free when it lets a pile in that was not connected, so thousands of piles behind one address come back
after an outage unhindered. One that is refused, or repeats a login that still stands, costs a token; without tokens
an address is not answered and the database is not asked.
"""

from __future__ import annotations

ADDRESSES = 10_000
"""Buckets that are kept; when there are more, those that have filled up again go, then the oldest."""


class LoginLimit:
    """Token buckets by address. `burst` tokens at most, `per_minute` come back; a burst of 0 is no limit."""

    def __init__(self, burst: int, per_minute: float) -> None:
        self._burst = burst
        self._per_s = per_minute / 60
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, address: str, moment: float) -> bool:
        """Whether an address has a token left; `moment` in monotonic seconds."""
        return not self._burst or self._tokens(address, moment) >= 1

    def charge(self, address: str, moment: float) -> None:
        """Take a token."""
        if self._burst:
            self._buckets[address] = (max(0.0, self._tokens(address, moment) - 1), moment)
            if len(self._buckets) > ADDRESSES:
                self._forget(moment)

    def _tokens(self, address: str, moment: float) -> float:
        tokens, since = self._buckets.get(address, (float(self._burst), moment))
        return min(float(self._burst), tokens + (moment - since) * self._per_s)

    def _forget(self, moment: float) -> None:
        full = [address for address in self._buckets if self._tokens(address, moment) >= self._burst]
        for address in full:
            del self._buckets[address]
        for address in list(self._buckets)[: max(0, len(self._buckets) - ADDRESSES)]:
            del self._buckets[address]
