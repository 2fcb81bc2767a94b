"""E-mails that customers ask for on their page: nobody gets any who did not say so from the address itself, and whoever
wants no more gets no more."""

from __future__ import annotations

import re
from datetime import timedelta
from email import message_from_bytes
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from calendars.models import AuditEntry, Customer, CustomerContact, Handover
from migrations_app.admin.concerns import concerns
from migrations_app.control import Refused
from migrations_app.mail import acts, links, milestones, outbox, post, subscribing, tasks
from migrations_app.models import Item, ItemStatus, Message, Notice, StatusLink, Subscription
from recallops import clock
from recallops.redaction import redact
from tests.admin import builders as make
from tests.admin.builders import NOON
from tests.status.conftest import Company
from tests.status.test_languages import LANGUAGES, english

pytestmark = pytest.mark.django_db

SITE = "https://recallops.example.com"
ADA = "ada@northwind.example"
STAFFS = "chosen.by.staff@northwind.example"
State = Message.State


@pytest.fixture(autouse=True)
def mails_can_be_sent(settings: Any) -> None:
    settings.MAIL_READY, settings.SITE_URL = True, SITE


@pytest.fixture
def opened(company: Company) -> tuple[StatusLink, str]:
    """A link of Northwind, whose batch tells nobody, and which has a contact that staff entered."""
    make.make_contact(company.northwind, STAFFS)
    return make.make_status_link(company.northwind)


def ask(secret: str, address: str = ADA) -> Any:
    url = reverse("status:subscribe", args=[secret])
    return Client(enforce_csrf_checks=True).post(f"{url}?move=1", {"address": address})


def send_all() -> list[Any]:
    """Do what the workers do, and return what was sent by it."""
    sent = len(mail.outbox)
    tasks.pump()
    for work in tasks.find_work(100):
        work()
    return mail.outbox[sent:]


def an_hour_later(time: clock.ManualClock) -> list[Any]:
    """Return what is sent when an hour has passed: what worries has lasted for long enough then."""
    tasks.pump()
    time.advance(timedelta(hours=1))
    return send_all()


def link_in(email: Any, act: str) -> str:
    (found,) = re.findall(rf"^{SITE}(/status/{act}/\S+/)$", email.body, re.M)
    return str(found)


def confirmed(secret: str, address: str = ADA) -> CustomerContact:
    """Subscribe an address the whole way."""
    ask(secret, address)
    email = next(email for email in send_all() if email.to == [address])
    assert Client(enforce_csrf_checks=True).post(link_in(email, "confirm")).status_code == 200
    return CustomerContact.objects.get(email=address)


def subscribed() -> list[str]:
    return list(milestones.subscribers().order_by("email").values_list("email", flat=True))


# --- asking and confirming


def test_an_address_gets_one_e_mail_and_nothing_else_before_somebody_confirms_it(
    opened: Any, time_stands_still: clock.ManualClock
) -> None:
    response = ask(opened[1])
    assert response.status_code == 302
    page = Client().get(response["Location"].partition("#")[0]).content.decode()
    assert "We have written to this address" in page
    [email] = send_all()
    assert email.to == [ADA]
    assert "Northwind" in email.subject
    assert an_hour_later(time_stands_still) == []
    assert subscribed() == []
    assert not CustomerContact.objects.filter(email=ADA).exists()


