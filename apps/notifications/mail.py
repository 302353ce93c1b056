"""E-mail: from the tenant's mailbox that is in use, else by the server that EMAIL_URL names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.mail import get_connection

from apps.common.schema import in_public
from apps.common.wire import NoAnswer, PrivateAddress, refuse_private
from apps.notifications.channels import mail
from apps.notifications.channels.base import NotConfigured, Unknown
from apps.notifications.channels.mail import Attachment
from apps.notifications.models import MailAccount

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def send(*, to: str, subject: str, text: str, attachments: Sequence[Attachment] = ()) -> None:
    """Send one plain mail to one address, now. Raises SendError.

    Takes seconds: most want `services.post`, which sends in the background and tries again. Works on the platform's
    own site too, with the deployment's server.
    """
    account = None if in_public() else MailAccount.objects.filter(is_active=True).first()
    if account is not None:
        send_by(account, to=to, subject=subject, text=text, attachments=attachments)
        return
    if not settings.EMAIL_BACKEND:
        raise NotConfigured("mail_account")
    mail.send(
        get_connection(), sender=settings.DEFAULT_FROM_EMAIL, to=to, subject=subject, text=text,
        attachments=attachments,
    )  # fmt: skip


def send_by(
    account: MailAccount, *, to: str, subject: str, text: str, attachments: Sequence[Attachment] = ()
) -> None:
    """Send from this mailbox. Raises SendError; NotConfigured (host) for a server within our own network."""
    _refuse_private(account)
    mail.send(
        _backend(account),
        sender=account.from_address,
        to=to,
        subject=subject,
        text=text,
        attachments=attachments,
    )


def sign_in(account: MailAccount) -> None:
    """Connect to the mailbox's server and sign in, and send nothing. Raises SendError."""
    _refuse_private(account)
    mail.sign_in(_backend(account))


def _refuse_private(account: MailAccount) -> None:
    try:
        refuse_private(account.host, account.port, allowed=settings.OUTGOING_PRIVATE_HOSTS)
    except PrivateAddress as error:
        raise NotConfigured("host") from error
    except NoAnswer as error:
        raise Unknown(error.cause) from error


def _backend(account: MailAccount) -> Any:
    return get_connection(
        SMTP,
        host=account.host,
        port=account.port,
        username=account.username,
        password=account.password,
        use_ssl=account.security == "ssl",
        use_tls=account.security == "starttls",
        timeout=settings.MESSAGE_TIMEOUT_S[1],
    )
