"""Robots of group chats and webhooks of the tenant's own, from the rows that staff keep."""

from __future__ import annotations

from django.conf import settings

from apps.notifications.channels import robots, webhook
from apps.notifications.enums import RobotKind
from apps.notifications.models import Robot


def send_by(robot: Robot, *, title: str, text: str, number: str) -> str:
    """Send one message, whose id is `number`, to a robot's chat or to a webhook. Raises SendError."""
    if robot.kind == RobotKind.WEBHOOK:
        return webhook.Webhook(
            url=robot.url,
            secret=robot.secret,
            private=settings.OUTGOING_PRIVATE_HOSTS,
            timeout=settings.MESSAGE_TIMEOUT_S,
        ).send(title=title, text=text, number=number)
    client = robots.Robot(
        kind=robot.kind,
        url=robot.url,
        secret=robot.secret,
        hosts=settings.ROBOT_HOSTS,
        timeout=settings.MESSAGE_TIMEOUT_S,
    )
    return client.send(title=title, text=text)


def check_address(kind: str, url: str) -> None:
    """See that an address may be one of a kind of robot. Raises NotConfigured (url)."""
    if kind == RobotKind.WEBHOOK:
        webhook.check_address(url, settings.OUTGOING_PRIVATE_HOSTS)
    else:
        robots.check_address(kind, url, settings.ROBOT_HOSTS)