def test_the_request_itself_sends_nothing(opened: Any, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        ask(opened[1])
    assert mail.outbox == []


def test_to_open_the_link_confirms_nothing_and_to_press_its_button_does(opened: Any) -> None:
    ask(opened[1])
    [email] = send_all()
    path = link_in(email, "confirm")
    client = Client(enforce_csrf_checks=True)
    for _ in range(3):
        response = client.get(path)
        client.head(path)
    assert '<form method="post">' in response.content.decode()
    assert subscribed() == []
    assert "It is confirmed" in client.post(path).content.decode()
    assert subscribed() == [ADA]
    for again in (client.get(path), client.post(path)):  # pressed twice, opened later
        assert "It is confirmed" in again.content.decode()
    assert AuditEntry.objects.filter(action="customer.subscribed").count() == 1


def test_that_somebody_subscribed_is_on_record_without_the_address(opened: Any, company: Company) -> None:
    contact = confirmed(opened[1])
    entry = AuditEntry.objects.get(action="customer.subscribed")
    assert (entry.actor, entry.door, entry.subject_id) == (None, "status", company.northwind.pk)
    assert entry.data == {"contact": contact.pk, "link": opened[0].pk}
    assert ADA not in str(AuditEntry.objects.filter(pk=entry.pk).values().get())


def test_the_answer_is_the_same_for_an_address_that_is_known_and_for_one_that_is_not(opened: Any) -> None:
    confirmed(opened[1])
    answers = set()
    for address in (ADA, STAFFS, "new@northwind.example", "new@northwind.example", "x@elsewhere.example"):
        response = ask(opened[1], address)
        page = Client().get(response["Location"].partition("#")[0]).content
        answers.add((response.status_code, response["Location"], re.sub(rb"seen=\w+", b"", page)))
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "Write your e-mail address."),
        ("nobody", "Enter a valid email address."),
        ("a@b.example\r\nBcc: all@evil.example", "Enter a valid email address."),
        ("a@b.example, c@d.example", "Enter a valid email address."),
        ("Ada <ada@northwind.example>", "Enter a valid email address."),
        (f"{'x' * 250}@b.example", "at most 254 characters"),
    ],
)
def test_what_is_no_address_is_said_and_what_was_typed_stays(address: str, said: str, opened: Any) -> None:
    response = ask(opened[1], address)
    page = response.content.decode()
    assert response.status_code == 400
    assert said in page
    assert address.partition("\r")[0].replace("<", "&lt;").replace(">", "&gt;") in page
    assert not Message.objects.exists()


def test_a_hostile_customers_name_forges_no_header_and_no_link(opened: Any, company: Company) -> None:
    Customer.objects.filter(pk=opened[0].customer_id).update(name="Evil\r\nBcc: x@evil.example https://evil.example/")
    contact = confirmed(opened[1])
    Message.objects.create(
        notice=Notice.objects.create(batch=company.batch, customer=contact.customer, milestone="done", found_at=NOON),
        contact=contact, email=ADA, subject="s", text="t", due_at=NOON,
    )  # fmt: skip
    send_all()
    for email in mail.outbox:
        parsed = message_from_bytes(email.message().as_bytes())
        assert parsed["Bcc"] is None
        assert email.recipients() == [ADA]
        assert "://evil" not in email.body + email.subject


def test_nobody_fills_strangers_mailboxes(opened: Any, company: Company, time_stands_still: clock.ManualClock) -> None:
    others = make.make_status_link(company.southwind)[0]
    written = []
    for _ in range(24):
        for link in (opened[0], opened[0], others):
            subscribing.ask(link, ADA)
        written.append(Message.objects.count())
        time_stands_still.advance(timedelta(minutes=59))
    assert written[:3] == [2, 2, subscribing.MOST_A_DAY]  # one of each customer, an hour apart
    assert written[-1] == subscribing.MOST_A_DAY


def test_one_e_mail_to_confirm_stands_not_in_the_way_of_another_that_opens_something_else(
    opened: Any, company: Company
) -> None:
    """Of another customer, or by the link that replaced one which is revoked."""
    subscribing.ask(opened[0], ADA)
    subscribing.ask(make.make_status_link(company.southwind)[0], ADA)
    assert [email.subject.rpartition(" ")[2] for email in send_all()] == ["Northwind", "Southwind"]
    opened[0].revoke()
    subscribing.ask(make.make_status_link(company.northwind)[0], ADA)
    assert len(send_all()) == 1


