"""Counters and codes of sign-in, in Redis. Each step is one script, so requests at the same instant count once each.

Times come from the caller's clock as milliseconds; Redis' own expiry only frees memory. Every key carries the schema.
An emptied Redis forgets codes and counters, never money: people ask for a code again.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from django.conf import settings

from apps.common.schema import current_schema

# Takes one place in every window, or in none. KEYS: a sorted set of moments for each rule. ARGV: now (ms), a unique
# member, then window (ms) and limit of each rule. Returns {0, 0}, or {rule, ms to wait} of the rule that waits longest.
_TAKE = """
local now, worst, wait = tonumber(ARGV[1]), 0, 0
for i, key in ipairs(KEYS) do
  local window, limit = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  if redis.call('ZCARD', key) >= limit then
    local oldest = redis.call('ZRANGE', key, -limit, -limit, 'WITHSCORES')
    local left = oldest[2] and tonumber(oldest[2]) + window - now or window
    if left > wait then worst, wait = i, left end
  end
end
if worst > 0 then return {worst, wait} end
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[2])
  redis.call('PEXPIRE', key, ARGV[2 * i + 1])
end
return {0, 0}
"""

# One try at a code. ARGV: digest, now (ms), tries allowed. Returns 1 if it was right (and is used up now), else 0.
_TRY_CODE = """
local code = redis.call('HMGET', KEYS[1], 'digest', 'until', 'tries')
if not code[1] or tonumber(code[2]) <= tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1])
  return 0
end
if code[1] == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 1
end
if tonumber(code[3]) + 1 >= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
else
  redis.call('HINCRBY', KEYS[1], 'tries', 1)
end
return 0
"""

# Counts one failure; the one that fills the window locks. KEYS: failures, lock. ARGV: now (ms), member, window, limit,
# lock time (ms).
_FAIL = """
local now, window = tonumber(ARGV[1]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('PEXPIRE', KEYS[1], window)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[2], now + tonumber(ARGV[5]), 'PX', ARGV[5])
end
"""

# Takes a place for a try among the failures that every window still allows, or in none. KEYS: failures, lock, tries
# under way of each. ARGV: now (ms), member, how long a try may take (ms), then window (ms) and limit of each. Returns
# 0, or the ms to wait: until a lock ends, or a second where tries under way have taken the last places. Failures alone
# refuse nobody, even where the limit was lowered below them: a lock does, and the next failure sets it.
_ENTER = """
local now, wait = tonumber(ARGV[1]), 0
for i = 1, #KEYS / 3 do
  local failures, under_way = KEYS[3 * i - 2], KEYS[3 * i]
  local left = tonumber(redis.call('GET', KEYS[3 * i - 1]) or 0) - now
  if left <= 0 then
    redis.call('ZREMRANGEBYSCORE', failures, '-inf', now - tonumber(ARGV[2 * i + 2]))
    redis.call('ZREMRANGEBYSCORE', under_way, '-inf', now)
    local trying = redis.call('ZCARD', under_way)
    local taken = redis.call('ZCARD', failures) + trying
    left = trying > 0 and taken >= tonumber(ARGV[2 * i + 3]) and 1000 or 0
  end
  wait = math.max(wait, left)
end
if wait > 0 then return wait end
for i = 1, #KEYS / 3 do
  redis.call('ZADD', KEYS[3 * i], now + tonumber(ARGV[3]), ARGV[2])
  redis.call('PEXPIRE', KEYS[3 * i], ARGV[3])
end
return 0
"""
TRY_MS = 30_000


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` times within any `seconds` for one `subject` (a phone, an address)."""

    name: str
    subject: str
    seconds: int
    limit: int

    @property
    def key(self) -> str:
        return _key("window", self.name, self.subject)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The window that is full, and how long until it has room."""

    window: Window
    retry_after_s: int


def take(windows: Sequence[Window], *, at: datetime) -> Refusal | None:
    """Count one event in all windows, or in none when one of them is full: then say which, and until when."""
    arguments: list[int | str] = [_ms(at), secrets.token_hex(8)]
    for window in windows:
        arguments += [window.seconds * 1000, window.limit]
    index, wait_ms = _script(_TAKE)(keys=[window.key for window in windows], args=arguments)
    if not index:
        return None
    return Refusal(windows[index - 1], max(1, -(-wait_ms // 1000)))


def count(window: Window, *, at: datetime) -> int:
    """Return how many events the window holds now."""
    return int(_client().zcount(window.key, f"({_ms(at) - window.seconds * 1000}", "+inf"))


def store_code(*, name: str, digest: str, at: datetime, seconds: int) -> None:
    """Keep the digest of a code under a name for `seconds`; an older code of that name is gone."""
    key = _key("code", name)
    with _client().pipeline(transaction=True) as pipeline:
        pipeline.delete(key)
        pipeline.hset(key, mapping={"digest": digest, "until": _ms(at) + seconds * 1000, "tries": 0})
        pipeline.expire(key, seconds)
        pipeline.execute()


def try_code(*, name: str, digest: str, at: datetime, tries: int) -> bool:
    """Return whether the digest is that of the living code, which is then used up. The last wrong try kills it."""
    return bool(_script(_TRY_CODE)(keys=[_key("code", name)], args=[digest, _ms(at), tries]))


def fail(window: Window, *, at: datetime, lock_s: int) -> None:
    """Count one failure; the one that fills the window locks its subject for `lock_s` seconds and empties it."""
    _script(_FAIL)(
        keys=[window.key, _lock_key(window)],
        args=[_ms(at), secrets.token_hex(8), window.seconds * 1000, window.limit, lock_s * 1000],
    )


@contextmanager
def trying(windows: Sequence[Window], *, at: datetime) -> Iterator[int]:
    """Hold a place among the failures that all windows still allow while something is tried, and give 0.

    However many try at the same instant, no more fail before the lock than the window allows; where the limit was
    lowered to what has failed already or less, one is tried at a time, and the next that fails locks. Without a place
    it gives the seconds to wait, and nothing may be tried. Whoever failed says so by `fail`, before the place is given
    up.
    """
    member = secrets.token_hex(8)
    keys = [key for window in windows for key in (window.key, _lock_key(window), _try_key(window))]
    arguments: list[int | str] = [_ms(at), member, TRY_MS]
    for window in windows:
        arguments += [window.seconds * 1000, window.limit]
    wait_ms = int(_script(_ENTER)(keys=keys, args=arguments))
    if wait_ms:
        yield max(1, -(-wait_ms // 1000))
        return
    try:
        yield 0
    finally:
        for window in windows:
            _client().zrem(_try_key(window), member)


def locked_for_s(window: Window, *, at: datetime) -> int:
    """Return for how many seconds more the window's subject is locked, 0 if it is not."""
    until = _client().get(_lock_key(window))
    return max(0, -(-(int(until) - _ms(at)) // 1000)) if until else 0


def clear(window: Window) -> None:
    """Forget the window's events and its lock."""
    _client().delete(window.key, _lock_key(window))


def _lock_key(window: Window) -> str:
    return _key("lock", window.name, window.subject)


def _try_key(window: Window) -> str:
    return _key("try", window.name, window.subject)


def _key(*parts: str) -> str:
    return ":".join(("chargeplat:sign-in", current_schema(), *parts))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@functools.cache
def _client() -> Any:
    return redis.Redis.from_url(settings.REDIS, decode_responses=True, socket_timeout=5)


@functools.cache
def _script(text: str) -> Any:
    return _client().register_script(text)
