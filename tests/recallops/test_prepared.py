"""A queryset whose SQL is made once: asked again and again, it answers as a new one would."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import connection, connections
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.test.utils import CaptureQueriesContext

from calendars.models import Calendar, Customer
from recallops.prepared import Given, changing, prepared

pytestmark = pytest.mark.django_db(transaction=True)

made: list[str] = []


@prepared
def _of_customer() -> QuerySet[Calendar]:
    made.append("statement")
    theirs = Calendar.objects.filter(customer__any=Given("customers"), email__gte=Given("first"), platform="google")
    return theirs.select_related("customer").defer("customer__name").order_by("-email")


@prepared
def _emails() -> QuerySet[Calendar, tuple[str, str]]:
    return Calendar.objects.filter(customer=Given("customer")).order_by("email").values_list("email", "customer__slug")


@changing(email=Given("email"), platform=Concat("platform", Value("!")))
def _rename() -> QuerySet[Calendar]:
    return Calendar.objects.filter(customer__slug=Given("slug"), email__any=Given("emails"))


@pytest.fixture
def customers() -> list[Customer]:
    """Return two customers; the first has two calendars, the other one."""
    acme, globex = (Customer.objects.create(slug=slug, name=slug.title()) for slug in ("acme", "globex"))
    for customer, email in ((acme, "ada@acme.example"), (acme, "ben@acme.example"), (globex, "cleo@globex.example")):
        Calendar.objects.create(customer=customer, family="main", platform="google", email=email)
    return [acme, globex]


def test_it_answers_each_time_for_the_values_of_that_time(customers: list[Customer]) -> None:
    acme, globex = (customer.pk for customer in customers)
    asked = ([acme], "a"), ([globex], "a"), ([acme, globex], "b"), ([], "a"), ([acme], "a")
    found = [[row.email.split("@")[0] for row in _of_customer(customers=keys, first=first)] for keys, first in asked]
    assert found == [["ben", "ada"], ["cleo"], ["cleo", "ben"], [], ["ben", "ada"]]


def test_its_statement_is_made_once_and_what_changed_since_is_seen(customers: list[Customer]) -> None:
    _of_customer(customers=[customers[1].pk], first="a")
    made.clear()
    Calendar.objects.filter(customer=customers[1]).update(email="dora@globex.example")
    assert [row.email for row in _of_customer(customers=[customers[1].pk], first="a")] == ["dora@globex.example"]
    assert made == []


def test_related_rows_come_with_it_and_deferred_columns_when_they_are_asked_for(customers: list[Customer]) -> None:
    with CaptureQueriesContext(connection) as queries:
        (row,) = _of_customer(customers=[customers[1].pk], first="a")
        assert row.customer.slug == "globex"
        assert len(queries) == 1
        assert row.customer.name == "Globex"
        assert len(queries) == 2


def test_tuples_come_where_it_asks_for_tuples_and_no_more_rows_than_are_wanted(customers: list[Customer]) -> None:
    acme = customers[0].pk
    assert _emails(customer=acme) == [("ada@acme.example", "acme"), ("ben@acme.example", "acme")]
    assert _emails(limit=1, customer=acme) == [("ada@acme.example", "acme")]
    assert _emails(limit=0, customer=acme) == []


def test_an_update_changes_the_rows_of_that_time_to_the_values_of_that_time_and_counts_them(
    customers: list[Customer],
) -> None:
    emails = ["ada@acme.example", "cleo@globex.example"]
    assert _rename(slug="acme", emails=emails, email="eve@acme.example") == 1
    assert _rename(slug="acme", emails=emails, email="fay@acme.example") == 0
    assert _rename(slug="globex", emails=emails, email="gil@globex.example") == 1
    assert set(Calendar.objects.values_list("email", "platform")) == {
        ("ben@acme.example", "google"),
        ("eve@acme.example", "google!"),
        ("gil@globex.example", "google!"),
    }


def test_the_only_row_is_had_or_missed_as_with_get(customers: list[Customer]) -> None:
    assert _of_customer.get(customers=[customers[1].pk], first="a").email == "cleo@globex.example"
    with pytest.raises(Calendar.DoesNotExist):
        _of_customer.get(customers=[0], first="a")
    with pytest.raises(Calendar.MultipleObjectsReturned):
        _of_customer.get(customers=[customers[0].pk], first="a")


def test_a_value_that_is_missing_is_named(customers: list[Customer]) -> None:
    with pytest.raises(KeyError, match="first"):
        _of_customer(customers=[customers[0].pk])


def test_no_connection_of_the_thread_that_asked_first_is_kept(customers: list[Customer]) -> None:
    @prepared
    def emails() -> QuerySet[Calendar, tuple[str]]:
        return Calendar.objects.filter(customer=Given("customer")).order_by("email").values_list("email")

    def ask() -> weakref.ref[Any]:
        try:
            emails(customer=customers[1].pk)
            return weakref.ref(connections["default"])
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(ask).result()
    gc.collect()
    assert theirs() is None
    assert emails(customer=customers[1].pk) == [("cleo@globex.example",)]


def test_a_list_is_given_later_and_never_by_somebody_who_looks(customers: list[Customer]) -> None:
    with pytest.raises(FieldError):
        Calendar.objects.filter(email__any="ada@acme.example")
    with pytest.raises(FieldError):
        Calendar.objects.filter(customer__any=[customers[0].pk])


def test_threads_ask_at_the_same_time_each_over_its_own_connection(customers: list[Customer]) -> None:
    def ask(number: int) -> list[str]:
        try:
            return [email for _ in range(20) for email, _ in _emails(limit=1, customer=customers[number % 2].pk)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers == [["ada@acme.example"] * 20, ["cleo@globex.example"] * 20] * 4
