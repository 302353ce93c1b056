"""Customers: the drivers of a tenant."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.common.crypto import EncryptedTextField
from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.customers.feedback import models as feedback_models  # noqa: F401 - tables of this app
from apps.files.models import StoredFile
from apps.sites import hours
from apps.sites.models import Station


class CustomerState(models.TextChoices):
    ACTIVE = "active", _("active")
    BLOCKED = "blocked", _("blocked")
    DELETED = "deleted", pgettext_lazy("customer", "deleted")


class AppLanguage(models.TextChoices):
    UNSET = "", pgettext_lazy("language", "as the phone has it")
    CHINESE = "zh-hans", _("Chinese")
    ENGLISH = "en", _("English")


class Customer(TimeStamped):
    """A driver (个人客户), known by phone number in E.164 form."""

    phone = models.CharField(_("phone"), max_length=20, unique=True)
    nickname = models.CharField(_("nickname"), max_length=50, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=CustomerState, default=CustomerState.ACTIVE)
    language = models.CharField(
        _("language"), max_length=8, choices=AppLanguage, default=AppLanguage.UNSET, blank=True, db_default=""
    )
    elder_mode = models.BooleanField(_("large texts"), null=True, blank=True)
    avatar = models.ForeignKey(
        StoredFile,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("avatar"),
    )
    last_login_at = models.DateTimeField(_("last login"), null=True, blank=True)
    pin = models.CharField(
        _("PIN at the pile"),
        max_length=128,
        blank=True,
        help_text=_("hashed; for starts by account at a pile"),
    )

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        ordering = ["-id"]
        permissions = [
            ("view_phone", _("Can see whole phone numbers")),
            ("set_pin", _("Can set customers' PINs")),
        ]

    def __str__(self) -> str:
        return self.nickname or self.masked_phone

    @property
    def masked_phone(self) -> str:
        """The phone number as others may see it: 138****0001."""
        if self.state == CustomerState.DELETED:
            return gettext("deleted account")
        local = self.phone.removeprefix("+86")
        return f"{local[:3]}****{local[-4:]}"

    def name_for(self, person: Any) -> str:
        """The name as a member of staff may see it: people of other companies know drivers by masked number only."""
        return self.masked_phone if getattr(person, "is_outsider", False) else str(self)


class IdentityProvider(models.TextChoices):
    WECHAT = "wechat", _("WeChat")
    ALIPAY = "alipay", _("Alipay")


class CustomerIdentity(TimeStamped):
    """Who a customer is in a provider's app, as the provider told us at a sign-in there; never what an app claims."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="identities", verbose_name=_("customer")
    )
    provider = models.CharField(_("provider"), max_length=16, choices=IdentityProvider)
    app_id = models.CharField(_("app id"), max_length=32)
    openid = models.CharField(_("id in the app"), max_length=128)
    last_login_at = models.DateTimeField(_("last login"))

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        ordering = ["-last_login_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "app_id", "openid"], name="identity_unique")
        ]
        indexes = [models.Index(fields=["customer", "provider", "app_id"], name="identity_of_customer")]

    def __str__(self) -> str:
        return f"{self.get_provider_display()} {self.app_id}"


class MiniProgram(TimeStamped):
    """The tenant's mini-program at WeChat or Alipay, by which its drivers sign in. Secrets are written, never shown."""

    provider = models.CharField(_("provider"), max_length=16, choices=IdentityProvider, unique=True)
    app_id = models.CharField(_("app id"), max_length=32)
    secret = EncryptedTextField(
        _("secret"), help_text=_("WeChat: the AppSecret. Alipay: the app's private key (PKCS#8 or PKCS#1).")
    )
    public_key = models.TextField(
        _("provider's public key"), blank=True, help_text=_("Alipay: Alipay's public key. WeChat: empty.")
    )
    content_key = EncryptedTextField(_("key of encrypted contents"), blank=True)
    templates = models.JSONField(
        _("message templates"),
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        editable=False,
    )
    """By event (subscriptions.EVENTS): {"id": …, "fields": {our value: the template's field}}."""
    is_active = models.BooleanField(_("in use"), default=True)

    class Meta:
        verbose_name = _("mini-program")
        verbose_name_plural = _("mini-programs")
        ordering = ["provider"]
        permissions = [("test_miniprogram", _("Can test mini-programs' connections"))]

    def __str__(self) -> str:
        return self.get_provider_display()


