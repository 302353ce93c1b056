"""Writes of activities: published, withdrawn, given a cover."""

from __future__ import annotations

from datetime import datetime
from typing import IO

from django.db import transaction
from django.utils.translation import gettext as _

from apps.common import richtext
from apps.common.ids import Actor
from apps.common.time import now
from apps.files import content, kinds
from apps.files import services as files
from apps.files.models import StoredFile
from apps.marketing import texts
from apps.marketing.errors import NotPublishable
from apps.marketing.models import Activity
from apps.marketing.selectors import FEATURE
from apps.tenancy import features

COVER = kinds.register(kinds.Kind("activity-cover", content.PICTURES, texts.MOST_BYTES, opens=texts.opens))


def publish(*, activity: Activity, at: datetime | None = None) -> Activity:
    """Show it to drivers while its period runs; again changes nothing. Raises NotPublishable, FeatureMissing."""
    features.require(FEATURE)
    moment = at or now()
    with transaction.atomic():
        locked = Activity.objects.select_for_update(of=("self",)).get(pk=activity.pk)
        if locked.is_published:
            return locked
        if locked.ends_at <= moment:
            raise NotPublishable(why=_("its period is over."))
        if richtext.is_blank(locked.text):
            raise NotPublishable(why=_("it has no text."))
        if locked.is_banner and locked.cover_id is None:
            raise NotPublishable(why=_("a banner needs a cover."))
        locked.is_published, locked.published_at = True, moment
        locked.save()
    return locked


def withdraw(*, activity: Activity) -> Activity:
    """Take it from the app at once; again changes nothing."""
    with transaction.atomic():
        locked = Activity.objects.select_for_update(of=("self",)).get(pk=activity.pk)
        locked.is_published = False
        locked.save()
    return locked


def set_cover(*, activity: Activity, file: IO[bytes], name: str, actor: Actor) -> Activity:
    """Give it another cover; the one before is thrown away.

    Raises what is wrong with a file: FileEmpty, FileTooLarge, FileTypeRefused, PictureBroken.
    """
    stored = files.store(kind=COVER, file=file, name=name, owner=actor)
    with transaction.atomic():
        locked = Activity.objects.select_for_update(of=("self",)).select_related("cover").get(pk=activity.pk)
        before, locked.cover = locked.cover, stored
        locked.save()
    if before is not None:
        files.discard(before)
    return locked


def add_picture(*, file: IO[bytes], name: str, actor: Actor) -> StoredFile:
    """Keep a picture for a text that is being written: for a day, and for good once a saved text shows it.

    Raises what is wrong with a file: FileEmpty, FileTooLarge, FileTypeRefused, PictureBroken.
    """
    return files.store(kind=texts.PICTURE, file=file, name=name, owner=actor)
