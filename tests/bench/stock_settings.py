"""Settings under which Django's own admin shows our tables: no other theme, no admin pages of ours."""

from __future__ import annotations

from recallops.settings import *  # noqa: F403
from recallops.settings import INSTALLED_APPS, TEMPLATES
from tests.bench.usual_settings import MIDDLEWARE as USUAL

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig" if name == "django.contrib.admin" else name
    for name in INSTALLED_APPS
    if name != "unfold"
]
TEMPLATES = [{**engine, "DIRS": []} for engine in TEMPLATES]
MIDDLEWARE = USUAL
ROOT_URLCONF = "tests.bench.stock_admin"
