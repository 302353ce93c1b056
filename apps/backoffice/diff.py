"""Changes in words: what an audit entry or a request keeps as {field: [before, after]}, as rows that people can read.

Names of fields become those of the model's form, values of choices their labels, times those of Asia/Shanghai; of
values that hold others (a tariff, a list) only the parts that differ are shown, one row each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from apps.backoffice import shown
from apps.common.fields import DeviceAmountField, EnergyField, MoneyField, PriceField

ABSENT = object()
UNITS = {
    MoneyField: gettext_lazy("yuan"),
    DeviceAmountField: gettext_lazy("yuan"),
    PriceField: gettext_lazy("yuan/kWh"),
    EnergyField: pgettext_lazy("unit", "kWh"),
}
MOST_ROWS = 200


@dataclass(frozen=True)
class Row:
    """A field in words, before and after; `differs` is false for what is only told."""

    name: str
    before: str
    after: str
    differs: bool


def rows(changes: Mapping[str, Any], kind: str = "") -> list[Row]:
    """Return the rows of `changes`; `kind` (app.model) is the object's, whose fields have names."""
    model = _model(kind)
    found = []
    for name, value in changes.items():
        pair = isinstance(value, list) and len(value) == 2
        before, after = value if pair else (ABSENT, value)
        for path, old, new in _leaves(before, after):
            title = " › ".join([_title(name, model), *(_word(part) for part in path)])
            cells = [_value(cell, name, model) for cell in (old, new)]
            found.append(Row(title, cells[0], cells[1], old != new))
            if len(found) == MOST_ROWS:
                return found
    return found


def names(changes: Mapping[str, Any], kind: str = "") -> list[str]:
    """Return the names of what changed, in words, without units."""
    model = _model(kind)
    return [_name(name, model) for name in changes]


def _model(kind: str) -> type[Model] | None:
    try:
        return apps.get_model(kind) if kind else None
    except (LookupError, ValueError):
        return None


def _leaves(before: Any, after: Any) -> Iterator[tuple[list[str], Any, Any]]:
    """Yield (path, before, after) of what differs inside two values; the whole where neither holds others."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            old, new = before.get(key, ABSENT), after.get(key, ABSENT)
            if old != new:
                yield from (([key, *path], *pair) for path, *pair in _leaves(old, new))
        return
    if isinstance(after, Mapping) and before in (None, ABSENT):
        for key, new in after.items():
            yield from (([key, *path], *pair) for path, *pair in _leaves(ABSENT, new))
        return
    yield [], before, after


def _title(name: str, model: type[Model] | None) -> str:
    """Return a field's name in words, with the unit of its column where the name does not say it."""
    field = _field(name, model)
    title = _name(name, model)
    unit = next((word for kind, word in UNITS.items() if isinstance(field, kind)), None)
    if unit is None or "(" in title or "（" in title:
        return title
    return _("%(name)s (%(unit)s)") % {"name": title, "unit": unit}


def _name(name: str, model: type[Model] | None) -> str:
    return str(getattr(_field(name, model), "verbose_name", None) or _word(name))


def _field(name: str, model: type[Model] | None) -> Any:
    try:
        return model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None


def _word(text: str) -> str:
    return _(text) if text else text


def _value(value: Any, name: str, model: type[Model] | None) -> str:
    if value in (None, "", ABSENT):
        return shown.EMPTY
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(_value(part, name, model) for part in value) or shown.EMPTY
    if isinstance(value, Mapping):
        return ", ".join(f"{_word(key)} {_value(part, name, model)}" for key, part in value.items())
    text = str(value)
    if model is not None:
        try:
            choices = dict(getattr(model._meta.get_field(name), "flatchoices", None) or ())
        except FieldDoesNotExist:
            choices = {}
        if text in choices:
            return str(choices[text])
    try:
        moment = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is not None:
        return shown.moment(moment)
    return _word(text) if text.isascii() and text.islower() else text
