"""What staff see and decide about which meetings are recorded."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calendars.admin.masking import HiddenElsewhereError, masked, unmasked
from calendars.models import AuditEntry, BotProfile, Calendar, RecordingChoice, RecordingPolicy, Verdict
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import press, said

pytestmark = pytest.mark.django_db
ADD = {name: f"admin:calendars_{name}_add" for name in ("botprofile", "recordingpolicy", "recordingchoice")}


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def page_of(row: Any) -> str:
    return reverse(f"admin:calendars_{row._meta.model_name}_change", args=[row.pk])


def judged_again() -> set[str]:
    """Whose calendars wait to be judged; none does from here on."""
    waiting = Calendar.objects.filter(judge_at__isnull=False)
    found = set(waiting.values_list("email", flat=True))
    waiting.update(judge_at=None)
    return found


@pytest.fixture
def two() -> tuple[Calendar, Calendar]:
    """Ada's and Bob's calendars, of one customer, and somebody else's beside them."""
    customer = make.make_customer("Northwind", domain="northwind.example")
    make.make_calendar(email="eve@contoso.example")
    ada, bob = (make.make_calendar(customer, email=f"{name}@northwind.example") for name in ("ada", "bob"))
    return ada, bob


BOTH = {"ada@northwind.example", "bob@northwind.example"}


# -- policies


def test_a_policy_of_a_customer_lets_all_its_calendars_be_judged_again(two: Any, chief: Client) -> None:
    ada, _ = two
    data = {"customer": ada.customer_id, "calendar": "", "which": "external", "confirmed_only": "on"}
    assert chief.post(reverse(ADD["recordingpolicy"]), data).status_code == 302
    policy = RecordingPolicy.objects.get()
    assert (policy.which, policy.confirmed_only, policy.organizer_only) == ("external", True, False)
    assert judged_again() == BOTH
    chief.post(page_of(policy), data)
    assert judged_again() == set(), "nothing was changed"
    chief.post(page_of(policy), {**data, "which": "all"})
    assert judged_again() == BOTH
    chief.post(reverse("admin:calendars_recordingpolicy_delete", args=[policy.pk]), {"post": "yes"})
    assert judged_again() == BOTH
    acts = AuditEntry.objects.order_by("pk").values_list("action", flat=True).distinct()
    assert {"recordingpolicy.add", "recordingpolicy.change", "recordingpolicy.delete"} == set(acts)


def test_a_policy_that_goes_to_another_calendar_is_about_both(two: Any, chief: Client) -> None:
    ada, bob = two
    policy = make.make_policy(ada, which="all")
    chief.post(page_of(policy), {"customer": "", "calendar": bob.pk, "which": "all"})
    assert judged_again() == BOTH


def test_policies_that_are_deleted_from_the_list_are_judged_without(two: Any, chief: Client) -> None:
    ada, _ = two
    policy = make.make_policy(ada)
    url = reverse("admin:calendars_recordingpolicy_changelist")
    chief.post(url, {"action": "delete_selected", "_selected_action": [policy.pk], "post": "yes"})
    assert not RecordingPolicy.objects.exists()
    assert judged_again() == {ada.email}


@pytest.mark.parametrize("both", [True, False])
def test_a_policy_is_for_one_customer_or_one_calendar(both: bool, two: Any, chief: Client) -> None:
    ada, _ = two
    data = {"customer": ada.customer_id, "calendar": ada.pk} if both else {"customer": "", "calendar": ""}
    page = chief.post(reverse(ADD["recordingpolicy"]), {**data, "which": "all"})
    assert "A policy is for one customer or for one calendar." in page.content.decode()


def test_a_second_policy_for_a_customer_is_refused(two: Any, chief: Client) -> None:
    ada, _ = two
    make.make_policy(ada.customer)
    page = chief.post(reverse(ADD["recordingpolicy"]), {"customer": ada.customer_id, "which": "all"})
    assert "already exists" in page.content.decode()


def test_customers_and_calendars_show_the_policy_that_holds(two: Any, chief: Client) -> None:
    ada, bob = two
    assert "give it a policy" in text_of(chief, page_of(ada.customer))
    assert "as found" in text_of(chief, page_of(ada))
    make.make_policy(ada.customer, which="external")
    make.make_policy(bob, which="manual")
    assert "external: with somebody from outside" in text_of(chief, page_of(ada.customer))
    assert "(its customer&#x27;s)" in text_of(chief, page_of(ada)).replace("'", "&#x27;")
    assert "(its own)" in text_of(chief, page_of(bob))


