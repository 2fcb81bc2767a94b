#!/usr/bin/env python
"""Django's command line for RecallOps."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one management command; what a person can put right is said without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recallops.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from recallops import caller
    from recallops.embedded_postgres.errors import EmbeddedPostgresError

    caller.of_process(sys.argv[1] if len(sys.argv) > 1 else "")
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EmbeddedPostgresError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
