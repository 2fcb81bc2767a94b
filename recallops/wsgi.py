"""The web server's door."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from recallops.webhook_door import without_content_type

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recallops.settings")
application = without_content_type(get_wsgi_application())
