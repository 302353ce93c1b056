"""The storage of files as the platform sees it: an object is put, read and removed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import botocore.exceptions
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.common.schema import current_schema
from apps.files.services import is_object_storage
from apps.tenancy.connections import Connection, Kind, Outcome, register

WORDS = b"chargeplat"


def _found() -> Iterator[Connection]:
    if is_object_storage():
        bucket = getattr(default_storage, "bucket_name", "")
        yield Connection("storage", _("object storage"), str(bucket))
    else:
        yield Connection("storage", _("this system's disk"))


def _test(number: str) -> Outcome | None:
    if number != "storage":
        return None
    key = f"{current_schema()}/test/{uuid4()}"
    try:
        default_storage.save(key, ContentFile(WORDS))
        with default_storage.open(key) as file:
            same = file.read() == WORDS
        default_storage.delete(key)
    except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return Outcome(False, str(error)[:200])
    return Outcome(same, "" if same else _("what was read is not what was written"))


register(Kind("storage", gettext_lazy("files"), _found, _test))
