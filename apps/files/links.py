"""Addresses of files. A file's own address asks who wants it; a signed one is good for whoever has it, for a while."""

from __future__ import annotations

from datetime import timedelta

from django.core.signing import BadSignature, TimestampSigner
from django.urls import reverse

from apps.common.schema import current_schema
from apps.files.models import StoredFile

_SALT = "files.link"
SIGNATURE = "s"
"""The parameter that holds a signature."""

LIFETIME = timedelta(hours=2)


def path(file: StoredFile, *, thumbnail: bool = False) -> str:
    """Return a file's address for those who may open it."""
    return reverse("files_thumbnail" if thumbnail else "files_file", args=[file.number])


def signed_path(file: StoredFile, *, thumbnail: bool = False) -> str:
    """Return an address that opens the file for anybody until LIFETIME is over: for apps, which have no session."""
    return f"{path(file, thumbnail=thumbnail)}?{SIGNATURE}={_signer().sign(_subject(file)).partition(':')[2]}"


def signature_holds(file: StoredFile, signature: str) -> bool:
    """Return whether a signature is of this file, of this tenant, and not over."""
    try:
        _signer().unsign(f"{_subject(file)}:{signature}", max_age=LIFETIME)
    except BadSignature:
        return False
    return True


def _signer() -> TimestampSigner:
    return TimestampSigner(salt=_SALT)


def _subject(file: StoredFile) -> str:
    return f"{current_schema()}/{file.number}"
