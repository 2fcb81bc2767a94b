"""A batch moves the calendars that were chosen, and touches no other."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from calendars.models import Calendar, Connection, Customer, Workspace
from migrations_app import checks, control, drafts, inventory, selection
from migrations_app.calendar_file import open_file
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Finding, Item, SelectedCalendar, Selection
from tests.harness import SOURCE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN, CY, DEE = (f"{name}@northwind.example" for name in ("ada", "ben", "cy", "dee"))
PEOPLE = (ADA, BEN, CY, DEE)


def office(**options: object) -> Move:
    """Four people who meet, and no batch yet."""
    return quick(people=PEOPLE, batches=0, cut=None, **options)


def read(move: Move) -> Batch:
    """A draft whose source has been read."""
    draft = drafts.begin(slug="move", source=move.source, target=move.target, actor=None)
    drafts.check(draft, actor=None, read_ahead=True)
    move.batch = draft
    move.run()
    return Batch.objects.select_related("source__region", "target__region", "handover").get(pk=draft.pk)


def make(move: Move, draft: Batch) -> Batch:
    drafts.make(draft, actor=None)
    Batch.objects.filter(pk=draft.pk).update(soak=timedelta(hours=1), canary_wait=timedelta(minutes=10))
    move.batch = Batch.objects.get(pk=draft.pk)
    return move.batch


def listed(draft: Batch) -> set[str]:
    return set(inventory.chosen(draft).values_list("calendar__email", flat=True))


def shown(move: Move, email: str) -> object:
    """A calendar of the source as the provider has it: its state, and its bots."""
    calendar = move.calendar(email)
    events = [move.there.events[pk] for pk in calendar.events.values()]
    return calendar.id, calendar.status, sorted((event.id, [bot.bot_id for bot in event.bots]) for event in events)


def test_a_batch_by_file_moves_these_calendars_and_touches_no_other() -> None:
    move = office()
    alone = move.meet("cy alone", 30, CY)
    draft = read(move)
    selection.choose_by_file(draft, open_file(f"email\n{ADA}\n{BEN}\n".encode()), name="two.csv")
    before = {email: shown(move, email) for email in (CY, DEE)}
    make(move, draft)
    move.finish()
    assert move.batch.status == BatchStatus.CLOSED
    assert set(Item.objects.filter(kind=Item.Kind.CONNECTION).values_list("title", flat=True)) == {ADA, BEN}
    assert move.calendar(ADA) is None
    assert move.calendar(BEN) is None
    assert {email for email in PEOPLE if move.calendar(email, region=TARGET)} == {ADA, BEN}
    assert {email: shown(move, email)[:2] for email in (CY, DEE)} == {email: before[email][:2] for email in before}
    assert alone is not None
    move.assert_proven()


def test_what_was_found_of_an_earlier_choice_is_stale_and_the_batch_begins_with_preflight_again() -> None:
    move = office()
    draft = read(move)
    assert not any(part.stale for part in checks.parts(draft))
    move.time.advance(timedelta(minutes=1))
    selection.choose_by_search(draft, by="begins", text="ad")
    assert {part.check for part in checks.parts(draft) if part.stale} == set(checks.OF_CHOICE)
    batch = make(move, draft)
    assert (batch.goal, batch.step, batch.status) == ("", Step.PREFLIGHT, BatchStatus.DRAFT)
    move.allow(Step.EXPORT)
    move.run()
    assert batch.findings.filter(code="split", gone_at=None).exists(), "only this choice splits meetings"
    assert not any(part.stale for part in checks.parts(Batch.objects.get(pk=batch.pk)))


def test_a_meeting_that_is_shared_with_a_calendar_outside_stays_until_that_one_moves_too() -> None:
    move = office()
    draft = read(move)
    selection.choose_by_search(draft, by="begins", text="ad")
    assert selection.split_meetings(draft) == 2  # all meet twice
    make(move, draft)
    move.finish()
    assert move.batch.status == BatchStatus.CLOSED
    shared = [bot for bot in move.bots(SOURCE) if bot.join_at in {move.start + timedelta(hours=h) for h in (26, 51)}]
    assert len(shared) == 2
    move.target.refresh_from_db()  # it is of the source's family by now
    rest = drafts.begin(slug="rest", source=move.source, target=move.target, actor=None, follows=move.batch)
    assert listed(rest) == {BEN, CY, DEE}
    make(move, rest)
    for step in (Step.EXPORT, Step.VERIFY, Step.HAND_OVER):
        move.allow(step)
        move.run()
    assert {bot.join_at for bot in shared} <= {bot.join_at for bot in move.bots(TARGET)}, "long before they begin"
    move.finish()
    assert move.batch.status == BatchStatus.CLOSED
    assert move.bots(SOURCE) == []
    move.assert_proven()


def test_a_file_chosen_before_the_source_was_read_is_looked_up_when_it_is() -> None:
    move = office()
    draft = drafts.begin(slug="move", source=move.source, target=move.target, actor=None)
    selection.choose_by_file(draft, open_file(f"{ADA}\nnobody@northwind.example\n".encode()), name="two.csv")
    assert listed(draft) == set()
    make(move, draft)
    move.finish()
    assert set(Item.objects.filter(kind=Item.Kind.CONNECTION).values_list("title", flat=True)) == {ADA}
    assert [row.text for row in SelectedCalendar.objects.exclude(problem="")] == ["nobody@northwind.example"]
    said = Finding.objects.get(code="not_found").sentence
    assert said == "1 line(s) of two.csv name no calendar of us, and are left out."


def test_a_draft_runs_preflight_and_nothing_else_and_keeps_no_credentials() -> None:
    move = office()
    draft = read(move)
    assert (draft.step, draft.status, draft.reached) == (Step.EXPORT, BatchStatus.WAITING, Step.PREFLIGHT)
    assert move.writes() == []
    assert set(Connection.objects.values_list("refresh_token", flat=True)) == {""}
    with pytest.raises(Refused, match="still a draft"):
        control.set_goal(draft, Step.EXPORT, actor=None)
    make(move, draft)
    move.allow(Step.EXPORT)
    move.run()
    assert "" not in set(Connection.objects.filter(workspace=move.source).values_list("refresh_token", flat=True))


def test_the_next_batch_takes_the_rest_also_while_the_first_is_under_way() -> None:
    move = office()
    draft = read(move)
    selection.choose_share(draft, 50)
    first = make(move, draft)
    half = listed(first)
    assert len(half) == 2
    rest = drafts.begin(slug="rest", source=move.source, target=move.target, actor=None, follows=first)
    assert listed(rest) == set(PEOPLE) - half
    make(move, rest)
    move.finish()
    assert dict(Counter(Item.objects.filter(kind=Item.Kind.CONNECTION).values_list("batch__slug", flat=True))) == {
        "move": 2,
        "rest": 2,
    }
    assert {email for email in PEOPLE if move.calendar(email)} == set()
    move.assert_proven()


# --- how lists are made


def people(count: int, *, workspace: object, platform: str = "google_calendar") -> None:
    customer, _ = Customer.objects.get_or_create(slug="acme", defaults={"name": "Acme"})
    short = platform.partition("_")[0]
    made = Calendar.objects.bulk_create(
        Calendar(customer=customer, family="us", platform=platform, email=f"{short}-{n:03}@acme.example")
        for n in range(count)
    )
    Connection.objects.bulk_create(
        Connection(calendar=one, workspace=workspace, remote_id=f"id-{short}-{n:06}", status="connected")
        for n, one in enumerate(made)
    )


@pytest.fixture
def draft() -> Batch:
    """A draft between two empty workspaces."""
    move = Move(people=(ADA,), batches=0)
    return drafts.begin(slug="move", source=move.source, target=move.target, actor=None)


def test_a_canary_share_is_rounded_up_per_platform_and_always_the_same(draft: Batch) -> None:
    people(41, workspace=draft.source)
    people(3, workspace=draft.source, platform="microsoft_outlook")
    selection.choose_share(draft, 5)
    small = listed(draft)
    assert Counter(email.partition("-")[0] for email in small) == {"google": 3, "microsoft": 1}
    selection.choose_share(draft, 5)
    assert listed(draft) == small
    selection.choose_share(draft, 30)
    assert small < listed(draft)


@pytest.mark.parametrize(
    ("by", "text", "found"),
    [
        ("begins", "GOOGLE-00", 10),
        ("contains", "-01", 13),
        ("domain", "@acme.example", 20),
        ("domain", "acme.example", 20),
        ("domain", "example", 0),
        ("contains", "100%_", 0),
    ],
)
def test_a_search_finds_by_beginning_part_and_domain(draft: Batch, by: str, text: str, found: int) -> None:
    people(17, workspace=draft.source)
    people(3, workspace=draft.source, platform="microsoft_outlook")
    Calendar.objects.filter(email="google-016@acme.example").update(email="x-0100-01@acme.example")
    selection.choose_by_search(draft, by=by, text=text)
    expected = {
        email
        for email in Calendar.objects.values_list("email", flat=True)
        if {
            "begins": email.startswith(text.lower()),
            "contains": text.lower() in email,
            "domain": email.endswith("@" + text.lower().lstrip("@")),
        }[by]
    }
    assert listed(draft) == expected
    assert (len(expected) > 0) == (found > 0)


def test_every_line_that_cannot_be_taken_says_why_and_the_others_are_taken(draft: Batch) -> None:
    people(5, workspace=draft.source)
    third = Workspace.objects.create(slug="third", name="Third", region=draft.source.region)
    people(2, workspace=third, platform="microsoft_outlook")
    both = Calendar.objects.create(
        customer=Customer.objects.get(), family="us", platform="microsoft_outlook", email="google-004@acme.example"
    )
    Connection.objects.create(calendar=both, workspace=draft.source, remote_id="id-both", status="connected")
    other = drafts.begin(slug="other", source=draft.source, target=draft.target, actor=None)
    selection.choose_by_search(other, by="begins", text="google-003")
    drafts.make(other, actor=None)
    file = """google-000@acme.example
        GOOGLE-000@acme.example
        id-google-000001
        google-001@acme.example
        google-003@acme.example
        google-004@acme.example
        google-004@acme.example,outlook
        microsoft-000@acme.example
        nobody@acme.example
        what is this"""
    selection.choose_by_file(draft, open_file(file.replace("        ", "").encode()), name="ten.csv")
    rows = draft.selected.order_by("line").values_list("line", "problem", "note")
    assert list(rows) == [
        (1, "", ""),
        (2, "doubled", "1"),
        (3, "", ""),
        (4, "doubled", "3"),
        (5, "elsewhere", "other"),
        (6, "ambiguous", "Google, Outlook"),
        (7, "", ""),
        (8, "workspace", "third"),
        (9, "unknown", ""),
        (10, "malformed", ""),
    ]
    assert inventory.chosen(draft).count() == 3


def test_a_long_list_takes_as_many_queries_a_thousand_lines_however_long_it_is(
    draft: Batch, django_assert_max_num_queries: object
) -> None:
    people(3_000, workspace=draft.source)
    text = "\n".join(Calendar.objects.values_list("email", flat=True))
    with django_assert_max_num_queries(60):  # type: ignore[operator]
        selection.choose_by_file(draft, open_file(text.encode()), name="long.csv")
    assert inventory.chosen(draft).count() == 3_000


# --- drafts


def test_another_route_empties_what_was_chosen_and_found_for_the_one_before() -> None:
    move = office()
    draft = read(move)
    selection.choose_share(draft, 50)
    for workspace in (move.source, move.target):
        workspace.refresh_from_db()  # they share a family by now
    drafts.set_route(draft, slug="back", source=move.target, target=move.source, actor=None)
    draft.refresh_from_db()
    assert (draft.slug, draft.selection, draft.goal, draft.started_at) == ("back", Selection.ALL, "", None)
    assert not draft.selected.exists()
    assert not Finding.objects.filter(batch=draft).exists()
    assert draft.handover.source == move.target


def test_a_draft_that_is_thrown_away_leaves_its_calendars_to_others(draft: Batch) -> None:
    people(5, workspace=draft.source)
    selection.choose_share(draft, 99)
    drafts.discard(draft, actor=None)
    assert not Batch.objects.exists()
    assert not SelectedCalendar.objects.exists()
    with pytest.raises(Refused, match="no draft any more"):
        drafts.discard(draft, actor=None)


def test_a_draft_that_lies_about_keeps_no_credentials_of_a_batch_that_is_closed() -> None:
    move = quick()
    drafts.begin(slug="draft", source=move.source, target=move.target, actor=None)
    move.allow(Step.CLEAN_UP)
    move.run(until=lambda: Batch.objects.filter(slug="move", status=BatchStatus.CLOSED).exists())
    assert set(Connection.objects.values_list("refresh_token", flat=True)) == {""}
    assert not Workspace.objects.filter(holds_credentials=True).exists()


def test_a_batch_for_nothing_is_not_made(draft: Batch) -> None:
    selection.choose_by_search(draft, by="begins", text="nobody")
    with pytest.raises(Refused, match="holds no calendar"):
        drafts.make(draft, actor=None)
    selection.choose_customers(draft, [])
    with pytest.raises(Refused, match="No customer is chosen"):
        drafts.make(draft, actor=None)