def test_a_link_asks_at_so_many_addresses_a_day(
    opened: Any, settings: Any, time_stands_still: clock.ManualClock
) -> None:
    settings.STATUS_PER_MINUTE = 10_000
    for number in range(subscribing.MOST_UNCONFIRMED):
        assert ask(opened[1], f"{number}@stranger.example").status_code == 302
    response = ask(opened[1])
    assert response.status_code == 400
    assert "Try again tomorrow" in response.content.decode()
    assert ADA in response.content.decode()
    assert len(send_all()) == subscribing.MOST_UNCONFIRMED
    time_stands_still.advance(timedelta(days=1))
    assert ask(opened[1]).status_code == 302


def test_a_link_has_so_many_subscribers(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribing, "MOST_SUBSCRIBERS", 1)
    confirmed(opened[1])
    assert ask(opened[1], "next@northwind.example").status_code == 400


def test_where_no_e_mail_can_be_sent_none_is_offered(opened: Any, settings: Any) -> None:
    for name, value in (("MAIL_READY", False), ("SITE_URL", "")):
        before = getattr(settings, name)
        setattr(settings, name, value)
        page = Client().get(reverse("status:page", args=[opened[1]])).content.decode()
        assert "E-mails about this move" not in page
        assert ask(opened[1]).status_code == 404
        setattr(settings, name, before)
    assert "E-mails about this move" in Client().get(reverse("status:page", args=[opened[1]])).content.decode()


def test_what_was_never_confirmed_is_forgotten(opened: Any, time_stands_still: clock.ManualClock) -> None:
    ask(opened[1], "stranger@elsewhere.example")
    confirmed(opened[1])
    time_stands_still.advance(Subscription.LIFE + timedelta(minutes=1))
    tasks.pump()
    assert [one.email for one in Subscription.objects.all()] == [ADA]
    assert not Message.objects.filter(email="stranger@elsewhere.example").exists()


# --- links in e-mails


def test_a_link_that_is_wrong_expired_or_used_opens_one_page_that_says_what_to_do(
    opened: Any, time_stands_still: clock.ManualClock
) -> None:
    contact = confirmed(opened[1])
    used = Subscription.objects.get()
    subscribing.unsubscribe(contact)
    time_stands_still.advance(timedelta(hours=2))
    ask(opened[1])
    late = Subscription.objects.latest("pk")
    time_stands_still.advance(Subscription.LIFE)
    good = links.token(links.UNSUBSCRIBE, contact)
    answers = set()
    for act, token in (
        ("confirm", links.token(links.CONFIRM, used)),
        ("confirm", links.token(links.CONFIRM, late)),
        ("confirm", links.token(links.CONFIRM, Subscription(pk=late.pk + 1, email=ADA))),
        ("confirm", links.token(links.UNSUBSCRIBE, contact)),
        ("confirm", "x"),
        ("confirm", "rops_mail_1-\x00ü"),
        ("confirm", f"{links.MARK}{'9' * 30}-x"),
        ("unsubscribe", links.token(links.CONFIRM, late)),
        ("unsubscribe", good[:-1]),
        ("unsubscribe", good.replace(f"_{contact.pk}-", f"_{contact.pk + 1}-")),
        ("unsubscribe", "live"),
    ):
        for client_method in (Client().get, Client().post):
            response = client_method(reverse(f"status:{act}", args=[token]))
            answers.add((response.status_code, response.content))
    [(status, page)] = answers
    assert status == 404
    assert "Ask for another one on the status page." in page.decode()
    assert subscribed() == []


def test_a_link_names_nobody_and_its_page_shows_no_address(opened: Any) -> None:
    ask(opened[1])
    [email] = send_all()
    path = link_in(email, "confirm")
    assert "ada" not in path
    assert opened[1] not in email.body
    pages = [Client().get(path), Client().post(path)]
    unsubscribing = reverse(
        "status:unsubscribe", args=[links.token(links.UNSUBSCRIBE, CustomerContact.objects.get(email=ADA))]
    )
    pages += [Client().get(unsubscribing), Client().post(unsubscribing)]
    for page in pages:
        assert ADA not in page.content.decode()
        assert page["Cache-Control"] == "no-store, private"
        assert page["Referrer-Policy"] == "no-referrer"
        assert "form-action 'self'" in page["Content-Security-Policy"]
        assert not page.cookies


