"""What staff see and do about the relay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape
from django_q.models import OrmQ
from standardwebhooks.webhooks import Webhook

from calendars.models import Application, ApplicationSecret, AuditEntry, Calendar, Delivery, Relayed, Workspace
from calendars.relay import outbox, post
from recallops import clock
from recallops.encryption import fingerprint
from tests.admin import builders as make
from tests.admin.pressing import address, shown

pytestmark = pytest.mark.django_db

State = Relayed.State
SECRET = "whsec_YXBwbGljYXRpb24tc2VjcmV0LW9mLWl0cy1vd24tMDE="
TOKEN = "zq-4451"
URL = f"http://127.0.0.1:8099/recall/in?k={TOKEN}"
ACTS = ("send_test", "pause", "go_on", "hasten", "send_given_up", "replay")


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def page_of(row: Any) -> str:
    return reverse(f"admin:calendars_{row._meta.model_name}_change", args=[row.pk])


def press(client: Client, row: Any, act: str, **data: Any) -> str:
    """Press a button; return what is said on the next page."""
    response = client.post(address(row, act), {"shown": shown(row), **data}, follow=True)
    assert response.status_code == 200
    return " ".join(str(message) for message in response.context["messages"])


def everything() -> list[Any]:
    models = (Application, ApplicationSecret, Relayed, AuditEntry)
    return [list(model._default_manager.order_by("pk").values()) for model in models]  # type: ignore[attr-defined]


@pytest.fixture
def application(settings: Any) -> Application:
    settings.RELAY_PRIVATE = True
    return make.make_application("recorder", url=URL)


@pytest.fixture
def answers() -> Iterator[Callable[..., list[httpx.Request]]]:
    """Let the application answer; returns what it was asked."""

    def answer(status: int = 204, text: str = "") -> list[httpx.Request]:
        asked: list[httpx.Request] = []

        def take(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(status, content=iter([text.encode()]))

        post.use_transport(httpx.MockTransport(take))
        return asked

    yield answer
    post.use_transport(None)


def relayed(
    application: Application, *, state: str = State.DEAD, ago: timedelta = timedelta(0), **fields: Any
) -> Relayed:
    workspace = Workspace.objects.order_by("pk").first() or make.make_workspace()
    endpoint = workspace.webhook_endpoints.first() or make.make_endpoint(workspace)
    delivery = make.make_delivery(endpoint, received_at=clock.now() - ago, **fields)
    return make.make_relayed(application, delivery, state=state)


def form_of(client: Client, row: Any) -> dict[str, Any]:
    """A page's form as a browser would send it back."""
    form = client.get(page_of(row)).context["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    return {name: "" if value is None else value for name, value in data.items()}


# -- applications


def test_an_application_is_made_and_its_url_is_never_shown_again(chief: Client, settings: Any) -> None:
    settings.RELAY_PRIVATE = True
    data = {"slug": "recorder", "name": "Recorder", "headers": "webhook", "timeout": "00:00:15", "ladder": "[5, 300]"}
    data |= {"at_once": "8", "patience": "00:15:00", "new_url": f" {URL} "}
    assert chief.post(reverse("admin:calendars_application_add"), data).status_code == 302
    row = Application.objects.get()
    assert (row.url, row.ladder) == (URL, [5, 300])
    listed = text_of(chief, reverse("admin:calendars_application_changelist"))
    page = text_of(chief, page_of(row))
    assert "<code>http://127.0.0.1:8099/recall/in?…</code>" in page
    assert "127.0.0.1" in listed
    assert "/recall/in" not in listed
    assert TOKEN not in listed + page + str(everything()[-1])


def test_a_url_without_a_query_is_shown_by_host_and_path(chief: Client) -> None:
    row = make.make_application(url="https://hooks.example/recall/in")
    assert "<code>https://hooks.example/recall/in</code>" in text_of(chief, page_of(row))


def test_what_looks_like_a_key_in_the_path_is_not_shown(chief: Client) -> None:
    key = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4MTIz"
    page = text_of(chief, page_of(make.make_application(url=f"https://hooks.example/in/{key}/x")))
    assert key not in page
    assert "https://hooks.example/in/[hidden]/x" in page


def test_a_new_url_forgets_the_test_of_the_old_one_and_an_empty_field_keeps_both(
    chief: Client, application: Application
) -> None:
    Application.objects.filter(pk=application.pk).update(tested_at=make.NOON, test_result="It takes webhooks.")
    data = form_of(chief, application)
    assert "url" not in data
    assert not data["new_url"]
    assert chief.post(page_of(application), {**data, "name": "New"}).status_code == 302
    application.refresh_from_db()
    assert (application.name, application.url, application.test_result) == ("New", URL, "It takes webhooks.")
    fresh = "http://127.0.0.1:9/other?k=another-token"
    assert chief.post(page_of(application), {**data, "new_url": fresh}).status_code == 302
    application.refresh_from_db()
    assert (application.url, application.test_result) == (fresh, "")
    assert "another-token" not in str(list(AuditEntry.objects.values()))


def test_saving_an_application_leaves_the_relays_columns_alone(chief: Client, application: Application) -> None:
    data = form_of(chief, application)
    Application.objects.filter(pk=application.pk).update(paused=True, last_problem="It answered 500.")
    chief.post(page_of(application), {**data, "name": "New"})
    application.refresh_from_db()
    assert (application.name, application.paused, application.last_problem) == ("New", True, "It answered 500.")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "Give the URL."),
        ("hooks.example", "This is no URL"),
        ("http://hooks.example/in", "The URL must begin with https://"),
        ("https://dana:pass@hooks.example/in", "must not hold a user or password"),
        ("https://hooks.example/in#here", "must not hold a fragment"),
        ("https://elsewhere.example/in", "is not among those that RELAY_HOSTS allows"),
    ],
)
def test_a_url_that_the_relay_does_not_go_to_is_refused(chief: Client, settings: Any, url: str, says: str) -> None:
    settings.RELAY_PRIVATE, settings.RELAY_HOSTS = False, ["hooks.example"]
    page = chief.post(reverse("admin:calendars_application_add"), {"slug": "a", "name": "A", "new_url": url})
    assert says in page.content.decode()
    assert not Application.objects.exists()


