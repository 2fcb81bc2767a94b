"""E-mails to customers: each milestone once, nothing sent twice by itself, nothing run, nothing forged."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_string
from importlib import import_module
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from calendars.leases import Lease
from calendars.models import AuditEntry, Customer, CustomerContact, Handover
from migrations_app.admin.concerns import concerns
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.mail import acts, milestones, outbox, post, subscribing, tasks
from migrations_app.mail.texts import DEFAULTS, PLACEHOLDERS, problem_of, rendered, value_of
from migrations_app.models import Batch, Item, ItemStatus, MailTemplate, Message, Milestone, Notice
from migrations_app.models.episode import QUIET
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import press, said

State = Message.State
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def now() -> Iterator[clock.ManualClock]:
    time = clock.ManualClock(make.NOON)
    with clock.use(time):
        yield time


@pytest.fixture
def customer(db: None) -> Customer:
    """A customer with two contacts, one of them switched off."""
    made = make.make_customer("Acme")
    CustomerContact.objects.create(customer=made, email="Ann@Acme.example", name="Ann")
    CustomerContact.objects.create(customer=made, email="off@acme.example", enabled=False)
    return made


@pytest.fixture
def batch(customer: Customer) -> Batch:
    """A batch of two calendars of the customer, with a cut line, that tells its customers."""
    made = make.make_batch("autumn", tell_customers=True, goal=Step.CLEAN_UP)
    Handover.objects.filter(pk=made.handover_id).update(cut_line=make.NOON + timedelta(days=1))
    for name in ("ann", "bob"):
        calendar = make.make_calendar(customer, email=f"{name}@acme.example", family=made.source.family)
        make.make_item(made, connection=make.make_connection(made.source, calendar), step=Step.HAND_OVER)
    return Batch.objects.select_related("handover").get(pk=made.pk)


def items(batch: Batch, **fields: Any) -> None:
    Item.objects.filter(batch=batch).update(**fields)


def one_item(batch: Batch, **fields: Any) -> None:
    Item.objects.filter(pk=batch.items.order_by("pk")[0].pk).update(**fields)


def found() -> list[tuple[str, int, str]]:
    """Every e-mail that was written: milestone, episode, address."""
    rows = Message.objects.order_by("pk").values_list("notice__milestone", "notice__episode", "email")
    return list(rows)


def send_all() -> None:
    """Send what is due, as a driver does."""
    for work in tasks.find_work(100):
        work()


def the_message(**fields: Any) -> Message:
    message = Message.objects.get()
    if fields:
        Message.objects.filter(pk=message.pk).update(**fields)
        message.refresh_from_db()
    return message


# --- milestones


def test_a_customer_is_told_once_that_the_move_is_planned(batch: Batch) -> None:
    for _ in range(3):
        milestones.find()
    assert found() == [("planned", 1, "ann@acme.example")]
    message = Message.objects.get()
    assert "Hello Ann," in message.text
    assert "from Tuesday 24 November 2026, 12:00 UTC on" in message.text
    assert "2 calendar(s)" in message.subject


def test_nobody_is_told_before_the_time_is_chosen(batch: Batch) -> None:
    Handover.objects.update(cut_line=None)
    milestones.find()
    assert found() == []


def test_nobody_is_told_unless_it_is_switched_on(batch: Batch) -> None:
    Batch.objects.update(tell_customers=False)
    milestones.find()
    assert not Notice.objects.exists()


def test_a_customer_without_contacts_is_noted_and_who_comes_later_is_not_told_of_what_was(batch: Batch) -> None:
    CustomerContact.objects.all().delete()
    milestones.find()
    assert (Notice.objects.count(), found()) == (1, [])
    CustomerContact.objects.create(customer=Customer.objects.get(slug__isnull=False), email="late@acme.example")
    milestones.find()
    assert found() == []


def test_done_is_told_when_all_calendars_are_at_their_end(batch: Batch) -> None:
    one_item(batch, status=ItemStatus.DONE)
    milestones.find()
    assert found() == []
    items(batch, status=ItemStatus.DONE)
    milestones.find()
    milestones.find()
    assert found() == [("done", 1, "ann@acme.example")]


def test_done_is_told_of_a_closed_batch_though_some_stayed_behind(batch: Batch) -> None:
    one_item(batch, status=ItemStatus.DONE)
    Item.objects.exclude(status=ItemStatus.DONE).update(status=ItemStatus.NOT_MOVABLE)
    Batch.objects.update(closed_at=make.NOON, status="closed")
    milestones.find()
    assert found() == [("done", 1, "ann@acme.example")]
    assert "1 of 2 calendar(s)" in Message.objects.get().text


def test_a_batch_that_ended_long_ago_is_not_told_of(batch: Batch) -> None:
    items(batch, status=ItemStatus.DONE)
    Batch.objects.update(closed_at=make.NOON - timedelta(days=8), status="closed")
    milestones.find()
    assert found() == []


def waits(batch: Batch) -> None:
    one_item(batch, status=ItemStatus.USER, error_kind="customer", reason="must be connected again")


def goes_on(batch: Batch) -> None:
    items(batch, status=ItemStatus.READY, error_kind="", reason="")


def test_others_that_wait_for_the_customer_belong_to_the_same_episode(batch: Batch) -> None:
    milestones.find()
    waits(batch)
    milestones.find()
    items(batch, status=ItemStatus.USER, error_kind="customer")
    milestones.find()
    assert [row[:2] for row in found()] == [("planned", 1), ("needs_you", 1)]
    assert "ann@acme.example" in Message.objects.latest("pk").text


def test_what_comes_back_within_the_hour_is_the_same_episode(batch: Batch, now: clock.ManualClock) -> None:
    milestones.find()
    for _ in range(5):
        waits(batch)
        milestones.find()
        now.advance(10 * MINUTE)
        goes_on(batch)
        milestones.find()
        now.advance(QUIET - MINUTE)
    waits(batch)
    milestones.find()
    assert [row[:2] for row in found()] == [("planned", 1), ("needs_you", 1)]


def test_an_episode_that_was_over_for_an_hour_is_followed_by_another(batch: Batch, now: clock.ManualClock) -> None:
    milestones.find()
    waits(batch)
    milestones.find()
    goes_on(batch)
    milestones.find()
    now.advance(QUIET)
    milestones.find()
    waits(batch)
    milestones.find()
    assert [row[:2] for row in found()] == [("planned", 1), ("needs_you", 1), ("needs_you", 2)]


def test_what_waits_for_staff_is_not_the_customers_to_solve(batch: Batch) -> None:
    milestones.find()
    one_item(batch, status=ItemStatus.USER, error_kind="configuration")
    milestones.find()
    assert [row[0] for row in found()] == ["planned"]


def test_a_failure_is_told_and_so_is_a_batch_that_is_sent_back(batch: Batch) -> None:
    milestones.find()
    Handover.objects.update(backwards=True)
    milestones.find()
    assert [row[0] for row in found()] == ["planned", "problem"]


def test_a_batch_that_is_sent_back_before_anybody_was_told_worries_nobody(batch: Batch) -> None:
    Handover.objects.update(backwards=True)
    milestones.find()
    assert found() == []


def test_the_database_itself_lets_no_notice_stand_twice(batch: Batch, customer: Customer) -> None:
    milestones.find()
    with pytest.raises(IntegrityError):
        Notice.objects.create(batch=batch, customer=customer, milestone="planned", found_at=make.NOON)


def test_looking_takes_the_same_queries_for_many_customers_as_for_few(
    batch: Batch, django_assert_num_queries: Any
) -> None:
    milestones.find()
    with django_assert_num_queries(4):
        milestones.find()
    for _ in range(20):
        extra = make.make_customer()
        CustomerContact.objects.create(customer=extra, email="x@example.com")
        calendar = make.make_calendar(extra, family=batch.source.family)
        make.make_item(batch, connection=make.make_connection(batch.source, calendar))
    assert milestones.find() == 20
    with django_assert_num_queries(4):
        milestones.find()


# --- on the way


def test_an_e_mail_is_sent_once_and_says_that_a_machine_wrote_it(batch: Batch) -> None:
    milestones.find()
    send_all()
    send_all()
    [sent] = mail.outbox
    assert (sent.to, Message.objects.get().state) == (["ann@acme.example"], State.SENT)
    headers = sent.message()
    assert headers["Auto-Submitted"] == "auto-generated"
    assert str(Message.objects.get().identity) in headers["Message-ID"]


def test_a_worry_waits_a_while_and_is_withdrawn_when_it_passes(batch: Batch, now: clock.ManualClock) -> None:
    milestones.find()
    send_all()
    one_item(batch, status=ItemStatus.FAILED)
    milestones.find()
    send_all()
    now.advance(14 * MINUTE)
    send_all()
    goes_on(batch)
    milestones.find()
    now.advance(QUIET)
    send_all()
    milestones.find()
    send_all()
    assert len(mail.outbox) == 1
    assert Message.objects.get(notice__milestone="problem").state == State.WITHDRAWN


def test_a_worry_that_lasts_is_sent(batch: Batch, now: clock.ManualClock) -> None:
    milestones.find()
    one_item(batch, status=ItemStatus.FAILED)
    milestones.find()
    now.advance(15 * MINUTE)
    milestones.find()
    send_all()
    assert [one.subject for one in mail.outbox][-1] == DEFAULTS[Milestone.PROBLEM][0]


def test_nothing_goes_out_after_it_was_switched_off(batch: Batch) -> None:
    milestones.find()
    acts.set_tell(batch, False, actor=None)
    send_all()
    assert mail.outbox == []


class Server(BaseEmailBackend):
    """A mail server that does what a test says."""

    opening: Exception | None = None
    taking: Exception | None = None
    closing: Exception | None = None
    took: list[Any] = []

    def open(self) -> bool:
        if self.opening:
            raise self.opening
        return True

    def close(self) -> None:
        if self.closing:
            raise self.closing

    def send_messages(self, email_messages: Any) -> int:
        if self.taking:
            raise self.taking
        type(self).took.extend(email_messages)
        return len(email_messages)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    monkeypatch.setattr(post, "get_connection", Server)
    for name in ("opening", "taking", "closing"):
        monkeypatch.setattr(Server, name, None)
    monkeypatch.setattr(Server, "took", [])
    return Server


LATER = [
    ("opening", ConnectionRefusedError("no")),
    ("opening", TimeoutError()),
    ("opening", smtplib.SMTPConnectError(421, b"busy")),
    ("opening", smtplib.SMTPAuthenticationError(535, b"wrong password hunter2")),
    ("taking", smtplib.SMTPRecipientsRefused({"ann@acme.example": (450, b"greylisted")})),
    ("taking", smtplib.SMTPSenderRefused(451, b"later", "from@example.com")),
    ("taking", smtplib.SMTPDataError(452, b"full")),
]
NEVER = [
    ("taking", smtplib.SMTPRecipientsRefused({"ann@acme.example": (550, b"no such user")})),
    ("taking", smtplib.SMTPSenderRefused(553, b"who are you", "from@example.com")),
    ("taking", smtplib.SMTPDataError(554, b"spam\r\nInjected: line")),
]
NOBODY_KNOWS = [
    ("taking", smtplib.SMTPServerDisconnected("gone")),
    ("taking", TimeoutError()),
    ("taking", ConnectionResetError()),
]


@pytest.mark.parametrize(("when", "error"), LATER, ids=repr)
def test_what_is_refused_for_now_is_tried_again_by_the_ladder_and_then_given_up(
    batch: Batch, server: type[Server], now: clock.ManualClock, when: str, error: Exception
) -> None:
    setattr(server, when, error)
    milestones.find()
    for rung in outbox.LADDER:
        send_all()
        assert Message.objects.get().state == State.WAITING
        now.advance(rung - MINUTE / 60)
        assert tasks.find_work(10) == []
        now.advance(MINUTE / 60)
    send_all()
    message = Message.objects.get()
    assert (message.state, message.attempts) == (State.FAILED, len(outbox.LADDER) + 1)
    assert message.problem.endswith((".", ")", "busy", "greylisted", "later", "full"))
    assert "hunter2" not in message.problem


@pytest.mark.parametrize(("when", "error"), NEVER, ids=repr)
def test_what_is_refused_for_good_is_not_tried_again_and_says_why(
    batch: Batch, server: type[Server], when: str, error: Exception
) -> None:
    setattr(server, when, error)
    milestones.find()
    send_all()
    message = Message.objects.get()
    assert message.state == State.FAILED
    assert message.problem.startswith("The mail server refused it: 55")
    assert "\n" not in message.problem


@pytest.mark.parametrize(("when", "error"), NOBODY_KNOWS, ids=repr)
def test_what_nobody_knows_of_is_perhaps_sent_and_never_sent_again_by_itself(
    batch: Batch, server: type[Server], now: clock.ManualClock, when: str, error: Exception
) -> None:
    setattr(server, when, error)
    milestones.find()
    send_all()
    setattr(server, when, None)
    now.advance(timedelta(days=3))
    tasks.pump()
    send_all()
    assert (Message.objects.get().state, server.took) == (State.PERHAPS, [])


def test_trouble_with_closing_the_connection_does_not_make_it_unsent(batch: Batch, server: type[Server]) -> None:
    server.closing = smtplib.SMTPServerDisconnected("gone")
    milestones.find()
    send_all()
    assert (Message.objects.get().state, len(server.took)) == (State.SENT, 1)


def test_a_worker_that_dies_while_it_sends_leaves_perhaps_sent(batch: Batch) -> None:
    milestones.find()
    lease = Lease(seconds=-1)  # over before it is looked at again
    [pk] = outbox.claim(limit=1, lease=lease)
    begun = outbox.begin(pk, lease)
    assert begun is not None
    assert begun.state == State.SENDING
    tasks.pump()
    message = Message.objects.get()
    assert message.state == State.PERHAPS
    assert "worker" in message.problem
    send_all()
    assert mail.outbox == []


def test_a_worker_that_was_only_slow_sets_it_right(batch: Batch) -> None:
    milestones.find()
    lease = Lease(seconds=-1)
    [pk] = outbox.claim(limit=1, lease=lease)
    message = outbox.begin(pk, lease)
    assert message is not None
    outbox.settle_lost()
    outbox.finish(message, post.Outcome(post.How.SENT), lease=lease)
    assert Message.objects.get().state == State.SENT


def test_two_workers_do_not_send_the_same(batch: Batch) -> None:
    milestones.find()
    first, second = outbox.lease(), outbox.lease()
    [pk] = outbox.claim(limit=9, lease=first)
    assert outbox.claim(limit=9, lease=second) == []
    assert outbox.begin(pk, second) is None


def test_nothing_is_sent_inside_a_transaction(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = len(connection.savepoint_ids)  # the test's own
    seen: list[int] = []

    def look(message: Message) -> post.Outcome:
        seen.append(len(connection.savepoint_ids))
        return post.Outcome(post.How.SENT)

    monkeypatch.setattr(post, "send", look)
    milestones.find()
    send_all()
    assert seen == [depth]


@pytest.mark.parametrize("state", [State.FAILED, State.PERHAPS])
def test_a_person_may_send_again_what_was_not_or_perhaps_sent(batch: Batch, state: str) -> None:
    milestones.find()
    message = the_message(state=state, attempts=6, problem="No.")
    acts.send_again(message, actor=make.make_staff(), reason="asked")
    send_all()
    assert (len(mail.outbox), Message.objects.get().state) == (1, State.SENT)
    entry = AuditEntry.objects.get(action="message.again")
    assert entry.subject_id == message.pk


@pytest.mark.parametrize("state", [State.SENT, State.WAITING, State.SENDING, State.WITHDRAWN])
def test_nothing_else_may_be_sent_again(batch: Batch, state: str) -> None:
    milestones.find()
    message = the_message(state=state)
    with pytest.raises(Refused, match="Only what was not sent"):
        acts.send_again(message, actor=None)
    assert Message.objects.get().state == state


def test_what_did_not_arrive_asks_for_attention(batch: Batch) -> None:
    milestones.find()
    asking = {one.code: one.listed for one in concerns(make.NOON)}
    assert not asking["perhaps_sent"].rows.exists()
    message = the_message(state=State.PERHAPS)
    assert list(asking["perhaps_sent"].rows.all()) == [message]
    assert not asking["not_sent"].rows.exists()
    the_message(state=State.FAILED)
    assert list(asking["not_sent"].rows.all()) == [message]


# --- texts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Hello {name}", "“{name}” is no placeholder"),
        ("{customer.__class__}", "bare name"),
        ("{customer[0]}", "bare name"),
        ("{customer!r}", "bare name"),
        ("{customer:>99999999}", "bare name"),
        ("{}", "no placeholder"),
        ("{0}", "no placeholder"),
        ("100 {", "single { or }"),
        ("} 100", "single { or }"),
        ("{{customer}", "single { or }"),
        ("see https://evil.example/x", "leads elsewhere"),
        ("see http://localhost:8000.evil.example/", "leads elsewhere"),
        ("see http://localhost:8000@evil.example/", "leads elsewhere"),
        ("see http://user@localhost:8000/", "leads elsewhere"),
        ("see https:{customer}//evil.example", "leads elsewhere"),
        ("www.evil.example", "leads elsewhere"),
        ("javascript:alert(1)", "leads elsewhere"),
        ("mailto:x@evil.example", "leads elsewhere"),
        ("bell \x07", "control character"),
    ],
)
def test_a_text_with_something_wrong_is_refused_with_a_sentence(text: str, says: str, settings: Any) -> None:
    settings.SITE_URL = "http://localhost:8000"
    assert says in problem_of(text)


@pytest.mark.parametrize(
    "text",
    ["", "plain", "{customer} {batch} {when}", "{{literally}}", "{{% now %}}", "see http://localhost:8000/x"],
)
def test_a_text_with_nothing_wrong_is_taken(text: str, settings: Any) -> None:
    settings.SITE_URL = "http://localhost:8000"
    assert problem_of(text) == ""


def test_a_subject_is_one_line() -> None:
    assert "one line" in problem_of("Hello\nBcc: x@evil.example", subject=True)


def test_our_own_texts_are_sound_and_use_what_there_is() -> None:
    assert set(DEFAULTS) == set(Milestone.values)
    for subject, text in DEFAULTS.values():
        assert problem_of(subject, subject=True) == problem_of(text) == ""
        assert rendered(text, dict.fromkeys(PLACEHOLDERS, "x"))


HOSTILE = [
    "Acme\r\nBcc: everybody@evil.example",
    "Acme\nSubject: forged",
    "Acme\x07\x1b[31m",
    "{batch} {customer.__class__}",
    "{{ 7|add:7 }} {% debug %}",
    "https://evil.example/?a=b",
    "\u202egnp.exe",
    "=cmd|' /C calc'!A0",
    "x" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_forge_no_header_and_nothing_in_them_is_run(batch: Batch, name: str) -> None:
    Customer.objects.update(name=name[:160])
    CustomerContact.objects.update(name=name[:120])
    MailTemplate.objects.filter(milestone="planned").update(subject="Of {customer}: {contact}")
    milestones.find()
    send_all()
    [sent] = mail.outbox
    parsed = message_from_string(sent.message().as_string())
    assert (parsed["Bcc"], sent.recipients()) == (None, ["ann@acme.example"])
    assert len(parsed.get_all("Subject")) == 1
    body = sent.body
    assert "://evil" not in body
    assert "\x1b" not in body
    assert "autumn" not in body.replace("batch", "")
    assert "\u202e" not in body


def test_a_value_is_one_line_of_bounded_length() -> None:
    assert value_of("a\n\nb\tc") == "a b c"
    assert len(value_of("x" * 10_000)) <= 400


# --- pages


@pytest.fixture
def chief(db: None) -> Client:
    client = Client()
    client.force_login(make.make_staff("chief", superuser=True))
    return client


def test_the_page_says_who_gets_what_before_it_is_switched_on(chief: Client, batch: Batch) -> None:
    Batch.objects.update(tell_customers=False)
    page = chief.get(reverse("admin:migrations_app_batch_customers", args=[batch.pk])).content.decode()
    assert "1 e-mail would go out at once." in page
    assert "ann@acme.example" in page
    assert "off@acme.example" not in page
    assert not Notice.objects.exists()


def test_switching_it_on_tells_what_holds_and_stays_on_record(
    chief: Client, batch: Batch, django_capture_on_commit_callbacks: Any
) -> None:
    Batch.objects.update(tell_customers=False)
    with django_capture_on_commit_callbacks(execute=True):
        press(chief, batch, "tell_customers", on="1", reason="agreed")
    assert found() == [("planned", 1, "ann@acme.example")]
    assert AuditEntry.objects.get(action="batch.tell_customers").actor_name == "chief"
    page = chief.get(reverse("admin:migrations_app_batch_customers", args=[batch.pk])).content.decode()
    assert "Tell customers no more" in page
    assert "to be sent" in page


def test_switching_it_twice_is_refused_the_second_time(batch: Batch) -> None:
    with pytest.raises(Refused, match="meanwhile"):
        acts.set_tell(batch, True, actor=None)


def test_without_a_mail_server_it_cannot_be_switched_on(batch: Batch, settings: Any) -> None:
    Batch.objects.update(tell_customers=False)
    settings.MAIL_READY = False
    with pytest.raises(Refused, match="EMAIL_URL"):
        acts.set_tell(batch, True, actor=None)


def test_a_closed_batch_cannot_be_switched_on(batch: Batch) -> None:
    Batch.objects.update(tell_customers=False, closed_at=make.NOON)
    with pytest.raises(Refused, match="closed"):
        acts.set_tell(batch, True, actor=None)
    assert not Batch.objects.get().tell_customers


def test_staff_edit_a_template_and_what_is_wrong_is_said(chief: Client, db: None) -> None:
    template = MailTemplate.objects.get(milestone="planned")
    url = reverse("admin:migrations_app_mailtemplate_change", args=[template.pk])
    answer = chief.post(url, {"subject": "Hello {nobody}", "text": "x"})
    assert "{nobody}” is no placeholder" in answer.content.decode()
    chief.post(url, {"subject": "Hello {customer}", "text": "At {when}."})
    template.refresh_from_db()
    assert (template.subject, template.text) == ("Hello {customer}", "At {when}.")
    assert AuditEntry.objects.filter(action="mailtemplate.change").exists()


def test_the_preview_has_a_real_batchs_values_and_an_example_where_there_is_none(
    chief: Client, batch: Batch, customer: Customer
) -> None:
    template = MailTemplate.objects.get(milestone="planned")
    url = reverse("admin:migrations_app_mailtemplate_preview", args=[template.pk])
    page = chief.get(url, {"batch": batch.pk, "customer": customer.pk}).content.decode()
    assert "the calendars of Acme that record meetings" in page
    assert "Hello Ann," in page
    Item.objects.all().delete()
    assert "Made-up values" in chief.get(url, {"batch": "nonsense"}).content.decode()


def test_a_test_goes_to_who_pressed_and_to_nobody_else(chief: Client, batch: Batch) -> None:
    template = MailTemplate.objects.get(milestone="planned")
    assert "Your account has no e-mail address" in said(press(chief, template, "send_test", batch=batch.pk))
    from django.contrib.auth.models import User

    User.objects.update(email="chief@recallops.example")
    press(chief, template, "send_test", batch=batch.pk)
    [sent] = mail.outbox
    assert sent.to == ["chief@recallops.example"]
    assert sent.subject.startswith("[test] ")
    assert not Message.objects.exists()


def test_contacts_are_kept_on_the_customers_page_and_compared_in_lower_case(chief: Client, customer: Customer) -> None:
    url = reverse("admin:calendars_customer_change", args=[customer.pk])
    data = {
        "name": customer.name,
        "slug": customer.slug,
        "domains-TOTAL_FORMS": "0",
        "domains-INITIAL_FORMS": "0",
        "contacts-TOTAL_FORMS": "1",
        "contacts-INITIAL_FORMS": "0",
        "contacts-0-email": "NEW@acme.example",
        "contacts-0-enabled": "on",
    }
    chief.post(url, data)
    assert CustomerContact.objects.filter(email="new@acme.example").exists()
    answer = chief.post(url, {**data, "contacts-0-email": "New@Acme.example"})
    assert answer.status_code == 200
    assert CustomerContact.objects.filter(customer=customer).count() == 3


def shown_inputs(page: str) -> dict[str, str]:
    """Return what a browser would post of a customer's page."""
    found = {}
    for tag in re.findall(r"<input\b[^>]*>", page):
        fields = dict(re.findall(r'(\S+)="([^"]*)"', tag))
        if "name" in fields and (fields.get("type") != "checkbox" or " checked" in tag):
            found[fields["name"]] = fields.get("value", "on")
    ours = re.compile("(initial-)?(name|slug|domains-|contacts-)")
    return {name: value for name, value in found.items() if ours.match(name)}


