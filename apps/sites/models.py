"""Stations: where piles stand."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Department, User
from apps.common.fields import PriceField
from apps.common.models import TimeStamped
from apps.files.models import StoredFile
from apps.sites import hours
from apps.sites.enums import (
    Classification,
    Construction,
    ElectricityKind,
    Operation,
    Orientation,
    ParkingKind,
    StakeUse,
    StationKind,
    StationState,
)

POSITIVE = MinValueValidator(0)
LARGEST_ORDER = 1_000_000


class Station(TimeStamped):
    """A charging station (站点). Coordinates are GCJ-02, as every map in China shows them.

    What is filed with governments and partners has the scale and the length of T/CEC 102 (reference: StationInfo).
    """

    station_no = models.CharField(_("station number"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=100)
    state = models.CharField(_("state"), max_length=16, choices=StationState, default=StationState.OPEN)
    kind = models.PositiveSmallIntegerField(
        _("for whom"), choices=StationKind, default=StationKind.PUBLIC, db_default=StationKind.PUBLIC
    )
    construction = models.PositiveSmallIntegerField(
        _("place of construction"),
        choices=Construction,
        default=Construction.OTHER,
        db_default=Construction.OTHER,
    )
    opened_on = models.DateField(_("in operation since"), null=True, blank=True)
    remark = models.CharField(
        _("remark"),
        max_length=100,
        blank=True,
        db_default="",
        help_text=_("goes to partners and governments, drivers do not see it"),
    )
    is_published = models.BooleanField(_("shown to drivers"), default=True)
    list_order = models.IntegerField(
        _("place in drivers' lists"),
        blank=True,
        default=0,
        db_default=0,
        validators=[MinValueValidator(-LARGEST_ORDER), MaxValueValidator(LARGEST_ORDER)],
        help_text=_("where no distance is known: the larger number comes first"),
    )
    tags = models.JSONField(
        _("tags for drivers"), default=list, blank=True, db_default=models.Value([], models.JSONField())
    )
    province = models.CharField(_("province"), max_length=20, blank=True)
    city = models.CharField(_("city"), max_length=20, blank=True)
    district = models.CharField(_("district"), max_length=20, blank=True)
    area_code = models.CharField(
        _("area code"),
        max_length=6,
        blank=True,
        validators=[RegexValidator(r"^\d{6}$", _("6 digits are needed."))],
        help_text=_("six digits of GB/T 2260, province to district"),
    )
    township_code = models.CharField(
        _("township code"),
        max_length=12,
        blank=True,
        db_default="",
        validators=[RegexValidator(r"^\d{12}$", _("12 digits are needed."))],
    )
    address = models.CharField(_("address"), max_length=200, blank=True)
    latitude = models.DecimalField(
        _("latitude"),
        max_digits=9,
        decimal_places=6,
        validators=[MinValueValidator(-90), MaxValueValidator(90)],
    )
    longitude = models.DecimalField(
        _("longitude"),
        max_digits=9,
        decimal_places=6,
        validators=[MinValueValidator(-180), MaxValueValidator(180)],
    )
    orientation = models.PositiveSmallIntegerField(
        _("parking spaces lie"), choices=Orientation, null=True, blank=True
    )
    site_guide = models.CharField(
        _("how to find it"), max_length=100, blank=True, db_default="", help_text=_("from the entrance on")
    )
    opening_hours = models.CharField(
        _("opening hours"), max_length=200, default="00:00-24:00", validators=[hours.validate]
    )
    service_phone = models.CharField(_("service phone"), max_length=20, blank=True)
    station_phone = models.CharField(_("station's phone"), max_length=30, blank=True, db_default="")
    # Parking
    parking_spaces = models.PositiveIntegerField(
        _("parking spaces"), default=0, db_default=0, help_text=_("0: not known")
    )
    parking_kind = models.PositiveSmallIntegerField(
        _("parking costs"), choices=ParkingKind, default=ParkingKind.SEE_SITE, db_default=ParkingKind.SEE_SITE
    )
    parking_fee = models.CharField(_("parking fee"), max_length=100, blank=True, db_default="")
    parking_info = models.CharField(
        _("floor and spaces"),
        max_length=100,
        blank=True,
        db_default="",
        help_text=_("for example B2, A01–A20"),
    )
    parking_owner = models.CharField(_("owner of the car park"), max_length=50, blank=True, db_default="")
    parking_manager = models.CharField(_("manager of the car park"), max_length=50, blank=True, db_default="")
    reduces_by_plate = models.BooleanField(
        _("parking relief by number plate"), default=False, db_default=False
    )
    reduces_by_receipt = models.BooleanField(_("parking relief by receipt"), default=False, db_default=False)
    reduces_by_qr = models.BooleanField(
        _("parking relief by the order's QR code"), default=False, db_default=False
    )
    has_barrier = models.BooleanField(_("barrier"), default=False, db_default=False)
    has_parking_locks = models.BooleanField(_("ground locks"), default=False, db_default=False)
    # What else there is
    has_toilet = models.BooleanField(_("toilet"), default=False, db_default=False)
    has_shop = models.BooleanField(_("shop"), default=False, db_default=False)
    has_restaurant = models.BooleanField(_("restaurant"), default=False, db_default=False)
    has_lounge = models.BooleanField(_("lounge"), default=False, db_default=False)
    has_rain_cover = models.BooleanField(_("rain cover"), default=False, db_default=False)
    is_manned = models.BooleanField(_("people on duty"), default=False, db_default=False)
    has_video = models.BooleanField(_("video surveillance"), default=False, db_default=False)
    has_printer = models.BooleanField(_("receipt printer"), default=False, db_default=False)
    takes_online = models.BooleanField(_("paid online"), default=True, db_default=True)
    takes_cards = models.BooleanField(_("paid by card"), default=False, db_default=False)
    takes_cash = models.BooleanField(_("paid in cash"), default=False, db_default=False)
    takes_reservations = models.BooleanField(_("takes reservations"), default=False, db_default=False)
    suits = models.CharField(
        _("suits these cars"),
        max_length=100,
        blank=True,
        db_default="",
        help_text=_("for example: height limit 2.1 m, no lorries"),
    )
    # Power supply
    grid_account_no = models.CharField(
        _("account at the grid"), max_length=50, blank=True, db_default="", help_text=_("as on its bills")
    )
    capacity_kva = models.DecimalField(
        _("capacity applied for (kVA)"),
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[POSITIVE],
    )
    rated_power_kw = models.DecimalField(
        _("rated power (kW)"), max_digits=10, decimal_places=2, null=True, blank=True, validators=[POSITIVE]
    )
    rated_voltage_v = models.PositiveIntegerField(_("rated voltage (V)"), null=True, blank=True)
    electricity_kind = models.PositiveSmallIntegerField(
        _("kind of electricity"), choices=ElectricityKind, null=True, blank=True
    )
    expansion_kind = models.CharField(
        _("kind of grid connection"),
        max_length=50,
        blank=True,
        db_default="",
        help_text=_("as the platform that asks for it writes it"),
    )
    substation_km = models.DecimalField(
        _("distance of the substation (km)"),
        max_digits=6,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[POSITIVE],
    )
    # For governments
    operation = models.PositiveSmallIntegerField(
        _("whose station"), choices=Operation, default=Operation.OWN, db_default=Operation.OWN
    )
    owner_code = models.CharField(
        _("owner's operator code"),
        max_length=18,
        blank=True,
        db_default="",
        validators=[
            RegexValidator(r"^([0-9A-Z]{9}|[0-9A-Z]{18})$", _("9 or 18 digits and capitals are needed."))
        ],
        help_text=_("empty: ours; 999999999 for a private person"),
    )
    classification = models.PositiveSmallIntegerField(
        _("class"),
        choices=Classification,
        default=Classification.CHARGING,
        db_default=Classification.CHARGING,
    )
    unique_code = models.CharField(
        _("code given by the government"),
        max_length=64,
        blank=True,
        db_default="",
        help_text=_("empty until the first report is answered"),
    )
    project_code = models.CharField(_("investment project code"), max_length=64, blank=True, db_default="")
    area_m2 = models.DecimalField(
        _("area (m²)"), max_digits=10, decimal_places=2, null=True, blank=True, validators=[POSITIVE]
    )
    stake_use = models.PositiveSmallIntegerField(
        _("use of the piles"), choices=StakeUse, default=StakeUse.PUBLIC, db_default=StakeUse.PUBLIC
    )
    subsidy_price = PriceField(
        _("subsidy (yuan/kWh)"),
        null=True,
        blank=True,
        validators=[POSITIVE],
        help_text=_("as it is applied for"),
    )
    # For drivers
    parking_note = models.CharField(_("parking"), max_length=200, blank=True)
    notice = models.CharField(_("notice to drivers"), max_length=200, blank=True)
    department = models.ForeignKey(
        Department,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="stations",
        verbose_name=_("department"),
        help_text=_("who has it or one above it as scope sees the station"),
    )
    keeper = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="kept_stations",
        verbose_name=_("looked after by"),
    )
    qr_prefix = models.CharField(
        _("start of QR codes"),
        max_length=200,
        blank=True,
        validators=[RegexValidator(r"^[!-~]*$", _("ASCII characters without blanks are needed."))],
        help_text=_("what piles with a screen put before the gun code; empty: the tenant's"),
    )

    class Meta:
        verbose_name = _("station")
        verbose_name_plural = _("stations")
        ordering = ["station_no"]

    def __str__(self) -> str:
        return self.name


class StationPicture(models.Model):
    """A picture of a station; the first one by `place` is its cover."""

    station = models.ForeignKey(
        Station, on_delete=models.CASCADE, related_name="pictures", verbose_name=_("station")
    )
    file = models.OneToOneField(
        StoredFile, on_delete=models.PROTECT, related_name="station_picture", verbose_name=_("file")
    )
    caption = models.CharField(_("caption"), max_length=50, blank=True)
    place = models.PositiveIntegerField(_("place"))

    class Meta:
        verbose_name = _("station picture")
        verbose_name_plural = _("station pictures")
        ordering = ["place", "id"]

    def __str__(self) -> str:
        return self.caption or self.file.name
