"""What the dialogs of commands ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice.dialogs import ReasonForm
from apps.piles import bulk
from apps.piles.commands import LEAST_POWER_PERCENT, Command, Reboot, SetQr, SetWork
from apps.piles.enums import CommandKind
from apps.piles.models import Pile, UpdateServer

ASCII = RegexValidator(r"^[!-\[\]-~]*$", _("ASCII characters without blanks are needed."))
WHEN = [("idle", _("when no gun charges")), ("now", _("at once"))]


class CommandForm(ReasonForm):
    """What a dialog asks for; `commands` says what each pile gets."""

    kind: ClassVar[CommandKind]

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """Return {pile id: commands}."""
        return bulk.MAKERS[self.kind](piles)


class HarmlessForm(CommandForm):
    """Nothing changes by it: the reason may stay empty."""

    reason = forms.CharField(
        label=_("reason"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )


class RefreshForm(HarmlessForm):
    kind = CommandKind.READ_REALTIME


class ClockForm(HarmlessForm):
    kind = CommandKind.SYNC_TIME


class PricesForm(CommandForm):
    kind = CommandKind.SET_BILLING_MODEL


class QrForm(CommandForm):
    kind = CommandKind.SET_QR
    prefix = forms.CharField(
        label=_("start of QR codes"),
        max_length=200,
        required=False,
        validators=[ASCII],
        help_text=_("empty: the station's, else the tenant's, for piles that take QR codes"),
        widget=UnfoldAdminTextInputWidget,
    )
    format = forms.ChoiceField(
        label=_("what follows"),
        choices=[("gun", _("pile code and gun number")), ("pile", _("pile code"))],
        widget=UnfoldAdminSelectWidget,
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """The same prefix for all, or each station's own."""
        prefix = self.cleaned_data["prefix"]
        if not prefix:
            return super().commands(piles)
        with_gun_no = self.cleaned_data["format"] == "gun"
        return {pile.pk: [SetQr(prefix=prefix, with_gun_no=with_gun_no)] for pile in piles}


class WorkForm(CommandForm):
    kind = CommandKind.SET_WORK
    work = forms.ChoiceField(
        label=_("pile"),
        choices=[("allowed", _("may work")), ("locked", _("is locked: no charge starts"))],
        widget=UnfoldAdminSelectWidget,
    )
    max_power_percent = forms.IntegerField(
        label=_("largest output (%)"),
        min_value=LEAST_POWER_PERCENT,
        max_value=100,
        initial=100,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """The same for all."""
        command = SetWork(
            is_locked=self.cleaned_data["work"] == "locked",
            max_power_percent=self.cleaned_data["max_power_percent"],
        )
        return {pile.pk: [command] for pile in piles}


class RebootForm(CommandForm):
    kind = CommandKind.REBOOT
    when = forms.ChoiceField(label=_("when"), choices=WHEN, widget=UnfoldAdminSelectWidget)

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """The same for all."""
        command = Reboot(when_idle=self.cleaned_data["when"] == "idle")
        return {pile.pk: [command] for pile in piles}


class UpdateForm(CommandForm):
    kind = CommandKind.UPDATE
    server = forms.ModelChoiceField(
        label=_("update server"), queryset=UpdateServer.objects.all(), widget=UnfoldAdminSelectWidget
    )
    path = forms.CharField(
        label=_("file path"), max_length=32, validators=[ASCII], widget=UnfoldAdminTextInputWidget
    )
    when = forms.ChoiceField(label=_("when"), choices=WHEN, widget=UnfoldAdminSelectWidget)
    download_minutes = forms.IntegerField(
        label=_("longest download (min)"),
        min_value=1,
        max_value=255,
        initial=30,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def commands(self, piles: Sequence[Pile]) -> Mapping[int, list[Command]]:
        """Each pile's own kind and rated power."""
        words = self.cleaned_data
        return bulk.firmware(
            piles,
            server=words["server"],
            path=words["path"],
            when_idle=words["when"] == "idle",
            download_minutes=words["download_minutes"],
        )


class PowerCapForm(ReasonForm):
    """What all piles of a station may give together."""

    kw = forms.DecimalField(
        label=_("largest output of all piles together (kW)"),
        min_value=1,
        max_digits=9,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