@pytest.mark.parametrize(
    "ladder",
    ["", "5", "{}", "[]", "[0]", "[604801]", "[1.5]", "[true]", '["5"]', "[null]", "5, 300", json.dumps([5] * 21)],
)
def test_what_is_no_ladder_is_refused_with_one_sentence(chief: Client, application: Application, ladder: str) -> None:
    page = chief.post(page_of(application), {**form_of(chief, application), "ladder": ladder}).content.decode()
    assert "Give 1 to 20 whole numbers of seconds" in page
    application.refresh_from_db()
    assert application.ladder[0] == 5
    assert len(application.ladder) == 7


@pytest.mark.parametrize(("field", "value"), [("timeout", "0"), ("timeout", "00:02:00"), ("patience", "-1")])
def test_waits_that_cannot_be_are_refused(chief: Client, application: Application, field: str, value: str) -> None:
    page = chief.post(page_of(application), {**form_of(chief, application), field: value}).content.decode()
    assert "for example 00:" in page


def test_the_list_says_how_each_application_does(chief: Client) -> None:
    ago = timedelta(minutes=5)
    well = make.make_application("well", last_ok_at=make.NOON)
    make.make_application("silent", failing_since=make.NOON)
    make.make_application("stopped", paused=True)
    for state, count in ((State.WAITING, 2), (State.HELD, 3), (State.DEAD, 4), (State.DELIVERED, 5)):
        for _ in range(count):
            relayed(well, state=state, ago=ago)
    response = chief.get(reverse("admin:calendars_application_changelist"))
    page = response.content.decode()
    assert 'not answering since <time datetime="2026-11-23T12:00:00Z"' in page
    assert "paused" in page
    found = next(row for row in response.context["cl"].result_list if row.slug == "well")
    assert (found.waiting_now, found.held_now, found.dead_now) == (2, 3, 4)
    assert clock.now() - found.oldest == outbox.lag(well) == ago
    assert "0:05:00" in page


