"""Robots of group chats, from the rows that staff keep."""

from __future__ import annotations

from django.conf import settings

from apps.notifications.channels import robots
from apps.notifications.models import Robot


def send_by(robot: Robot, *, title: str, text: str) -> str:
    """Send one message to a robot's chat. Raises SendError."""
    client = robots.Robot(
        kind=robot.kind,
        url=robot.url,
        secret=robot.secret,
        hosts=settings.ROBOT_HOSTS,
        timeout=settings.MESSAGE_TIMEOUT_S,
    )
    return client.send(title=title, text=text)
