"""E-mail over SMTP, by Django's own backends; what may go wrong there in the words of the other ways out."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Callable, Sequence
from typing import Any

from django.core.mail import EmailMessage

from apps.notifications.channels.base import Busy, Refused, Unknown

Attachment = tuple[str, bytes, str]
"""File name, content, type."""


def send(
    backend: Any, *, sender: str, to: str, subject: str, text: str, attachments: Sequence[Attachment] = ()
) -> None:
    """Send one plain mail to one address. Raises Refused, Busy, Unknown."""
    message = EmailMessage(" ".join(subject.split()), text, sender, [to], connection=backend)
    for name, content, kind in attachments:
        message.attach(name, content, kind)
    _talk(backend, message.send)


def sign_in(backend: Any) -> None:
    """Connect, encrypt and sign in as sending would, and send nothing. Raises Refused, Busy, Unknown."""
    _talk(backend, backend.open)


def _talk(backend: Any, what: Callable[[], object]) -> None:
    try:
        what()
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        raise _refusal(code, words) from error
    except smtplib.SMTPResponseException as error:  # sender refused, data refused, authentication, greeting
        raise _refusal(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused("not_supported", str(error)) from error
    except smtplib.SMTPException as error:
        raise Unknown("connection", str(error)) from error
    except TimeoutError as error:
        raise Unknown("timeout") from error
    except OSError as error:  # nobody there, a wrong certificate
        raise Unknown("connection", str(error)) from error
    finally:
        # Django leaves the connection open when signing in to the server failed.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            backend.close()


def _refusal(code: int, words: bytes | str) -> Busy | Refused:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return Busy(f"smtp_{code}", text) if 400 <= code < 500 else Refused(f"smtp_{code}", text)
