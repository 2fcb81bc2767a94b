"""Settings of the project, from the environment; docs/configuration.md lists each."""

from __future__ import annotations

from pathlib import Path

import environ

from recallops import clock

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

DATA_DIR = Path(env.str("RECALLOPS_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = env.str("SECRET_KEY", default="development-only")
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=["ZGV2ZWxvcG1lbnQtb25seS1rZXktMzItYnl0ZXMhISE="])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if DEBUG else [])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_htmx",
    "django_q",
    "recallops",
    "calendars",
    "migrations_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
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

EMBEDDED_POSTGRES_NAME = "recallops"
EMBEDDED_POSTGRES_OPTIONS = env.list("EMBEDDED_POSTGRES_OPTIONS", default=[])
if env.str("DATABASE_URL", default=""):
    DATABASES = {"default": env.db_url("DATABASE_URL")}
else:
    DATABASES = {"default": {"ENGINE": "recallops.embedded_postgres", "NAME": EMBEDDED_POSTGRES_NAME}}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

CLOCK_FILE = env.str("RECALLOPS_CLOCK_FILE", default="")
if CLOCK_FILE:
    clock.install(clock.FileClock(CLOCK_FILE))

# How long a worker may hold an item or an assignment before another may take it, in machine seconds.
LEASE_SECONDS = env.int("LEASE_SECONDS", default=120)
# Drivers that may work on one family of workspaces at once, on all machines together.
DRIVERS = env.int("DRIVERS", default=2)
DRIVER_THREADS = env.int("DRIVER_THREADS", default=8)
DRIVER_SECONDS = env.float("DRIVER_SECONDS", default=10.0)

Q_CLUSTER = {
    "name": "recallops",
    "orm": "default",
    "workers": env.int("QUEUE_WORKERS", default=2),
    "queue_limit": 2,
    "bulk": 1,
    "poll": 0.5,
    "timeout": 120,
    "retry": 900,
    "ack_failures": True,
    "max_attempts": 1,
    "catch_up": False,
    "save_limit": 500,
    "recycle": 200,
    "label": "Background jobs",
}
PUMPS = ["calendars.tasks.pump", "migrations_app.tasks.pump"]
LAST_PROGRESS = "calendars.tasks.last_progress"
OLDEST_DUE = "calendars.tasks.oldest_due"
# Longest wait for a provider's answer, in seconds; leases and the hand-over's margins are reckoned with it.
PROVIDER_TIMEOUT = env.float("PROVIDER_TIMEOUT", default=20.0)
