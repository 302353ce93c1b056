"""Texts of activities, and the pictures in them: files of ours, by their own address, which a driver gets signed.

A picture is uploaded while a text is written, before anybody knows whether it will be saved. So it is one that goes
after a day (apps.files.services.purge), until a saved text shows it; when the last text lets go of it, it goes again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.common import richtext
from apps.common.time import now
from apps.files import content, kinds, links
from apps.files.enums import FileState
from apps.files.models import StoredFile

VIEW = "marketing.view_activity"
MOST_BYTES = 5 * kinds.MB
UNUSED = kinds.DAY
"""So long a picture stays that no text shows."""


def opens(request: HttpRequest, _file: StoredFile) -> bool:
    """Staff who see activities see their pictures."""
    person: Any = request.user
    return bool(person.has_perm(VIEW))


PICTURE = kinds.register(
    kinds.Kind("activity-picture", content.PICTURES, MOST_BYTES, opens=opens, lifetime=UNUSED)
)

_NUMBER = re.compile(r"/files/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")
_SOURCE = re.compile(rf'src="({_NUMBER.pattern})"')


def clean(text: str) -> str:
    """Return what may be stored of a text: harmless tags, and those of its pictures that are there."""
    return with_pictures(text, _pictures(text))


def with_pictures(text: str, pictures: Iterable[StoredFile]) -> str:
    """Return a clean text, with no pictures but these."""
    return richtext.clean(text, pictures={links.path(one) for one in pictures})


def for_drivers(text: str) -> str:
    """Return a stored text whose pictures open without a session for a while: apps have none."""
    signed = {links.path(one): links.signed_path(one) for one in _pictures(text)}
    return _SOURCE.sub(lambda found: f'src="{signed.get(found[1], found[1])}"', text)


def locked_pictures(*written: str) -> Sequence[StoredFile]:
    """Lock the pictures that texts name and return them; in a transaction."""
    return list(_pictures(*written).select_for_update().order_by("pk"))


def shows_any(pictures: Iterable[StoredFile]) -> Q:
    """Return the condition for texts that show one of these pictures."""
    return reduce(or_, (Q(text__contains=links.path(one)) for one in pictures), Q(pk__in=()))


def keep(pictures: Sequence[StoredFile], shown: Sequence[str]) -> None:
    """Let locked pictures stay that one of the texts `shown` shows, and the others go in a day."""
    used = _numbers(*shown)
    rows = StoredFile.objects.filter(pk__in=[one.pk for one in pictures])
    rows.filter(number__in=used).exclude(expires_at=None).update(expires_at=None)
    rows.exclude(number__in=used).filter(expires_at=None).update(expires_at=now() + UNUSED)


def _pictures(*written: str) -> QuerySet[StoredFile]:
    """The pictures of texts that the current tenant has and that are not over."""
    found = _numbers(*written)
    if not found:
        return StoredFile.objects.none()
    rows = StoredFile.objects.filter(kind=PICTURE.name, state=FileState.READY, number__in=found)
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=now()))


def _numbers(*written: str) -> set[UUID]:
    return {UUID(found) for text in written for found in _NUMBER.findall(text)}