def test_a_link_is_good_for_the_address_it_was_sent_to_and_for_no_other(opened: Any) -> None:
    """Staff gave the row to somebody else, or a backup was restored and its number was taken again."""
    contact = confirmed(opened[1])
    for row, act in ((contact, links.UNSUBSCRIBE), (Subscription.objects.get(), links.CONFIRM)):
        path = reverse(f"status:{act}", args=[links.token(act, row)])
        assert Client().get(path).status_code == 200
        type(row).objects.filter(pk=row.pk).update(email="stranger@northwind.example")
        assert Client().post(path).status_code == 404
    assert subscribed() == ["stranger@northwind.example"]


def test_no_log_line_and_no_page_of_staff_holds_a_link(opened: Any) -> None:
    contact = confirmed(opened[1])
    tokens = [links.token(links.CONFIRM, Subscription.objects.get()), links.token(links.UNSUBSCRIBE, contact)]
    for token in tokens:
        assert token not in redact(f"Not Found: /status/confirm/{token}/")
        assert token.rpartition("-")[2] not in redact(f"Not Found: /status/confirm/{token}/")
    chief = Client()
    chief.force_login(make.make_staff("chief", superuser=True))
    for message in Message.objects.all():
        page = chief.get(reverse("admin:migrations_app_message_change", args=[message.pk])).content.decode()
        assert message.email in page
        assert not [token for token in tokens if token in page]


# --- who is told of what


