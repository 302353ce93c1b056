from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class PileNotFound(DomainError):
    code = "piles.not_found"
    message = _("No charger has this code. Check the number on the gun.")
    status = 404


class PileCodeTaken(DomainError):
    code = "piles.code_taken"
    message = _("Pile code %(pile_code)s is registered already.")
    status = 409


class ConnectorOffline(DomainError):
    code = "piles.offline"
    message = _("This charger is offline. Please use another gun.")
    status = 409


class ConnectorFaulty(DomainError):
    code = "piles.fault"
    message = _("This gun reports a fault. Please use another gun.")
    status = 409


class ConnectorBusy(DomainError):
    code = "piles.busy"
    message = _("This gun is in use. Please use another gun.")
    status = 409


class PileDisabled(DomainError):
    code = "piles.disabled"
    message = _("This charger is out of service.")
    status = 409


class PileInUse(DomainError):
    code = "piles.in_use"
    message = _("There is a charge on %(piles)s. Wait until it has ended, then try again.")
    status = 409


class PileCodesTaken(DomainError):
    code = "piles.codes_taken"
    message = _("These pile codes are registered already: %(codes)s")
    status = 409


class SheetUnreadable(DomainError):
    code = "piles.sheet_unreadable"
    message = _("The file cannot be read: %(reason)s")


class SheetChanged(DomainError):
    code = "piles.sheet_changed"
    message = _("Something changed since the preview. Look at it again, then accept it.")
    status = 409


class TooManyLabels(DomainError):
    code = "piles.too_many_labels"
    message = _("One sheet holds the codes of at most %(limit)s guns. Choose fewer piles.")


class NothingToSend(DomainError):
    code = "piles.nothing_to_send"
    message = _("There is nothing to send to these piles.")
    status = 409


class PowerCapTooLow(DomainError):
    code = "piles.power_cap_too_low"
    message = _("These piles together cannot be limited below %(least)s kW.")
    status = 409


class AlarmClosed(DomainError):
    """Somebody or something has closed an alarm meanwhile."""

    code = "piles.alarm_closed"
    message = _("The alarm is closed already.")
    status = 409


class NotOfThisStation(DomainError):
    """An alarm was to be given to somebody who does not see its station."""

    code = "piles.not_of_this_station"
    message = _("%(person)s does not see this station. Choose somebody else or change their stations.")