def test_an_application_in_use_cannot_be_deleted(chief: Client, application: Application) -> None:
    url = reverse("admin:calendars_application_delete", args=[application.pk])
    row = relayed(application)
    assert chief.post(url, {"post": "yes"}).status_code == 403
    row.delete()
    make.make_workspace(application=application)
    assert chief.post(url, {"post": "yes"}).status_code == 403
    Workspace.objects.update(application=None)
    assert chief.post(url, {"post": "yes"}).status_code == 302
    assert not Application.objects.exists()


def test_a_workspace_is_given_its_application(chief: Client, application: Application) -> None:
    workspace = make.make_workspace()
    page = chief.get(reverse("admin:calendars_workspace_change", args=[workspace.pk]))
    field = page.context["adminform"].form.fields["application"]
    assert list(field.queryset) == [application]
    assert TOKEN not in page.content.decode()


# -- the test


def test_a_test_is_signed_and_its_outcome_is_a_sentence(
    chief: Client, application: Application, answers: Callable[..., list[httpx.Request]]
) -> None:
    asked = answers(204)
    make.make_application_secret(application, SECRET)
    make.make_workspace("acme-eu", region=make.make_region("eu-central-1"), application=application)
    said = press(chief, application, "send_test")
    assert re.fullmatch(r"recorder answered 204 within \d+\.\d s: it takes webhooks\.", said)
    (request,) = asked
    body = request.content.decode()
    assert json.loads(body) == {"event": "recallops.test", "data": {}}
    headers = dict(request.headers)
    assert headers["webhook-id"].startswith("msg_test_")
    assert (headers["recallops-region"], headers["recallops-workspace"]) == ("eu-central-1", "acme-eu")
    item = headers["webhook-signature"].removeprefix("v1,")
    sent = clock.now()
    assert Webhook(SECRET).sign(headers["webhook-id"], sent, body) == f"v1,{item}"
    application.refresh_from_db()
    assert (application.tested_at, application.test_result) == (clock.now(), said)
    assert said in text_of(chief, page_of(application))
    assert AuditEntry.objects.get(action="application.test").data == {"delivered": True}


def test_a_test_that_fails_says_what_was_answered_without_the_urls_query(
    chief: Client, application: Application, answers: Callable[..., list[httpx.Request]]
) -> None:
    answers(404, f"<b>nothing</b> at /recall/in?k={TOKEN} for {TOKEN}")
    make.make_application_secret(application)
    said = press(chief, application, "send_test")
    assert said.startswith("recorder did not take it. It answered 404. It said: <b>nothing</b> at /recall/in?")
    page = text_of(chief, page_of(application))
    assert "&lt;b&gt;nothing&lt;/b&gt;" in page
    assert "<b>nothing" not in page
    assert TOKEN not in said + page + str(list(AuditEntry.objects.values()))


def test_a_test_without_a_workspace_or_a_secret_says_so(
    chief: Client, application: Application, answers: Callable[..., list[httpx.Request]]
) -> None:
    asked = answers(200)
    assert "no secret in use" in press(chief, application, "send_test")
    assert not asked
    make.make_application_secret(application)
    assert "it takes webhooks" in press(chief, application, "send_test")
    assert asked[0].headers["recallops-region"] == ""


# -- pause, go on, send again


def test_pausing_and_going_on_are_on_record_once(
    chief: Client, application: Application, django_capture_on_commit_callbacks: Any
) -> None:
    relayed(application, state=State.WAITING)
    assert press(chief, application, "pause") == "Paused. What comes in is kept."
    assert press(chief, application, "pause") == "It is paused already."
    application.refresh_from_db()
    assert application.paused
    assert not OrmQ.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        assert press(chief, application, "go_on") == "It goes on. What waited is sent in its order."
    assert OrmQ.objects.exists(), "somebody is woken"
    assert press(chief, application, "go_on") == "It is not paused."
    application.refresh_from_db()
    assert not application.paused
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name")) == [
        ("application.pause", "chief"),
        ("application.go_on", "chief"),
    ]


