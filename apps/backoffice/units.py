"""Columns of lists whose header names the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.translation import gettext as _

from apps.backoffice import shown
from apps.common.fields import EnergyField, MoneyField


@dataclass(frozen=True)
class UnitColumn:
    """A decimal field of the model, sorted by it, with all its places; equal to another column of the same field."""

    name: str
    title: str
    places: int

    @property
    def __name__(self) -> str:  # the list's cell and header are classed by it
        return self.name

    @property
    def short_description(self) -> str:
        """The header, under the name that the admin reads."""
        return self.title

    @property
    def admin_order_field(self) -> str:
        """The field sorts its column."""
        return self.name

    def __call__(self, obj: Model) -> str:
        value = getattr(obj, self.name)
        return shown.EMPTY if value is None else f"{value:.{self.places}f}"


def with_unit(model: type[Model], column: Any) -> Any:
    """Return a list's column; one that is a field of money or energy as a column that says yuan or kWh."""
    try:
        field = model._meta.get_field(column) if isinstance(column, str) else None
    except FieldDoesNotExist:
        return column
    if not isinstance(field, MoneyField | EnergyField):
        return column
    name = str(field.verbose_name)
    if "(" not in name and "（" not in name:
        titles = _("%(name)s (yuan)") if isinstance(field, MoneyField) else _("%(name)s (kWh)")
        name = titles % {"name": name}
    return UnitColumn(column, name, field.decimal_places)
