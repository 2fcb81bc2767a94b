"""Settings of the project, from the environment; .env.example and docs/configuration.md describe each.

Without DATABASE_URL, or with DEBUG, this is an installation for development: it brings its own database and keys, and
does not ask for https. Anything else is production, which must be told its keys and hosts.
"""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from recallops import clock, development_keys, headers, logs
from recallops.admin_look import UNFOLD  # noqa: F401
from recallops.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment(BASE_DIR / ".env")

DATA_DIR = Path(env.text("RECALLOPS_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
_database = env.database("DATABASE_URL")
DEBUG = env.flag("DEBUG", default=not env.given("DATABASE_URL"))
DEVELOPMENT = DEBUG or not env.given("DATABASE_URL")
# The schema of a rehearsal's own process; set by `manage.py rehearse` for its child, by nobody else.
REHEARSAL = env.text("RECALLOPS_REHEARSAL")

# Keys and hosts

if REHEARSAL:  # keys of its own: what the real rows keep sealed stays so
    SECRET_KEY = secrets.token_urlsafe(48)
    ENCRYPTION_KEYS = [base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()]
    ALLOWED_HOSTS: list[str] = []
elif DEVELOPMENT:
    SECRET_KEY = env.text("SECRET_KEY") or development_keys.secret_key(DATA_DIR)
    ENCRYPTION_KEYS = env.texts("ENCRYPTION_KEYS") or [development_keys.encryption_key(DATA_DIR)]
    ALLOWED_HOSTS = env.texts("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
else:
    SECRET_KEY = env.required("SECRET_KEY", wants="It wants at least 50 random characters, the same on all machines.")
    ENCRYPTION_KEYS = env.texts("ENCRYPTION_KEYS")
    env.required("ENCRYPTION_KEYS", wants="It wants Fernet keys, separated by commas; the first one encrypts.")
    ALLOWED_HOSTS = env.texts("ALLOWED_HOSTS")
    env.required("ALLOWED_HOSTS", wants="It wants the names under which browsers reach this site, with commas.")
SECRET_KEY_FALLBACKS = env.texts("SECRET_KEY_FALLBACKS")
CSRF_TRUSTED_ORIGINS = env.texts("CSRF_TRUSTED_ORIGINS")

# Applications

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_q",
    "django_otp",
    "axes",
    "csp",
    "recallops",
    "calendars",
    "recallops.staff",
    "migrations_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "recallops.webhook_door.WebhookDoor",
    "recallops.caller.CallerMiddleware",
    "recallops.headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "recallops.staff.middleware.StaffMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "recallops.viewer_zone.middleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "recallops.urls"
WSGI_APPLICATION = "recallops.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
            ],
        },
    },
]

LANGUAGE_CODE = "en"
# Of status pages (docs/status.md): nothing else chooses one. Staff's pages are English (docs/translations.md).
LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French"), ("ja", "Japanese")]
LOCALE_PATHS = [BASE_DIR / "migrations_app" / "status" / "locale"]
FORMAT_MODULE_PATH = "recallops.formats"
LOGIN_REDIRECT_URL = "admin:index"
TIME_ZONE = "UTC"
USE_TZ = True

# Database

EMBEDDED_POSTGRES_NAME = "recallops"
EMBEDDED_POSTGRES_OPTIONS = env.texts("EMBEDDED_POSTGRES_OPTIONS")
DATABASES = {
    "default": {
        "ENGINE": "recallops.embedded_postgres",
        "NAME": EMBEDDED_POSTGRES_NAME,
        **(_database or {}),
        "CONN_MAX_AGE": env.whole("DATABASE_CONNECTION_SECONDS", default=60),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 10, **(_database or {}).get("OPTIONS", {})},
    }
}
if REHEARSAL:  # its own tables and nobody else's; one connection to the end
    _own_schema = f"-c search_path={REHEARSAL} -c synchronous_commit=off"
    _options = DATABASES["default"]["OPTIONS"]
    _options["options"] = f"{_options.get('options', '')} {_own_schema}".strip()
    DATABASES["default"]["CONN_MAX_AGE"] = None

# Web

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
STATIC_URL = "static/"
STATIC_ROOT = None if DEVELOPMENT else BASE_DIR / "staticfiles"
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = DEVELOPMENT
_static = "django.contrib.staticfiles.storage.StaticFilesStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": _static if DEVELOPMENT else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}

