"""Buttons of an object's page that ask in a dialog first, and what most dialogs ask for: the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget


class ConfirmForm(BaseDialogForm):
    """A dialog that only asks whether."""


class NoteForm(BaseDialogForm):
    """A word of who decides, if there is one."""

    reason = forms.CharField(
        label=_("note"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )


class ReasonForm(BaseDialogForm):
    """Why it is done; fields of subclasses stand before it."""

    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name != "reason"])


def dialog_button(
    title: Any,
    *,
    url: str,
    icon: str,
    permission: str,
    text: Any,
    form: type[BaseDialogForm],
    submit: Any = None,
    variant: ActionVariant = ActionVariant.DEFAULT,
) -> Callable[[Callable[..., Any]], Any]:
    """Make a method (request, form, object_id) a button called `title`, whose dialog says `text`, asks by `form` and
    is sent by `submit` (the title).

    It shows for whom the page's `has_<permission>_permission` lets; nothing is done before the dialog is sent.
    """
    return action(
        description=title,
        url_path=url,
        icon=icon,
        permissions=[permission],
        variant=variant,
        dialog={
            "title": title,
            "description": text,
            "form_class": form,
            "form_submit_text": submit or title,
        },
    )