def test_a_new_domain_of_a_customer_makes_others_insiders(two: Any, chief: Client) -> None:
    ada, _ = two
    data = {"name": "Northwind", "slug": ada.customer.slug, "domains-TOTAL_FORMS": "2", "domains-INITIAL_FORMS": "1"}
    data |= {"contacts-TOTAL_FORMS": "0", "contacts-INITIAL_FORMS": "0"}
    known = ada.customer.domains.get()
    data |= {"domains-0-id": known.pk, "domains-0-customer": ada.customer_id, "domains-0-domain": known.domain}
    assert chief.post(page_of(ada.customer), data).status_code == 302, "it was saved"
    assert judged_again() == set()
    chief.post(page_of(ada.customer), {**data, "domains-1-domain": "nw.example"})
    assert judged_again() == BOTH


# -- choices


def test_a_choice_for_a_series_notes_who_made_it(two: Any, chief: Client) -> None:
    ada, _ = two
    data = {"customer": ada.customer_id, "series": "0a1b@google.com", "record": "yes", "reason": "the client asked"}
    assert chief.post(reverse(ADD["recordingchoice"]), data).status_code == 302
    choice = RecordingChoice.objects.get()
    assert (choice.record, choice.made_by, choice.reason) == (True, "chief", "the client asked")
    assert judged_again() == BOTH
    chief.post(page_of(choice), {"record": "no", "reason": ""})
    choice.refresh_from_db()
    assert (choice.record, choice.series) == (False, "0a1b@google.com")
    assert judged_again() == BOTH
    page = chief.post(reverse(ADD["recordingchoice"]), data).content.decode()
    assert "There is a choice for this series" in page
    chief.post(reverse("admin:calendars_recordingchoice_delete", args=[choice.pk]), {"post": "yes"})
    assert judged_again() == BOTH


def test_a_choice_for_a_series_wants_both_names(two: Any, chief: Client) -> None:
    ada, _ = two
    for data in ({"customer": ada.customer_id, "series": " "}, {"customer": "", "series": "0a1b"}):
        assert chief.post(reverse(ADD["recordingchoice"]), {**data, "record": "yes"}).status_code == 200
    assert not RecordingChoice.objects.exists()


def test_a_choice_for_an_event_is_changed_and_deleted_here_too(two: Any, chief: Client) -> None:
    ada, _ = two
    choice = make.make_choice(make.make_occurrence(ada))
    chief.post(page_of(choice), {"record": "no", "reason": "private"})
    choice.refresh_from_db()
    assert (choice.record, choice.reason) == (False, "private")
    assert judged_again() == {ada.email}
    chief.post(reverse("admin:calendars_recordingchoice_delete", args=[choice.pk]), {"post": "yes"})
    assert judged_again() == {ada.email}


# -- events


@pytest.fixture
def event(two: Any) -> Any:
    """A weekly meeting of Ada's with somebody from outside, as Google shows it."""
    ada, _ = two
    raw = {
        "summary": "Review",
        "organizer": {"email": ada.email, "self": True},
        "recurringEventId": "0a1b2c",
        "attendees": [{"email": "eve@contoso.example", "responseStatus": "accepted"}],
    }
    connection = make.make_connection(make.make_workspace(family="move"), ada)
    occurrence = make.make_occurrence(ada, wanted=False, reason="not external", ical_uid="0a1b2c@google.com")
    return make.make_event(connection, occurrence=occurrence, raw=raw)


def test_an_event_says_what_was_judged_and_what_holds_now(event: Any, chief: Client) -> None:
    page = text_of(chief, page_of(event))
    assert "not external" in page
    assert "its meetings stay as found" in page
    make.make_policy(event.occurrence.calendar.customer, which="external")
    assert "external: eve@contoso.example" in text_of(chief, page_of(event))
    assert "not external" in text_of(chief, reverse("admin:calendars_event_changelist"))


def test_an_event_of_a_series_leads_to_a_choice_for_the_series(event: Any, chief: Client) -> None:
    links = re.findall(r'href="([^"]*recordingchoice/add/[^"]*)"', text_of(chief, page_of(event)))
    assert len(links) == 2
    form = text_of(chief, links[0].replace("&amp;", "&"))
    assert 'value="0a1b2c"' in form
    assert "Northwind" in form


