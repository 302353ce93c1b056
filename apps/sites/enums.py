"""Words of stations. Integers are the codes of T/CEC 102 (StationInfo), or of Zhejiang's supervision platform where
that one alone has the word: they are sent as they stand here."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class StationState(models.TextChoices):
    BUILDING = "building", _("under construction")
    OPEN = "open", pgettext_lazy("station", "open")
    MAINTENANCE = "maintenance", _("under maintenance")
    CLOSED = "closed", pgettext_lazy("station", "closed")


class StationKind(models.IntegerChoices):
    """StationType: for whom the station is."""

    PUBLIC = 1, pgettext_lazy("station", "public")
    PRIVATE = 50, pgettext_lazy("station", "private")
    BUS = 100, _("buses")
    SANITATION = 101, _("sanitation vehicles")
    LOGISTICS = 102, _("logistics vehicles")
    TAXI = 103, _("taxis")
    SHARED_CARS = 104, _("shared cars")
    RESIDENTS = 105, _("shared by residents")
    INSTITUTION = 106, _("an institution's own")
    OTHER = 255, pgettext_lazy("kind", "other")


class Construction(models.IntegerChoices):
    """Construction: at what kind of place the station was built."""

    RESIDENTIAL = 1, _("residential area")
    PUBLIC_INSTITUTION = 2, _("public institution")
    ENTERPRISE = 3, _("enterprise")
    OFFICE = 4, _("office building")
    INDUSTRIAL_PARK = 5, _("industrial park")
    TRANSPORT_HUB = 6, _("transport hub")
    CULTURE_AND_SPORTS = 7, _("culture and sports venue")
    GREEN_SPACE = 8, _("green space")
    CAR_PARK = 9, _("car park of a large building")
    KERBSIDE = 10, _("kerbside parking")
    SERVICE_AREA = 11, _("motorway service area")
    SCENIC_AREA = 12, _("scenic area")
    BUS_DEPOT = 13, _("bus depot")
    PETROL_STATION = 14, _("petrol or gas station")
    TAXI_RANK = 15, _("taxi station")
    OTHER = 255, pgettext_lazy("kind", "other")


class Classification(models.IntegerChoices):
    """StationClassification (Zhejiang)."""

    CHARGING = 1, _("charging station")
    CHARGING_AND_SWAPPING = 3, _("charging and battery swapping")


class Orientation(models.IntegerChoices):
    """StationOrientation (Zhejiang): where the parking spaces lie."""

    SURFACE = 1, _("surface car park")
    KERBSIDE = 2, _("kerbside")
    UNDERGROUND = 3, _("underground")
    MULTI_STOREY = 4, _("multi-storey")


class ParkingKind(models.IntegerChoices):
    """ParkType (Zhejiang): what parking costs."""

    FREE = 0, pgettext_lazy("parking", "free")
    PAID = 1, pgettext_lazy("parking", "paid")
    FREE_FOR_A_TIME = 2, _("free for a time")
    REDUCED = 3, _("reduced while charging")
    SEE_SITE = 255, _("see the notice at the site")


class ElectricityKind(models.IntegerChoices):
    """ElectricityType (Zhejiang): the grid's class of the account."""

    COMMERCIAL = 1, _("commercial")
    ORDINARY_INDUSTRY = 2, _("ordinary industry")
    LARGE_INDUSTRY = 3, _("large industry")
    OTHER = 4, pgettext_lazy("kind", "other")


class Operation(models.IntegerChoices):
    """OpratorType (sic; shevcs v1.0): whose station it is."""

    OWN = 1, pgettext_lazy("station", "our own")
    FOR_ANOTHER = 2, _("run for another owner")


class StakeUse(models.IntegerChoices):
    """StakeType (subsidy applications): what the piles are used for."""

    BUS = 1, _("buses")
    PUBLIC = 2, pgettext_lazy("station", "public")
    OTHER = 3, pgettext_lazy("kind", "other")
    CUSTOM = 4, _("agreed with the authority")