def test_all_that_wait_are_tried_now(
    chief: Client, application: Application, django_capture_on_commit_callbacks: Any
) -> None:
    row, dead = relayed(application, state=State.WAITING), relayed(application)
    Relayed.objects.update(due_at=clock.now() + timedelta(hours=2))
    with django_capture_on_commit_callbacks(execute=True):
        assert press(chief, application, "hasten") == "1 that waited for a later try are tried now."
    row.refresh_from_db()
    dead.refresh_from_db()
    assert row.due_at == clock.now()
    assert dead.state == State.DEAD
    assert OrmQ.objects.exists()
    assert press(chief, application, "hasten") == "Nothing waits for a later try."


def test_what_was_given_up_is_sent_again_and_nothing_else(
    chief: Client, application: Application, django_capture_on_commit_callbacks: Any
) -> None:
    rows = [relayed(application, state=state) for state in (State.DEAD, State.DEAD, State.DELIVERED)]
    other = relayed(make.make_application("other"))
    Application.objects.filter(pk=application.pk).update(paused=True)
    with django_capture_on_commit_callbacks(execute=True):
        said = press(chief, application, "send_given_up")
    assert said == (
        "2 that were given up are sent again under their own ids. It is paused, so they go when it goes on."
    )
    states = dict(Relayed.objects.values_list("pk", "state"))
    assert [states[row.pk] for row in (*rows, other)] == ["waiting", "waiting", "delivered", "dead"]
    assert AuditEntry.objects.get().data == {"count": 2}
    assert press(chief, application, "send_given_up") == "Nothing was given up."


@pytest.mark.parametrize(
    ("since", "says"),
    [
        ("", "Give the time as year-month-day hour:minute"),
        ("yesterday", "Give the time as year-month-day hour:minute"),
        ("2026-11-23 12:01", "has not come yet"),
        ("2026-10-24 11:59", "is more than 30 days ago"),
    ],
)
def test_times_from_which_nothing_is_sent_again(chief: Client, application: Application, since: str, says: str) -> None:
    relayed(application, state=State.DELIVERED)
    before = everything()
    assert says in press(chief, application, "replay", since=since)
    assert everything() == before


def test_everything_since_a_time_is_sent_again_also_what_was_never_passed_on(
    chief: Client, application: Application, django_capture_on_commit_callbacks: Any
) -> None:
    workspace = make.make_workspace(application=application)
    old = relayed(application, state=State.DELIVERED, ago=timedelta(hours=2))
    new = relayed(application, state=State.DELIVERED, ago=timedelta(minutes=30))
    make.make_delivery(make.make_endpoint(workspace), received_at=clock.now() - timedelta(minutes=5))
    with django_capture_on_commit_callbacks(execute=True):
        said = press(chief, application, "replay", since="2026-11-23 11:00")
    assert said == "2 webhook(s) that came in since 2026-11-23 11:00 UTC are sent again, in their order."
    states = dict(Relayed.objects.values_list("pk", "state"))
    assert (states.pop(old.pk), states.pop(new.pk), list(states.values())) == ("delivered", "waiting", ["waiting"])
    assert AuditEntry.objects.get().data == {"since": "2026-11-23T11:00:00+00:00", "count": 2}
    assert OrmQ.objects.exists()


# -- secrets


