"""Many rows at once: first what will happen and to which not, then the press; each row once, each with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calendars.models import AuditEntry, Intent
from migrations_app import bulk
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Finding, Item, ItemStatus, Severity
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import press as press_button

pytestmark = pytest.mark.django_db

ITEMS, FINDINGS = "admin:migrations_app_item_changelist", "admin:migrations_app_finding_changelist"


def press(client: Client, where: str, action: str, rows: list[Any], **fields: Any) -> Any:
    """Choose rows, read the page, and confirm what it says."""
    url = reverse(where) + fields.pop("filters", "")
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    page = client.post(url, {**chosen, "index": 0})
    assert page.status_code == 200, page
    planned = page.context["plan"].digest
    return page, lambda **more: client.post(
        url, {**chosen, "planned": planned, "confirmed": "yes", **more}, follow=True
    )


def states(*items: Item) -> list[str]:
    return [Item.objects.get(pk=item.pk).status for item in items]


# --- retry


def test_retry_says_first_what_it_will_do_and_to_which_not(driver: Client) -> None:
    batch = make.make_batch()
    failed = make.make_item(batch, status=ItemStatus.FAILED, reason="It broke.")
    waits = make.make_item(batch, status=ItemStatus.USER)
    done = make.make_item(batch, status=ItemStatus.DONE)
    page, confirm = press(driver, ITEMS, "retry_failed", [failed, waits, done])
    text = page.content.decode()
    assert "2 rows will be changed" in text
    assert str(bulk.NOT_FAILED) in text
    assert done.title in text
    assert states(failed, waits, done) == [ItemStatus.FAILED, ItemStatus.USER, ItemStatus.DONE]
    said = confirm().content.decode()
    assert "2 calendars will be tried again." in said
    assert states(failed, waits, done) == [ItemStatus.READY, ItemStatus.READY, ItemStatus.DONE]


def test_a_double_press_retries_once(driver: Client) -> None:
    batch = make.make_batch()
    failed = make.make_item(batch, status=ItemStatus.FAILED)
    _, confirm = press(driver, ITEMS, "retry_failed", [failed])
    confirm()
    again = confirm()
    assert "changed since this page was shown" in again.content.decode()
    assert AuditEntry.objects.filter(action="batch.retry_failed").count() == 1


def test_all_that_match_the_filters_are_retried(driver: Client) -> None:
    batch, other = make.make_batch(), make.make_batch()
    mine = [make.make_item(batch, status=ItemStatus.FAILED) for _ in range(60)]
    theirs = make.make_item(other, status=ItemStatus.FAILED)
    filters = f"?batch__id__exact={batch.pk}&status__exact=failed"
    page, confirm = press(driver, ITEMS, "retry_failed", mine[:1], filters=filters, select_across="1")
    assert page.context["will"] == 60
    confirm()
    assert set(states(*mine)) == {ItemStatus.READY}
    assert states(theirs) == [ItemStatus.FAILED]


def test_one_press_is_bounded_and_says_so(driver: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make.make_batch()
    items = [make.make_item(batch, status=ItemStatus.FAILED) for _ in range(5)]
    monkeypatch.setattr("migrations_app.admin.bulk.MOST", 3)
    page, confirm = press(driver, ITEMS, "retry_failed", items)
    assert "one press takes the first 3" in page.content.decode()
    confirm()
    assert states(*items).count(ItemStatus.READY) == 3


def test_nothing_that_can_be_retried_offers_no_button(driver: Client) -> None:
    page, _ = press(driver, ITEMS, "retry_failed", [make.make_item(make.make_batch(), status=ItemStatus.DONE)])
    assert b'name="confirmed"' not in page.content


# --- skip


def test_skip_leaves_items_where_they_are_with_the_reason_on_record(driver: Client) -> None:
    batch = make.make_batch()
    item = make.make_item(batch, status=ItemStatus.USER, reason="Its user must connect it.")
    _, confirm = press(driver, ITEMS, "skip", [item])
    assert "1 calendar stays where it is." in confirm(reason="Left the company").content.decode()
    item.refresh_from_db()
    assert (item.status, item.reason) == (ItemStatus.NOT_MOVABLE, f"Left in {batch.source}: Left the company")
    act = AuditEntry.objects.get(action="batch.skip")
    assert (act.actor_name, act.data["count"], act.data["items"]) == ("driver", 1, [item.pk])


def test_the_batch_and_its_report_tell_of_what_was_done_from_the_list(driver: Client) -> None:
    batch = make.make_batch()
    items = [make.make_item(batch, status=ItemStatus.FAILED) for _ in range(2)]
    press(driver, ITEMS, "retry_failed", items[:1])[1]()
    press(driver, ITEMS, "skip", items[1:])[1](reason="their users left")
    for page in ("change", "report"):
        shown = driver.get(reverse(f"admin:migrations_app_batch_{page}", args=[batch.pk])).content.decode()
        assert "their users left" in shown
        assert "items: [" not in shown


def test_skip_without_a_reason_is_refused_in_a_sentence(driver: Client) -> None:
    item = make.make_item(make.make_batch(), status=ItemStatus.FAILED)
    _, confirm = press(driver, ITEMS, "skip", [item])
    assert str(bulk.NO_REASON) in confirm(reason="  ").content.decode()
    assert states(item) == [ItemStatus.FAILED]


def _at(step: Step) -> Any:
    return lambda batch, item: Item.objects.filter(pk=item.pk).update(step=step)


def _made(batch: Batch, item: Item) -> None:
    assert item.connection is not None
    made = make.make_connection(batch.target, item.connection.calendar)
    Item.objects.filter(pk=item.pk).update(target_connection=made, created_target=True)


def _adopted(batch: Batch, item: Item) -> None:
    assert item.connection is not None
    make.make_connection(batch.target, item.connection.calendar)


def _sent(batch: Batch, item: Item) -> None:
    make.make_intent(batch.target, connection=item.connection, purpose=Intent.Purpose.CREATE_CALENDAR)


def _leased(batch: Batch, item: Item) -> None:
    Item.objects.filter(pk=item.pk).update(lease_token=clock_token(), lease_until="2999-01-01T00:00Z")


def clock_token() -> str:
    return "00000000-0000-4000-8000-000000000000"


def _closed(batch: Batch, item: Item) -> None:
    Batch.objects.filter(pk=batch.pk).update(closed_at=clock.now())


def _back(batch: Batch, item: Item) -> None:
    type(batch.handover).objects.filter(pk=batch.handover_id).update(backwards=True)


def _grouped(batch: Batch, item: Item) -> None:
    make.make_share_group(batch, items=(item,))


@pytest.mark.parametrize(
    ("half_done", "why"),
    [
        (_at(Step.HAND_OVER), bulk.HAND_OVER_BEGUN),
        (_at(Step.DELETE_OLD), bulk.HAND_OVER_BEGUN),
        (_made, bulk.MADE),
        (_adopted, bulk.MADE),
        (_sent, bulk.UNSURE),
        (_leased, bulk.AT_WORK),
        (_closed, bulk.CLOSED),
        (_back, bulk.GOES_BACK),
        (_grouped, bulk.IN_GROUP),
    ],
)
def test_nothing_half_done_is_skipped_and_the_page_says_why(driver: Client, half_done: Any, why: Any) -> None:
    batch = make.make_batch()
    item = make.make_item(batch, status=ItemStatus.FAILED)
    half_done(batch, item)
    page, _ = press(driver, ITEMS, "skip", [item])
    assert str(why) in page.content.decode().replace("&#x27;", "'")
    assert bulk.skip([item.pk], actor=None, reason="Because") == 0
    assert states(item) == [ItemStatus.FAILED]


def test_what_began_between_page_and_press_is_not_skipped(driver: Client) -> None:
    batch = make.make_batch()
    item, other = (make.make_item(batch, status=ItemStatus.READY) for _ in range(2))
    _, confirm = press(driver, ITEMS, "skip", [item, other])
    _at(Step.HAND_OVER)(batch, item)
    page = confirm(reason="Because").content.decode()
    assert "changed since this page was shown" in page
    assert 'value="Because"' in page  # what was typed is not lost
    assert states(item, other) == [ItemStatus.READY, ItemStatus.READY]


def test_a_batch_that_stopped_because_of_failed_calendars_goes_on_when_the_last_is_skipped(driver: Client) -> None:
    batch = make.make_batch(status=BatchStatus.STOPPED, step=Step.RECREATE, goal=Step.VERIFY, reached=Step.VERIFY)
    first, last = (make.make_item(batch, status=ItemStatus.FAILED) for _ in range(2))
    make.make_finding(batch, code="stopped")
    bulk.skip([first.pk], actor=None, reason="Because")
    assert Batch.objects.get(pk=batch.pk).status == BatchStatus.STOPPED
    bulk.skip([last.pk], actor=None, reason="Because")
    batch.refresh_from_db()
    assert (batch.status, batch.reached) == (BatchStatus.RUNNING, "")
    assert Finding.objects.get(code="stopped").gone_at is not None


def test_many_are_skipped_in_chunks_with_an_act_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    batches = [make.make_batch(), make.make_batch()]
    items = [make.make_item(batch, status=ItemStatus.FAILED) for batch in batches for _ in range(3)]
    assert bulk.skip([item.pk for item in items], actor=None, reason="Because") == 6
    assert sorted(act.data["count"] for act in AuditEntry.objects.filter(action="batch.skip")) == [1, 1, 2, 2]


# --- waive


def test_findings_are_waived_with_one_reason(chief: Client) -> None:
    batch = make.make_batch()
    two = [make.make_finding(batch), make.make_finding(batch, severity=Severity.BLOCKING)]
    gone = make.make_finding(batch, gone_at=clock.now())
    page, confirm = press(chief, FINDINGS, "waive_chosen", [*two, gone])
    assert str(bulk.GONE) in page.content.decode()
    assert "2 findings are waived." in confirm(reason="Known and fine").content.decode()
    waived = Finding.objects.filter(waived_at__isnull=False)
    assert {one.pk for one in waived} == {one.pk for one in two}
    assert {(one.waived_reason, str(one.waived_by)) for one in waived} == {("Known and fine", "chief")}
    assert AuditEntry.objects.get(action="batch.waive").data["findings"] == sorted(one.pk for one in two)


def test_a_reason_that_no_database_takes_is_kept_as_far_as_it_can(chief: Client) -> None:
    batch = make.make_batch()
    one, two = make.make_finding(batch), make.make_finding(batch)
    failed = make.make_item(batch, status=ItemStatus.FAILED)
    _page, confirm = press(chief, FINDINGS, "waive_chosen", [one])
    assert confirm(reason="fine\x00").status_code == 200
    press_button(chief, two, "waive", reason="fine\x00" + "x" * 9000)
    press_button(chief, batch, "leave_failed", reason="fine\x00")
    one.refresh_from_db()
    two.refresh_from_db()
    failed.refresh_from_db()
    assert one.waived_reason == "fine\ufffd"
    assert two.waived_reason == "fine\ufffd" + "x" * 395
    assert failed.reason.endswith(": fine\ufffd")
    assert max(len(entry.reason) for entry in AuditEntry.objects.all()) == 400


def test_a_blocking_finding_needs_the_permission_for_that() -> None:
    batch = make.make_batch()
    operator = Client()
    rights = ("migrations_app.view_finding", "migrations_app.change_finding")
    operator.force_login(make.make_staff("operator", permissions=rights))
    warning, blocking = make.make_finding(batch), make.make_finding(batch, severity=Severity.BLOCKING)
    page, confirm = press(operator, FINDINGS, "waive_chosen", [warning, blocking])
    assert str(bulk.BLOCKING) in page.content.decode()
    confirm(reason="Fine")
    assert Finding.objects.get(pk=warning.pk).waived_at is not None
    assert Finding.objects.get(pk=blocking.pk).waived_at is None


# --- who, and how


@pytest.mark.parametrize(("where", "action"), [(ITEMS, "retry_failed"), (ITEMS, "skip"), (FINDINGS, "waive_chosen")])
def test_whoever_may_only_look_is_not_offered_it_and_cannot_do_it(looker: Client, where: str, action: str) -> None:
    batch = make.make_batch()
    item = make.make_item(batch, status=ItemStatus.FAILED)
    finding = make.make_finding(batch)
    row = item if where == ITEMS else finding
    plan = (
        bulk.plan_items([item.pk], bulk.why_no_skip)
        if where == ITEMS
        else bulk.plan_waive([finding.pk], may_blocking=True)
    )
    fields = {"action": action, "_selected_action": [row.pk], "planned": plan.digest, "confirmed": "yes", "reason": "x"}
    looker.post(reverse(where), fields)
    assert f'value="{action}"' not in looker.get(reverse(where)).content.decode()
    assert states(item) == [ItemStatus.FAILED]
    assert Finding.objects.get(pk=finding.pk).waived_at is None


@pytest.mark.parametrize(("where", "action"), [(ITEMS, "retry_failed"), (ITEMS, "skip"), (FINDINGS, "waive_chosen")])
def test_nothing_happens_on_get_or_without_the_token(where: str, action: str) -> None:
    batch = make.make_batch()
    row: Any = make.make_item(batch, status=ItemStatus.FAILED) if where == ITEMS else make.make_finding(batch)
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.make_staff("boss", superuser=True))
    fields = {"action": action, "_selected_action": [row.pk], "confirmed": "yes", "reason": "x", "planned": "x"}
    client.get(reverse(where), fields)
    assert client.post(reverse(where), fields).status_code == 403
    assert not AuditEntry.objects.filter(action__in=["batch.skip", "batch.waive", "batch.retry_failed"]).exists()


# --- filters


def test_reasons_that_differ_in_numbers_only_are_one_filter(looker: Client) -> None:
    batch = make.make_batch()
    for count in (3, 17):
        make.make_item(batch, reason=f"{count} meeting(s) are being handed over.", title=f"one-{count}@x.example")
    make.make_item(batch, reason="Its user must connect it.", title="other@x.example")
    url = reverse(ITEMS) + f"?batch__id__exact={batch.pk}"
    page = looker.get(url).content.decode()
    assert "# meeting(s) are being handed over. (2)" in page
    shown = looker.get(
        url, {"batch__id__exact": batch.pk, "about": "# meeting(s) are being handed over."}
    ).content.decode()
    assert "one-3@x.example" in shown
    assert "one-17@x.example" in shown
    assert "other@x.example" not in shown


def test_without_a_batch_no_table_is_counted_for_a_filter(looker: Client, get: Any) -> None:
    make.make_item(make.make_batch(), reason="Something.")
    _, queries = get(looker, reverse(ITEMS))
    assert not [sql for sql in queries if "regexp_replace" in sql]


def test_findings_are_filtered_by_customer_and_by_what_they_say(looker: Client) -> None:
    batch = make.make_batch()
    item = make.make_item(batch)
    make.make_finding(batch, item=item, sentence="7 events differ.")
    make.make_finding(batch, sentence="The key is old.")
    assert item.connection is not None
    customer = item.connection.calendar.customer_id
    url = reverse(FINDINGS) + f"?batch__id__exact={batch.pk}&item__connection__calendar__customer__id__exact={customer}"
    shown = looker.get(url + "&about=%23+events+differ.").context["cl"].result_list
    assert [one.sentence for one in shown] == ["7 events differ."]
