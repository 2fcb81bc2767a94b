"""Alerts for staff: once a fact, gathered, in the form that each chat tool takes, and harmless whatever they quote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from calendars.models import Assignment, AuditEntry, Verdict, Workspace
from calendars.relay import hosts
from calendars.relay.post import use_transport
from migrations_app.admin.concerns import concerns
from migrations_app.alerts import facts, outbox, shapes, tasks
from migrations_app.alerts.shapes import Line, body_for, harmless, told
from migrations_app.itineraries import Step
from migrations_app.models import (
    Alert,
    AlertChannel,
    AlertKind,
    AlertPost,
    Approval,
    Batch,
    BatchStatus,
    Finding,
    ItemStatus,
    Severity,
)
from migrations_app.models.episode import QUIET
from recallops import clock
from recallops.models import WorkerHeartbeat
from tests.admin import builders as make
from tests.admin.pressing import press, said
from tests.hostile import ADDRESSES, TEXTS

URL = "https://hooks.chat.example/services/T0PSECRET/B0PSECRET/tokenofthechannel"
EVERY = AlertKind.values
State = AlertPost.State


@pytest.fixture(autouse=True)
def now() -> Iterator[clock.ManualClock]:
    time = clock.ManualClock(make.NOON)
    with clock.use(time):
        yield time


class Chat:
    """A chat tool."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        self.error: Exception | None = None
        self.in_transaction: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.in_transaction.append(len(connection.savepoint_ids))
        if self.error:
            raise self.error
        self.got.append(json.loads(request.content))
        return httpx.Response(self.status, text="no_service at /services/T0PSECRET/B0PSECRET/tokenofthechannel")

    @property
    def texts(self) -> list[str]:
        return [one["text"] for one in self.got]


@pytest.fixture
def chat(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Chat]:
    settings.ALERT_HOSTS, settings.ALERT_PRIVATE, settings.SITE_URL = [], False, "https://recallops.example.com"
    monkeypatch.setattr(hosts, "addresses_of", lambda host, port: ["93.184.216.34"])
    made = Chat()
    use_transport(httpx.MockTransport(made))
    yield made
    use_transport(None)


def make_channel(name: str = "ops", **fields: Any) -> AlertChannel:
    return AlertChannel.objects.create(**{"name": name, "url": URL, "format": "google_chat", **fields})


def stopped_batch(slug: str = "autumn", reason: str = "The key was refused.") -> Batch:
    return make.make_batch(slug, status=BatchStatus.STOPPED, reason=reason)


def look() -> None:
    """Find and post, as a driver does."""
    for work in tasks.look(10):
        work()


# --- facts


@pytest.fixture
def world(db: None) -> Batch:
    """One fact of every kind, and beside each something that is none."""
    batch = stopped_batch()
    make.make_batch("fine")
    make.make_batch("pressed", status=BatchStatus.WAITING, goal=Step.EXPORT)
    make.make_item(batch, status=ItemStatus.USER)
    make.make_item(batch)
    make.make_finding(batch, severity=Severity.BLOCKING, sentence="It holds something.")
    make.make_finding(batch, severity=Severity.WARNING)
    make.make_finding(batch, severity=Severity.BLOCKING, waived_at=make.NOON)
    make.make_finding(batch, severity=Severity.BLOCKING, code="canary", sentence="The grant does not work.")
    Workspace.objects.filter(pk=batch.source_id).update(watched=True)
    make.make_connection(batch.source, status="disconnected")
    make.make_connection(batch.target, status="disconnected")  # nobody reads there
    soon = make.NOON + timedelta(hours=1)
    make.make_assignment(batch.source, start=soon, verdict=Verdict.MISSED)
    make.make_assignment(batch.source, start=soon, verdict=Verdict.DOUBLED)
    make.make_assignment(batch.source, start=make.NOON - timedelta(hours=1), verdict=Verdict.NOT_ATTENDED)
    make.make_assignment(batch.source, start=make.NOON - timedelta(days=2), verdict=Verdict.NOT_ATTENDED)
    make.make_assignment(batch.source, start=soon, verdict=Verdict.SOURCE)
    make.make_approval(batch)
    make.make_approval(make.make_batch("too-old"), expires_at=make.NOON)
    WorkerHeartbeat.objects.create(host="alive", pid=1, beaten_at=timezone.now())
    WorkerHeartbeat.objects.create(host="hung", pid=2, beaten_at=timezone.now() - timedelta(minutes=10))
    return batch