def test_a_secret_of_an_application_is_added_with_its_last_four_and_its_fingerprint(
    chief: Client, application: Application
) -> None:
    data = {"application": application.pk, "label": "new", "new_secret": f" {SECRET} ", "enabled": "on"}
    chief.post(reverse("admin:calendars_applicationsecret_add"), data)
    row = ApplicationSecret.objects.get()
    assert (row.secret, row.last4, row.fingerprint, row.enabled) == (SECRET, SECRET[-4:], fingerprint(SECRET), True)
    page = text_of(chief, page_of(application)) + text_of(chief, page_of(row))
    assert row.fingerprint in page
    assert SECRET.removeprefix("whsec_") not in page
    assert "then switch the old one off" in page
    again = chief.post(reverse("admin:calendars_applicationsecret_add"), data).content.decode()
    assert f"has this secret already (fingerprint {row.fingerprint})" in again
    assert SECRET not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("secret", "says"), [("", "Give the secret."), ("whsec_short", "no signing secret"), ("c2hvcnQ=", "has 5")]
)
def test_what_cannot_sign_is_refused(chief: Client, application: Application, secret: str, says: str) -> None:
    data = {"application": application.pk, "label": "new", "new_secret": secret}
    assert says in chief.post(reverse("admin:calendars_applicationsecret_add"), data).content.decode()
    assert not ApplicationSecret.objects.exists()


def test_an_old_secret_is_switched_off_and_kept(chief: Client, application: Application) -> None:
    row = make.make_application_secret(application, SECRET)
    chief.post(page_of(row), {"application": application.pk, "label": "old", "new_secret": ""})
    row.refresh_from_db()
    assert (row.label, row.secret, row.enabled) == ("old", SECRET, False)
    assert "No secret is in use" in text_of(chief, page_of(application))


# -- webhooks on their way


def test_a_webhook_shows_its_tries_with_hostile_answers_escaped(chief: Client, application: Application) -> None:
    row = relayed(application)
    make.make_try(row, status=None, problem="No answer within 15 s.")
    make.make_try(row, status=500, answer=f"<script>alert(1)</script>\n?k={TOKEN}")
    page = text_of(chief, page_of(row))
    assert "No answer within 15 s." in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\n?[hidden]" in page
    assert TOKEN not in page
    assert page_of(row.delivery) in page


def test_a_delivery_links_what_was_passed_on(chief: Client, application: Application) -> None:
    row = relayed(application)
    assert page_of(row) in text_of(chief, page_of(row.delivery))
    Relayed.objects.all().delete()
    assert "its workspace had no application" in text_of(chief, page_of(row.delivery))


def test_a_held_webhook_says_why(chief: Client, application: Application) -> None:
    calendar_event = {"event": "calendar.update", "subject": "calendar-1"}
    row = relayed(application, state=State.HELD, **calendar_event)
    assert "Nobody knows this calendar yet" in text_of(chief, page_of(row))
    source = row.delivery.workspace
    connection = make.make_connection(source, remote_id="calendar-1")
    target = make.make_workspace("acme-eu")
    Calendar.objects.filter(pk=connection.calendar_id).update(relayed_from=target, relayed_since=make.NOON)
    page = text_of(chief, page_of(row))
    assert f"gets the webhooks of {connection.calendar} from acme-eu (since 2026-11-23 12:00:00 UTC)" in page


def test_one_is_sent_again_and_it_is_on_record(
    chief: Client, application: Application, django_capture_on_commit_callbacks: Any
) -> None:
    row = relayed(application)
    with django_capture_on_commit_callbacks(execute=True):
        assert press(chief, row, "send_again") == "It is sent again within seconds, under its own id."
    row.refresh_from_db()
    assert row.state == State.WAITING
    assert OrmQ.objects.exists()
    assert press(chief, row, "send_again") == "It waits already: its next try is at 2026-11-23 12:00:00 UTC."
    assert AuditEntry.objects.filter(action="relayed.again", subject_id=row.pk).count() == 1


