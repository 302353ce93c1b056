"""Words of messages."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Medium(models.TextChoices):
    SMS = "sms", _("text message")
    MAIL = "mail", _("e-mail")
    ROBOT = "robot", _("chat robot")
    APP = "app", _("mini-program message")


class MessageState(models.TextChoices):
    WAITING = "waiting", pgettext_lazy("message", "waiting")
    SENT = "sent", pgettext_lazy("message", "sent")
    FAILED = "failed", pgettext_lazy("message", "failed")
    LIMITED = "limited", pgettext_lazy("message", "held back by a limit")


class SmsProviderName(models.TextChoices):
    ALIYUN = "aliyun", _("Aliyun SMS")
    TENCENT = "tencent", _("Tencent Cloud SMS")
    CONSOLE = "console", _("log file (nothing is sent)")


class RobotKind(models.TextChoices):
    WECOM = "wecom", _("WeCom")
    DINGTALK = "dingtalk", _("DingTalk")
    FEISHU = "feishu", _("Feishu")
    WEBHOOK = "webhook", _("own webhook")


class MailSecurity(models.TextChoices):
    SSL = "ssl", _("SSL/TLS (port 465)")
    STARTTLS = "starttls", _("STARTTLS (port 587)")
    NONE = "none", _("none (port 25)")
