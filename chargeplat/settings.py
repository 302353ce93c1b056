"""All settings, in titled sections. Every variable read here is described in .env.example."""

from __future__ import annotations

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from chargeplat import embedded, miniprogram

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))

# --- Where we run -----------------------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="")
REDIS_URL = env.str("REDIS_URL", default="")
EMBEDDED = not DATABASE_URL
STATE_DIR = embedded.state_dir()
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or (embedded.development_secret() if EMBEDDED else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY: with DATABASE_URL given, no development key is made.")
FIELD_KEYS = env.list(
    "FIELD_KEYS", default=[SECRET_KEY]
)  # the first encrypts, all decrypt: put a new one in front
PORT = env.int("PORT", default=8000)
YKC_PORT = env.int("YKC_PORT", default=9988)
YKC_HOST = env.str("YKC_HOST", default="127.0.0.1" if EMBEDDED else "0.0.0.0")  # noqa: S104 - piles dial in

# --- Hosts and security -----------------------------------------------------------------------------------
PLATFORM_HOSTS = env.list("PLATFORM_HOSTS", default=["localhost", "127.0.0.1"])
TENANT_DOMAIN = env.str("TENANT_DOMAIN", default="localhost")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[".localhost", "localhost", "127.0.0.1", *PLATFORM_HOSTS])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS", default=False) else None
)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("BEHIND_TLS", default=False)
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

# --- Apps: what lives in the public schema, and what in each tenant's -------------------------------------
SHARED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.inlines",
    "apps.tenancy",  # before django_tenants: both have a create_tenant command
    "django_tenants",
    "apps.common",
    "apps.backoffice",
    "apps.accounts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "ykc_server",
    "sandbox",  # for its command
]
TENANT_APPS = [
    "apps.backoffice",
    "apps.accounts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "guardian",
    "apps.files",
    "apps.notifications",
    "apps.sites",
    "apps.customers",
    "apps.piles",
    "apps.pricing",
    "apps.wallet",
    "apps.coupons",
    "apps.orders",
    "apps.invoices",
    "apps.marketing",
    "apps.franchisees",
    "apps.miniapp",
    "apps.reports",
]
INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]

MIDDLEWARE = [
    "apps.common.http.HealthMiddleware",
    "apps.tenancy.middleware.TenantMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.sessions.SessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.accounts.support.SupportMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "chargeplat.urls"
PUBLIC_SCHEMA_URLCONF = "chargeplat.urls_public"
ASGI_APPLICATION = "chargeplat.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database and tenants ---------------------------------------------------------------------------------
DATABASES = {"default": env.db_url_config(DATABASE_URL) if DATABASE_URL else embedded.database()}
DATABASES["default"]["ENGINE"] = "django_tenants.postgresql_backend"
DATABASES["default"]["CONN_MAX_AGE"] = 0
if env.bool("DB_POOL", default=False):
    # Web processes only: under ASGI each request has a thread of its own, and kept connections leak.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": env.int("DB_POOL_SIZE", default=8),
    }
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TENANT_MODEL = "tenancy.Tenant"
TENANT_DOMAIN_MODEL = "tenancy.Domain"
PUBLIC_SCHEMA_NAME = "public"
TENANT_TEMPLATE_SCHEMA = "tenant_template"
TENANT_BASE_SCHEMA = TENANT_TEMPLATE_SCHEMA
TENANT_CREATION_FAKES_MIGRATIONS = True  # without it TENANT_BASE_SCHEMA is silently ignored
TENANT_GRACE_DAYS = env.int("TENANT_GRACE_DAYS", default=7)  # after its last day a tenant is suspended
# Whom tenants ask about their package: a name, a phone number, an address; shown to their staff.
PLATFORM_CONTACT = env.str("PLATFORM_CONTACT", default="")
TENANT_LIMIT_SET_CALLS = env.bool("TENANT_LIMIT_SET_CALLS", default=True)  # off behind PgBouncer

# --- Redis: cache, channel layer, tasks. It may be emptied at any moment without losing money or records ---
REDIS = REDIS_URL or embedded.redis_url()
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS,
        "KEY_FUNCTION": "django_tenants.cache.make_key",
        "REVERSE_KEY_FUNCTION": "django_tenants.cache.reverse_key",
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS, "socket_timeout": None}]},
    }
}
CELERY_BROKER_URL = env.str("BROKER_URL", default=REDIS_URL or embedded.kombu_url(1))
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
_FEW_TRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
# A broker that is away is found out within about a second: whoever sends a task has a request or a pile that waits.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "socket_connect_timeout": 1, **_FEW_TRIES}
CELERY_TASK_PUBLISH_RETRY_POLICY = _FEW_TRIES
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ROUTES = {
    "orders.*": {"queue": "money"},
    "wallet.*": {"queue": "money"},
    "pricing.*": {"queue": "push"},
    "files.run_export": {"queue": "exports"},  # takes minutes: nothing else waits behind it
}
CELERY_TIMEZONE = "Asia/Shanghai"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # tasks log like everything else