APPROVAL_HOURS = env.whole("APPROVAL_HOURS", default=24, least=1)
SESSION_COOKIE_AGE = env.whole("SESSION_HOURS", default=12, least=1) * 3600
SESSION_IDLE_SECONDS = env.whole("SESSION_IDLE_MINUTES", default=120) * 60
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = not DEVELOPMENT
LANGUAGE_COOKIE_NAME, LANGUAGE_COOKIE_PATH = "lang", headers.PRIVATE_PREFIX
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=not DEVELOPMENT)
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]
SECURE_HSTS_SECONDS = env.whole("SECURE_HSTS_SECONDS", default=0 if DEVELOPMENT else 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not DEVELOPMENT
BEHIND_PROXY = env.flag("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
# Of everything that is no page of ours with one of its own (recallops/headers.py).
CONTENT_SECURITY_POLICY = {"DIRECTIVES": headers.STRICT}

# Log-ins: a password, a code, and not too many tries from one address with one name.

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
STAFF_SECOND_FACTOR = env.flag("STAFF_SECOND_FACTOR", default=not DEVELOPMENT)
AXES_FAILURE_LIMIT = env.whole("LOGIN_FAILURES", default=5, least=1)
AXES_COOLOFF_TIME = timedelta(minutes=env.whole("LOGIN_COOL_OFF_MINUTES", default=15, least=1))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "recallops.caller.client_address"
AXES_LOCKOUT_CALLABLE = "recallops.staff.log_ins.refuse"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # a lock-out ends, whatever is tried meanwhile
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has it
AXES_ENABLE_ADMIN = False  # recallops/staff/admin.py
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken", "next"]

# Webhooks, in and out

# A larger webhook is refused unread. Those of the catalogue have a few kB; senders are advised to stay below 20.
WEBHOOK_MAX_BYTES = env.whole("WEBHOOK_MAX_BYTES", default=1024 * 1024, least=1024)
# Hosts that webhooks may be passed on to (".example.com": all below it; none: any), and whether private networks count.
RELAY_HOSTS = env.texts("RELAY_HOSTS")
RELAY_PRIVATE = env.flag("RELAY_PRIVATE", default=False)

# Time. The wall's, except in a demo or a rehearsal.

CLOCK_FILE = env.text("RECALLOPS_CLOCK_FILE")
if CLOCK_FILE:
    clock.install(clock.FileClock(CLOCK_FILE))

# Messages

# Where people reach this site: links in alerts lead there, and links in e-mails to customers nowhere else.
SITE_URL = env.site("SITE_URL", default="http://localhost:8000" if DEVELOPMENT else "")
# Hosts of chat tools that alerts may be posted to, in the same way.
ALERT_HOSTS = env.texts("ALERT_HOSTS")
ALERT_PRIVATE = env.flag("ALERT_PRIVATE", default=False)

# E-mail to customers. Where domain time is not the wall's (demo, rehearsal) nothing leaves this machine.

MAIL_READY = DEVELOPMENT or env.given("EMAIL_URL")
_mail = env.mail("EMAIL_URL", default="consolemail://")
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend" if CLOCK_FILE else _mail["backend"]
if REHEARSAL:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _mail["host"], _mail["port"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["user"], _mail["password"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail["tls"], _mail["ssl"]
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT", default=10.0, least=1.0)
DEFAULT_FROM_EMAIL = env.sender("DEFAULT_FROM_EMAIL", default="RecallOps <recallops@localhost>")
if env.given("EMAIL_URL") and not DEVELOPMENT:
    env.required("DEFAULT_FROM_EMAIL", wants="It wants the address that e-mails to customers come from.")

# Requests a minute for each link to a status page, a tenth of them at once. A page that is open asks twice a minute.
STATUS_PER_MINUTE = env.whole("STATUS_PER_MINUTE", default=600, least=1)

# Where people let the company's clients read their calendars again (docs/status.md). Google is asked for a token that
# lasts; scopes are what Recall needs.
_revoke = env.text("GOOGLE_REVOKE_URL", default="https://oauth2.googleapis.com/revoke")
IDENTITY: dict[str, dict[str, Any]] = {
    "google_calendar": {
        "authorize": env.text("GOOGLE_AUTHORIZE_URL", default="https://accounts.google.com/o/oauth2/v2/auth"),
        "token": env.text("GOOGLE_TOKEN_URL", default="https://oauth2.googleapis.com/token"),
        "account": env.text("GOOGLE_ACCOUNT_URL", default="https://openidconnect.googleapis.com/v1/userinfo"),
        "revoke": "" if _revoke == "none" else _revoke,
        "scopes": env.texts(
            "GOOGLE_SCOPES",
            default=[
                "https://www.googleapis.com/auth/calendar.events.readonly",
                "https://www.googleapis.com/auth/userinfo.email",
            ],
        ),
        "asks": {"access_type": "offline", "prompt": "consent"},
    },
    "microsoft_outlook": {
        "authorize": env.text(
            "MICROSOFT_AUTHORIZE_URL", default="https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
        ),
        "token": env.text("MICROSOFT_TOKEN_URL", default="https://login.microsoftonline.com/common/oauth2/v2.0/token"),
        "account": env.text("MICROSOFT_ACCOUNT_URL", default="https://graph.microsoft.com/v1.0/me/calendar"),
        "revoke": "",
        "scopes": env.texts(
            "MICROSOFT_SCOPES",
            default=["offline_access", "openid", "email", "https://graph.microsoft.com/Calendars.Read"],
        ),
        "asks": {"prompt": "select_account"},
    },
}

# The API for the company's own application.

# Requests a minute for each token, a tenth of them at once.
API_PER_MINUTE = env.whole("API_PER_MINUTE", default=600, least=1)
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "RecallOps",
    "DESCRIPTION": "What became of ids, calendars and meetings while workspaces move. Read only.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "PREPROCESSING_HOOKS": ["calendars.api.schema.only_the_api"],
    "POSTPROCESSING_HOOKS": [],  # enumerations stand where they are used, under no made-up names
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "validatorUrl": None},
}

# Work

# Longest wait for a provider's answer; leases and the hand-over's margins are reckoned with it.
PROVIDER_TIMEOUT = env.number("PROVIDER_TIMEOUT", default=20.0, least=0.1)
# How long preflight counts; after that its checks must run again before the first write.
PREFLIGHT_HOURS = env.whole("PREFLIGHT_HOURS", default=24, least=1)
# How long a worker may hold an item or an assignment before another may take it, in machine seconds.
LEASE_SECONDS = env.whole("LEASE_SECONDS", default=45, least=1)
# Drivers that may work on one family of workspaces at once, on all machines together; threads and seconds of each.
DRIVERS = env.whole("DRIVERS", default=2, least=1)
DRIVER_THREADS = env.whole("DRIVER_THREADS", default=8, least=1)
DRIVER_SECONDS = env.number("DRIVER_SECONDS", default=10.0, least=0.1)
DRIVER_TURNS = 6  # of DRIVER_SECONDS, for a driver that is busy: calendars/drivers.py

_backstop = max(240, int(2 * LEASE_SECONDS + (DRIVER_TURNS + 1) * DRIVER_SECONDS) + 60)
Q_CLUSTER = {
    "name": "recallops",
    "orm": "default",
    "broker_class": "recallops.heartbeat.Queue",
    # One for each driver that runs at once, and one that is free for heartbeats.
    "workers": env.whole("QUEUE_WORKERS", default=4, least=1),
    "queue_limit": 2,
    "bulk": 1,
    "poll": env.number("QUEUE_POLL_SECONDS", default=0.5, least=0.01),
    "timeout": _backstop,  # a driver ends by itself: its own time, the longest pass of reconcile (30 s), and one call
    "retry": 6 * _backstop,  # longer than all that may wait in memory: timeout * (queue_limit / workers + 2)
    "ack_failures": True,
    "max_attempts": 1,  # our rows own the retries
    "scheduler": False,  # `manage.py workers` pumps
    "catch_up": False,
    "save_limit": 500,
    "recycle": 200,
    "label": "Background jobs",
}
PUMPS = [
    "calendars.tasks.pump",
    "calendars.relay.tasks.pump",
    "migrations_app.tasks.pump",
    "migrations_app.mail.tasks.pump",
    "migrations_app.alerts.tasks.pump",
    "recallops.rehearsal.pump.pump",
]
LAST_PROGRESS = "migrations_app.tasks.last_progress"
OLDEST_DUE = "calendars.tasks.oldest_due"
OLDEST_DUE_ALARM_SECONDS = env.number("OLDEST_DUE_ALARM_SECONDS", default=300.0)
CALL_RECORD_DAYS = env.number("CALL_RECORD_DAYS", default=30.0, least=0.0)
PUMP_SECONDS = env.number("PUMP_SECONDS", default=5.0, least=0.05)
HEARTBEAT_SECONDS = env.number("HEARTBEAT_SECONDS", default=5.0, least=0.05)
HEARTBEAT_STALE_SECONDS = env.number("HEARTBEAT_STALE_SECONDS", default=30.0, least=0.1)
HEARTBEAT_LOST_SECONDS = env.number("HEARTBEAT_LOST_SECONDS", default=120.0, least=0.1)
# The longest that a rehearsal may take, on the wall.
REHEARSAL_MINUTES = env.whole("REHEARSAL_MINUTES", default=30, least=1)
WORKERS_GRACE_SECONDS = env.number("WORKERS_GRACE_SECONDS", default=15.0)

# Logs

LOG_FORMAT = env.text("LOG_FORMAT", default="text", one_of=("text", "json"))
LOG_LEVEL = env.text("LOG_LEVEL", default="INFO", one_of=("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = logs.configuration(form=LOG_FORMAT, level=LOG_LEVEL)

env.complain()