def test_a_page_that_was_opened_earlier_switches_nobody_on_again_who_unsubscribed(
    chief: Client, customer: Customer
) -> None:
    url = reverse("admin:calendars_customer_change", args=[customer.pk])
    data = shown_inputs(chief.get(url).content.decode())
    ann = customer.contacts.filter(email="ann@acme.example")
    subscribing.unsubscribe(ann.get())
    [number] = [name.split("-")[1] for name, value in data.items() if value == "ann@acme.example"]
    chief.post(url, {**data, f"contacts-{number}-name": "Ann B."})
    assert list(ann.values_list("name", "enabled")) == [("Ann B.", False)]
    data = shown_inputs(chief.get(url).content.decode())
    chief.post(url, {**data, f"contacts-{number}-enabled": "on"})  # who means it can
    assert ann.get().enabled


@pytest.mark.parametrize("what", ["deleted", "corrected"])
def test_what_waits_for_a_contact_that_staff_delete_or_correct_is_not_sent(batch: Batch, what: str) -> None:
    milestones.find()
    contact = CustomerContact.objects.filter(email="ann@acme.example")
    if what == "deleted":
        contact.delete()
    else:
        contact.update(email="anne@acme.example")
    send_all()
    assert mail.outbox == []
    tasks.pump()
    assert Message.objects.get().state == State.WITHDRAWN


def test_the_list_of_e_mails_offers_to_send_again_only_what_may_be(chief: Client, batch: Batch) -> None:
    milestones.find()
    message = Message.objects.get()
    url = reverse("admin:migrations_app_message_change", args=[message.pk])
    assert "Send again" not in chief.get(url).content.decode()
    the_message(state=State.PERHAPS)
    page = chief.get(url).content.decode()
    assert "Send again" in page
    assert "it may come twice" in page


@pytest.mark.django_db
def test_what_waited_before_messages_knew_their_contact_still_goes_out() -> None:
    """Without one it would be taken for an e-mail to somebody whom staff have deleted."""
    batch = make.make_batch(tell_customers=True)
    message = make.make_message(batch)
    Message.objects.update(contact=None)
    assert not outbox.due().exists()
    with connection.cursor() as cursor:
        cursor.execute(import_module("migrations_app.migrations.0016_contacts_of_messages").FILL)
    assert outbox.due().get() == message
