"""Whom the demo tells of alarms: a chat robot and a text message account at the sandbox, rules, somebody on duty."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.common.time import now
from apps.notifications.models import Robot, SmsAccount
from apps.piles.enums import AlarmKind, AlarmLevel
from apps.piles.models import AlarmRule, NotificationRule

RULES: list[tuple[AlarmKind, AlarmLevel, int | None, int]] = [
    (AlarmKind.PILE_OFFLINE, AlarmLevel.IMPORTANT, None, 5),
    (AlarmKind.OVER_TEMPERATURE, AlarmLevel.URGENT, 55, 0),
    (AlarmKind.START_FAILURES, AlarmLevel.IMPORTANT, 3, 0),
]
"""Kind, level, threshold, minutes before people are told."""


def seed_telling(tenant: str) -> None:
    """Give the tenant of the current schema its rules, and accounts at the sandbox where one runs beside us."""
    for kind, level, threshold, wait in RULES:
        if not AlarmRule.objects.filter(kind=kind).exists():
            AlarmRule.objects.create(kind=kind, level=level, threshold=threshold, wait_minutes=wait)
    admin = User.objects.get(username="admin")
    if not admin.email:
        admin.email = "admin@example.com"
        admin.save(update_fields=["email"])
    rule, created = NotificationRule.objects.get_or_create(
        name="值班通知", defaults={"active_since": now(), "lowest_level": AlarmLevel.IMPORTANT}
    )
    if created:
        rule.people.set([admin])
    issued = _accounts(tenant)
    if not issued:
        return
    robot, _made = Robot.objects.get_or_create(
        name="值班群（沙箱）", defaults={"kind": "dingtalk", "url": issued["dingtalk"]["url"]}
    )
    robot.url, robot.secret = issued["dingtalk"]["url"], issued["dingtalk"]["secret"]
    robot.save()
    rule.robots.add(robot)
    SmsAccount.objects.get_or_create(
        name="演示短信", defaults={"provider": "console", "sign_name": "演示", "is_active": False}
    )


def _accounts(tenant: str) -> dict[str, Any]:
    """Return what the sandbox issued to a tenant, with the robots' whole addresses; empty where none runs."""
    if not os.environ.get("SANDBOX_URL"):
        return {}
    try:
        kept = json.loads((Path(settings.STATE_DIR) / "sandbox" / "keys.json").read_text())
        issued = dict(kept["accounts"][tenant])
        issued["dingtalk"] |= {"url": kept["carrier_urls"]["dingtalk"] + issued["dingtalk"]["path"]}
    except (OSError, ValueError, KeyError):
        return {}
    return issued
