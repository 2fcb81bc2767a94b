"""One of the processes that take slots: `python -m tests.bench.limiter_caller WORKSPACE ENDPOINT SECONDS`."""

from __future__ import annotations

import json
import sys
import time

import django

django.setup()

from calendars.providers.limits import Budget  # noqa: E402

LONGEST_WAIT = 30.0


def main() -> None:
    """Take slots for some seconds; print when each came."""
    budget, endpoint = Budget(int(sys.argv[1])), sys.argv[2]
    until = time.time() + float(sys.argv[3])
    times = []
    while time.time() < until:
        budget.take(endpoint, LONGEST_WAIT)
        times.append(time.time())
    sys.stdout.write(json.dumps(times))


if __name__ == "__main__":
    main()