def test_each_kind_finds_its_facts_and_nothing_else(world: Batch) -> None:
    found = {kind: len(list(facts.FACTS[kind]())) for kind in EVERY}
    assert found == {
        "stopped": 1,
        "person": 2,
        "blocking": 1,
        "connection": 1,
        "canary": 1,
        "meeting": 3,
        "heartbeat": 1,
        "approval": 1,
    }


def test_a_fact_is_alerted_once_while_it_holds(world: Batch, chat: Chat) -> None:
    make_channel()
    assert facts.find(EVERY) == 11
    assert facts.find(EVERY) == 0
    assert Alert.objects.count() == AlertPost.objects.count() == 11


@pytest.mark.parametrize(("verdict", "note"), [(Verdict.MISSED, "being added"), (Verdict.DOUBLED, "moving")])
def test_what_every_meeting_is_in_passing_is_no_alarm_until_little_time_is_left(
    verdict: str, note: str, db: None, now: clock.ManualClock
) -> None:
    start = make.NOON + timedelta(hours=1)
    make.make_assignment(make.make_workspace(), start=start, verdict=verdict, note=note)
    assert list(facts.meeting()) == []
    now.advance(timedelta(minutes=40))
    assert len(list(facts.meeting())) == 1


def test_a_fact_that_comes_back_at_once_is_the_same_and_later_another(chat: Chat, now: clock.ManualClock) -> None:
    batch = stopped_batch()
    make_channel()
    facts.find(["stopped"])
    for status in (BatchStatus.RUNNING, BatchStatus.STOPPED, BatchStatus.RUNNING):
        Batch.objects.filter(pk=batch.pk).update(status=status)
        facts.find(["stopped"])
        now.advance(timedelta(minutes=5))
    assert Alert.objects.count() == 1
    now.advance(QUIET)
    facts.find(["stopped"])
    Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.STOPPED)
    facts.find(["stopped"])
    assert Alert.objects.count() == 2


def test_a_channel_is_told_only_of_what_it_wants(world: Batch, chat: Chat) -> None:
    make_channel("meetings", kinds=["meeting"])
    make_channel("off", enabled=False)
    look()
    assert set(Alert.objects.values_list("kind", flat=True)) == {"meeting"}
    [text] = chat.texts
    assert "3 alert(s)" in text
    assert "is missed" in text


@pytest.mark.parametrize(
    ("step", "act", "asks"), [("delete_old", "goal", "allow “Delete old”"), ("", "go_back", "send")]
)
def test_what_is_asked_of_a_second_person_is_told_until_it_is_decided(
    step: str, act: str, asks: str, chat: Chat, now: clock.ManualClock
) -> None:
    make.make_approval(make.make_batch("autumn"), asked_by=make.make_staff("dana"), step=step, act=act)
    make_channel(kinds=[AlertKind.APPROVAL])
    look()
    assert f"autumn: dana asks to {asks}" in chat.texts[0]
    Approval.objects.update(state=Approval.State.WITHDRAWN)
    for _ in range(2):
        facts.find(EVERY)
        now.advance(QUIET)
    assert Alert.objects.get().ended_at is not None


def test_alerts_name_no_meeting_and_no_link_into_one(world: Batch, chat: Chat) -> None:
    make_channel()
    look()
    assert "meet.example" not in str(chat.got)
    assert Assignment.objects.filter(verdict=Verdict.MISSED).exists()


def test_a_hung_machine_is_found_by_the_pump_itself_which_calls_nobody(world: Batch, chat: Chat) -> None:
    make_channel()
    tasks.pump()
    assert [one.kind for one in Alert.objects.all()] == ["heartbeat"]
    assert "hung" in Alert.objects.get().sentence
    assert chat.got == []


