"""Days and times that staff type: such as can be reckoned with (apps.common.time)."""

from __future__ import annotations

from datetime import date, datetime

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from apps.common.time import FIRST_DAY, LAST_DAY


def check_day(value: date) -> None:
    """Refuse a day, or a time, outside of FIRST_DAY to LAST_DAY."""
    day = value.date() if isinstance(value, datetime) else value
    if not FIRST_DAY <= day <= LAST_DAY:
        words = {"first": FIRST_DAY.year, "last": LAST_DAY.year}
        raise ValidationError(_("A year from %(first)s to %(last)s is needed.") % words)


class DayField(forms.DateField):  # noqa: TID251
    """A day."""

    default_validators = [check_day]


class MomentField(forms.DateTimeField):  # noqa: TID251
    """A day and a time."""

    default_validators = [check_day]