def test_choosing_for_an_event_stands_above_the_policy_until_it_is_taken_back(event: Any, chief: Client) -> None:
    own = event.occurrence.calendar.email
    make.make_policy(event.occurrence.calendar, which="external")
    assert "whatever the policy says" in said(press(chief, event, "record", reason=" asked\nfor\x00 "))
    choice = RecordingChoice.objects.get(occurrence=event.occurrence)
    assert (choice.record, choice.reason, choice.made_by) == (True, "asked for", "chief")
    assert judged_again() == {own}
    assert "chosen for this event: asked for" in text_of(chief, page_of(event))
    press(chief, event, "record", reason="asked for")
    assert judged_again() == set(), "the second press changes nothing"
    press(chief, event, "do_not_record")
    choice.refresh_from_db()
    assert not choice.record
    assert judged_again() == {own}
    press(chief, event, "as_the_policy_says")
    assert not RecordingChoice.objects.exists()
    assert judged_again() == {own}
    assert "Nothing was chosen" in said(press(chief, event, "as_the_policy_says"))
    acts = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["event.record", "event.do_not_record", "event.as_policy"]


def test_whoever_may_only_look_sees_no_button(event: Any, looker: Client) -> None:
    page = text_of(looker, page_of(event))
    assert "Record this event" not in page
    assert "needs the permission to change recording choices" in page


# -- bot profiles

TOKEN = "tok-5511-never-shown"
CONFIG = {
    "bot_name": "Notetaker",
    "zoom": {"zak_token": TOKEN},
    "recording_config": {
        "realtime_endpoints": [
            {"type": "websocket", "url": f"wss://one.example/in?key={TOKEN}"},
            {"type": "webhook", "url": f"https://u:{TOKEN}@two.example/in"},
        ]
    },
}


def shown_to(client: Client, profile: BotProfile) -> str:
    response = client.get(page_of(profile))
    assert TOKEN not in response.content.decode()
    return str(response.context["adminform"].form["config"].value())


def test_a_profile_is_edited_around_its_secrets(chief: Client, two: Any) -> None:
    ada, _ = two
    profile = make.make_profile("notes", config=CONFIG)
    make.make_policy(ada, bot_profile=profile)
    text = shown_to(chief, profile)
    chief.post(page_of(profile), {"name": "notes", "config": text.replace("\n", "\r\n")})
    assert judged_again() == set(), "nothing was changed"
    assert AuditEntry.objects.get().data == {"fields": []}
    chief.post(page_of(profile), {"name": "notes", "config": text.replace("Notetaker", "Scribe")})
    profile.refresh_from_db()
    assert profile.config == {**CONFIG, "bot_name": "Scribe"}
    assert judged_again() == {ada.email}
    assert TOKEN not in str(list(AuditEntry.objects.values()))


