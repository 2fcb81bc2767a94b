"""Downloads: what is in the list and nothing else, harmless in a spreadsheet, in flat memory."""

from __future__ import annotations

import csv
import io
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib import admin
from django.db.models import ForeignKey
from django.test import Client
from django.urls import reverse

from calendars.models import AuditEntry
from migrations_app.models import Finding, ItemStatus
from recallops import exporting
from recallops.admin_export import ExportAdmin
from recallops.encryption import EncryptedTextField
from recallops.exporting import Column, TooManyRowsError, csv_pieces, file_name, guarded, write_xlsx
from tests.admin import builders as make

FORMULAS = [
    "=1+1",
    '=HYPERLINK("http://evil.example","click")',
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-1+1",
    "-2+3+cmd|'/c calc'!A1",
    "@SUM(1,2)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\u3000=1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "\u202e=1+1",
    '"=1+1',
    "'=1+1",
    "''=1+1",
    '" =1+1',
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(1)",
    "\ufe621+1",
    "\u22121+1",
    "harmless;=1+1",
    "harmless|=1+1",
    'harmless; "=1+1',
    "harmless\t=1+1;=1+1",
    "\x00=1+1",
]
HARMLESS = [
    "anna@example.com",
    "a = b",
    "1-2",
    "https://meet.example/a?b=c",
    "",
    "Weekly: plan",
    "ünïcode ✓",
    "5",
    "a;b",
]
NO_LINKS = ["https://evil.example/", "mailto:a@b.example", "internal:Sheet1!A1", "{=1}"]


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def columns(count: int = 1) -> list[Column]:
    return [Column(f"column {number}", "pk") for number in range(count)]


def as_a_spreadsheet_sees_it(cell: str) -> str:
    """Drop what is not seen, and quotes, before the first sign."""
    return cell.lstrip(' \t\r\n"\x00\u00a0\u3000\u200b\ufeff\u202e')


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_begins_a_formula_with_whichever_separator_the_file_is_opened(text: str) -> None:
    written = "".join(csv_pieces([[text]], columns()))
    for separator in ",;|\t":
        for row in csv.reader(io.StringIO(written, newline=""), delimiter=separator):
            for cell in row:
                assert not as_a_spreadsheet_sees_it(cell).startswith(
                    tuple("=+-@\uff1d\uff0b\uff0d\uff20\ufe62\u2212")
                ), cell


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert guarded(text) == text


def test_a_row_stays_one_line_and_a_quote_one_quote() -> None:
    written = "".join(csv_pieces([['say "hi"', "line\r\nbreak", "a,b"]], columns(3)))
    assert written.count("\r\n") == 2
    assert read_csv(written)[1] == ['say "hi"', "line break", "a,b"]


def test_numbers_stay_numbers_and_moments_are_utc() -> None:
    at = datetime(2027, 1, 31, 6, tzinfo=UTC)
    row: list[Any] = [-5, -0.5, True, None, at, timedelta(minutes=2), {"b": 1, "a": [2]}]
    assert read_csv("".join(csv_pieces([row], columns(len(row)))))[1] == [
        "-5", "-0.5", "yes", "", "2027-01-31 06:00:00", "120.0", '{"a": [2], "b": 1}',
    ]  # fmt: skip


def test_a_long_file_is_written_in_pieces_and_takes_no_more_memory_than_a_short_one() -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        for piece in csv_pieces((["x" * 100, number] for number in range(rows)), columns(2)):
            assert len(piece) < 2 * exporting.PIECE
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(50_000) < 1.5 * peak(5_000)


def sheet_of(rows: list[list[Any]]) -> tuple[str, zipfile.ZipFile]:
    file = io.BytesIO()
    write_xlsx(rows, columns(max(map(len, rows))), file)
    book = zipfile.ZipFile(file)
    return book.read("xl/worksheets/sheet1.xml").decode(), book


@pytest.mark.parametrize("text", [*FORMULAS, *NO_LINKS])
def test_a_sheet_holds_texts_as_texts_neither_formulas_nor_links(text: str) -> None:
    sheet, book = sheet_of([[text]])
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet
    assert not [name for name in book.namelist() if "worksheets/_rels" in name]
    kinds = [cell.get("t") for cell in ElementTree.fromstring(sheet).iter() if cell.tag.endswith("}c")]  # noqa: S314
    assert kinds == ["inlineStr", "inlineStr"]


def test_a_sheet_holds_numbers_and_moments_as_such() -> None:
    sheet, _ = sheet_of([[-5, datetime(2027, 1, 31, 6, tzinfo=UTC), "x" * 40_000, float("inf")]])
    assert "<v>-5</v>" in sheet
    assert "<v>46418.25</v>" in sheet
    assert "x" * exporting.MOST_SHEET_TEXT in sheet
    assert "x" * (exporting.MOST_SHEET_TEXT + 1) not in sheet


def test_a_sheet_that_would_be_too_long_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_SHEET_ROWS", 2)
    with pytest.raises(TooManyRowsError, match="CSV"):
        sheet_of([[1], [2], [3]])


def test_the_name_of_a_file_is_plain_and_ends_with_the_day() -> None:
    assert file_name("items", "first-batch", '../"x\r\n') == "items-first-batch-x-2026-11-23"


# --- the lists


