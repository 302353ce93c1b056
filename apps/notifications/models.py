"""Accounts that messages leave by, and the log of every message."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.common.crypto import EncryptedTextField
from apps.common.models import TimeStamped
from apps.notifications.enums import MailSecurity, Medium, MessageState, RobotKind, SmsProviderName


class SmsAccount(TimeStamped):
    """A tenant's account for text messages. One is in use; without one the deployment's own provider sends."""

    name = models.CharField(_("name"), max_length=50)
    provider = models.CharField(_("provider"), max_length=16, choices=SmsProviderName)
    access_key_id = models.CharField(_("access key id"), max_length=100, blank=True)
    access_key_secret = EncryptedTextField(_("access key secret"), blank=True)
    sign_name = models.CharField(
        _("signature"), max_length=40, blank=True, help_text=_("as the provider approved it, without 【】")
    )
    app_id = models.CharField(_("SDK app id"), max_length=40, blank=True)
    region = models.CharField(_("region"), max_length=40, blank=True, default="ap-guangzhou")
    templates = models.JSONField(_("templates"), default=dict, blank=True)
    is_active = models.BooleanField(_("in use"), default=False, editable=False)

    class Meta:
        verbose_name = _("SMS account")
        verbose_name_plural = _("SMS accounts")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_active"], condition=models.Q(is_active=True), name="sms_account_one_active"
            )
        ]
        permissions = [("switch_smsaccount", _("Can put SMS accounts into use and out of it"))]

    def __str__(self) -> str:
        return self.name


class MailAccount(TimeStamped):
    """A tenant's mailbox to send from. One is in use; without one the deployment's own server sends."""

    name = models.CharField(_("name"), max_length=50)
    host = models.CharField(_("SMTP server"), max_length=200)
    port = models.PositiveIntegerField(_("port"), default=465)
    security = models.CharField(
        _("encryption"), max_length=16, choices=MailSecurity, default=MailSecurity.SSL
    )
    username = models.CharField(_("user name"), max_length=200, blank=True)
    password = EncryptedTextField(_("password"), blank=True)
    from_address = models.EmailField(_("sender"))
    is_active = models.BooleanField(_("in use"), default=False, editable=False)

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_active"], condition=models.Q(is_active=True), name="mail_account_one_active"
            )
        ]
        permissions = [("switch_mailaccount", _("Can put mailboxes into use and out of it"))]

    def __str__(self) -> str:
        return self.name


class Robot(TimeStamped):
    """A robot of a group chat, or a webhook of the tenant's own. An address may carry the key, so it is a secret."""

    name = models.CharField(_("name"), max_length=50, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=RobotKind)
    url = EncryptedTextField(_("webhook address"))
    secret = EncryptedTextField(_("signing secret"), blank=True)
    is_active = models.BooleanField(_("in use"), default=True)

    class Meta:
        verbose_name = _("chat robot")
        verbose_name_plural = _("chat robots")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Message(TimeStamped):
    """One message to one address, from the moment that somebody wants it sent. Never changed after it is sent."""

    medium = models.CharField(_("way"), max_length=8, choices=Medium)
    robot = models.ForeignKey(
        Robot,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("chat robot"),
    )
    to = models.CharField(_("address"), max_length=254)
    name = models.CharField(_("recipient"), max_length=100, blank=True)
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    text = models.TextField(_("text"), blank=True)
    template = models.CharField(_("template"), max_length=32, blank=True)
    params = models.JSONField(_("values"), default=dict, blank=True)
    files = models.JSONField(_("attachments"), default=list, blank=True)
    source = models.CharField(_("sent by"), max_length=100, blank=True)
    key = models.CharField(max_length=100, unique=True, null=True, editable=False)
    state = models.CharField(_("state"), max_length=16, choices=MessageState, default=MessageState.WAITING)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    provider_no = models.CharField(_("provider's number"), max_length=64, blank=True)
    error = models.CharField(_("what went wrong"), max_length=400, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["-id"]
        permissions = [("resend_message", _("Can send messages again"))]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(state="waiting"), name="message_due"),
            models.Index(fields=["source", "to", "-created_at"], name="message_of_source"),
            models.Index(
                fields=["robot", "-sent_at"], condition=models.Q(medium="robot"), name="message_of_robot"
            ),
        ]

    def __str__(self) -> str:
        return self.subject or self.template or str(self.pk)

    @property
    def masked_to(self) -> str:
        """The address with its middle hidden: +86138****0001, a***@example.com, a robot's name, or a number."""
        if self.medium == Medium.SMS:
            return f"{self.to[:-8]}****{self.to[-4:]}" if len(self.to) > 8 else "****"
        if self.medium == Medium.MAIL:
            user, _at, host = self.to.rpartition("@")
            return f"{user[:1]}***@{host}"
        return self.to