def test_an_entry_of_a_list_may_move_with_its_secret(chief: Client) -> None:
    profile = make.make_profile("notes", config=CONFIG)
    changed = json.loads(shown_to(chief, profile))
    changed["recording_config"]["realtime_endpoints"].reverse()
    chief.post(page_of(profile), {"name": "notes", "config": json.dumps(changed)})
    profile.refresh_from_db()
    urls = [one["url"] for one in profile.config["recording_config"]["realtime_endpoints"]]
    assert urls == [f"https://u:{TOKEN}@two.example/in", f"wss://one.example/in?key={TOKEN}"]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ('{"bot_name": "x",}', "This is no JSON. Line 1, column"),
        ("", "This field is required."),
        ("[1]", "This wants one JSON object"),
        ('"text"', "This wants one JSON object"),
        ("{}", "Give at least one field"),
        ('{"join_at": "2026-01-01T00:00:00Z"}', "Leave out join_at"),
        ('{"meeting_url": "x", "join_at": "y"}', "Leave out join_at and meeting_url"),
        ('{"bot_name": NaN}', "there is no NaN in it"),
        ('{"bot_name": "[hidden]"}', "Write “bot_name” in full"),
        ('{"zoom": {"name": "[hidden]"}}', "Write “zoom.name” in full"),
        ('{"chat": {"url": "wss://one.example/in?[hidden]"}}', "Write “chat.url” in full"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_with_a_sentence(written: str, sentence: str, chief: Client) -> None:
    profile = make.make_profile("notes", config=CONFIG)
    response = chief.post(page_of(profile), {"name": "notes", "config": written})
    assert response.status_code == 200
    page = response.content.decode()
    assert sentence in page
    assert TOKEN not in page
    profile.refresh_from_db()
    assert profile.config == CONFIG


def test_whoever_may_only_look_sees_a_profile_without_its_secrets(looker: Client) -> None:
    profile = make.make_profile("notes", config=CONFIG)
    page = text_of(looker, page_of(profile))
    assert "Notetaker" in page
    assert TOKEN not in page


def test_a_profile_in_use_stays(chief: Client, two: Any) -> None:
    profile = make.make_profile("notes")
    make.make_policy(two[0], bot_profile=profile)
    chief.post(reverse("admin:calendars_botprofile_delete", args=[profile.pk]), {"post": "yes"})
    assert BotProfile.objects.filter(pk=profile.pk).exists()
    assert "1 policy" in text_of(chief, reverse("admin:calendars_botprofile_changelist"))


def test_hidden_texts_are_put_back_only_where_they_were() -> None:
    stored = {"a": {"token": TOKEN}, "list": [{"token": "first-1"}, {"token": "second-2"}], "pin_code": 7, "key": 12345}
    shown = masked(stored)
    assert TOKEN not in json.dumps(shown)
    assert shown["key"] == "[hidden]"
    assert unmasked(shown, stored) == stored
    for moved in ({"b": {"token": "[hidden]"}}, {"a": {"name": "[hidden]"}}, {"list": [{}, {}, {"token": "[hidden]"}]}):
        with pytest.raises(HiddenElsewhereError):
            unmasked(moved, stored)


# -- coming meetings


def test_coming_meetings_are_listed_by_the_hour(two: Any, chief: Client) -> None:
    ada, bob = two
    here = make.make_workspace("us")
    start = clock.now().replace(minute=0) + timedelta(hours=2, minutes=5)
    meeting = make.make_assignment(
        here, calendars=(ada, bob), start=start, verdict=Verdict.OWNER, note="all is well", url="https://meet.example/a"
    )
    occurrence = meeting.occurrences.order_by("pk").first()
    seen = make.make_event(
        make.make_connection(here, ada), title="Review", url=meeting.url, start=start, occurrence=occurrence
    )
    make.make_assignment(here, calendars=(bob,), start=clock.now() + timedelta(hours=30), url="https://far.example/b")
    make.make_assignment(here, start=clock.now() - timedelta(minutes=5), url="https://now.example/c")
    make.make_assignment(here, start=start, over=True, url="https://over.example/d")
    url = reverse("admin:calendars_assignment_upcoming")
    page = text_of(chief, url)
    assert f"{start:%A, %d %B %Y, %H}:00" in page
    assert "In progress" in page
    for text in ("Review", "meet.example", "ada@northwind.example", "and 1 more", "covered", "all is well"):
        assert text in page
    assert '<span class="ro-label">bot in </span>us<' in page
    assert "far.example" not in page
    assert "over.example" not in page
    assert "far.example" in text_of(chief, f"{url}?hours=72")
    assert "Review" in text_of(chief, f"{url}?hours=everything")
    make.make_bot(here, remote_id=seen.bots[0]["bot_id"], terminal=True)
    assert '<span class="ro-label">bot in </span>none<' in text_of(chief, url)


def test_a_list_that_is_cut_says_so(two: Any, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calendars.admin.upcoming.MOST", 3)
    here = make.make_workspace("us")
    for number in range(4):
        make.make_assignment(here, start=clock.now() + timedelta(minutes=number + 1))
    assert "There are more than 3" in text_of(chief, reverse("admin:calendars_assignment_upcoming"))


def test_titles_are_for_those_who_may_see_events(two: Any) -> None:
    ada, _ = two
    here = make.make_workspace("us")
    meeting = make.make_assignment(here, calendars=(ada,), start=clock.now() + timedelta(hours=1))
    make.make_event(make.make_connection(here, ada), title="Secret plans", occurrence=meeting.occurrences.get())
    client = Client()
    client.force_login(make.make_staff(permissions=("calendars.view_assignment",)))
    url = reverse("admin:calendars_assignment_upcoming")
    page = text_of(client, url)
    assert "meet.example" in page
    assert "Secret plans" not in page
    client.force_login(make.make_staff())
    assert client.get(url).status_code == 403


def test_the_ledger_and_the_sidebar_lead_to_the_coming_meetings(chief: Client) -> None:
    page = text_of(chief, reverse("admin:calendars_assignment_changelist"))
    assert page.count(f'href="{reverse("admin:calendars_assignment_upcoming")}"') >= 2
