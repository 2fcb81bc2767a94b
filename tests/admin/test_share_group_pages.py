"""What staff see and do about share groups."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calendars.models import Application, Assignment, AuditEntry, Calendar, Relayed
from calendars.relay import outbox
from migrations_app.models import Batch, Item, ShareGroup
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import address, shown

pytestmark = pytest.mark.django_db

State = ShareGroup.State
NOW_IN_THE_WAY = "live now, or starts soon"


@pytest.fixture
def batch() -> Batch:
    found = make.make_batch("acme")
    make.make_external(found)
    return Batch.objects.select_related("handover", "source__application", "target").get(pk=found.pk)


@pytest.fixture
def group(batch: Batch) -> ShareGroup:
    items = tuple(make.make_item(batch) for _ in range(2))
    return make.make_share_group(batch, items=items)


def page_of(group: ShareGroup) -> str:
    return reverse("admin:migrations_app_sharegroup_change", args=[group.pk])


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def press(client: Client, group: ShareGroup, act: str, **data: Any) -> str:
    response = client.post(address(group, act), {"shown": shown(group), **data}, follow=True)
    assert response.status_code == 200
    return " ".join(str(message) for message in response.context["messages"])


def calendars_of(group: ShareGroup) -> tuple[Calendar, ...]:
    return tuple(Calendar.objects.filter(connections__items__group=group).order_by("pk"))


def in_the_way(client: Client, group: ShareGroup) -> dict[int, str]:
    return {one.pk: one.why for one in client.get(page_of(group)).context["in_the_way"]}


def test_the_page_shows_the_meetings_that_are_in_the_way_now_and_no_others(
    chief: Client, batch: Batch, group: ShareGroup
) -> None:
    first, second = calendars_of(group)
    now = clock.now()
    live = make.make_assignment(batch.source, calendars=(first, second), start=now - timedelta(minutes=10))
    near = make.make_assignment(batch.source, calendars=(second,), start=now + timedelta(minutes=20))
    make.make_assignment(batch.source, calendars=(first,), start=now + timedelta(hours=5))
    make.make_assignment(batch.source, calendars=(make.make_calendar(),), start=now)
    assert in_the_way(chief, group) == {live.pk: NOW_IN_THE_WAY, near.pk: NOW_IN_THE_WAY}
    page = text_of(chief, page_of(group))
    assert "2026-11-23 11:50:00" in page
    assert live.url not in page, "links and titles are not needed here"


def test_a_meeting_with_a_calendar_that_stays_behind_is_in_the_way_until_that_one_has_gone_over(
    chief: Client, batch: Batch, group: ShareGroup
) -> None:
    first, _ = calendars_of(group)
    stays = make.make_calendar(email="stays@acme.example")
    meeting = make.make_assignment(batch.source, calendars=(first, stays), start=clock.now() + timedelta(hours=9))
    assert in_the_way(chief, group) == {meeting.pk: "shared with stays@acme.example, which cannot go over now"}
    Calendar.objects.filter(pk=stays.pk).update(handover=batch.handover, relayed_from=batch.target)
    assert in_the_way(chief, group) == {}


def test_only_the_next_fifty_are_shown(chief: Client, batch: Batch, group: ShareGroup) -> None:
    for _ in range(51):
        make.make_assignment(batch.source, calendars=calendars_of(group), start=clock.now())
    assert len(in_the_way(chief, group)) == 50
    assert "Only the next ones are shown." in text_of(chief, page_of(group))


def test_an_exception_is_accepted_with_a_reason_and_taken_back(
    driver: Client, looker: Client, batch: Batch, group: ShareGroup
) -> None:
    meeting = make.make_assignment(batch.source, calendars=calendars_of(group), start=clock.now())
    Batch.objects.filter(pk=batch.pk).update(groups_due_at=clock.now() + timedelta(minutes=9))
    assert "Say why" in press(driver, group, "accept", meeting=meeting.pk, reason=" \x00\n ")
    assert press(driver, group, "accept", meeting=meeting.pk, reason="Town\nhall").startswith("Accepted.")
    meeting.refresh_from_db()
    assert meeting.exception == "Town hall"
    batch.refresh_from_db()
    assert batch.groups_due_at is None, "it is looked at again"
    assert in_the_way(looker, group) == {}
    page = text_of(looker, page_of(group))
    assert "Town hall" in page
    assert "<strong>driver</strong> accepted a meeting as an exception" in page
    assert "is no exception any more" in press(driver, group, "accept_no_more", meeting=meeting.pk)
    meeting.refresh_from_db()
    assert meeting.exception == ""
    assert in_the_way(looker, group) == {meeting.pk: NOW_IN_THE_WAY}
    assert press(driver, group, "accept_no_more", meeting=meeting.pk) == "This meeting is no exception."
    acts = AuditEntry.objects.filter(subject_id=meeting.pk).order_by("pk").values_list("action", "actor_name")
    assert list(acts) == [("share_group.accept", "driver"), ("share_group.accept_no_more", "driver")]


@pytest.mark.parametrize("given", ["", "x", "-1", "²", "9" * 40, "0"])
def test_what_is_no_coming_meeting_of_the_group_is_refused(driver: Client, group: ShareGroup, given: str) -> None:
    said = press(driver, group, "accept", meeting=given, reason="x")
    assert said == "This is no coming meeting of the group. Load the page again."


def test_a_meeting_of_others_or_of_yesterday_is_refused(driver: Client, batch: Batch, group: ShareGroup) -> None:
    others = make.make_assignment(batch.source, calendars=(make.make_calendar(),), start=clock.now())
    past = make.make_assignment(batch.source, calendars=calendars_of(group), start=clock.now() - timedelta(days=1))
    for meeting in (others, past):
        assert "no coming meeting of the group" in press(driver, group, "accept", meeting=meeting.pk, reason="x")
    assert not Assignment.objects.exclude(exception="").exists()


@pytest.mark.parametrize("state", [State.CUT, State.SETTLED])
def test_exceptions_change_nothing_once_the_group_is_cut(
    driver: Client, batch: Batch, group: ShareGroup, state: str
) -> None:
    meeting = make.make_assignment(batch.source, calendars=calendars_of(group), start=clock.now(), exception="x")
    ShareGroup.objects.filter(pk=group.pk).update(state=state, cut_at=clock.now())
    assert "In the way of the cut" not in text_of(driver, page_of(group))
    for act in ("accept", "accept_no_more"):
        assert "is cut already" in press(driver, group, act, meeting=meeting.pk, reason="y")
    meeting.refresh_from_db()
    assert meeting.exception == "x"


def test_who_may_only_look_accepts_nothing_and_is_told_why(looker: Client, batch: Batch, group: ShareGroup) -> None:
    meeting = make.make_assignment(batch.source, calendars=calendars_of(group), start=clock.now())
    for act in ("accept", "accept_no_more"):
        url = reverse(f"admin:migrations_app_sharegroup_{act}", args=[group.pk])
        assert looker.post(url, {"meeting": meeting.pk, "reason": "x"}).status_code == 403
        assert looker.get(url).status_code == 405
    page = text_of(looker, page_of(group))
    assert 'name="reason"' not in page
    assert "needs the permission to change batches" in page
    assert not AuditEntry.objects.filter(action__startswith="share_group.").exists()


def test_groups_are_neither_added_nor_changed_nor_deleted(chief: Client, group: ShareGroup) -> None:
    assert chief.get(reverse("admin:migrations_app_sharegroup_add")).status_code == 403
    assert chief.post(page_of(group), {"state": "cut"}).status_code == 403
    url = reverse("admin:migrations_app_sharegroup_delete", args=[group.pk])
    assert chief.post(url, {"post": "yes"}).status_code == 403


def test_webhooks_are_counted_by_region_and_by_what_became_of_them(
    chief: Client, batch: Batch, group: ShareGroup
) -> None:
    application = Application.objects.get()
    item = Item.objects.filter(group=group).order_by("pk")[0]
    assert item.connection is not None
    target = make.make_connection(batch.target, item.connection.calendar)
    Item.objects.filter(pk=item.pk).update(target_connection=target)
    for connection, states in ((item.connection, ["held", "held"]), (target, ["delivered", "waiting", "dead", "held"])):
        endpoint = make.make_endpoint(connection.workspace)
        for state in states:
            delivery = make.make_delivery(endpoint, event="calendar.update", subject=connection.remote_id)
            lane = outbox.lane_of_calendar(connection.workspace_id, connection.remote_id)
            make.make_relayed(application, delivery, state=state, lane=lane)
    make.make_relayed(application, make.make_delivery(make.make_endpoint(batch.source)), state=Relayed.State.HELD)
    page = text_of(chief, page_of(group))
    rows = re.findall(r"<tr><td>([\w-]+)</td>" + r"<td>([\d,]+)</td>" * 4, page)
    assert rows == [(batch.source.slug, "2", "0", "0", "0"), (batch.target.slug, "1", "1", "1", "1")]
    (row,) = chief.get(reverse("admin:migrations_app_sharegroup_changelist")).context["cl"].result_list
    assert (row.held_now, row.let_go_now) == (3, 3)


def test_the_batch_page_shows_share_groups_in_place_of_a_cut_line(driver: Client, looker: Client, batch: Batch) -> None:
    make.make_share_group(batch, name="waits@acme.example", reason="The cut is planned.", planned_at=clock.now())
    make.make_share_group(batch, name="cut@acme.example", state=State.CUT, cut_at=clock.now())
    make.make_share_group(batch, name="over@acme.example", state=State.SETTLED)
    page = text_of(driver, reverse("admin:migrations_app_batch_change", args=[batch.pk]))
    assert "The company&#x27;s application schedules" in page or "The company's application schedules" in page
    assert "Set the cut line" not in page
    assert "cut-lines" not in page
    assert page.index("cut@acme.example") < page.index("waits@acme.example")
    assert "over@acme.example" not in page, "counted only"
    link = (
        reverse("admin:migrations_app_sharegroup_changelist") + f"?batch__id__exact={batch.pk}&amp;state__exact=settled"
    )
    assert link in page
    listed = looker.get(link.replace("&amp;", "&")).context["cl"].result_list
    assert [one.name for one in listed] == ["over@acme.example"]


def test_the_batch_page_is_fresh_once_a_group_is_cut(driver: Client, batch: Batch, group: ShareGroup) -> None:
    url = reverse("admin:migrations_app_batch_live", args=[batch.pk])
    seen = driver.get(url).context["seen"]
    assert driver.get(url).context["seen"] == seen
    ShareGroup.objects.filter(pk=group.pk).update(state=State.CUT, cut_at=clock.now())
    assert driver.get(url).context["seen"] != seen


def test_a_batch_that_recallops_schedules_shows_no_share_groups(driver: Client) -> None:
    page = text_of(driver, reverse("admin:migrations_app_batch_change", args=[make.make_batch().pk]))
    assert "h-groups" not in page
    assert "Set the cut line" in page
