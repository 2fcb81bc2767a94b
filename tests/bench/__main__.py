"""Starts the benches: `python -m tests.bench [--only NAME ...] [--size small|medium|full]`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

NAMES = ("limiter", "webhook", "admin", "memory", "move")
SIZES = ("small", "medium", "full")


def main() -> None:
    """Run what was asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--size", choices=SIZES, default="full")
    asked = parser.parse_args()
    if unknown := set(asked.only) - set(NAMES):
        parser.error(f"There is no bench {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
    # a server and files of its own, with the durability that PostgreSQL has by itself
    os.environ.setdefault("RECALLOPS_DATA_DIR", str(Path.cwd() / "var" / "bench"))
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ.setdefault("DEBUG", "off")  # with it on, Django keeps the text of every statement
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recallops.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    import importlib

    for name in asked.only or NAMES:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        importlib.import_module(f"tests.bench.{name}").main(asked.size)


if __name__ == "__main__":
    main()