# --- People -----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "apps.accounts.passwords.PolicyValidator"},  # length, kinds, history: the sign-in policy's
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
SIGN_IN_VIEW = "apps.accounts.pages.sign_in.login"  # the layer that knows staff lets them in
SECOND_FACTOR_PAGES = (  # app/model: where money moves or prices are set, and who decides who may do it
    "wallet/*",
    "orders/orderrefund",
    "orders/abnormalorder",
    "orders/transactionrecord",  # matching one bills an order
    "orders/billingpolicy",
    "pricing/*",
    "coupons/*",
    "customers/enterprise",  # accounts on credit
    "franchisees/*",  # contracts with their shares
    "backoffice/approval",
    "backoffice/approvalpolicy",
    "accounts/user",
    "accounts/signinpolicy",
    "accounts/loginprovider",
    "auth/group",
    "tenancy/tenant",  # the platform's: who suspends and closes tenants, and who goes into their back offices
    "tenancy/supportsession",
)
SIGN_IN_LOG_DAYS = env.int("SIGN_IN_LOG_DAYS", default=400)  # the law wants six months at least
WECHAT_OPEN_URL = env.str("WECHAT_OPEN_URL", default="https://open.weixin.qq.com")
WECHAT_API_URL = env.str("WECHAT_API_URL", default="https://api.weixin.qq.com")
ALIPAY_AUTH_URL = env.str(
    "ALIPAY_AUTH_URL", default="https://openauth.alipay.com/oauth2/publicAppAuthorize.htm"
)
ALIPAY_GATEWAY_URL = env.str("ALIPAY_GATEWAY_URL", default="https://openapi.alipay.com/gateway.do")

# --- Language and time ------------------------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

# --- Static files -----------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / ".static"
H5_DIR = env.str("H5_DIR", default=str(miniprogram.H5_DIR))  # the mini-program's pages for browsers
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()  # `collectstatic` is for production images

# --- Files: on this machine's disk, or in an object storage that speaks S3 --------------------------------
FILES_DIR = env.str("FILES_DIR", default=str(STATE_DIR / "files"))
S3_BUCKET = env.str("S3_BUCKET", default="")
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": FILES_DIR,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
            "allow_overwrite": True,  # keys are never used twice, but for an upload that is sent again
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if S3_BUCKET:
    STORAGES["default"] = {
        "BACKEND": "apps.files.storage.ObjectStorage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": env.str("S3_ENDPOINT", default="") or None,
            "public_endpoint": env.str("S3_PUBLIC_ENDPOINT", default=""),
            "region_name": env.str("S3_REGION", default="us-east-1"),
            "access_key": env.str("S3_ACCESS_KEY", default=""),
            "secret_key": env.str("S3_SECRET_KEY", default=""),
            "vendor": env.str("S3_VENDOR", default="s3"),
            "addressing": env.str("S3_ADDRESSING", default="path"),
            "signature": env.str("S3_SIGNATURE", default="s3v4"),
            "default_acl": None,
            "file_overwrite": True,
            "querystring_expire": 600,
        },
    }
EXPORT_IN_BACKGROUND = "apps.files.exports.request_export"  # the layer that keeps files writes the lists