def test_without_a_channel_nothing_is_looked_for(world: Batch) -> None:
    assert tasks.pump() == 0
    assert not Alert.objects.exists()


def test_looking_takes_the_same_queries_for_many_facts_as_for_few(world: Batch) -> None:
    make_channel()
    counts = []
    for many in (3, 30):
        for _ in range(many):
            make.make_finding(world, severity=Severity.BLOCKING)
            make.make_assignment(world.source, verdict=Verdict.MISSED)
        with CaptureQueriesContext(connection) as captured:
            facts.find(["blocking", "meeting"])
        counts.append(len(captured))
    assert counts[0] == counts[1]


# --- on the way


def test_what_gathers_in_a_minute_goes_out_as_one_post(chat: Chat, now: clock.ManualClock) -> None:
    make_channel()
    stopped_batch("first")
    look()
    for number in range(5):
        stopped_batch(f"later-{number}")
        now.advance(timedelta(seconds=10))
        look()
    assert len(chat.got) == 1
    now.advance(timedelta(seconds=10))
    look()
    assert len(chat.got) == 2
    assert chat.texts[1].startswith("RecallOps: 5 alert(s)")
    assert set(AlertPost.objects.values_list("state", flat=True)) == {State.SENT}


def test_hundreds_of_alerts_are_one_post_with_counts(chat: Chat, db: None) -> None:
    channel = make_channel()
    alerts = Alert.objects.bulk_create(
        Alert(kind="connection", key=str(n), sentence=f"person-{n} is disconnected.", found_at=make.NOON)
        for n in range(700)
    )
    AlertPost.objects.bulk_create(AlertPost(alert=alert, channel=channel) for alert in alerts)
    look()
    [text] = chat.texts
    assert text.startswith("RecallOps: 700 alert(s)")
    assert text.count("person-") == shapes.MOST_OF_A_KIND
    assert "and 195 more" in text
    assert "and 500 more" in text
    assert len(text) < 4096


def test_a_fact_that_is_over_when_it_is_told_says_so(chat: Chat, now: clock.ManualClock) -> None:
    batch = stopped_batch()
    make_channel(next_at=make.NOON + timedelta(minutes=1))
    look()
    Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.RUNNING)
    now.advance(timedelta(minutes=1))
    look()
    assert "(over by now)" in chat.texts[0]


def test_a_batchs_alert_leads_to_its_page(chat: Chat, db: None) -> None:
    make_channel()
    batch = stopped_batch()
    look()
    assert f"https://recallops.example.com/admin/migrations_app/batch/{batch.pk}/change/" in chat.texts[0]


def test_posts_are_made_outside_of_transactions(chat: Chat, db: None) -> None:
    depth = len(connection.savepoint_ids)
    make_channel()
    stopped_batch()
    look()
    assert chat.in_transaction == [depth]


TROUBLE = [(500, None), (404, None), (302, None), (200, httpx.ConnectError("no")), (200, httpx.ReadTimeout("slow"))]


@pytest.mark.parametrize(("status", "error"), TROUBLE)
def test_what_is_not_taken_is_tried_again_by_the_ladder_then_given_up_and_shown(
    chat: Chat, now: clock.ManualClock, status: int, error: Exception | None, db: None
) -> None:
    channel = make_channel()
    stopped_batch()
    chat.status, chat.error = status, error
    for rung in outbox.LADDER:
        look()
        assert AlertPost.objects.get().state == State.WAITING
        now.advance(rung)
    look()
    channel.refresh_from_db()
    assert (AlertPost.objects.get().state, channel.failing_since) == (State.FAILED, make.NOON)
    [failing] = [one.listed for one in concerns(make.NOON) if one.code == "channel_failing"]
    assert list(failing.rows) == [channel]
    assert "tokenofthechannel" not in channel.last_problem
    assert "T0PSECRET" not in channel.last_problem


