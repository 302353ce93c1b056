"""A write that is asked for twice with one Idempotency-Key is done once, and answered twice.

The answer is kept in Redis for a day. What moves money has its key in the database instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import DomainError
from apps.customers.models import Customer
from apps.miniapp.api import idempotency_key

KEPT_S = 24 * 3600
AT_WORK_S = 60
"""A request that died leaves its mark for so long."""
_AT_WORK = "at work"


class KeyInUse(DomainError):
    code = "idempotency.in_use"
    message = _("The same request is being worked on. Please wait a moment.")
    status = 409


class KeyOfAnother(DomainError):
    code = "idempotency.other_request"
    message = _("This Idempotency-Key was used for another request. Send a new one.")
    status = 409


def once(
    request: Request,
    customer: Customer,
    work: Callable[[], dict[str, Any]],
    *,
    status: int = 200,
    may_lack_key: bool = False,
) -> Response:
    """Do `work` and answer what it returns (as JSON); for a key that was used, answer as the first time.

    Work that raises was not done and may be tried again with the same key. Raises IdempotencyKeyMissing, KeyInUse,
    and KeyOfAnother for a key that came with another body. With `may_lack_key` a request without one is just done.
    """
    if may_lack_key and "Idempotency-Key" not in request.headers:
        return Response(work(), status=status)
    words = f"{customer.pk}\0{request.path}\0{idempotency_key(request)}"
    mark = f"once:{hashlib.sha256(words.encode()).hexdigest()}"
    asked = json.dumps(request.data, sort_keys=True, default=str)
    digest = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
    if not cache.add(mark, (digest, _AT_WORK), AT_WORK_S):
        before, answer = cache.get(mark) or (digest, _AT_WORK)
        if before != digest:
            raise KeyOfAnother
        if answer == _AT_WORK:
            raise KeyInUse
        return Response(json.loads(answer), status=status)
    try:
        done = work()
    except BaseException:
        cache.delete(mark)
        raise
    cache.set(mark, (digest, json.dumps(done, default=str)), KEPT_S)
    return Response(done, status=status)
