"""The guided new batch: each page saves, says what is wrong, and does nothing that was not asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from calendars.models import AuditEntry, Event, Handover, Workspace
from migrations_app import checks, drafts, inventory
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchDraft, BatchStatus, Check, Finding, Selection, Severity
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import press, said, shown

pytestmark = pytest.mark.django_db

PAGES = ("route", "calendars", "cut_line", "checks", "summary")
ADD = "admin:migrations_app_batchdraft_add"
Get = Callable[[Client, str], tuple[Any, list[str]]]


@pytest.fixture
def pair() -> tuple[Workspace, Workspace]:
    source = make.make_workspace("us", region=make.make_region("us-west-2", label="US West"))
    return source, make.make_workspace("eu", region=make.make_region("eu-central-1", label="EU"))


@pytest.fixture
def draft(pair: tuple[Workspace, Workspace]) -> Batch:
    source, target = pair
    return drafts.begin(slug="acme", source=source, target=target, actor=None)


def url(page: str, draft: Batch) -> str:
    return reverse(f"admin:migrations_app_batchdraft_{page}", args=[draft.pk])


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, address
    return re.sub(r"\s+", " ", response.content.decode())


def pressed(client: Client, draft: Batch, act: str, **data: str) -> Any:
    return press(client, BatchDraft.objects.get(pk=draft.pk), act, **data)


def save(client: Client, page: str, draft: Batch, data: dict[str, Any]) -> Any:
    """Open a page and post its form."""
    found = re.search(r'name="shown" value="([^"]+)"', text_of(client, url(page, draft)))
    assert found
    return client.post(url(page, draft), {"shown": found[1], **data})


def csv(content: str | bytes, name: str = "people.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode(), "text/csv")


# --- the way through


def test_a_batch_is_made_by_going_from_page_to_page(driver: Client, pair: tuple[Workspace, Workspace]) -> None:
    source, target = pair
    for name in ("ada", "ben"):
        make.make_connection(source, make.make_calendar(email=f"{name}@acme.example", family=source.family))
    page = text_of(driver, reverse(ADD))
    assert "us (us-west-2)" in page
    response = driver.post(reverse(ADD), {"source": source.pk, "target": target.pk})
    draft = Batch.objects.get()
    assert (draft.slug, draft.draft, draft.goal) == ("us-to-eu", True, "")
    assert draft.created_by is not None
    assert response["Location"] == url("calendars", draft)
    search = {"selection": "search", "search_by": "begins", "search_text": "ada"}
    response = save(driver, "calendars", draft, search)
    assert response["Location"] == url("cut_line", draft)
    response = save(driver, "cut_line", draft, {"line": "own", "at": "2026-11-24 06:00"})
    assert response["Location"] == url("checks", draft)
    page = text_of(driver, url("summary", draft))
    assert "the address begins with “ada”" in page
    assert 'title="2026-11-24 06:00:00 UTC"' in page
    assert "Bots to be moved, as far as is known</dt><dd>0</dd>" in page
    response = pressed(driver, draft, "make")
    assert response["Location"] == reverse("admin:migrations_app_batch_change", args=[draft.pk])
    draft.refresh_from_db()
    assert (draft.draft, draft.goal, draft.status) == (False, "", BatchStatus.DRAFT)
    assert [str(one.calendar) for one in inventory.chosen(draft)] == ["ada@acme.example"]
    assert f"{Handover.objects.get(pk=draft.handover_id).cut_line:%H:%M}" == "06:00"


def test_every_page_shows_the_others_and_which_is_open(driver: Client, draft: Batch) -> None:
    for page in PAGES:
        shown = text_of(driver, url(page, draft))
        assert shown.count('aria-current="step"') == 1
        for other in PAGES:
            assert (url(other, draft) in shown) or other == page


def test_save_without_going_on_stays_on_the_page(driver: Client, draft: Batch) -> None:
    response = save(driver, "calendars", draft, {"selection": "all", "stay": "1"})
    assert response["Location"] == url("calendars", draft)
    assert "Saved." in said(response)


def test_reading_a_page_changes_nothing(driver: Client, draft: Batch) -> None:
    before = list(Batch.objects.values()), AuditEntry.objects.count()
    for page in PAGES:
        driver.get(url(page, draft))
    driver.get(reverse(ADD), {"follows": draft.pk})
    assert (list(Batch.objects.values()), AuditEntry.objects.count()) == before


def test_a_draft_is_in_the_list_of_drafts_and_in_no_list_of_batches(driver: Client, draft: Batch) -> None:
    assert draft.slug in text_of(driver, reverse("admin:migrations_app_batchdraft_changelist"))
    assert ">acme<" not in text_of(driver, reverse("admin:migrations_app_batch_changelist"))
    assert draft.slug in text_of(driver, reverse(ADD))
    response = driver.get(reverse("admin:migrations_app_batch_change", args=[draft.pk]))
    assert response["Location"] == url("route", draft)


def test_the_pages_of_a_batch_that_was_made_lead_to_it(driver: Client, draft: Batch) -> None:
    drafts.make(draft, actor=None)
    for page in PAGES:
        assert driver.get(url(page, draft))["Location"].endswith(f"/batch/{draft.pk}/change/")


@pytest.mark.parametrize("page", ["route", "calendars", "cut_line"])
def test_a_page_that_somebody_else_changed_meanwhile_is_not_saved_over_theirs(
    page: str, driver: Client, draft: Batch
) -> None:
    seen = shown(BatchDraft.objects.get(pk=draft.pk))
    save(driver, "calendars", draft, {"selection": "all"})
    before = list(Batch.objects.values())
    data = {"slug": "mine", "source": draft.source_id, "target": draft.target_id, "selection": "share"}
    data |= {"share_percent": "7", "line": "own", "at": "2026-11-25 07:00", "shown": seen}
    response = driver.post(url(page, draft), data)
    assert "changed meanwhile" in response.content.decode()
    assert list(Batch.objects.values()) == before


def test_adding_a_batch_leads_to_the_form(driver: Client) -> None:
    assert driver.get(reverse("admin:migrations_app_batch_add"))["Location"] == reverse(ADD)


# --- who may


def test_looking_is_allowed_to_whoever_sees_batches_and_changing_is_not(looker: Client, draft: Batch) -> None:
    before = list(Batch.objects.values())
    for page in PAGES:
        assert "that needs the permission to add batches" in text_of(looker, url(page, draft)) or page == "checks"
    assert looker.get(reverse(ADD)).status_code == 403
    assert looker.post(reverse(ADD), {}).status_code == 403
    assert looker.get(reverse("admin:migrations_app_batchdraft_problems")).status_code == 403
    for page in ("route", "calendars", "cut_line"):
        assert looker.post(url(page, draft), {"selection": "all", "line": "auto"}).status_code == 403
    assert list(Batch.objects.values()) == before


def test_without_a_permission_for_batches_nothing_is_shown(draft: Batch) -> None:
    client = Client()
    client.force_login(make.make_staff(permissions=("calendars.view_customer",)))
    for page in (*PAGES, "lines"):
        assert client.get(url(page, draft)).status_code == 403


# --- source and target


def test_what_is_wrong_with_a_choice_is_said_while_it_is_made(
    driver: Client, pair: tuple[Workspace, Workspace]
) -> None:
    source, target = pair
    address = reverse("admin:migrations_app_batchdraft_problems")
    asked = {"source": str(source.pk), "target": str(target.pk)}
    make.make_batch("before", source=source, target=target)
    page = text_of(driver, f"{address}?source={source.pk}&target={target.pk}")
    assert "us has no API key in use" in page
    assert "Calendars of us are in open batches already: before." in page
    make.make_key(source)
    make.make_key(target)
    assert "The API key of us was never tested." in driver.get(address, asked).content.decode()
    assert "same workspace" in driver.get(address, asked | {"target": source.pk}).content.decode()
    for odd in ("", "x", "99999999", "9" * 30):
        assert driver.get(address, asked | {"source": odd}).status_code == 200


@pytest.mark.parametrize("wrong", ["same", "family", "provider", "name", "none"])
def test_a_choice_that_cannot_be_is_refused_with_a_sentence_and_what_was_typed_stays(
    wrong: str, driver: Client, pair: tuple[Workspace, Workspace]
) -> None:
    source, target = pair
    data: dict[str, Any] = {"source": source.pk, "target": target.pk, "slug": "mine"}
    if wrong == "same":
        data["target"], words = source.pk, "Source and target are the same workspace"
    elif wrong == "family":
        make.make_connection(target)
        words = "already holds calendars of its own family"
    elif wrong == "provider":
        type(target.region).objects.filter(pk=target.region_id).update(provider="other")
        words = "speak different APIs"
    elif wrong == "name":
        make.make_batch("mine")
        words = "already a batch called mine"
    else:
        data["target"], words = "", "Choose one of the workspaces"
    count = Batch.objects.count()
    response = driver.post(reverse(ADD), data)
    assert words in response.content.decode()
    assert 'value="mine"' in response.content.decode()
    assert Batch.objects.count() == count


def test_source_and_target_of_a_draft_can_be_changed(driver: Client, draft: Batch) -> None:
    save(driver, "calendars", draft, {"selection": "share", "share_percent": "5"})
    data = {"slug": "other way", "source": draft.target_id, "target": draft.source_id}
    assert "Enter a valid" in save(driver, "route", draft, data).content.decode()
    save(driver, "route", draft, data | {"slug": "other-way"})
    changed = Batch.objects.get()
    assert (changed.slug, changed.source_id, changed.target_id) == ("other-way", draft.target_id, draft.source_id)
    assert changed.selection == Selection.ALL


# --- calendars


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "This field is required"),
        ({"selection": "everybody"}, "not one of the available choices"),
        ({"selection": "customers"}, "Choose one customer or more"),
        ({"selection": "search", "search_by": "begins", "search_text": "a"}, "at least two characters"),
        ({"selection": "search", "search_by": "sounds", "search_text": "ada"}, "not one of the available choices"),
        ({"selection": "file"}, "Choose a CSV file"),
        ({"selection": "file", "file": b""}, "no address and no id"),
        ({"selection": "file", "file": b"PK\x03\x04"}, "workbook"),
        ({"selection": "share"}, "from 1 to 99"),
        ({"selection": "share", "share_percent": "0"}, "from 1 to 99"),
        ({"selection": "share", "share_percent": "100"}, "from 1 to 99"),
        ({"selection": "share", "share_percent": "many"}, "Enter a whole number"),
        ({"selection": "rest"}, "follows no other"),
    ],
)
def test_a_choice_of_calendars_that_makes_no_sense_is_refused(
    data: dict[str, Any], words: str, driver: Client, draft: Batch
) -> None:
    if "file" in data:
        data = data | {"file": csv(data["file"])}
    before = list(Batch.objects.values())
    response = save(driver, "calendars", draft, data)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert list(Batch.objects.values()) == before


def test_a_search_says_how_many_and_shows_the_first_twenty(driver: Client, draft: Batch) -> None:
    for number in range(25):
        make.make_connection(draft.source, make.make_calendar(email=f"p{number:02}@acme.example", family="us"))
    save(driver, "calendars", draft, {"selection": "search", "search_by": "domain", "search_text": "acme.example"})
    page = text_of(driver, url("calendars", draft))
    assert "25 calendars are chosen" in page
    assert "p19@acme.example" in page
    assert "p20@acme.example" not in page
    assert "The first 20 are shown." in page


def test_a_file_keeps_its_good_lines_and_gives_the_others_back_with_reasons(driver: Client, draft: Batch) -> None:
    make.make_connection(draft.source, make.make_calendar(email="ada@acme.example", family="us"))
    lines = "email\nada@acme.example\nADA@acme.example\nnobody@acme.example\n=cmd|' /C calc'!A0\n"
    response = save(driver, "calendars", draft, {"selection": "file", "file": csv(lines)})
    assert "1 calendar of the file is taken." in said(response)
    assert "3 lines are left out" in said(response)
    page = text_of(driver, url("calendars", draft))
    assert "Uploaded: people.csv, read as UTF-8." in page
    assert "It is the calendar of line 2." in page
    assert "No calendar of us that was read has this address or id." in page
    response = driver.get(url("lines", draft))
    assert response["Content-Disposition"].startswith("attachment")
    rows = b"".join(response.streaming_content).decode().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == ["3", "4", "5"]
    assert rows[3].startswith("'=cmd")


def test_saving_the_page_again_keeps_the_file_that_was_uploaded(driver: Client, draft: Batch) -> None:
    save(driver, "calendars", draft, {"selection": "file", "file": csv("nobody@acme.example")})
    save(driver, "calendars", draft, {"selection": "file"})
    assert draft.selected.count() == 1


def test_a_file_of_strange_bytes_runs_nowhere_and_breaks_nothing(driver: Client, draft: Batch) -> None:
    odd = b'\x00\xff\xfe"<script>alert(1)</script>@x.example,\n"><img src=x onerror=alert(1)>\n\xe2\x80\xae@example\n'
    name = "<svg onload=alert(1)>.csv"
    response = save(driver, "calendars", draft, {"selection": "file", "file": csv(odd, name)})
    assert response.status_code == 302
    page = text_of(driver, url("calendars", draft))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<svg onload" not in page
    assert "read as Latin-1" in page


def test_meetings_that_a_choice_would_split_are_counted(driver: Client, draft: Batch) -> None:
    start = clock.now() + timedelta(hours=5)
    for name in ("ada", "ben"):
        connection = make.make_connection(draft.source, make.make_calendar(email=f"{name}@acme.example", family="us"))
        make.make_event(connection, start=start, url="https://meet.example/together")
    save(driver, "calendars", draft, {"selection": "search", "search_by": "begins", "search_text": "ada"})
    assert "1 coming meeting is shared with a calendar outside this choice." in text_of(driver, url("calendars", draft))
    save(driver, "calendars", draft, {"selection": "all"})
    assert "outside this choice" not in text_of(driver, url("calendars", draft))


def test_before_the_source_was_read_the_page_says_so_and_offers_to_read_it(driver: Client, draft: Batch) -> None:
    page = text_of(driver, url("calendars", draft))
    assert "The source was not read yet" in page
    assert url("read_source", draft) in page
    pressed(driver, draft, "read_source", next=url("calendars", draft))
    assert "The source is being read" in text_of(driver, url("calendars", draft))


def test_the_rest_of_a_batch_becomes_a_draft_of_its_own(driver: Client, draft: Batch) -> None:
    for name in ("ada", "ben", "cy"):
        make.make_connection(draft.source, make.make_calendar(email=f"{name}@acme.example", family="us"))
    save(driver, "calendars", draft, {"selection": "share", "share_percent": "10"})
    drafts.make(draft, actor=None)
    page = text_of(driver, reverse("admin:migrations_app_batch_change", args=[draft.pk]))
    address = f"{reverse(ADD)}?follows={draft.pk}"
    assert address in page
    assert "This batch takes the rest of the calendars after “acme”" in text_of(driver, address)
    driver.post(reverse(ADD), {"source": draft.source_id, "target": draft.target_id, "follows": draft.pk})
    rest = Batch.objects.get(draft=True)
    assert (rest.selection, rest.follows) == (Selection.REST, draft)
    assert inventory.chosen(rest).count() == 2
    assert "2 calendars are chosen" in text_of(driver, url("calendars", rest))


# --- cut line


def test_the_picture_has_a_bar_for_each_hour_with_meetings_and_the_same_as_a_table(
    driver: Client, draft: Batch
) -> None:
    connection = make.make_connection(draft.source, make.make_calendar(family="us"))
    for hours in (2, 2.5, 30, 100):
        make.make_event(connection, start=clock.now() + timedelta(hours=hours))
    page = text_of(driver, url("cut_line", draft))
    assert "3 meetings are coming" in page
    assert page.count('class="ro-coming-bar"') == 2
    assert '<th scope="row">Mon 2026-11-23 14:00</th><td>2</td>' in page
    assert "4 meetings are coming" in text_of(driver, url("cut_line", draft) + "?days=7")
    for odd in ("0", "8", "x", "-1"):
        assert "3 meetings are coming" in text_of(driver, url("cut_line", draft) + f"?days={odd}")


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        ({"line": "auto"}, None),
        ({"line": "soonest"}, "2026-11-23 12:00"),
        ({"line": "2026-11-24 06:15"}, "2026-11-24 06:15"),
        ({"line": "own", "at": "2026-11-24T06:30"}, "2026-11-24 06:30"),
    ],
)
def test_the_cut_line_is_left_open_or_chosen(
    data: dict[str, str], cut: str | None, driver: Client, draft: Batch
) -> None:
    Handover.objects.update(cut_line=clock.now() + timedelta(days=1))
    save(driver, "cut_line", draft, data)
    line = Handover.objects.get().cut_line
    assert (f"{line:%Y-%m-%d %H:%M}" if line else None) == cut
    assert "checked" in text_of(driver, url("cut_line", draft))


@pytest.mark.parametrize("data", [{"line": "own"}, {"line": "own", "at": "tomorrow"}, {"line": "2026-13-01 00:00"}])
def test_a_cut_line_that_is_no_time_is_refused_and_stays_typed(
    data: dict[str, str], driver: Client, draft: Batch
) -> None:
    response = save(driver, "cut_line", draft, data)
    assert "year-month-day hour:minute" in response.content.decode()
    assert data.get("at", "") in response.content.decode()
    assert Handover.objects.get().cut_line is None


def test_where_the_application_schedules_there_is_no_cut_line(driver: Client, draft: Batch) -> None:
    Workspace.objects.update(scheduler="external")
    assert "There is no cut line to choose" in text_of(driver, url("cut_line", draft))
    seen = shown(BatchDraft.objects.get(pk=draft.pk))
    response = driver.post(url("cut_line", draft), {"shown": seen, "line": "auto"})
    assert "there is no cut line" in response.content.decode()


# --- checks


def test_checks_are_shown_by_parts_with_age_remedy_and_a_way_to_run_them(
    driver: Client, draft: Batch, time_stands_still: Any
) -> None:
    page = text_of(driver, url("checks", draft))
    assert page.count("not looked at") == len(Check)
    assert "Run the checks<" in page
    pressed(driver, draft, "run_checks")
    assert "They are running" in text_of(driver, url("checks", draft))
    Batch.objects.update(step=Step.EXPORT, status=BatchStatus.WAITING, reached=Step.PREFLIGHT)
    checks.looked_at(draft, *Check)
    finding = make.make_finding(
        draft, code="key", severity=Severity.BLOCKING, sentence="It does not open.", remedy="Turn."
    )
    time_stands_still.advance(timedelta(hours=3))
    page = text_of(driver, url("checks", draft))
    assert "3 hours ago" in page
    assert "It does not open." in page
    assert "Turn." in page
    assert page.count("nothing to do") == len(Check) - 1
    assert "Run the checks again" in page
    time_stands_still.advance(timedelta(hours=22))
    assert page.count("too old") < text_of(driver, url("checks", draft)).count("too old")
    Finding.objects.filter(pk=finding.pk).update(waived_at=clock.now())
    assert "in the way</span>" not in text_of(driver, url("checks", draft))


def test_the_batch_page_runs_the_checks_again_when_they_are_too_old(driver: Client, time_stands_still: Any) -> None:
    batch = make.make_batch(goal=Step.EXPORT, step=Step.RECREATE, reached=Step.EXPORT, status=BatchStatus.WAITING)
    checks.looked_at(batch, *Check)
    time_stands_still.advance(timedelta(hours=25))
    address = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    page = text_of(driver, address)
    assert "Preflight last looked 25 hours ago" in page
    assert "Run the checks again" in page
    press(driver, batch, "check_again")
    batch.refresh_from_db()
    assert (batch.step, batch.goal, batch.status) == (Step.PREFLIGHT, Step.EXPORT, BatchStatus.RUNNING)


# --- queries


def test_the_pages_take_the_same_few_queries_for_many_calendars_as_for_few(
    driver: Client, draft: Batch, get: Get
) -> None:
    def fill(count: int) -> None:
        for _ in range(count):
            connection = make.make_connection(draft.source, make.make_calendar(family="us"))
            make.make_event(connection, start=clock.now() + timedelta(hours=20))
            make.make_finding(draft, code="not_movable", subject=connection.remote_id)
            drafts.begin(slug="", source=draft.source, target=draft.target, actor=None)
        lines = "\n".join(
            [*Event.objects.values_list("connection__remote_id", flat=True), *(f"x{n}" for n in range(count))]
        )
        save(driver, "calendars", draft, {"selection": "file", "file": csv(lines)})
        checks.looked_at(draft, *Check)

    def count() -> dict[str, list[str]]:
        addresses = [*(url(page, draft) for page in PAGES), reverse(ADD)]
        found = {}
        for address in [*addresses, reverse("admin:migrations_app_batchdraft_changelist")]:
            response, queries = get(driver, address)
            assert response.status_code == 200
            found[address] = queries
        return found

    fill(5)
    few = count()
    fill(60)
    many = count()
    for address, queries in few.items():
        assert len(many[address]) == len(queries), "\n".join([address, *queries, "became", *many[address]])
        assert len(queries) <= 12, "\n".join([address, *(one[:300] for one in queries)])


def test_the_page_of_a_batch_shows_its_checks_within_its_few_queries(driver: Client, get: Get) -> None:
    batch = make.make_batch(goal=Step.EXPORT, step=Step.RECREATE, reached=Step.EXPORT, status=BatchStatus.WAITING)
    checks.looked_at(batch, *Check)
    response, queries = get(driver, reverse("admin:migrations_app_batch_change", args=[batch.pk]))
    assert "Webhooks and scheduling" in response.content.decode()
    assert len(queries) <= 12, "\n".join(one[:200] for one in queries)