def test_several_are_sent_again_at_once_with_one_entry_for_each_application(
    chief: Client, application: Application
) -> None:
    other = make.make_application("other")
    rows = [relayed(application), relayed(application, state=State.DELIVERED), relayed(other)]
    left = relayed(application, state=State.WAITING)
    untouched = relayed(application)
    data = {"action": "send_these_again", "_selected_action": [row.pk for row in (*rows, left)]}
    response = chief.post(reverse("admin:calendars_relayed_changelist"), data, follow=True)
    said = [str(message) for message in response.context["messages"]]
    assert said == ["3 are sent again.", "1 waited or were held already and were left alone."]
    states = dict(Relayed.objects.values_list("pk", "state"))
    assert {states[row.pk] for row in rows} == {"waiting"}
    assert states[untouched.pk] == "dead"
    entries = AuditEntry.objects.filter(action="application.again").order_by("subject_name")
    assert [(entry.subject_name, entry.data["count"]) for entry in entries] == [("other", 1), ("recorder", 2)]


def test_sending_again_what_is_another_regions_holds_it_and_says_so(chief: Client, application: Application) -> None:
    row = relayed(application, event="calendar.update", subject="calendar-1")
    connection = make.make_connection(row.delivery.workspace, remote_id="calendar-1")
    target = make.make_workspace("acme-eu")
    make.make_connection(target, connection.calendar)
    Calendar.objects.filter(pk=connection.calendar_id).update(relayed_from=target, relayed_since=make.NOON)
    assert press(chief, row, "send_again").startswith("It is held now instead of sent: ")
    assert Relayed.objects.get().state == State.HELD


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=msg_abc", ["msg_abcdef"]),
        ("q=calendar-", ["msg_abcdef"]),
        ("q=abc", []),
        ("state__exact=held", ["msg_abcdef"]),
        ("event=calendar.update", ["msg_abcdef"]),
        ("event=bot.", ["msg_other"]),
    ],
)
def test_webhooks_are_found_by_id_subject_state_and_event(
    chief: Client, application: Application, query: str, found: list[str]
) -> None:
    relayed(application, delivery_id="msg_other")
    relayed(application, state=State.HELD, delivery_id="msg_abcdef", event="calendar.update", subject="calendar-1")
    response = chief.get(reverse("admin:calendars_relayed_changelist") + f"?{query}")
    assert [row.delivery.delivery_id for row in response.context["cl"].result_list] == found


# -- who may do what


def test_who_may_only_look_does_nothing_and_is_told_why(looker: Client, application: Application) -> None:
    row, secret = relayed(application), make.make_application_secret(application)
    before = everything()
    for act in ACTS:
        url = reverse(f"admin:calendars_application_{act}", args=[application.pk])
        assert looker.post(url, {"since": "2026-11-23 11:00"}).status_code == 403, act
    assert looker.post(reverse("admin:calendars_relayed_send_again", args=[row.pk])).status_code == 403
    looker.post(
        reverse("admin:calendars_relayed_changelist"), {"action": "send_these_again", "_selected_action": [row.pk]}
    )
    for one in (application, secret):
        assert looker.post(page_of(one), {"name": "x"}).status_code == 403
    assert everything() == before
    assert "need the permission to change applications" in text_of(looker, page_of(application))
    assert "needs the permission to change relayed webhooks" in text_of(looker, page_of(row))
    assert 'name="new_' not in text_of(looker, page_of(application)) + text_of(looker, page_of(secret))


def test_looking_and_getting_change_nothing(chief: Client, application: Application) -> None:
    row = relayed(application)
    before = everything()
    for act in ACTS:
        assert chief.get(reverse(f"admin:calendars_application_{act}", args=[application.pk])).status_code == 405, act
    assert chief.get(reverse("admin:calendars_relayed_send_again", args=[row.pk])).status_code == 405
    for one in (application, row):
        text_of(chief, page_of(one))
    assert everything() == before


def test_what_was_passed_on_is_neither_added_nor_changed_nor_deleted(chief: Client, application: Application) -> None:
    row = relayed(application)
    assert chief.get(reverse("admin:calendars_relayed_add")).status_code == 403
    assert chief.post(page_of(row), {"state": "delivered"}).status_code == 403
    assert chief.post(reverse("admin:calendars_relayed_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert Delivery.objects.exists()
    assert escape(str(row.delivery.delivery_id)) in text_of(chief, page_of(row))
