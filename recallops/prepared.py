"""Querysets whose SQL is made once in a process.

Making the text of a query with joins takes Django several times as long as PostgreSQL takes to answer it, and workers
ask the same few questions all the time. Such a question is written as a function without arguments that returns a
queryset with `Given` names in the place of values, and called with the values:

    @prepared
    def _of_workspace() -> QuerySet[Event]:
        return Event.objects.filter(workspace=Given("workspace"), pk__any=Given("ids")).select_related("connection")

    events = _of_workspace(workspace=workspace.pk, ids=[1, 2])

An update is written likewise, with `changing` above it. Values go to the database as they are: keys instead of rows,
`.value` instead of a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldError
from django.db import connections
from django.db.models import Expression, Field, ForeignObject, Lookup, QuerySet
from django.db.models.query import ModelIterable
from django.db.models.sql import UpdateQuery

Row = TypeVar("Row")


class Given(Expression):
    """A value that is known when the statement runs. Stands on the right side of a lookup, or of an update."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return a placeholder, with this name in the place of its value."""
        return "%s", (self,)


@ForeignObject.register_lookup
@Field.register_lookup
class IsAny(Lookup):
    """`pk__any=Given("ids")`: one of a list, with one placeholder for a list of any length."""

    lookup_name = "any"

    def get_prep_lookup(self) -> Given:
        """Return the right side. Raises FieldError for anything else, as it may come in an address of the admin."""
        if not isinstance(self.rhs, Given):
            raise FieldError("The lookup 'any' is for values that are given later.")
        return self.rhs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the comparison; an empty list finds nothing."""
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} = ANY {right}", (*left_params, *right_params)


def bound(params: Iterable[Any], given: Mapping[str, Any]) -> list[Any]:
    """Return the parameters of a statement with values in the place of names."""
    return [given[one.name] if isinstance(one, Given) else one for one in params]


class prepared(Generic[Row]):
    """A queryset of instances or of tuples (`values_list`), to be called with the values of its `Given` names.

    Returns a list, read anew at each call; `get` the only row. Raises KeyError where a value is missing.
    """

    def __init__(self, make: Callable[[], QuerySet[Any, Row]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @cached_property
    def _compiled(self) -> tuple[QuerySet[Any, Row], Any, str, tuple[Any, ...]]:
        queryset = self._make()
        compiler = queryset.query.get_compiler(queryset.db)
        sql, params = compiler.as_sql()
        compiler.connection = None  # of the thread that was first, which may end before this process
        return queryset, compiler, sql, tuple(params)

    def __call__(self, *, limit: int | None = None, **given: Any) -> list[Row]:
        """Return what the database has for these values, at most `limit` rows of it."""
        queryset, compiler, sql, params = self._compiled
        values = bound(params, given)
        if limit is not None:
            sql, values = f"{sql} LIMIT %s", [*values, limit]
        mine = copy(compiler)  # it knows the columns of the statement; it must not make it again
        mine.connection = connections[queryset.db]  # this thread's
        mine.as_sql = lambda: (sql, values)
        if queryset._iterable_class is not ModelIterable:
            return list(mine.results_iter(tuple_expected=True))
        asked: Any = SimpleNamespace(
            db=queryset.db,
            model=queryset.model,
            query=SimpleNamespace(get_compiler=lambda using: mine),
            _known_related_objects={},
        )
        return list(ModelIterable(asked))

    def get(self, **given: Any) -> Row:
        """Return the only row, as a queryset's `get`. Raises the model's DoesNotExist or MultipleObjectsReturned."""
        found = self(limit=2, **given)
        if len(found) == 1:
            return found[0]
        model = self._compiled[0].model
        raise model.MultipleObjectsReturned if found else model.DoesNotExist


def changing(**values: Any) -> Callable[[Callable[[], QuerySet[Any]]], Callable[..., int]]:
    """Make an `update` of a queryset, which returns how many rows there were; values may be `Given`, too."""

    def decorate(make: Callable[[], QuerySet[Any]]) -> Callable[..., int]:
        @cache
        def made() -> tuple[str, str, tuple[Any, ...]]:
            rows = make()
            query: Any = rows.query.chain(UpdateQuery)
            query.add_update_values(values)
            sql, params = query.get_compiler(rows.db).as_sql()
            return rows.db, sql, tuple(params)

        def change(**given: Any) -> int:
            db, sql, params = made()
            with connections[db].cursor() as cursor:
                cursor.execute(sql, bound(params, given))
                return int(cursor.rowcount)

        return change

    return decorate