class SignInMethod(models.TextChoices):
    SMS = "sms", _("text message")
    WECHAT = "wechat", _("WeChat")
    ALIPAY = "alipay", _("Alipay")


class DriverSessionEnd(models.TextChoices):
    SIGNED_OUT = "signed_out", pgettext_lazy("driver session", "signed out")
    FROM_ELSEWHERE = "from_elsewhere", pgettext_lazy("driver session", "signed out from another device")
    REUSED = "reused", pgettext_lazy("driver session", "an old refresh token came again")
    TOO_MANY = "too_many", pgettext_lazy("driver session", "too many devices")
    PHONE_CHANGED = "phone_changed", pgettext_lazy("driver session", "the phone number changed")
    DELETED = "deleted", pgettext_lazy("driver session", "the account was deleted")


class DriverSession(models.Model):
    """Where a driver is signed in: one device, and the family of all refresh tokens that follow one another there.

    `generation` is that of the newest refresh token. Access tokens name the session, which is read at every request:
    ending it works at once.
    """

    number = models.UUIDField(_("number"), unique=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="sessions", verbose_name=_("customer")
    )
    method = models.CharField(_("by"), max_length=16, choices=SignInMethod)
    agent = models.CharField(_("device"), max_length=200, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    started_at = models.DateTimeField(_("signed in at"), default=timezone.now)
    seen_at = models.DateTimeField(_("last used"), default=timezone.now)
    expires_at = models.DateTimeField(_("good until"))
    generation = models.PositiveIntegerField(_("refresh tokens given"), default=1)
    rotation_key = models.CharField(max_length=64, blank=True, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_because = models.CharField(_("ended because"), max_length=16, choices=DriverSessionEnd, blank=True)

    class Meta:
        verbose_name = _("session of a driver")
        verbose_name_plural = _("sessions of drivers")
        ordering = ["-seen_at", "-id"]
        indexes = [
            models.Index(fields=["customer"], condition=models.Q(ended_at=None), name="driver_session_open")
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.get_method_display()}"


class DataExportState(models.TextChoices):
    WAITING = "waiting", pgettext_lazy("export", "waiting")
    RUNNING = "running", pgettext_lazy("export", "running")
    DONE = "done", pgettext_lazy("export", "finished")
    FAILED = "failed", pgettext_lazy("export", "failed")


class DataExport(models.Model):
    """A copy of their own data that a driver asked for (PIPL, article 45), and its file until it goes."""

    number = models.UUIDField(_("number"), unique=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="data_exports", verbose_name=_("customer")
    )
    state = models.CharField(
        _("state"), max_length=8, choices=DataExportState, default=DataExportState.WAITING
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    asked_at = models.DateTimeField(_("asked for at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    file = models.ForeignKey(
        StoredFile, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("file")
    )

    class Meta:
        verbose_name = _("copy of a driver's data")
        verbose_name_plural = _("copies of drivers' data")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="data_export_one_open",
            )
        ]

    def __str__(self) -> str:
        return str(self.number)


class AgreementKind(models.TextChoices):
    TERMS = "terms", pgettext_lazy("agreement", "terms of use")
    PRIVACY = "privacy", pgettext_lazy("agreement", "privacy policy")
    RECHARGE = "recharge", pgettext_lazy("agreement", "top-up agreement")


class Agreement(TimeStamped):
    """A text that drivers agree to. A draft has no version; published, it has one and never changes again."""

    kind = models.CharField(_("kind"), max_length=16, choices=AgreementKind)
    version = models.PositiveIntegerField(_("version"), null=True, blank=True, editable=False)
    title = models.CharField(_("title"), max_length=100)
    changes = models.CharField(
        _("what is new"),
        max_length=200,
        blank=True,
        help_text=_("Shown to drivers who agreed to the version before."),
    )
    body = models.TextField(_("text"))
    published_at = models.DateTimeField(_("published at"), null=True, blank=True, editable=False)
    published_by = models.CharField(_("published by"), max_length=100, blank=True, editable=False)

    class Meta:
        verbose_name = _("agreement")
        verbose_name_plural = _("agreements")
        ordering = ["kind", models.F("version").desc(nulls_first=True)]
        permissions = [("publish_agreement", _("Can publish agreements"))]
        constraints = [
            models.UniqueConstraint(fields=["kind", "version"], name="agreement_version"),
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(version=None),
                name="agreement_one_draft",
            ),
            models.CheckConstraint(
                condition=models.Q(version=None, published_at=None)
                | models.Q(version__isnull=False, published_at__isnull=False),
                name="agreement_published",
            ),
        ]

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.get_kind_display()} · {gettext('draft')}"
        return f"{self.get_kind_display()} · {self.version}"


