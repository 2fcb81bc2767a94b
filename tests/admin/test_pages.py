"""What the pages say."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from calendars.models import AuditEntry, Customer, Handover, RateBudget, Verdict, Workspace
from migrations_app.itineraries import FORWARD, Step
from migrations_app.models import Batch, BatchStatus, ItemStatus, Severity
from recallops import clock
from recallops.models import WorkerHeartbeat
from tests.admin import builders as make

pytestmark = pytest.mark.django_db


def page_of(batch: Batch) -> str:
    return reverse("admin:migrations_app_batch_change", args=[batch.pk])


def live_of(batch: Batch) -> str:
    return reverse("admin:migrations_app_batch_live", args=[batch.pk])


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


# --- the clock


def test_every_page_says_the_domain_time_when_it_is_not_the_walls(chief: Client) -> None:
    batch = make.make_batch()
    for url in (reverse("admin:index"), reverse("admin:migrations_app_batch_changelist"), page_of(batch)):
        assert "2026-11-23 12:00:00 UTC" in text_of(chief, url)


def test_no_page_speaks_of_domain_time_when_it_is_the_walls(chief: Client) -> None:
    with clock.use(clock.WallClock()):
        assert "Domain time" not in text_of(chief, reverse("admin:index"))


# --- the batch page


def test_every_step_has_a_button_or_a_sentence(driver: Client) -> None:
    batch = make.make_batch()
    make.make_finding(batch, severity=Severity.BLOCKING, sentence="The key of acme does not open it.")
    page = text_of(driver, page_of(batch))
    assert 'name="step" value="preflight"' in page
    assert 'name="step" value="export"' in page
    for step in FORWARD[2:]:
        assert f'name="step" value="{step}"' not in page
    assert "No button for Recreate, Verify, Hand over, Delete old, Clean up: 1 blocking finding(s)" in page
    assert "The key of acme does not open it." in page


def test_a_person_who_may_only_look_gets_no_button_and_is_told_why(looker: Client) -> None:
    page = text_of(looker, page_of(make.make_batch()))
    assert 'name="step"' not in page
    assert "You may look at this batch but not change it" in page


def test_delete_old_asks_for_the_name_and_says_what_it_destroys(chief: Client) -> None:
    batch = make.make_batch("acme", goal=Step.HAND_OVER, step=Step.HAND_OVER)
    for _ in range(3):
        make.make_item(batch, step=Step.HAND_OVER)
    page = text_of(chief, page_of(batch) + "?presses=1")
    assert 'name="confirm"' in page
    assert f"Deletes 3 calendars in {batch.source}. This cannot be taken back." in page
    assert 'form="goal-form" name="step" value="delete_old"' not in page


def test_a_closed_batch_has_no_buttons_and_is_not_polled(driver: Client) -> None:
    batch = make.make_batch(closed_at=clock.now(), status=BatchStatus.CLOSED, goal=Step.CLEAN_UP, step=Step.CLEAN_UP)
    page = text_of(driver, page_of(batch))
    assert 'name="step"' not in page
    assert "This batch is closed" in page
    assert "every 2s" not in page


def test_counts_waits_and_coverage_are_said_in_words_and_linked(driver: Client) -> None:
    batch = make.make_batch(goal=Step.VERIFY, step=Step.VERIFY, status=BatchStatus.RUNNING)
    make.make_item(batch, step=Step.VERIFY, status=ItemStatus.WAITING, reason="list events budget: 43 s")
    make.make_item(batch, step=Step.RECREATE, status=ItemStatus.FAILED, reason="The provider refused it.")
    item = make.make_item(batch, step=Step.HAND_OVER)
    assert item.connection is not None
    make.make_assignment(batch.source, calendars=(item.connection.calendar,), verdict=Verdict.DOUBLED, note="moving")
    make.make_assignment(batch.source, verdict=Verdict.MISSED)
    page = text_of(driver, page_of(batch))
    assert "list events budget: 43 s" in page
    assert "The provider refused it." in page
    assert "2 of 3" in page, "recreate"
    assert (
        f"batch__id__exact={batch.pk}&amp;kind__exact=connection&amp;step__exact=recreate&amp;status__exact=failed"
        in page
    )
    assert "doubled <strong>1</strong>" in page
    assert "missed <strong>" not in page, "an assignment of another batch"
    assert f"batch={batch.pk}&amp;verdict__exact=doubled" in page


def test_the_linked_lists_hold_exactly_the_rows_that_were_counted(chief: Client) -> None:
    batch = make.make_batch()
    item = make.make_item(batch, status=ItemStatus.FAILED)
    make.make_item(batch)
    make.make_item(make.make_batch(), status=ItemStatus.FAILED)
    assert item.connection is not None
    mine = make.make_assignment(batch.source, calendars=(item.connection.calendar,), verdict=Verdict.DOUBLED)
    make.make_assignment(batch.source, verdict=Verdict.DOUBLED)
    page = chief.get(page_of(batch)).content.decode()
    for part, rows in (("status__exact=failed", [item]), ("verdict__exact=doubled", [mine])):
        address = re.search(rf'href="([^"]*{part}[^"]*)"', page)
        assert address is not None
        listed = chief.get(address.group(1).replace("&amp;", "&")).context["cl"].result_list
        assert list(listed) == rows


def test_a_batch_of_somebody_else_is_not_shown_without_permission(client: Client) -> None:
    client.force_login(make.make_staff("stranger"))
    assert client.get(page_of(make.make_batch())).status_code == 403


@pytest.mark.parametrize("number", ["0", "999999", "99999999999999999999", "x"])
def test_a_batch_that_is_not_there_is_a_404(number: str, chief: Client) -> None:
    assert chief.get(f"/admin/migrations_app/batch/{number}/change/").status_code == 404


# --- the live part


def test_the_live_part_comes_again_only_when_something_changed(driver: Client) -> None:
    batch = make.make_batch()
    first = driver.get(live_of(batch))
    seen = first.context["seen"]
    again = driver.get(live_of(batch), {"seen": seen})
    assert again["HX-Reswap"] == "none"
    assert 'id="pulse"' in again.content.decode()
    assert 'id="live"' not in again.content.decode()
    make.make_item(batch, status=ItemStatus.FAILED, reason="The provider refused it.")
    changed = driver.get(live_of(batch), {"seen": seen})
    assert "HX-Reswap" not in changed
    assert "The provider refused it." in changed.content.decode()


def test_the_live_part_holds_nothing_that_is_typed_into(driver: Client) -> None:
    live = driver.get(live_of(make.make_batch(goal=Step.HAND_OVER))).content.decode()
    assert "<input" not in live
    assert "<form" not in live


def test_the_live_part_says_when_somebody_else_changed_what_the_forms_show(driver: Client) -> None:
    batch = make.make_batch()
    controls = driver.get(live_of(batch)).context["controls"]
    assert "Somebody changed this batch" not in driver.get(live_of(batch), {"controls": controls}).content.decode()
    Handover.objects.filter(pk=batch.handover_id).update(paused=True)
    assert "Somebody changed this batch" in driver.get(live_of(batch), {"controls": controls}).content.decode()


def test_the_live_part_reloads_the_page_when_the_session_is_over(client: Client) -> None:
    response = client.get(live_of(make.make_batch()))
    assert (response.status_code, response["HX-Refresh"], response.content) == (200, "true", b"")


def test_looking_changes_nothing(driver: Client) -> None:
    batch = make.make_batch()
    before = list(Batch.objects.values()), list(Handover.objects.values()), AuditEntry.objects.count()
    driver.get(page_of(batch))
    driver.get(live_of(batch))
    driver.get(reverse("admin:migrations_app_batch_cut_lines", args=[batch.pk]))
    assert before == (list(Batch.objects.values()), list(Handover.objects.values()), AuditEntry.objects.count())


# --- the report


def test_the_report_is_a_page_and_a_file(looker: Client) -> None:
    batch = make.make_batch("acme", goal=Step.VERIFY, step=Step.VERIFY, started_at=clock.now())
    make.make_item(batch, status=ItemStatus.FAILED, reason="The provider refused it.")
    make.make_finding(batch, sentence="Something is odd.")
    page = text_of(looker, reverse("admin:migrations_app_batch_report", args=[batch.pk]))
    assert "The provider refused it." in page
    assert "Something is odd." in page
    assert "What was not checked" in page
    response = looker.get(reverse("admin:migrations_app_batch_report_json", args=[batch.pk]))
    assert response["Content-Disposition"] == 'attachment; filename="acme-report.json"'
    report = json.loads(b"".join(response.streaming_content))  # type: ignore[attr-defined]
    assert report["batch"]["slug"] == "acme"
    assert report["items"]["not_moved"]["rows"][0]["reason"] == "The provider refused it."


def test_the_report_needs_the_permission_to_look(client: Client) -> None:
    client.force_login(make.make_staff("stranger"))
    batch = make.make_batch()
    for view in ("report", "report_json", "cut_lines", "live"):
        assert client.get(reverse(f"admin:migrations_app_batch_{view}", args=[batch.pk])).status_code == 403


def test_the_page_says_whether_workers_are_alive(driver: Client) -> None:
    batch = make.make_batch()
    assert "No worker is alive: nothing moves until" in text_of(driver, page_of(batch))
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=timezone.now())
    assert "workers alive" in text_of(driver, page_of(batch))


# --- workspaces


def workspace_form(client: Client, workspace: Workspace) -> dict[str, object]:
    """The workspace's form as a browser would send it back."""
    response = client.get(reverse("admin:calendars_workspace_change", args=[workspace.pk]))
    form = response.context["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    formset = response.context["inline_admin_formsets"][0].formset
    for one in (formset.management_form, *formset.forms):
        data |= {one.add_prefix(name): one[name].value() for name in one.fields}
    return {name: "" if value is None else value for name, value in data.items()}


def test_a_new_limit_changes_the_distance_between_calls_and_nothing_of_the_counters(chief: Client) -> None:
    workspace = make.make_workspace()
    budget = RateBudget.objects.get(workspace=workspace, endpoint="GET /api/v2/calendar-events/")
    data = workspace_form(chief, workspace)
    row = next(name for name, value in data.items() if name.endswith("-id") and value == budget.pk)
    RateBudget.objects.filter(pk=budget.pk).update(taken=77, tat=123.0)
    response = chief.post(
        reverse("admin:calendars_workspace_change", args=[workspace.pk]),
        {**data, row.replace("-id", "-per_minute"): "120"},
    )
    assert response.status_code == 302
    after = RateBudget.objects.get(pk=budget.pk)
    assert (after.per_minute, after.taken, after.tat) == (120, 77, 123.0)
    assert after.emission == pytest.approx(budget.emission / 2)


def test_saving_a_workspace_leaves_the_engines_columns_alone(chief: Client) -> None:
    workspace = make.make_workspace()
    data = workspace_form(chief, workspace)
    Workspace.objects.filter(pk=workspace.pk).update(trouble="The key was refused.", watched=True)
    chief.post(
        reverse("admin:calendars_workspace_change", args=[workspace.pk]), {**data, "name": "New", "reserve_percent": 50}
    )
    after = Workspace.objects.get(pk=workspace.pk)
    assert (after.name, after.reserve_percent, after.trouble, after.watched) == (
        "New",
        50,
        "The key was refused.",
        True,
    )
    budget = RateBudget.objects.get(workspace=workspace, endpoint="GET /api/v2/calendar-events/")
    assert budget.emission == pytest.approx(60 / (0.98 * 60 * 0.5))


def test_a_new_workspace_gets_a_family_and_its_budgets(chief: Client) -> None:
    region = make.make_region()
    plain = dict.fromkeys(("freeze", "late_commit", "margin", "age_for_write", "age_for_wait"), "00:10:00")
    plain |= dict.fromkeys(("age_near_start", "patience", "sweep_every"), "00:10:00")
    plain |= dict.fromkeys(("webhook_gather", "full_every"), "01:00:00")
    data = {"slug": "acme", "name": "Acme", "region": region.pk, "family": "", "scheduler": "managed"}
    data |= {"dedup_scheme": "as_found", "reserve_percent": "20", **plain}
    response = chief.post(reverse("admin:calendars_workspace_add"), data)
    assert response.status_code == 302
    workspace = Workspace.objects.get()
    assert workspace.family == "acme"
    assert workspace.budgets.exists()


def test_the_workspace_page_says_what_is_used_and_left_in_this_minute(chief: Client) -> None:
    workspace = make.make_workspace()
    page = text_of(chief, reverse("admin:calendars_workspace_change", args=[workspace.pk]))
    assert "0 used, 47 left" in page


def test_a_workspace_that_holds_calendars_cannot_be_deleted(chief: Client) -> None:
    workspace = make.make_workspace()
    url = reverse("admin:calendars_workspace_delete", args=[workspace.pk])
    make.make_connection(workspace)
    assert chief.post(url, {"post": "yes"}).status_code == 403
    assert Workspace.objects.filter(pk=workspace.pk).exists()


# --- customers, people, queue


def test_domains_are_kept_in_lower_case_and_never_twice(chief: Client) -> None:
    make.make_customer(domain="acme.example")
    data = {"name": "Other", "slug": "other", "domains-TOTAL_FORMS": "1", "domains-INITIAL_FORMS": "0"}
    response = chief.post(reverse("admin:calendars_customer_add"), {**data, "domains-0-domain": "ACME.example"})
    assert response.status_code == 200
    assert Customer.objects.count() == 1


@pytest.mark.parametrize("name", ["ormq", "success", "failure", "schedule"])
def test_the_queue_is_read_only_and_for_superusers(name: str, chief: Client, looker: Client) -> None:
    url = reverse(f"admin:django_q_{name}_changelist")
    assert looker.get(url).status_code == 403
    page = chief.get(url)
    assert page.status_code == 200
    assert "resubmit" not in page.content.decode().lower()
    assert chief.get(reverse(f"admin:django_q_{name}_add")).status_code == 403


def test_a_queued_task_can_be_looked_at(chief: Client) -> None:
    from django_q.tasks import async_task

    async_task("calendars.tasks.pump")
    row = OrmQ.objects.get()
    assert "calendars.tasks.pump" in text_of(chief, reverse("admin:django_q_ormq_change", args=[row.pk]))


@pytest.mark.parametrize("name", ["user", "group"])
def test_people_and_roles_are_on_our_pages(name: str, chief: Client) -> None:
    assert chief.get(reverse(f"admin:auth_{name}_changelist")).status_code == 200
    assert chief.get(reverse(f"admin:auth_{name}_add")).status_code == 200


def test_a_cut_line_is_proposed_from_the_meetings_that_are_known(driver: Client) -> None:
    batch = make.make_batch()
    connection = make.make_connection(batch.source)
    make.make_assignment(batch.source, calendars=(connection.calendar,), start=clock.now() + timedelta(hours=5))
    page = text_of(driver, reverse("admin:migrations_app_batch_cut_lines", args=[batch.pk]))
    assert 'form="cut-form" formnovalidate name="at" value="2026-11-23 12:' in page


def test_a_closed_batch_offers_no_retry(driver: Client) -> None:
    batch = make.make_batch(status=BatchStatus.CLOSED, closed_at=make.NOON)
    make.make_item(batch, status=ItemStatus.USER)
    assert 'id="go-retry"' not in text_of(driver, page_of(batch))


# --- addresses that nobody was given


@pytest.mark.parametrize("number", ["²", "9" * 30, "9" * 5000])
def test_what_is_no_number_of_a_row_is_the_page_of_none(number: str, chief: Client) -> None:
    make.make_batch()
    for kind in ("batch", "batchdraft", "rehearsal", "sharegroup"):
        assert chief.get(f"/admin/migrations_app/{kind}/{number}/change/").status_code in (302, 404), kind
    for url, name in (
        (reverse("admin:migrations_app_batchdraft_add"), "follows"),
        (reverse("admin:migrations_app_batchdraft_problems"), "source"),
        (reverse("admin:calendars_assignment_changelist"), "batch"),
        (reverse("admin:migrations_app_item_changelist"), "batch__id__exact"),
    ):
        assert chief.get(url, {name: number, "target": number}).status_code in (200, 302), url


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("calendars_auditentry_changelist", "actor_name"),
        ("calendars_auditentry_export_csv", "action"),
        ("calendars_providercall_changelist", "endpoint"),
        ("migrations_app_item_changelist", "status__exact"),
    ],
)
def test_a_filter_that_no_column_can_hold_is_said_to_mean_nothing(page: str, name: str, chief: Client) -> None:
    response = chief.get(reverse(f"admin:{page}"), {name: "a\x00"})
    assert response.status_code == 302
    assert response["Location"].split("?")[0].startswith("/admin/")