def test_a_channel_that_comes_back_gets_all_that_waited_in_one_post(chat: Chat, now: clock.ManualClock) -> None:
    make_channel()
    chat.status = 503
    stopped_batch("first")
    look()
    stopped_batch("second")
    now.advance(outbox.LADDER[0])
    chat.status = 200
    look()
    assert "2 alert(s)" in chat.texts[-1]
    channel = AlertChannel.objects.get()
    assert (channel.failing_since, channel.attempts, channel.last_problem) == (None, 0, "")


def test_two_workers_do_not_tell_a_channel_at_the_same_time(chat: Chat, db: None) -> None:
    make_channel()
    stopped_batch()
    facts.find(EVERY)
    assert len(outbox.claim(limit=9, lease=outbox.lease())) == 1
    assert outbox.claim(limit=9, lease=outbox.lease()) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1"])
def test_nothing_is_posted_into_private_networks_unless_that_is_set(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, settings: Any, address: str, db: None
) -> None:
    monkeypatch.setattr(hosts, "addresses_of", lambda host, port: [address])
    make_channel()
    stopped_batch()
    look()
    assert chat.got == []
    assert "ALERT_PRIVATE" in AlertChannel.objects.get().last_problem
    settings.ALERT_PRIVATE = True
    AlertChannel.objects.update(next_at=None)
    look()
    assert len(chat.got) == 1


# --- shapes


