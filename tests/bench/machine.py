"""What a figure was measured on, so that figures of two machines can be told apart."""

from __future__ import annotations

import os
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import connection

ROUNDS = 5


def describe() -> dict[str, Any]:
    """Return cores, versions, the time of a small loop, and how busy the machine is with other things."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgresql = cursor.fetchone()[0]
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')")
        durability = dict(cursor.fetchall())
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "python": platform.python_version(),
        "postgresql": postgresql,
        "durability": durability,
        "loop_ms": round(loop_ms(), 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def loop_ms() -> float:
    """Return how long a million additions in Python take, the median of some rounds."""
    return statistics.median(_loop() for _ in range(ROUNDS))


def _loop() -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.perf_counter() - begun) * 1000


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