# --- Driver API -------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.miniapp.authentication.DriverAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.common.api.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "chargeplat driver API",
    "VERSION": "1",
    "DESCRIPTION": (
        "What the drivers' mini-program talks to. A tenant has a host of its own; on the platform's host the header "
        "`X-Tenant` names it by its code. A token is good for one tenant. Money is yuan as a decimal string with two "
        "places, prices have two to five; times are ISO 8601 with an offset. Every error is "
        '`{"code", "message", "data"}`: the code is for programs, the message for people, in the language of '
        "Accept-Language (zh-hans or en). The WebSocket `/ws/v1/charges/{order_no}/` sends what "
        "`GET /api/v1/charges/{order_no}` answers, at once and after every change; it opens with a ticket or with "
        '`{"token": "…"}` as its first message, and closes with 4401 (not signed in) or 4404 (no such order).'
    ),
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # labels are in the reader's language, the file must not be
    "ENUM_NAME_OVERRIDES": {
        "OrderState": "apps.orders.enums.OrderState",
        "StationState": "apps.sites.enums.StationState",
        "ConnectorState": "apps.piles.enums.ConnectorState",
        "RechargeState": "apps.wallet.enums.RechargeState",
        "ChannelName": "apps.wallet.enums.ChannelName",
        "OrderRefundState": "apps.orders.enums.OrderRefundState",
        "WalletRefundState": "apps.wallet.enums.RefundState",
        "PileKind": "apps.piles.enums.PileKind",
        "InboxKind": "apps.customers.models.InboxKind",
        "ParkingKind": "apps.sites.enums.ParkingKind",
        "CouponKind": "apps.coupons.enums.CouponKind",
        "AgreementKind": "apps.customers.models.AgreementKind",
        "BannerLink": "apps.marketing.enums.BannerLink",
        "SignInMethod": "apps.customers.models.SignInMethod",
        "DataExportState": [(word, word) for word in ("waiting", "running", "done", "failed", "none")],
        "CouponState": "apps.coupons.enums.CouponState",
        "FeedbackKind": "apps.customers.feedback.models.FeedbackKind",
        "FeedbackState": "apps.customers.feedback.models.FeedbackState",
        "InvoiceState": "apps.invoices.enums.InvoiceState",
        "InvoiceKind": "apps.invoices.enums.InvoiceKind",
        "InvoiceTitleKind": "apps.invoices.enums.TitleKind",
        "Payer": "apps.customers.models.Payer",
        "RateClass": [(word, word) for word in ("sharp", "peak", "flat", "valley", "deep_valley")],
    },
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
}
DRIVER_TOKEN_HOURS = env.int("DRIVER_TOKEN_HOURS", default=24 * 7)
DRIVER_REQUESTS_PER_MINUTE = env.int("DRIVER_REQUESTS_PER_MINUTE", default=300)
# Of the form apps.customers.inbox.Messenger, and what sends messages whose way is a mini-program
INBOX_MESSENGERS = ["apps.customers.subscriptions.SubscribeMessages"]
APP_MESSAGE_SENDER = "apps.customers.subscriptions.send"
WECHAT_MINIPROGRAM_STATE = env.str("WECHAT_MINIPROGRAM_STATE", default="formal")
ADDRESS_REQUESTS_PER_MINUTE = env.int("ADDRESS_REQUESTS_PER_MINUTE", default=1200)  # who has not signed in
DRIVER_SESSION_DAYS = env.int("DRIVER_SESSION_DAYS", default=90)  # without being used
SMS_PROVIDER = env.str("SMS_PROVIDER", default="console")
SMS_LOG = STATE_DIR / "sms.log"
SMS_DAILY_BUDGET = env.int("SMS_DAILY_BUDGET", default=5_000)  # sign-in codes of one tenant within 24 h
CAPTCHA = env.str(
    "CAPTCHA", default=""
)  # dotted path of an apps.customers.captcha.Captcha; off for "console"
RECHARGE_CHANNELS = env.list(
    "RECHARGE_CHANNELS", default=["wechatpay", "alipay", *(["sandbox"] if EMBEDDED else [])]
)
NOTICE_BASE_URL = env.str("NOTICE_BASE_URL", default="") or (
    f"http://127.0.0.1:{PORT}" if EMBEDDED else f"https://{PLATFORM_HOSTS[0]}"
)
PAYMENT_TIMEOUT_S = (3.0, 10.0)  # to connect, and for the answer

# --- Messages to staff and drivers: what tenants set themselves comes first (back office: Notifications) ----
SMS_ALIYUN_URL = env.str("SMS_ALIYUN_URL", default="https://dysmsapi.aliyuncs.com/")
SMS_TENCENT_URL = env.str("SMS_TENCENT_URL", default="https://sms.tencentcloudapi.com/")
ROBOT_HOSTS = env.list("ROBOT_HOSTS", default=[])  # beside those of WeCom, DingTalk and Feishu; with port
OUTGOING_PRIVATE_HOSTS = env.list(
    "OUTGOING_PRIVATE_HOSTS", default=["127.0.0.1", "localhost"] if EMBEDDED else []
)  # mail servers of our own network that tenants may name
MESSAGE_TIMEOUT_S = (3.0, 10.0)  # to connect, and for the answer
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("MAIL_FROM", default="chargeplat@localhost")
EMAIL_TIMEOUT = 10
EMAIL_URL = env.str("EMAIL_URL", default="")
if EMAIL_URL:
    _mail = env.email_url_config(EMAIL_URL)
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
    EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
    EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
elif EMBEDDED:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = STATE_DIR / "mail"
else:
    EMAIL_BACKEND = ""  # no mail but from tenants' own mailboxes

