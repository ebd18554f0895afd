"""Django's settings. Only this module reads the environment; `.env.example` documents all variables.

Precedence: the process's environment, then `.env`, then `.run/services.env` (written by `bin/services start`).
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from coolthing_site.environment import Environment, fail

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment(BASE_DIR / ".env", BASE_DIR / ".run" / "services.env")

DEBUG = env.flag("DJANGO_DEBUG", False)
SECRET_KEY = env.text("DJANGO_SECRET_KEY")
ALLOWED_HOSTS = env.listed("DJANGO_ALLOWED_HOSTS", ["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.listed("DJANGO_CSRF_TRUSTED_ORIGINS", [])

# Behind TLS in production; plain HTTP on a laptop's loopback.
HTTPS = env.flag("DJANGO_HTTPS", False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Prometheus requests it inside the network, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "csp",
    # Without autodiscovery: urls.py imports the admin modules, so that workers do not import them.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "axes",
    "django_celery_beat",
    "panelkit",
    "vault",
    "messaging",
    "campaigns",
    "notifier",
    "bots",
    "scripts",
    "parser",
    "leads",
    "coolthing_site",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "coolthing_site.web.middleware.permissions_policy",
    "csp.middleware.CSPMiddleware",
    # Static files are compressed once, when they are collected.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "coolthing_site.web.middleware.Compression",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "coolthing_site.web.middleware.refuse_nul",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    # The last: it replaces the login page's response after too many failures.
    "axes.middleware.AxesMiddleware",
]

# What a page may load and do. Unfold's library Alpine evaluates attributes of templates (unsafe-eval), and Unfold
# writes style attributes. Scripts and style sheets are files.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF],
        "style-src-attr": [UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
# These headers and cookies have Django's defaults. They are listed because pages rely on them.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# A session ends this long after the login, also if it is used. The default is a working day.
SESSION_COOKIE_AGE = 3600 * env.whole("SESSION_HOURS", 12, least=1, most=24 * 30)

ROOT_URLCONF = "coolthing_site.urls"
WSGI_APPLICATION = "coolthing_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "coolthing_site" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# A database that disappears without closing its connections is noticed within about half a minute, not after hours.
DATABASE_LINK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
DATABASE_URL = env.text_or("DATABASE_URL", lambda: env.address_from_parts("postgres", "POSTGRES", port=5432))
DATABASES = {"default": env.database("DATABASE_URL", DATABASE_URL)}
DATABASES["default"]["OPTIONS"] = DATABASE_LINK | DATABASES["default"].get("OPTIONS", {})
DATABASES["default"]["CONN_MAX_AGE"] = 300
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# LISTEN and session advisory locks need a connection that no pooler (pgbouncer) shares.
DATABASE_DIRECT_URL = env.url("DATABASE_DIRECT_URL", {"postgres", "postgresql"}, DATABASE_URL)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# For amqp:// kombu uses librabbitmq if it is installed, with which Celery's worker crashes.
_BROKER = env.text_or("RABBITMQ_URL", lambda: env.address_from_parts("amqp", "RABBITMQ", port=5672))
RABBITMQ_URL = "pyamqp://" + env.url("RABBITMQ_URL", {"amqp", "pyamqp"}, _BROKER).partition("://")[2]
_MANAGEMENT = env.text_or(
    "RABBITMQ_MANAGEMENT_URL", lambda: env.address_from_parts("http", "RABBITMQ", port=15672, path="") or ""
)
RABBITMQ_MANAGEMENT_URL = env.url("RABBITMQ_MANAGEMENT_URL", {"http", "https"}, _MANAGEMENT)
# The most connections to the broker in a process. Flower needs one for each request to the workers.
BROKER_POOL_LIMIT = env.whole("BROKER_POOL_LIMIT", 2, least=1)
# A worker keeps its database connection for this many tasks. Otherwise each task takes 7 ms longer.
CELERY_DB_REUSE_MAX = 1000

# Fernet keys (URL-safe base64 of 32 bytes): the first encrypts, all of them decrypt.
FIELD_ENCRYPTION_KEYS = env.fernet_keys("FIELD_ENCRYPTION_KEYS")

TELEGRAM_API_ID = env.whole("TELEGRAM_API_ID", 0)
TELEGRAM_API_HASH = env.text("TELEGRAM_API_HASH", "")
# host:port of another MTProto server (the sandbox), and the file with its public key. Empty: Telegram itself.
TELEGRAM_SERVER = env.address("TELEGRAM_SERVER")
TELEGRAM_SERVER_KEY = env.text("TELEGRAM_SERVER_KEY", "")
if TELEGRAM_API_ID and not TELEGRAM_API_HASH:
    fail("TELEGRAM_API_HASH", "is not set, but TELEGRAM_API_ID is: they belong together")
if TELEGRAM_SERVER and not TELEGRAM_SERVER_KEY:
    fail("TELEGRAM_SERVER_KEY", "is not set: it names the file with the public key of TELEGRAM_SERVER")

OPENAI_API_KEY = env.text("OPENAI_API_KEY", "")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL", {"http", "https"}, "https://api.openai.com/v1")
OPENAI_MODEL = env.text("OPENAI_MODEL", "gpt-4o-mini")

# A waiting relay ends the session of a working relay that was silent for this many seconds.
RELAY_SILENT_SECONDS = env.whole("RELAY_SILENT_SECONDS", 30, least=1)
# A process of the Procfile without a heartbeat for this many seconds counts as silent. It sends four in this time.
PROCESS_SILENT_SECONDS = env.whole("PROCESS_SILENT_SECONDS", 60, least=1)
# The lease of a bot's session: seconds until it expires, and seconds between renewals.
LEASE_TTL_SECONDS = env.whole("LEASE_TTL_SECONDS", 60, least=2)
LEASE_RENEW_SECONDS = env.whole("LEASE_RENEW_SECONDS", 15, least=1)
if LEASE_RENEW_SECONDS >= LEASE_TTL_SECONDS:
    fail("LEASE_RENEW_SECONDS", "must be less than LEASE_TTL_SECONDS: a lease is renewed before it ends")
# The most bots that a bots worker runs.
BOTS_PER_WORKER = env.whole("BOTS_PER_WORKER", 50, least=1)
# The most logins that a bots worker processes at the same time. Other logins wait for a free slot.
LOGINS_PER_WORKER = env.whole("LOGINS_PER_WORKER", 8, least=1)
# The most chats that an account asks to join in an hour and in a day.
JOINS_PER_HOUR = env.whole("JOINS_PER_HOUR", 10, least=1)
JOINS_PER_DAY = env.whole("JOINS_PER_DAY", 40, least=1)
# The most chats of a parser account when CoolThing chooses accounts. Telegram's limit is about 500.
CHATS_PER_PARSER = env.whole("CHATS_PER_PARSER", 400, least=1)

# The ports of the sandbox, which `make up` runs if TELEGRAM_API_ID is not set. 0 is any free port.
SANDBOX_MTPROTO_PORT = env.port("SANDBOX_MTPROTO_PORT", 8443, least=0)
SANDBOX_HTTP_PORT = env.port("SANDBOX_HTTP_PORT", 8444, least=0)

# The bearer token of /metrics. Without a token nobody can read /metrics, not even from this machine.
METRICS_TOKEN = env.text("METRICS_TOKEN", "")

# The address at which an OpenTelemetry collector receives OTLP over HTTP. The SDK reads other OTEL_ variables itself.
OTEL_EXPORTER_OTLP_ENDPOINT = env.url("OTEL_EXPORTER_OTLP_ENDPOINT", {"http", "https"}, "")

# Hosts (names, addresses, networks) outside the public Internet to which addresses in the panel and in seed files may
# lead. Addresses that only the environment sets are trusted and need no entry.
OUTGOING_ALLOWED_HOSTS = env.hosts("OUTGOING_ALLOWED_HOSTS")
# The directory for the files of notification channels, and for nothing else.
NOTIFICATION_FILES_DIR = env.text("NOTIFICATION_FILES_DIR", str(BASE_DIR / ".run" / "notifications"))

# The panel's address for links in notifications. If it is empty, notifications contain only the path of a page.
PANEL_URL = env.url("PANEL_URL", {"http", "https"}, "")

WEB_PORT = env.port("WEB_PORT", 8000)
FLOWER_PORT = env.port("FLOWER_PORT", 5555)
FLOWER_URL = env.text("FLOWER_URL", f"http://127.0.0.1:{FLOWER_PORT}/")

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
# 2026-11-23 14:05:09 on every page, for operators in several countries.
FORMAT_MODULE_PATH = ["coolthing_site.formats"]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / ".run" / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# The panel works from a fresh clone, without collectstatic.
WHITENOISE_USE_FINDERS = True

# Requests to the API: of a user, of an address without a login, and wrong tokens of an address.
API_USER_PER_MINUTE = env.whole("API_USER_PER_MINUTE", 600, least=1)
API_ANONYMOUS_PER_MINUTE = env.whole("API_ANONYMOUS_PER_MINUTE", 60, least=1)
API_FAILED_TOKENS_PER_HOUR = env.whole("API_FAILED_TOKENS_PER_HOUR", 20, least=1)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "coolthing_site.api.limits.LimitedTokenAuthentication",
        "coolthing_site.api.limits.LimitedSessionAuthentication",
        "coolthing_site.api.limits.AnonymousLimit",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
}

DEFAULT_EXCEPTION_REPORTER_FILTER = "coolthing_site.web.error_reports.SecretiveFilter"

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
CSRF_FAILURE_VIEW = "coolthing_site.web.error_pages.csrf_failure"
# Axes comes first, so that it refuses a locked login before the password is checked.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Proxies whose X-Forwarded-For is trusted. Any client can send this header, so without a proxy it is ignored.
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

# Failed logins. coolthing_site/web/login_limits.py explains the limits. Locks end by themselves.
LOGIN_COOL_OFF_MINUTES = env.whole("LOGIN_COOL_OFF_MINUTES", 15, least=1, most=24 * 60)
LOGIN_FAILURES_OF_ADDRESS = env.whole("LOGIN_FAILURES_OF_ADDRESS", 50, least=1)
AXES_FAILURE_LIMIT = env.whole("LOGIN_FAILURES", 5, least=1)
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_COOL_OFF_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "coolthing_site.web.login_limits.LoginLimits"
AXES_LOCKOUT_CALLABLE = "coolthing_site.web.login_limits.locked_out"
AXES_CLIENT_IP_CALLABLE = "coolthing_site.web.client_address.client_address"
AXES_RESET_ON_SUCCESS = True
# A browser that keeps sending an old password must not lock its owner out for ever.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# Only failures are stored, not successful logins.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"trace": {"()": "messaging.instrumentation.tracing.TraceFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s%(trace)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["trace"]}},
    "root": {"handlers": ["stderr"], "level": env.choice("LOG_LEVEL", LOG_LEVELS, "INFO")},
    "loggers": {
        # Telethon logs every reconnect and update gap at INFO; httpx every request's URL.
        "telethon": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "httpcore2": {"level": "WARNING"},
        # It logs three lines for each login at INFO, but failures and locks at WARNING.
        "axes": {"level": "WARNING"},
        # At DEBUG it logs whole conversations.
        "openai": {"level": "WARNING"},
    },
}

# Functions are given as paths: their modules import models, which cannot be loaded while settings are read.
UNFOLD = {
    "SITE_TITLE": "CoolThing",
    "SITE_HEADER": "CoolThing",
    "SITE_SYMBOL": "forum",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "coolthing_site.panel.navigation.favicon"}],
    "SCRIPTS": [
        "coolthing_site.panel.navigation.htmx",
        "coolthing_site.panel.navigation.live_script",
        "coolthing_site.panel.navigation.unsaved_script",
    ],
    # The colours are in colors.css. Unfold would write them into each page, where the browser would refuse them.
    "STYLES": ["coolthing_site.panel.navigation.colors", "coolthing_site.panel.navigation.stylesheet"],
    "GLOBAL_CALLBACK": "coolthing_site.panel.navigation.without_colors",
    "DASHBOARD_CALLBACK": "coolthing_site.panel.dashboard.dashboard",
    "SIDEBAR": {"show_search": True, "navigation": "coolthing_site.panel.navigation.sidebar"},
}
