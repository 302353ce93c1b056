"""Numbers beside entries of the menu: how much waits behind them. The browser asks for them when the page is there.

So no page waits for them, and they stay true while a page is open. Each is of the rows that the person may see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, JsonResponse
from django.urls import reverse

_badges: dict[type[Model], Callable[[Any], int]] = {}


def add(model: type[Model], count: Callable[[Any], int]) -> None:
    """Show `count(user)` at the menu entry of the model's list, to those who may see it."""
    _badges[model] = count


def view(request: HttpRequest, site: Any) -> JsonResponse:
    """Answer {address of a list: number} for the lists that the person may see, without zeros."""
    found = {}
    for model, count in _badges.items():
        meta = model._meta
        if request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}"):  # type: ignore[union-attr]
            number = count(request.user)
            if number:
                found[reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")] = number
    return JsonResponse({"badges": found})