# --- Piles ------------------------------------------------------------------------------------------------
PILE_DRIVERS = {"ykc": "apps.piles.drivers.ChannelDriver"}
YKC_HEARTBEAT_TIMEOUT_S = 35  # three missed heartbeats of 10 s, with room for a slow network (YKC V1.6, 7.1)
YKC_LOGIN_TIMEOUT_S = 30
YKC_MAX_CONNECTIONS_PER_ADDRESS = env.int("YKC_MAX_CONNECTIONS_PER_ADDRESS", default=20_000)
YKC_LOGIN_BURST = env.int(
    "YKC_LOGIN_BURST", default=1_000
)  # logins that lead to nothing, per address; 0: any
YKC_LOGINS_PER_MINUTE = env.int("YKC_LOGINS_PER_MINUTE", default=600)  # so many come back
YKC_TLS_PORT = env.int("YKC_TLS_PORT", default=0)  # 0: no TLS
YKC_TLS_CERTIFICATE = env.str("YKC_TLS_CERTIFICATE", default="")
YKC_TLS_KEY = env.str("YKC_TLS_KEY", default="")
YKC_DATABASE_THREADS = env.int("YKC_DATABASE_THREADS", default=8)
# Of a driver's account: what stands against deleting it, what is done when it is, what a copy of the data holds.
CUSTOMER_CLOSE_GUARDS = [
    "apps.wallet.personal.reasons_to_keep",
    "apps.orders.personal.reasons_to_keep",
    "apps.invoices.personal.reasons_to_keep",
]
CUSTOMER_CLOSERS = [
    "apps.wallet.personal.give_up_bonus",
    "apps.orders.personal.forget_plates",
    "apps.invoices.personal.forget_titles",
    "apps.customers.feedback.personal.forget_writer",
]
CUSTOMER_EXPORTS = [
    "apps.wallet.personal.data_of",
    "apps.coupons.personal.data_of",
    "apps.orders.personal.data_of",
    "apps.invoices.personal.data_of",
    "apps.customers.feedback.personal.data_of",
]
PILE_GUARDS = ["apps.orders.guards.refuse_live_charges"]  # asked before a pile is moved or retired
PILES_MOVED = "apps.pricing.services.prices_follow"  # called when piles have moved, in the same transaction

# --- Charging ---------------------------------------------------------------------------------------------
HOLD_MAXIMUM_YUAN = env.str("HOLD_MAXIMUM_YUAN", default="300.00")

LEDGER_CHECK_TASK = "apps.orders.tasks.check_books"  # the layer that sees all tables checks the books

# --- Back office ------------------------------------------------------------------------------------------
# Tiles under the map of a station, in GCJ-02, with the key of a licensed provider; empty: a plain grid.
MAP_TILES_URL = env.str("MAP_TILES_URL", default="")
MAP_TILES_ATTRIBUTION = env.str("MAP_TILES_ATTRIBUTION", default="")
BRAND_COLOUR = {
    "50": "#ecfdf5",
    "100": "#d1fae5",
    "200": "#a7f3d0",
    "300": "#6ee7b7",
    "400": "#34d399",
    "500": "#0e9f6e",
    "600": "#057a55",
    "700": "#046c4e",
    "800": "#065f46",
    "900": "#064e3b",
    "950": "#022c22",
}
_UNFOLD = {
    "SITE_SYMBOL": "ev_station",
    "SITE_URL": None,
    "SITE_SUBHEADER": "chargeplat.menus.subheader",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["chargeplat.menus.stylesheet"],
    "SCRIPTS": ["chargeplat.menus.script"],
    "SITE_FAVICONS": [{"rel": "icon", "href": "chargeplat.menus.favicon", "type": "image/svg+xml"}],
    "DASHBOARD_CALLBACK": "apps.reports.dashboard.dashboard",
    "ACCOUNT": {"navigation": "apps.accounts.pages.me.account_links"},
    "COLORS": {"primary": "apps.tenancy.branding.colours"},
}
UNFOLD = {
    **_UNFOLD,
    "SCRIPTS": ["chargeplat.menus.script", "chargeplat.menus.badges_script"],
    "SITE_TITLE": _("Charging operations"),
    "SITE_HEADER": _("Charging operations"),
    "SITE_ICON": "apps.tenancy.branding.logo",
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": "chargeplat.menus.tenant_navigation",
    },
}
UNFOLD_PLATFORM = {
    **_UNFOLD,
    "SITE_TITLE": _("Platform"),
    "SITE_HEADER": _("Platform"),
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": "chargeplat.menus.platform_navigation",
    },
}

# --- Logs -------------------------------------------------------------------------------------------------
LOGGING_CONFIG = "apps.common.logging.configure"
LOGGING = {"level": env.str("LOG_LEVEL", default="INFO"), "json": env.bool("LOG_JSON", default=not EMBEDDED)}
