"""Search from anywhere: what is found for what, by whom, through which indexes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from calendars.models import Bot, Calendar, Connection, Customer, Delivery, Event
from migrations_app.admin import search
from migrations_app.admin.asked import Asked, goes_on_from, understand
from recallops import clock
from recallops.admin_display import change_url
from tests.admin import builders as make

ADDRESS = "/admin/search/"
UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def found(client: Client, text: str) -> str:
    response = client.get(ADDRESS, {"q": text})
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def links(client: Client, text: str) -> list[str]:
    """Return the addresses that the results link, in their order."""
    response = client.get(ADDRESS, {"q": text})
    assert response.status_code == 200
    return [hit.url for group in response.context["groups"] for hit in group.shown]


# --- what a text may mean (pure)


@pytest.mark.parametrize("typed", ["", "  ", "a", "ab", " a b"[:2], "\x00\x00a\x00"])
def test_less_than_three_characters_ask_for_nothing(typed: str) -> None:
    assert understand(typed).too_short


def test_an_address_is_looked_for_in_lower_case() -> None:
    assert understand(" Ann@Acme.Example ") == Asked("Ann@Acme.Example", email="ann@acme.example")


def test_an_at_sign_first_asks_for_a_domain() -> None:
    assert understand("@acme.ex") == Asked("@acme.ex", domain="acme.ex")


def test_a_word_may_be_a_name_an_address_or_an_id() -> None:
    asked = understand("acme-2")
    assert (asked.name, asked.email, asked.ids) == ("acme-2", "acme-2", ("acme-2",))


def test_several_words_are_a_name_and_nothing_else() -> None:
    assert understand("Acme  Incorporated") == Asked("Acme Incorporated", name="Acme Incorporated")


def test_ids_in_capitals_are_looked_for_as_the_provider_writes_them() -> None:
    assert understand(UUID.upper()).ids == (UUID,)
    assert understand("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W").ids == ("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",)


@pytest.mark.parametrize(
    "typed",
    [
        f"https://us-west-2.recall.ai/api/v2/calendars/{UUID}/",
        f"https://eu-central-1.recall.ai/dashboard/explorer/bot/{UUID}?tab=logs",
        f"us-west-2.recall.ai/api/v1/bot/{UUID.upper()}",
        f"http://127.0.0.1:8443/api/v2/calendar-events/?calendar_id={UUID}",
    ],
)
def test_an_address_of_the_provider_asks_for_the_ids_in_it(typed: str) -> None:
    assert understand(typed, provider_hosts={"127.0.0.1"}) == Asked(typed, ids=(UUID,))


@pytest.mark.parametrize(
    ("typed", "begin"),
    [
        ("https://zoom.example/j/987?pwd=abc#success", "https://zoom.example/j/987"),
        ("https://ZOOM.example/j/987/", "https://zoom.example/j/987"),
        ("zoom.example/j/987", "https://zoom.example/j/987"),
        ("https://user:secret@zoom.example:8443/j/987", "https://zoom.example:8443/j/987"),
        ("HTTP://zoom.example/J/Aa", "https://zoom.example/J/Aa"),
    ],
)
def test_a_join_link_is_looked_for_without_what_may_differ(typed: str, begin: str) -> None:
    asked = understand(typed)
    assert asked.links[0] == begin
    assert asked.links[1] == begin.replace("https", "http", 1)
    assert not asked.ids


@pytest.mark.parametrize("typed", ["https://zoom.example", "https://zoom.example/", "https://zoom.example/?a=b"])
def test_a_link_to_a_whole_site_names_no_meeting(typed: str) -> None:
    assert understand(typed).host_only


@pytest.mark.parametrize(
    "typed", ["https://[::1", "http://a:b:c/d", "https:///x", "javascript://%0aalert(1)", "//", "://///"]
)
def test_a_broken_link_is_no_failure(typed: str) -> None:
    asked = understand(typed)
    assert not asked.ids
    assert all(link.startswith(("https://", "http://")) for link in asked.links)


def test_a_link_goes_on_with_a_query_and_not_with_another_number() -> None:
    begins = ("https://zoom.example/j/98",)
    assert goes_on_from("https://zoom.example/j/98", begins)
    assert goes_on_from("https://zoom.example/j/98?pwd=x", begins)
    assert not goes_on_from("https://zoom.example/j/987", begins)


# --- what is found


@pytest.mark.django_db
def test_a_calendar_is_found_by_its_address_with_where_it_is_and_what_moves_it(chief: Client) -> None:
    batch = make.make_batch("acme")
    calendar = make.make_calendar(email="ann@acme.example", family=batch.source.family)
    item = make.make_item(batch, connection=make.make_connection(batch.source, calendar))
    make.make_calendar(email="bob@acme.example", family=batch.source.family)
    page = found(chief, "Ann@ACME.example")
    assert links(chief, "Ann@ACME.example") == [change_url(calendar)]
    assert f"{batch.source.slug} (us-west-2): connected" in page
    assert f"acme: {item.get_step_display()}, ready" in page
    assert links(chief, "ann@") == [change_url(calendar)]


@pytest.mark.django_db
def test_things_of_the_provider_are_found_by_their_ids_on_both_sides(chief: Client) -> None:
    source, target = make.make_workspace("us"), make.make_workspace("eu", region=make.make_region("eu-central-1"))
    made: dict[str, Any] = {
        "connection": make.make_connection(source, remote_id="cal-old-1"),
        "other": make.make_connection(target, remote_id="cal-new-1"),
        "bot": make.make_bot(target, remote_id="bot-of-eu"),
        "delivery": make.make_delivery(make.make_endpoint(source), delivery_id="msg_9f2"),
    }
    made["event"] = make.make_event(made["connection"], remote_id="event-of-us")
    mapping = make.make_mapping(source, target, source_remote_id="cal-old-1", target_remote_id="cal-new-1")
    assert links(chief, "cal-old-1") == [change_url(made["connection"]), change_url(mapping)]
    assert links(chief, "cal-new-1") == [change_url(made["other"]), change_url(mapping)]
    for name, text in (("bot", "bot-of-eu"), ("delivery", "msg_9f2"), ("event", "event-of-us")):
        assert links(chief, text) == [change_url(made[name])]
    assert "us (us-west-2)" in found(chief, "event-of-us")
    assert "eu (eu-central-1)" in found(chief, "bot-of-eu")


@pytest.mark.django_db
def test_an_id_is_found_by_how_it_begins_and_first_of_all_by_the_whole(chief: Client) -> None:
    workspace = make.make_workspace("us")
    for number in range(40):
        make.make_bot(workspace, remote_id=f"abcd-{number:03}")
    whole = make.make_bot(workspace, remote_id="abcd-")
    assert links(chief, "abcd-")[0] == change_url(whole)
    assert len(links(chief, "abcd-")) == 10
    assert "There are more: type more of it." in found(chief, "abcd-")
    assert links(chief, "abcd-017") == [change_url(Bot.objects.get(remote_id="abcd-017"))]


@pytest.mark.django_db
def test_signs_with_a_meaning_for_the_database_mean_themselves(chief: Client) -> None:
    workspace = make.make_workspace("us")
    make.make_bot(workspace, remote_id="plain-bot")
    odd = make.make_bot(workspace, remote_id="a_b:c=d")
    assert links(chief, "a_b:") == [change_url(odd)]
    for text in ("____", "%%%%", "pl%n-bot", "plain_bot", "' OR 1=1 --", "\\\\\\\\", "plain-bot\\", "((((("):
        assert links(chief, text) == [], text


@pytest.mark.django_db
def test_an_address_of_the_provider_that_was_pasted_whole_works(chief: Client) -> None:
    workspace = make.make_workspace("us", region=make.make_region("sandbox", base_url="http://127.0.0.1:9000"))
    known = make.make_connection(workspace, remote_id=UUID)
    assert links(chief, f"http://127.0.0.1:9000/api/v2/calendars/{UUID}/?x=1") == [change_url(known)]
    assert links(chief, f"https://us-west-2.recall.ai/api/v2/calendars/{UUID}/") == [change_url(known)]


@pytest.mark.django_db
def test_a_meeting_is_found_by_its_link_whatever_the_query(chief: Client) -> None:
    source = make.make_workspace("us")
    calendar = make.make_calendar(family=source.family)
    link = "https://zoom.example/j/98"
    meeting = make.make_assignment(source, calendars=(calendar,), url=f"{link}?pwd=stored")
    event = make.make_event(
        make.make_connection(source, calendar), occurrence=meeting.occurrences.get(), url=f"{link}?pwd=stored"
    )
    make.make_event(make.make_connection(source), url=f"{link}7?pwd=another")
    unwanted = make.make_event(make.make_connection(source), url=link, start=clock.now() - timedelta(days=2))
    wanted = [change_url(meeting), change_url(event), change_url(unwanted)]
    assert links(chief, f"{link}?pwd=pasted#x") == wanted
    assert links(chief, "zoom.example/j/98") == wanted
    assert len(links(chief, "https://zoom.example/j/9")) == 4, "a part of a link finds what begins like it"
    assert "names a whole site" in found(chief, "https://zoom.example/")


@pytest.mark.django_db
def test_a_link_longer_than_what_is_indexed_is_compared_whole(chief: Client) -> None:
    connected = make.make_connection(make.make_workspace())
    long = "https://teams.example/l/meetup-join/" + "x" * 300
    first, _second = make.make_event(connected, url=f"{long}1"), make.make_event(connected, url=f"{long}2")
    assert links(chief, f"{long}1?context=z") == [change_url(first)]
    make.make_event(connected, url="https://ü.example/" + "ü" * 1900)  # no index takes it whole


@pytest.mark.django_db
def test_the_nearest_meeting_to_come_stands_first(chief: Client) -> None:
    connected = make.make_connection(make.make_workspace())
    link = "https://zoom.example/j/1"
    for days in (-1, 9, 2, -7):
        make.make_event(connected, url=link, start=clock.now() + timedelta(days=days))
    days = [(Event.objects.get(pk=int(url.split("/")[-3])).start - clock.now()).days for url in links(chief, link)]
    assert days == [2, 9, -1, -7]


@pytest.mark.django_db
def test_batches_and_customers_are_found_by_name(chief: Client) -> None:
    batch = make.make_batch("acme-to-eu")
    customer = make.make_customer("Acme Incorporated", domain="acme-inc.example")
    assert links(chief, "ACME to") == [change_url(batch)]
    assert links(chief, "acme inc") == [change_url(customer)]
    assert links(chief, "@acme-inc") == [change_url(customer)]
    assert links(chief, customer.slug) == [change_url(customer)]


@pytest.mark.django_db
def test_lists_are_found_by_what_they_are_called(chief: Client) -> None:
    assert reverse("admin:calendars_webhookrefusal_changelist") in links(chief, "refusals")


@pytest.mark.django_db
def test_what_is_not_there_is_said(chief: Client) -> None:
    assert "Nothing that you may see begins with “nobody@acme.example”" in found(chief, "nobody@acme.example")
    assert "Type at least 3 characters" in found(chief, "ab")
    assert "Type a person" in found(chief, "")


# --- who finds what


@pytest.mark.django_db
def test_nobody_finds_what_they_may_not_see(client: Client) -> None:
    batch = make.make_batch("secret-batch")
    connected = make.make_connection(batch.source, remote_id="secret-1")
    make.make_item(batch, connection=connected)
    make.make_bot(batch.source, remote_id="secret-1")
    make.make_event(connected, remote_id="secret-1", url="https://zoom.example/j/1")
    make.make_mapping(batch.source, batch.target, source_remote_id="secret-1")
    Calendar.objects.update(email="secret-person@acme.example")
    Customer.objects.update(name="Secret Incorporated")
    client.force_login(make.make_staff("nobody"))
    for text in (
        "secret",
        "secret-1",
        "secret-person@acme.example",
        "https://zoom.example/j/1",
        "Secret Inc",
        "batches",
    ):
        assert links(client, text) == [], text
    client.force_login(make.make_staff("clerk", permissions=("calendars.view_bot",)))
    assert links(client, "secret-1") == [change_url(Bot.objects.get())]


def test_only_staff_search(client: Client, db: None) -> None:
    response = client.get(ADDRESS, {"q": "acme"})
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


@pytest.mark.django_db
def test_every_page_has_the_field_and_it_is_a_plain_form(looker: Client) -> None:
    batch = make.make_batch()
    for url in ("/admin/", reverse("admin:calendars_bot_changelist"), change_url(batch), "/admin/help/", ADDRESS):
        page = looker.get(url).content.decode()
        assert f'role="search" method="get" action="{ADDRESS}"' in page, url
        assert '<label class="ro-unseen" for="ro-search-field">' in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7|add:7 }}'\"`", "x\u202ey"]
)
def test_what_is_typed_and_what_is_found_stays_text(text: str, chief: Client) -> None:
    workspace = make.make_workspace()
    make.make_bot(workspace, remote_id="hostile-1", status=text[:60])
    Customer.objects.filter(pk=make.make_customer().pk).update(name=f"hostile {text}")
    for asked in (text, "hostile-1", "hostile"):
        for name in ("q", "s"):
            page = chief.get(ADDRESS, {name: asked}).content.decode()
            assert "<script>alert" not in page
            assert "<img src=x" not in page


# --- the palette


@pytest.mark.django_db
def test_the_palette_finds_the_same(chief: Client, client: Client) -> None:
    batch = make.make_batch("acme-to-eu")
    response = chief.get(ADDRESS, {"s": "acme-to", "extended": "1"})
    assert f'href="{change_url(batch)}"' in response.content.decode()
    assert response["HX-Trigger"] == "search"
    client.force_login(make.make_staff("nobody"))
    assert "No results" in client.get(ADDRESS, {"s": "acme-to", "extended": "1"}).content.decode()
    assert "No results" in chief.get(ADDRESS, {"s": "", "extended": "1"}).content.decode()


# --- cost

ASKED = ["acme", "person-1", UUID, "bot-", "https://meet.example/room-1", "ann@acme.example", "@acme", "acme inc"]


@pytest.mark.django_db
@pytest.mark.parametrize("text", ASKED)
def test_a_search_takes_few_queries(text: str, looker: Client, get: Callable[..., Any]) -> None:
    batch = make.make_batch("acme")
    for _ in range(12):
        calendar = make.make_calendar(family=batch.source.family)
        connected = make.make_connection(batch.source, calendar)
        make.make_item(batch, connection=connected)
        make.make_event(
            connected, occurrence=make.make_occurrence(calendar, assignment=make.make_assignment(batch.source))
        )
        make.make_bot(batch.source)
    _response, queries = get(looker, f"{ADDRESS}?{urlencode({'q': text})}")
    assert len(queries) <= 12, "\n".join(queries)


@pytest.mark.django_db
def test_no_search_reads_a_whole_table(rf: RequestFactory) -> None:
    """With many rows, and figures about them, each part of each search goes through an index."""
    source, target = make.make_workspace("us"), make.make_workspace("eu")
    connected = make.make_connection(source)
    occurrence = make.make_occurrence(connected.calendar)
    _multiply(
        Event, make.make_event(connected, occurrence=occurrence), remote_id="md5(n::text)", url="'https://a/' || n"
    )
    _multiply(Bot, make.make_bot(source), remote_id="md5(n::text)")
    delivery = make.make_delivery(make.make_endpoint(target))
    _multiply(Delivery, delivery, delivery_id="'msg_' || md5(n::text)")
    _multiply(Calendar, connected.calendar, email="md5(n::text) || '@acme.example'")
    _multiply(Connection, connected, remote_id="md5(n::text)", calendar_id=f"{connected.calendar_id}")
    _multiply(Customer, connected.calendar.customer, slug="'c-' || md5(n::text)", name="md5(n::text)")
    request = rf.get(ADDRESS)
    request.user = make.make_staff("chief", superuser=True)
    for text in ("c4ca4238a0b9", "msg_c4ca", "c4ca4238@acme", "https://a/77", "c4ca4238 x"):
        with CaptureQueriesContext(connection) as captured:
            search.find(request, text)
        for one in captured.captured_queries:
            plan = _plan(one["sql"])
            whole = re.findall(r"Seq Scan on calendars_(event|bot|delivery|calendar|connection|customer)\b", plan)
            assert not whole, f"{text}: {whole}\n{one['sql']}\n{plan}"


def _multiply(model: Any, row: Any, **changed: str) -> None:
    """Copy a row some thousand times, with other values in the columns that must differ."""
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields if not field.primary_key]
    values = [changed.get(column, f'"{column}"') for column in columns]
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {table}, generate_series(1, 5000) AS n "  # noqa: S608
            f"WHERE {table}.id = {row.pk}"
        )
        cursor.execute(f"ANALYZE {table}")


def _plan(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_links_in_results_are_addresses_of_ours(chief: Client, db: None) -> None:
    make.make_event(make.make_connection(make.make_workspace()), url="https://zoom.example/j/1")
    page = chief.get(ADDRESS, {"q": "https://zoom.example/j/1"}).content.decode()
    assert 'href="https://zoom.example' not in unescape(page)
