"""Rotates the installation's encryption keys: every stored secret is encrypted anew with the first one.

1. Put the new key in front of ENCRYPTION_KEYS on all machines and restart them; the old key stays in the list.
2. Run this. It reads a column a chunk at a time and replaces what another key encrypted, where nobody changed it
   meanwhile; what somebody changed is read again.
3. When it says that nothing is under another key, the old key may go.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models import F, Model, TextField
from django.db.models.functions import Cast

from recallops.encryption import EncryptedTextField, box

CHUNK = 500
ROUNDS = 5  # how often a row that others keep changing is tried
NAMED = 10  # rows that are named when no key opens them

UNREADABLE = (
    "No key in ENCRYPTION_KEYS opens {count} value(s): {rows}. Add the key that was first when they were written, and "
    "run this again. All others are done."
)
BUSY = "{count} value(s) were changed again and again by others. Run this again."


@dataclass(slots=True)
class Tally:
    """What became of the values of one column."""

    already: int = 0
    renewed: int = 0
    busy: int = 0
    unreadable: int = 0
    named: list[int] = field(default_factory=list)  # the first unreadable ones


class Command(BaseCommand):
    help = "Encrypts every stored secret anew with the first key of ENCRYPTION_KEYS, so that an old key can be removed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what is under which key")

    def handle(self, *args: Any, **options: Any) -> None:
        named: list[str] = []
        unreadable = busy = 0
        for model, name in columns():
            tally = renew(model, name, dry_run=options["dry_run"])
            self.stdout.write(_line(model, name, tally, dry_run=options["dry_run"]))
            named += [f"{model._meta.label}.{name} of row {pk}" for pk in tally.named]
            unreadable += tally.unreadable
            busy += tally.busy
        if unreadable:
            rows = ", ".join([*named[:NAMED], *(["…"] if unreadable > NAMED else [])])
            raise CommandError(UNREADABLE.format(count=unreadable, rows=rows))
        if busy:
            raise CommandError(BUSY.format(count=busy))


def _line(model: type[Model], name: str, tally: Tally, *, dry_run: bool) -> str:
    parts = [
        f"{model._meta.label}.{name}:",
        f"{tally.renewed} {'under another key' if dry_run else 'encrypted anew'},",
        f"{tally.already} under the first key already",
    ]
    if tally.unreadable:
        parts.append(f"({tally.unreadable} that no key opens)")
    return " ".join(parts)


def columns() -> Iterator[tuple[type[Model], str]]:
    """Return every encrypted column of every model, by model and name."""
    for model in apps.get_models():
        for column in model._meta.local_concrete_fields:
            if isinstance(column, EncryptedTextField):
                yield model, column.name


def renew(model: type[Model], name: str, *, dry_run: bool = False) -> Tally:
    """Encrypt one column anew, a chunk at a time, in the order of the primary keys."""
    tally, last = Tally(), 0
    rows = _sealed(model, name).order_by("pk").values_list("pk", "sealed")
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1][0]
        _renew_chunk(model, name, chunk, tally, dry_run=dry_run)
    return tally


def _sealed(model: type[Model], name: str) -> Any:
    """Return the rows with their secrets as they are stored: the column's own type would open them."""
    return model._base_manager.annotate(sealed=Cast(F(name), TextField())).exclude(sealed="").exclude(sealed=None)


def _renew_chunk(model: type[Model], name: str, chunk: list[tuple[int, str]], tally: Tally, *, dry_run: bool) -> None:
    for _ in range(ROUNDS):
        changes = []
        for pk, sealed in chunk:
            match _renewed(sealed):
                case None:
                    tally.unreadable += 1
                    tally.named += [pk] if len(tally.named) < NAMED else []
                case "":
                    tally.already += 1
                case fresh:
                    changes.append((pk, sealed, fresh))
        won = {pk for pk, _, _ in changes} if dry_run else _replace(model, name, changes)
        tally.renewed += len(won)
        lost = [pk for pk, _, _ in changes if pk not in won]
        if not lost:
            return
        chunk = list(_sealed(model, name).filter(pk__in=lost).values_list("pk", "sealed"))
    tally.busy += len(chunk)


def _renewed(sealed: str) -> str | None:
    """Return a value under the first key; empty when it is there already, None when no key opens it."""
    token = sealed.encode()
    try:
        box(settings.ENCRYPTION_KEYS[:1]).decrypt(token)
    except InvalidToken:
        try:
            return box().rotate(token).decode("ascii")
        except InvalidToken:
            return None
    return ""


def _replace(model: type[Model], name: str, changes: list[tuple[int, str, str]]) -> set[int]:
    """Replace values where they are still what was read; return the keys of the rows that were."""
    if not changes:
        return set()
    quote = connection.ops.quote_name
    columns_of = {one.name: str(one.column) for one in model._meta.local_concrete_fields}
    table, column = quote(model._meta.db_table), quote(columns_of[name])
    key = quote(next(str(one.column) for one in model._meta.local_concrete_fields if one.primary_key))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {column} = fresh.value"  # noqa: S608 (names of our own columns)
            " FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS fresh(pk, sealed, value)"
            f" WHERE {table}.{key} = fresh.pk AND {table}.{column} = fresh.sealed RETURNING fresh.pk",
            [list(part) for part in zip(*changes, strict=True)],
        )
        return {pk for (pk,) in cursor.fetchall()}
