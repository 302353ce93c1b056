"""Accounts and messages belong to no station: who has the permission sees them all."""

from apps.backoffice import scope
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount

scope.by_permission(SmsAccount, MailAccount, Robot, Message)