class Consent(models.Model):
    """That a driver agreed to a version of an agreement: when, and from where."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="consents", verbose_name=_("customer")
    )
    agreement = models.ForeignKey(
        Agreement, on_delete=models.PROTECT, related_name="consents", verbose_name=_("agreement")
    )
    agreed_at = models.DateTimeField(_("agreed at"), default=timezone.now)
    method = models.CharField(_("signed in by"), max_length=16, choices=SignInMethod)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    agent = models.CharField(_("device"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ["-agreed_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["customer", "agreement"], name="consent_once")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.agreement_id}"


class HomePage(models.TextChoices):
    LIST = "list", pgettext_lazy("first page", "list of stations")
    MAP = "map", pgettext_lazy("first page", "map")


class DriverAppSettings(TimeStamped):
    """How the tenant's mini-program looks to drivers: one row. Read it with `app_settings.current`."""

    single = models.BooleanField(default=True, unique=True, editable=False)
    service_phone = models.CharField(
        _("service phone"),
        max_length=20,
        blank=True,
        validators=[RegexValidator(r"^[0-9+ -]{3,20}$", _("Digits, blanks, + and - are allowed."))],
    )
    service_hours = models.CharField(_("service hours"), max_length=50, blank=True)
    about = models.TextField(_("about us"), max_length=1000, blank=True)
    filing_number = models.CharField(
        _("filing number"),
        max_length=50,
        blank=True,
        help_text=_("ICP filing of the mini-program, shown under “About”."),
    )
    home = models.CharField(_("first page"), max_length=8, choices=HomePage, default=HomePage.LIST)
    elder_mode = models.BooleanField(
        _("large texts for everybody"),
        default=False,
        help_text=_("Drivers may change it for themselves."),
    )
    english = models.BooleanField(_("also in English"), default=True)
    shows_coupons = models.BooleanField(_("coupons"), default=True)
    shows_enterprises = models.BooleanField(_("enterprise charging"), default=True)
    shows_vehicles = models.BooleanField(_("vehicles"), default=True)
    refuses_virtual_operators = models.BooleanField(
        _("refuse numbers of virtual operators"),
        default=False,
        db_default=False,
        help_text=_(
            "Nobody becomes a customer with a number that begins with 162, 165, 167, 170 or 171, or changes to one. "
            "Who is a customer already signs in as ever."
        ),
    )

    class Meta:
        verbose_name = _("mini-program settings")
        verbose_name_plural = _("mini-program settings")
        constraints = [
            models.CheckConstraint(condition=models.Q(single=True), name="driver_app_settings_single")
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class CardState(models.TextChoices):
    ACTIVE = "active", _("active")
    FROZEN = "frozen", _("frozen")


class Card(TimeStamped):
    """A charging card (充电卡): the number printed on it, and the one that readers read."""

    logical_no = models.CharField(
        _("card number"), max_length=16, unique=True, validators=[RegexValidator(r"^\d{1,16}$")]
    )
    physical_no = models.CharField(
        _("chip number"), max_length=16, unique=True, validators=[RegexValidator(r"^[0-9A-F]{16}$")]
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="cards", verbose_name=_("customer")
    )
    state = models.CharField(_("state"), max_length=16, choices=CardState, default=CardState.ACTIVE)
    works_offline = models.BooleanField(_("may charge at piles that are offline"), default=False)

    class Meta:
        verbose_name = _("charging card")
        verbose_name_plural = _("charging cards")
        ordering = ["logical_no"]

    def __str__(self) -> str:
        return self.logical_no


class Vehicle(TimeStamped):
    """A customer's car: its plate for parking, its VIN for plug-and-charge."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="vehicles", verbose_name=_("customer")
    )
    plate = models.CharField(_("plate"), max_length=10, blank=True, db_index=True)
    vin = models.CharField(
        _("VIN"), max_length=17, blank=True, validators=[RegexValidator(r"^[A-HJ-NPR-Z0-9]{17}$")]
    )
    plug_and_charge = models.BooleanField(_("starts by plugging in"), default=False)
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        verbose_name = _("vehicle")
        verbose_name_plural = _("vehicles")
        ordering = ["-is_default", "id"]
        constraints = [
            models.UniqueConstraint(fields=["vin"], condition=~models.Q(vin=""), name="vehicle_vin_unique"),
            models.UniqueConstraint(
                fields=["customer", "plate"], condition=~models.Q(plate=""), name="vehicle_plate_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.plate or self.vin


class DiscountBase(models.TextChoices):
    """Which fees a discount is worked out from and taken off."""

    SERVICE = "service", _("service fee")
    ALL = "all", _("electricity and service fee")


class EnterpriseAccountKind(models.TextChoices):
    """Whether an enterprise pays for its members, and with whose money."""

    NONE = "none", _("none: members pay themselves")
    PREPAID = "prepaid", _("pre-paid")
    POSTPAID = "postpaid", _("post-paid, up to a credit limit")


class Payer(models.TextChoices):
    """Whose money pays for a charge."""

    WALLET = "wallet", _("own wallet")
    ENTERPRISE = "enterprise", pgettext_lazy("payer", "enterprise")


class Enterprise(TimeStamped):
    """A company whose people charge at a discount, and at its cost where it has an account (企业客户)."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    is_active = models.BooleanField(_("active"), default=True)
    percent_off = models.DecimalField(
        _("percent off"),
        max_digits=7,
        decimal_places=4,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=_("20 means that 80 percent are paid."),
    )
    applies_to = models.CharField(
        _("discount on"), max_length=8, choices=DiscountBase, default=DiscountBase.SERVICE
    )
    station_share = models.DecimalField(
        _("share borne by the station (%)"),
        max_digits=5,
        decimal_places=2,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=_("Of what is taken off; the platform bears the rest."),
    )
    account_kind = models.CharField(
        _("account"),
        max_length=8,
        choices=EnterpriseAccountKind,
        default=EnterpriseAccountKind.NONE,
        db_default=EnterpriseAccountKind.NONE,
    )
    credit_limit = MoneyField(
        _("credit limit (yuan)"),
        default=0,
        db_default=0,
        validators=[MinValueValidator(0)],
        help_text=_("Of a post-paid account: so far below zero the balance may go."),
    )
    monthly_limit = MoneyField(
        _("limit per month (yuan)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("For all members together. Empty: no limit."),
    )
    member_monthly_limit = MoneyField(
        _("limit per member and month (yuan)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("Of a member without a limit of their own. Empty: no limit."),
    )
    pay_hours = models.CharField(
        _("hours in which it pays"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        validators=[hours.validate],
        help_text=_("As opening hours are written, such as 07:00-22:00. Empty: at any time."),
    )
    stations = models.ManyToManyField(
        Station,
        blank=True,
        related_name="enterprises",
        verbose_name=_("stations at which it pays"),
        help_text=_("None: at every station."),
    )
    contact = models.CharField(_("contact"), max_length=100, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    invitation_code = models.CharField(
        _("invitation code"),
        max_length=12,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("whoever knows it joins in the app"),
    )

    class Meta:
        verbose_name = _("enterprise")
        verbose_name_plural = _("enterprises")
        ordering = ["name"]
        permissions = [
            ("set_enterprise_account", _("Can set what an enterprise pays for, and its credit limit"))
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(percent_off__gte=0, percent_off__lte=100)
                & models.Q(station_share__gte=0, station_share__lte=100),
                name="enterprise_percents",
            ),
            models.CheckConstraint(
                condition=models.Q(credit_limit__gte=0)
                & (models.Q(monthly_limit=None) | models.Q(monthly_limit__gte=0))
                & (models.Q(member_monthly_limit=None) | models.Q(member_monthly_limit__gte=0)),
                name="enterprise_limits",
            ),
            models.UniqueConstraint(
                fields=["invitation_code"],
                condition=~models.Q(invitation_code=""),
                name="enterprise_invitation_unique",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def pays(self) -> bool:
        """Whether members may charge at its cost."""
        return self.is_active and self.account_kind != EnterpriseAccountKind.NONE

    @property
    def credit(self) -> Decimal:
        """How far below zero a hold may bring its balance, yuan."""
        return self.credit_limit if self.account_kind == EnterpriseAccountKind.POSTPAID else Decimal("0.00")

    def rule(self) -> dict[str, str]:
        """Return the discount as an order freezes it."""
        return {
            "name": self.name,
            "percent_off": str(self.percent_off),
            "applies_to": str(self.applies_to),
            "station_share": str(self.station_share),
        }


class EnterpriseMember(TimeStamped):
    """A phone number that charges at its enterprise's discount; the driver may register later.

    `payer` is what the driver chose to pay with where the enterprise has an account. Who left comes back by an
    invitation code, who was removed does not.
    """

    enterprise = models.ForeignKey(
        Enterprise, on_delete=models.CASCADE, related_name="members", verbose_name=_("enterprise")
    )
    phone = models.CharField(_("phone"), max_length=20)
    name = models.CharField(_("name"), max_length=50, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    payer = models.CharField(
        _("pays with"), max_length=10, choices=Payer, default=Payer.ENTERPRISE, db_default=Payer.ENTERPRISE
    )
    monthly_limit = MoneyField(
        _("limit per month (yuan)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("What the enterprise pays for this member. Empty: the enterprise's limit per member."),
    )
    removed_at = models.DateTimeField(_("removed at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("enterprise member")
        verbose_name_plural = _("enterprise members")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "phone"], name="enterprise_member_once"),
            models.UniqueConstraint(
                fields=["phone"], condition=models.Q(is_active=True), name="enterprise_member_one_active"
            ),
            models.CheckConstraint(
                condition=models.Q(monthly_limit=None) | models.Q(monthly_limit__gte=0),
                name="enterprise_member_limit",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.masked_phone

    @property
    def masked_phone(self) -> str:
        """The phone number as others may see it: 138****0001."""
        local = self.phone.removeprefix("+86")
        return f"{local[:3]}****{local[-4:]}"


class InboxKind(models.TextChoices):
    """What drivers are told; the words of each are in inbox.py."""

    CHARGE_STARTED = "charge_started", _("charge started")
    START_FAILED = "start_failed", _("start failed")
    CHARGE_ENDED = "charge_ended", _("charge ended")
    ORDER_REFUNDED = "order_refunded", _("charge refunded")
    WALLET_REFUNDED = "wallet_refunded", _("balance refunded")
    COUPON_GIVEN = "coupon_given", _("coupon given")
    INVOICE_ISSUED = "invoice_issued", _("invoice issued")
    INVOICE_REJECTED = "invoice_rejected", _("invoice rejected")
    FEEDBACK_ANSWERED = "feedback_answered", _("feedback answered")


class InboxMessage(models.Model):
    """Something that a driver is told in the app. `data` fills the words, which are written where they are read.

    `reference` is the number of what it is about; of one thing a driver is told one message of a kind.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="inbox", verbose_name=_("customer"), db_index=False
    )
    kind = models.CharField(_("kind"), max_length=32, choices=InboxKind)
    reference = models.CharField(_("number"), max_length=32)
    data = models.JSONField(_("values"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"))
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)

    class Meta:
        verbose_name = _("message to a driver")
        verbose_name_plural = _("messages to drivers")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "kind", "reference"], name="inbox_message_once")
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="inbox_of_customer"),
            models.Index(fields=["customer"], condition=models.Q(read_at__isnull=True), name="inbox_unread"),
            models.Index(fields=["created_at"], name="inbox_age"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.reference}"