def test_each_tool_gets_what_it_takes() -> None:
    text = "one\ntwo"
    assert json.loads(body_for("slack", text)) == {
        "text": text,
        "mrkdwn": False,
        "link_names": 0,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    assert json.loads(body_for("mattermost", text))["text"] == text
    assert json.loads(body_for("google_chat", text)) == {"text": text}
    card = json.loads(body_for("teams", text))
    assert card["type"] == "message"
    [attached] = card["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["text"] for block in attached["content"]["body"]] == ["one", "two"]
    assert set(shapes.SHAPES) == set(AlertChannel.Format.values)


HOSTILE = [
    "<!channel> all", "<!here>", "<!everyone>", "<!subteam^S123>", "<@U123ABC>", "<users/all>", "<at>Ann</at>",
    "@channel", "@here", "@everyone", "@all", "hello @ann", "(@here)", "x@channel", "@@here", "@\u200bhere",
    "<https://evil.example|our page>", "[our page](https://evil.example)", "![x](https://evil.example/i.png)",
    "https://evil.example/x", "HTTPS://EVIL.EXAMPLE", "www.evil.example", "javascript:alert(1)", "data:text/html,x",
    "mailto:x@evil.example", "ftp://evil.example", "&lt;!channel&gt;", "&#60;!channel&#62;", "&#64;here",
    "*bold* `code` ~~gone~~", "| a | b |", "\\u003c!channel\\u003e", "line\nbreak\r\nforged: 1", "\x00\x07\x1b[31m",
    "\u202egnp.exe", "# heading\n- list",
]  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("form", AlertChannel.Format.values)
def test_words_of_strangers_call_nobody_and_link_nowhere(words: str, form: str) -> None:
    text = told([Line("stopped", words)], total=1)
    body = json.loads(body_for(form, text))
    shown = json.dumps(body, ensure_ascii=False).split("Stopped", 1)[-1]
    quoted = harmless(words)
    for mark in ("<", ">", "[", "]", "`", "*", "\n", "\r", "\x00", "\x1b", "\u202e", "://"):
        assert mark not in quoted, mark
    for mention in ("@channel", "@here", "@everyone", "@all", "@ann", "<!", "<@", "<at>", "javascript:a"):
        assert mention not in quoted.lower()
        assert mention not in shown.lower()
    assert not quoted.lower().startswith("www.")


def test_none_of_the_texts_of_strangers_that_we_know_keeps_a_mark_that_a_chat_tool_obeys() -> None:
    for words in (*TEXTS, *ADDRESSES):
        quoted = harmless(words)
        assert not set(quoted) & set("<>[]`*\n\r\x00\x1b\u202e"), words
        assert "://" not in quoted, words
        assert "javascript:a" not in quoted.lower(), words


def test_an_address_of_a_calendar_stays_readable() -> None:
    assert harmless("ann@acme.example in acme-us is disconnected.") == "ann@acme.example in acme-us is disconnected."


def test_secrets_in_a_reason_do_not_reach_the_chat(chat: Chat, db: None) -> None:
    make_channel()
    stopped_batch(
        reason="Authorization: Token abcdef0123456789abcdef0123456789 was refused at https://x.example/?pwd=123"
    )
    look()
    assert "abcdef0123456789" not in chat.texts[0]
    assert "pwd=123" not in chat.texts[0]


# --- pages


@pytest.fixture
def chief(db: None) -> Client:
    client = Client()
    client.force_login(make.make_staff("chief", superuser=True))
    return client


def test_a_channel_is_added_and_its_url_is_on_no_page(chief: Client, chat: Chat) -> None:
    data = {"name": "ops", "format": "slack", "new_url": URL, "kinds": ["stopped", "meeting"], "enabled": "on"}
    chief.post(reverse("admin:migrations_app_alertchannel_add"), data)
    channel = AlertChannel.objects.get()
    assert (channel.url, channel.kinds) == (URL, ["stopped", "meeting"])
    pages = [
        reverse("admin:migrations_app_alertchannel_changelist"),
        reverse("admin:migrations_app_alertchannel_change", args=[channel.pk]),
    ]
    for page in pages:
        text = chief.get(page).content.decode()
        assert "tokenofthechannel" not in text
        assert "T0PSECRET" not in text
    assert "tokenofthechannel" not in str(list(AuditEntry.objects.values()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT url FROM migrations_app_alertchannel")
        assert "tokenofthechannel" not in str(cursor.fetchall())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.chat.example/x", "must begin with https"),
        ("https://u:p@hooks.chat.example/x", "user or password"),
        ("nonsense", "no URL"),
        ("", "Give the URL"),
    ],
)
def test_a_url_that_alerts_may_not_go_to_is_refused(chief: Client, chat: Chat, url: str, says: str) -> None:
    data = {"name": "ops", "format": "slack", "new_url": url, "kinds": ["stopped"], "enabled": "on"}
    answer = chief.post(reverse("admin:migrations_app_alertchannel_add"), data)
    assert says in answer.content.decode()
    assert not AlertChannel.objects.exists()


def test_only_hosts_that_are_named_are_gone_to_when_some_are(chief: Client, chat: Chat, settings: Any) -> None:
    settings.ALERT_HOSTS = ["hooks.slack.com"]
    data = {"name": "ops", "format": "slack", "new_url": URL, "kinds": ["stopped"], "enabled": "on"}
    answer = chief.post(reverse("admin:migrations_app_alertchannel_add"), data)
    assert "ALERT_HOSTS" in answer.content.decode()


def test_the_test_button_posts_one_and_shows_what_was_answered(chief: Client, chat: Chat) -> None:
    channel = make_channel()
    assert "look whether the test is there" in said(press(chief, channel, "send_test"))
    assert "this is a test" in chat.texts[0]
    chat.status = 404
    answer = said(press(chief, channel, "send_test"))
    assert "It answered 404." in answer
    assert "no_service" in answer
    assert "tokenofthechannel" not in answer


def test_what_was_given_up_can_be_sent_again(chief: Client, chat: Chat) -> None:
    channel = make_channel()
    stopped_batch()
    facts.find(["stopped"])
    AlertPost.objects.update(state=State.FAILED)
    press(chief, channel, "send_given_up")
    look()
    assert len(chat.got) == 1


def test_the_list_of_alerts_says_whether_they_hold(chief: Client, world: Batch, chat: Chat) -> None:
    make_channel()
    facts.find(EVERY)
    Finding.objects.update(waived_at=make.NOON)
    facts.find(EVERY)
    page = chief.get(reverse("admin:migrations_app_alert_changelist")).content.decode()
    assert "holds" in page
    assert "over" in page
