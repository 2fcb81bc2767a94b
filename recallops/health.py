"""Whether this installation works, for machines that ask: `/healthz` and `/readyz`.

`/healthz` says that the process answers. `/readyz` says what it can do: it is 503 while the database or its migrations
are missing. Workers that are away, or work that waits, make no web server unready (webhooks must still get in): they
are shown, and make it 503 only with `?strict=1`, which is for alarms rather than for load balancers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from recallops.embedded_postgres.errors import EmbeddedPostgresError
from recallops.models import WorkerHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("recallops.health")


def pending_migrations() -> int:
    """Return how many migrations the database lacks."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def heartbeat_age() -> float | None:
    """Return the seconds since the heartbeat of any machine's workers last came back; None when none ever did."""
    beaten = WorkerHeartbeat.objects.exclude(beaten_at=None).order_by("-beaten_at")
    newest = beaten.annotate(age=ExpressionWrapper(Now() - F("beaten_at"), DurationField())).first()
    return newest.age.total_seconds() if newest else None


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Look at the database, the migrations, the workers and the oldest work that waits."""
    checks: dict[str, dict[str, Any]] = {"database": _check(_database)}
    if checks["database"]["ok"]:
        checks["migrations"] = _check(_migrations)
    ready = all(check["ok"] for check in checks.values()) and len(checks) == 2
    if ready:
        checks["workers"] = _check(_workers)
        checks["work"] = _check(_work)
    well = ready and all(check["ok"] for check in checks.values())
    fine = well if request.GET.get("strict") else ready
    return JsonResponse({"ready": ready, "well": well, "checks": checks}, status=200 if fine else 503)


def _check(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return look()
    except (DatabaseError, EmbeddedPostgresError) as error:
        logger.warning("a health check failed: %s", error)
        return {"ok": False, "says": "the database does not answer"}  # its own words may name hosts and users


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"ok": True}


def _migrations() -> dict[str, Any]:
    pending = pending_migrations()
    return {"ok": pending == 0, "pending": pending}


def _workers() -> dict[str, Any]:
    age = heartbeat_age()
    return {
        "ok": age is not None and age <= settings.HEARTBEAT_STALE_SECONDS,
        "heartbeat_age_seconds": None if age is None else round(age, 1),
    }


def _work() -> dict[str, Any]:
    waits: float | None = import_string(settings.OLDEST_DUE)()
    return {
        "ok": waits is None or waits <= settings.OLDEST_DUE_ALARM_SECONDS,
        "oldest_due_seconds": None if waits is None else round(waits, 1),
    }


urlpatterns = [path("healthz", healthz, name="healthz"), path("readyz", readyz, name="readyz")]