def test_subscribers_are_told_of_a_batch_that_does_not_tell_its_customers_and_nobody_else_is(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    make.make_contact(company.southwind)
    confirmed(opened[1])
    told = an_hour_later(time_stands_still)
    assert {(email.to[0], email.subject.partition(":")[0]) for email in told} == {
        (ADA, "We need you"),
        (ADA, "The move of your meeting recordings takes longer"),
    }
    assert an_hour_later(time_stands_still) == []
    assert set(Notice.objects.values_list("customer", flat=True)) == {company.northwind.pk}


def test_when_staff_switch_it_on_later_the_others_are_told_what_holds_then_and_subscribers_nothing_twice(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    Handover.objects.update(cut_line=NOON + timedelta(days=1))
    Item.objects.update(status=ItemStatus.WAITING, error_kind="")
    confirmed(opened[1])
    [told] = send_all()
    assert (told.to, told.subject.partition(":")[0]) == ([ADA], "Your meeting recordings move to EU (Frankfurt)")
    Handover.objects.update(cut_line=NOON + timedelta(days=2))
    acts.set_tell(company.batch, True, actor=None)
    later = send_all()
    assert [email.to for email in later] == [[STAFFS]]
    assert "25 November" in later[0].body  # as it is now
    time_stands_still.advance(timedelta(hours=1))
    assert send_all() == []


def test_the_page_of_staff_says_who_subscribed_and_what_switching_on_would_send(opened: Any, company: Company) -> None:
    Handover.objects.update(cut_line=NOON + timedelta(days=1))
    Item.objects.update(status=ItemStatus.WAITING, error_kind="")
    confirmed(opened[1])
    send_all()
    chief = Client()
    chief.force_login(make.make_staff("chief", superuser=True))
    page = chief.get(reverse("admin:migrations_app_batch_customers", args=[company.batch.pk])).content.decode()
    assert f"{ADA} (subscribed)" in page
    assert "1 e-mail would go out at once." in page
    page = chief.get(reverse("admin:calendars_customer_change", args=[company.northwind.pk])).content.decode()
    assert ADA in page
    page = chief.get(reverse("admin:migrations_app_statuslink_change", args=[opened[0].pk])).content.decode()
    assert "1 person gets e-mails that were asked for by it." in page


def test_switched_off_and_on_again_nothing_comes_twice_and_nothing_is_withdrawn(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    """Also where a customer that has subscribers keeps the batch in sight meanwhile."""
    ann, late = (make.make_contact(company.southwind, f"{name}@southwind.example") for name in ("ann", "late"))
    Item.objects.filter(connection__calendar__customer=company.southwind).update(
        status=ItemStatus.USER, error_kind="customer"
    )
    confirmed(opened[1])
    acts.set_tell(company.batch, True, actor=None)
    assert ann.email in {email.to[0] for email in an_hour_later(time_stands_still)}
    Message.objects.filter(contact=late).update(state=State.WAITING)  # the mail server was busy
    acts.set_tell(company.batch, False, actor=None)
    for _ in range(3):
        assert an_hour_later(time_stands_still) == []
    assert not Message.objects.filter(state=State.WITHDRAWN).exists()
    acts.set_tell(company.batch, True, actor=None)
    assert [email.to for email in an_hour_later(time_stands_still)] == [[late.email]]


def test_what_still_waits_for_a_customer_is_not_over_because_its_last_subscriber_left(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    make.make_contact(company.southwind, subscribed_at=NOON)
    contact = confirmed(opened[1])
    an_hour_later(time_stands_still)
    subscribing.unsubscribe(contact)
    for _ in range(3):
        an_hour_later(time_stands_still)
    mine = Notice.objects.filter(customer=company.northwind)
    assert mine.count() == 2
    assert not mine.exclude(quiet_since=None, ended_at=None).exists()


def test_who_was_told_of_it_before_it_was_over_gets_the_others_told_when_it_holds_again(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    """Planned, cancelled for hours, planned again; only then staff switch it on."""
    Handover.objects.update(cut_line=NOON + timedelta(days=1))
    Item.objects.update(status=ItemStatus.WAITING, error_kind="")
    confirmed(opened[1])
    send_all()
    Handover.objects.update(cut_line=None)
    for _ in range(3):
        an_hour_later(time_stands_still)
    assert Notice.objects.get().ended_at is not None
    Handover.objects.update(cut_line=NOON + timedelta(days=2))
    acts.set_tell(company.batch, True, actor=None)
    assert [email.to for email in an_hour_later(time_stands_still)] == [[STAFFS]]


def test_the_first_who_subscribes_after_a_batch_was_closed_gets_no_worries_of_it(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    type(company.batch).objects.update(closed_at=NOON, status="closed")
    confirmed(opened[1])
    an_hour_later(time_stands_still)
    assert list(Notice.objects.values_list("milestone", flat=True)) == ["done"]


def test_what_waited_since_the_batch_was_switched_off_does_not_go_to_who_subscribes_later(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    acts.set_tell(company.batch, True, actor=None)
    tasks.pump()
    acts.set_tell(company.batch, False, actor=None)
    assert Message.objects.filter(email=STAFFS, state=State.WAITING).count() == 2
    confirmed(opened[1], STAFFS)
    assert an_hour_later(time_stands_still) == []


def test_nothing_goes_to_a_subscriber_long_after_the_batch_was_closed(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    confirmed(opened[1])
    tasks.pump()
    type(company.batch).objects.update(closed_at=NOON, status="closed")
    time_stands_still.advance(milestones.AFTERWARDS + timedelta(hours=1))
    assert send_all() == []


def test_the_page_of_staff_counts_who_subscribed_after_the_others_were_told(opened: Any, company: Company) -> None:
    Handover.objects.update(cut_line=NOON + timedelta(days=1))
    Item.objects.update(status=ItemStatus.WAITING, error_kind="")
    confirmed(opened[1])
    send_all()
    confirmed(opened[1], "later@northwind.example")
    chief = Client()
    chief.force_login(make.make_staff("chief", superuser=True))
    page = chief.get(reverse("admin:migrations_app_batch_customers", args=[company.batch.pk])).content.decode()
    assert "2 e-mails would go out at once." in page
    acts.set_tell(company.batch, True, actor=None)
    assert len(send_all()) == 2


def test_what_staff_switched_off_the_old_link_to_confirm_does_not_call_confirmed(opened: Any) -> None:
    contact = confirmed(opened[1])
    path = reverse("status:confirm", args=[links.token(links.CONFIRM, Subscription.objects.get())])
    CustomerContact.objects.filter(pk=contact.pk).update(enabled=False)
    assert Client().get(path).status_code == Client().post(path).status_code == 404
    assert subscribed() == []


def test_staff_can_switch_a_subscriber_off(opened: Any, time_stands_still: clock.ManualClock) -> None:
    confirmed(opened[1])
    tasks.pump()
    CustomerContact.objects.filter(email=ADA).update(enabled=False)
    assert an_hour_later(time_stands_still) == []


def test_a_contact_of_staff_that_subscribes_is_told_once(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    confirmed(opened[1], STAFFS)
    contact = CustomerContact.objects.get(email=STAFFS)
    assert contact.by_staff
    acts.set_tell(company.batch, True, actor=None)
    assert len(an_hour_later(time_stands_still)) == 2  # needs you, problem


# --- no more


def test_every_e_mail_to_a_subscriber_has_a_link_that_ends_it(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    confirmed(opened[1])
    acts.set_tell(company.batch, True, actor=None)
    told = an_hour_later(time_stands_still)
    assert len(told) == 4
    for email in told:
        parsed = message_from_bytes(email.message().as_bytes())
        if email.to == [STAFFS]:
            assert "/status/" not in email.body
            assert parsed["List-Unsubscribe"] is None
            continue
        path = link_in(email, "unsubscribe")
        assert parsed["List-Unsubscribe"].split() == [f"<{SITE}{path}>"]
        assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_mail_provider_unsubscribes_somebody_by_the_header_of_the_e_mail(
    opened: Any, time_stands_still: clock.ManualClock
) -> None:
    confirmed(opened[1])
    email = an_hour_later(time_stands_still)[0]
    path = email.message()["List-Unsubscribe"].strip("<> \n").removeprefix(SITE)
    response = Client(enforce_csrf_checks=True).post(path, {"List-Unsubscribe": "One-Click"})
    assert response.status_code == 200  # they follow no redirect
    assert subscribed() == []
    entry = AuditEntry.objects.get(action="customer.unsubscribed")
    assert ADA not in str(entry.details)


def test_to_open_the_link_unsubscribes_nobody(opened: Any) -> None:
    contact = confirmed(opened[1])
    path = reverse("status:unsubscribe", args=[links.token(links.UNSUBSCRIBE, contact)])
    assert "Send me no more e-mails" in Client().get(path).content.decode()
    assert subscribed() == [ADA]
    for _ in range(2):
        assert "You get no more e-mails" in Client().post(path).content.decode()
    assert "You get no more e-mails" in Client().get(path).content.decode()
    assert AuditEntry.objects.filter(action="customer.unsubscribed").count() == 1


def test_what_waits_is_withdrawn_and_what_is_tried_again_is_not_sent(
    opened: Any, company: Company, monkeypatch: pytest.MonkeyPatch, time_stands_still: clock.ManualClock
) -> None:
    contact = confirmed(opened[1])
    tasks.pump()
    waiting, trying = Message.objects.filter(contact=contact)
    time_stands_still.advance(timedelta(hours=1))
    lease = outbox.lease()
    assert set(outbox.claim(limit=9, lease=lease)) == {waiting.pk, trying.pk}
    begun = outbox.begin(trying.pk, lease)
    assert begun is not None
    subscribing.unsubscribe(contact)
    outbox.finish(begun, post.Outcome(post.How.LATER, "busy"), lease=lease)
    assert outbox.begin(waiting.pk, lease) is None
    acts.set_tell(company.batch, True, actor=None)
    time_stands_still.advance(timedelta(days=1))
    assert ADA not in {email.to[0] for email in send_all()}
    assert set(Message.objects.filter(contact=contact).values_list("state", flat=True)) == {State.WITHDRAWN}
    Message.objects.filter(pk=waiting.pk).update(state=State.FAILED)
    with pytest.raises(Refused, match="wants no more"):
        acts.send_again(Message.objects.get(pk=waiting.pk), actor=None)


def test_a_contact_of_staff_who_unsubscribes_gets_nothing_of_told_batches_either(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    subscribing.unsubscribe(confirmed(opened[1], STAFFS))
    acts.set_tell(company.batch, True, actor=None)
    assert an_hour_later(time_stands_still) == []


def test_who_unsubscribed_can_subscribe_again(opened: Any, time_stands_still: clock.ManualClock) -> None:
    subscribing.unsubscribe(confirmed(opened[1]))
    time_stands_still.advance(timedelta(hours=2))
    confirmed(opened[1])
    assert subscribed() == [ADA]


# --- the end of a link


def test_a_revoked_link_ends_what_was_subscribed_by_it_and_nothing_else(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    link, secret = opened
    moved = "moved@northwind.example"
    other, _ = make.make_status_link(company.northwind)
    for one, address in ((link, ADA), (link, STAFFS), (link, moved), (other, moved)):
        assert subscribing.confirm(make.make_subscription(one, address).pk)
    ask(secret, "open@northwind.example")
    path = reverse("status:confirm", args=[links.token(links.CONFIRM, Subscription.objects.latest("pk"))])
    assert link.revoke()
    assert subscribed() == [moved]
    assert Client().post(path).status_code == 404
    assert {email.to[0] for email in an_hour_later(time_stands_still)} == {moved}
    contacts = dict(CustomerContact.objects.values_list("email", "enabled"))
    assert contacts == {ADA: False, STAFFS: True, moved: True}


def test_a_contact_that_staff_had_switched_off_is_off_again_when_the_link_is_revoked(
    opened: Any, company: Company, time_stands_still: clock.ManualClock
) -> None:
    CustomerContact.objects.filter(email=STAFFS).update(enabled=False)
    confirmed(opened[1], STAFFS)
    assert subscribed() == [STAFFS]
    opened[0].revoke()
    acts.set_tell(company.batch, True, actor=None)
    assert an_hour_later(time_stands_still) == []


def test_who_confirms_takes_the_links_row_first_as_who_revokes_it_does(opened: Any) -> None:
    """In another order each of the two could wait for the other."""
    asked = make.make_subscription(opened[0], ADA)
    with CaptureQueriesContext(connection) as ran:
        assert subscribing.confirm(asked.pk)
    [locking] = [query["sql"] for query in ran if "FOR NO KEY UPDATE OF" in query["sql"]]
    assert locking.partition("FOR NO KEY UPDATE OF ")[2].startswith(f'"{StatusLink._meta.db_table}", ')


def test_an_expired_link_changes_nothing(opened: Any, time_stands_still: clock.ManualClock) -> None:
    confirmed(opened[1])
    StatusLink.objects.update(expires_at=NOON)
    assert {email.to[0] for email in an_hour_later(time_stands_still)} == {ADA}


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_asks_in_another_language_reads_no_english(
    language: str, opened: Any, time_stands_still: clock.ManualClock
) -> None:
    client = Client(headers={"Accept-Language": language})
    url = reverse("status:subscribe", args=[opened[1]])
    answers = [client.post(url, {"address": "x"}), client.get(client.post(url, {"address": ADA})["Location"])]
    [email] = send_all()  # by a worker, which speaks none
    path = link_in(email, "confirm")
    answers += [client.get(path), client.post(path)]
    path = link_in(an_hour_later(time_stands_still)[0], "unsubscribe")
    answers += [client.get(path), client.post(path), client.get(f"{path[:-2]}/")]
    assert [answer.status_code for answer in answers] == [400, 200, 200, 200, 200, 200, 404]
    for answer in answers:
        page = answer.content.decode()
        assert f'<html lang="{language}">' in page
        assert english(page, language) == []
    assert english(f"{email.subject} {email.body}", language) == []
    (why,) = re.findall(r"^-- \n(.*)", mail.outbox[-1].body, re.M)
    assert english(why, language) == []


def test_what_a_mistyped_address_answers_is_no_concern_of_staff(opened: Any) -> None:
    ask(opened[1])
    asking = {one.code: one.listed.rows for one in concerns(NOON)}
    for state, code in ((State.FAILED, "not_sent"), (State.PERHAPS, "perhaps_sent")):
        Message.objects.update(state=state)
        assert not asking[code].all().exists()
