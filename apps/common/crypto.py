"""Secrets at rest: encrypted with keys from the environment, never shown again."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


@functools.cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )


def encrypt(text: str) -> str:
    """Return `text` encrypted with the first of settings.FIELD_KEYS; empty stays empty."""
    return _fernet(tuple(settings.FIELD_KEYS)).encrypt(text.encode()).decode() if text else ""


def decrypt(token: str) -> str:
    """Return what `encrypt` was given, with whichever of the keys fits. Raises InvalidToken."""
    return _fernet(tuple(settings.FIELD_KEYS)).decrypt(token.encode()).decode() if token else ""


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database. It cannot be searched; forms show a mask, never the value."""

    def from_db_value(self, value: str | None, *_args: Any) -> str | None:
        """Decrypt what was stored. A value of a lost key reads as empty, and is asked for anew."""
        try:
            return decrypt(value) if value else value
        except InvalidToken:
            return ""

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt what is to be stored."""
        prepared = super().get_prep_value(value)
        return encrypt(prepared) if prepared else prepared
