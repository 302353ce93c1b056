"""Forms of signing in and of one's own account."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import User


def _text(**attributes: Any) -> Any:
    if attributes.get("autofocus"):
        # The theme hides the page while the browser looks for whom to focus.
        attributes["x-init"] = "setTimeout(() => $el.focus())"
    return UnfoldAdminTextInputWidget(attrs=attributes)


def _password(kind: str = "current-password") -> Any:
    return UnfoldAdminPasswordWidget(attrs={"autocomplete": kind})


CODE = {"autocomplete": "one-time-code", "inputmode": "numeric", "maxlength": 20}


class PasswordForm(forms.Form):
    """User name and password."""

    username = forms.CharField(
        label=_("User name"), max_length=150, widget=_text(autocomplete="username", autofocus=True)
    )
    password = forms.CharField(label=_("Password"), strip=False, max_length=1000, widget=_password())


class PuzzleForm(forms.Form):
    """What a picture shows."""

    answer = forms.CharField(
        label=_("Characters of the picture"),
        max_length=20,
        widget=_text(autocomplete="off", autocapitalize="characters", spellcheck="false"),
    )


class PhoneForm(forms.Form):
    """To which phone a code is sent."""

    phone = forms.CharField(
        label=_("Mobile phone"),
        max_length=32,
        widget=_text(autocomplete="tel", inputmode="tel", autofocus=True),
    )


class CodeForm(forms.Form):
    """A code that was sent or shown."""

    code = forms.CharField(label=_("Code"), max_length=40, widget=_text(autofocus=True, **CODE))


class SecondForm(forms.Form):
    """A second factor, by one of the ways that the person has."""

    method = forms.CharField(widget=forms.HiddenInput)
    code = forms.CharField(
        label=_("Code"), strip=False, max_length=1000, widget=_text(autofocus=True, **CODE)
    )


class NewPasswordForm(forms.Form):
    """A new password, twice."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["password1"].help_text = password_validation.password_validators_help_text_html()

    password1 = forms.CharField(
        label=_("New password"), strip=False, max_length=1000, widget=_password("new-password")
    )
    password2 = forms.CharField(
        label=_("New password again"), strip=False, max_length=1000, widget=_password("new-password")
    )

    def clean(self) -> dict[str, Any]:
        """Both are the same, and the policy takes it."""
        words = super().clean() or self.cleaned_data
        first, second = words.get("password1"), words.get("password2")
        if first and second and first != second:
            self.add_error("password2", _("The two passwords are not the same."))
        elif first:
            try:
                password_validation.validate_password(first, self.user)
            except forms.ValidationError as error:
                self.add_error("password1", error)
        return words


class CurrentPasswordForm(forms.Form):
    """The password once more, before something of the account changes."""

    current = forms.CharField(
        label=_("Your present password"), strip=False, max_length=1000, required=False, widget=_password()
    )


class NewPhoneForm(CurrentPasswordForm):
    """A new phone."""

    phone = forms.CharField(
        label=_("New mobile phone"), max_length=32, widget=_text(autocomplete="tel", inputmode="tel")
    )


class MyDataForm(forms.ModelForm):
    """What people may change of themselves."""

    class Meta:
        model = User
        fields = ["display_name", "email", "language"]
        widgets = {
            "display_name": UnfoldAdminTextInputWidget(attrs={"autocomplete": "name"}),
            "email": UnfoldAdminEmailInputWidget(attrs={"autocomplete": "email"}),
            "language": UnfoldAdminSelectWidget,
        }