def body(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def exported() -> list[ExportAdmin]:
    return [one for one in admin.site._registry.values() if isinstance(one, ExportAdmin)]


def test_the_lists_that_people_ask_for_can_be_downloaded() -> None:
    names = {one.opts.model_name for one in exported()}
    assert names >= {"item", "finding", "assignment", "auditentry"}


def test_no_file_has_a_column_that_is_sealed() -> None:
    for one in exported():
        assert one.export_columns, one
        for column in one.export_columns:
            model: Any = one.model
            for part in column.path.split("__"):
                field = model._meta.pk if part == "pk" else model._meta.get_field(part)
                assert not isinstance(field, EncryptedTextField), column
                model = field.related_model if isinstance(field, ForeignKey) else model
            assert "secret" not in column.path
            assert "token" not in column.path


@pytest.mark.django_db
def test_a_file_holds_the_rows_of_the_list_with_its_filters_its_search_and_its_order(driver: Client) -> None:
    batch, other = make.make_batch(), make.make_batch()
    make.make_item(batch, title="b@one.example", status=ItemStatus.FAILED, reason="=cmd")
    make.make_item(batch, title="a@one.example", status=ItemStatus.FAILED)
    make.make_item(batch, title="c@one.example", status=ItemStatus.DONE)
    make.make_item(other, title="d@one.example", status=ItemStatus.FAILED)
    url = reverse("admin:migrations_app_item_export_csv")
    response = driver.get(f"{url}?batch__id__exact={batch.pk}&status__exact=failed&o=1")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == f'attachment; filename="items-{batch.slug}-failed-2026-11-23.csv"'
    headings, *rows = read_csv(body(response))
    assert [row[headings.index("what")] for row in rows] == ["a@one.example", "b@one.example"]
    assert rows[1][headings.index("reason")] == "'=cmd"
    assert rows[0][headings.index("status")] == "failed"
    found = driver.get(f"{url}?q=d@one")
    assert len(read_csv(body(found))) == 2


@pytest.mark.django_db
def test_the_list_offers_its_files_with_the_filters_it_has(looker: Client) -> None:
    make.make_finding(make.make_batch())
    page = looker.get(reverse("admin:migrations_app_finding_changelist") + "?state=open").content.decode()
    assert reverse("admin:migrations_app_finding_export_csv") + "?state=open" in page
    assert reverse("admin:migrations_app_finding_export_xlsx") + "?state=open" in page


@pytest.mark.django_db
def test_every_list_sends_both_files_without_a_secret(looker: Client) -> None:
    batch = make.make_batch()
    connection = make.make_connection(batch.source)
    item = make.make_item(batch, connection=connection)
    make.make_finding(batch, item=item)
    make.make_assignment(batch.source, calendars=(connection.calendar,), url="https://meet.example/r?pwd=hunter2")
    make.make_act(batch)
    make.make_call(batch.source)
    for one in exported():
        kind = f"admin:{one.opts.app_label}_{one.opts.model_name}_export"
        text = body(looker.get(reverse(f"{kind}_csv")))
        assert len(read_csv(text)) > 1, kind
        for secret in ("oauth-secret-of-the-client", "refresh-token-of-the-user", "hunter2", "Recorder"):
            assert secret not in text
        sheet = looker.get(reverse(f"{kind}_xlsx"))
        assert zipfile.ZipFile(io.BytesIO(b"".join(sheet.streaming_content))).testzip() is None  # type: ignore[attr-defined]
        assert sheet["Content-Disposition"].endswith('.xlsx"')


@pytest.mark.django_db
def test_a_file_takes_as_few_queries_for_many_rows_as_for_few(looker: Client, get: Any) -> None:
    batch = make.make_batch()

    def queries() -> int:
        for _ in range(20):
            make.make_finding(batch, item=make.make_item(batch, connection=make.make_connection(batch.source)))
        taken = 0
        for kind in ("item", "finding"):
            response, asked = get(looker, reverse(f"admin:migrations_app_{kind}_export_xlsx"))
            assert response.status_code == 200
            taken += len(asked)
        return taken

    assert queries() == queries() <= 24


@pytest.mark.django_db
def test_whoever_may_not_see_the_list_gets_no_file() -> None:
    client = Client()
    client.force_login(make.make_staff("nobody"))
    for one in exported():
        assert client.get(reverse(f"admin:{one.opts.app_label}_{one.opts.model_name}_export_csv")).status_code == 403
    assert Client().get(reverse("admin:migrations_app_item_export_csv")).status_code == 302


@pytest.mark.django_db
def test_a_download_is_a_get_and_a_filter_that_means_nothing_is_said_so(chief: Client) -> None:
    url = reverse("admin:migrations_app_item_export_csv")
    assert chief.post(url).status_code == 405
    assert "mean nothing" in chief.get(f"{url}?nonsense__exact=1", follow=True).content.decode()


@pytest.mark.django_db
def test_too_many_rows_for_a_sheet_lead_back_to_the_list(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make.make_batch()
    for _ in range(3):
        make.make_finding(batch)
    assert Finding.objects.count() == 3
    monkeypatch.setattr(exporting, "MOST_SHEET_ROWS", 2)
    page = chief.get(reverse("admin:migrations_app_finding_export_xlsx") + "?state=open", follow=True)
    assert page.redirect_chain[0][0].endswith("?state=open")
    assert "at most 2 rows" in page.content.decode()


@pytest.mark.django_db
def test_acts_are_exported_with_their_details(looker: Client) -> None:
    batch = make.make_batch()
    AuditEntry.objects.record(actor=None, action="batch.goal", subject=batch, after="export")
    headings, row = read_csv(body(looker.get(reverse("admin:calendars_auditentry_export_csv") + "?q=batch.goal")))
    assert row[headings.index("what")] == "batch.goal"
    assert row[headings.index("after")] == "export"
