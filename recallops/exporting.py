"""Rows as files: the one writer of CSV, and of the same rows as a sheet.

A file holds what its columns name and nothing else: `values_list` reads just these from the database, so a secret can
get into a file only by being named. Rows are read and sent in pieces, so a file of a million rows takes no more memory
than one of a thousand.

Texts come from strangers, and spreadsheets take some of them for formulas. In CSV such a text gets an apostrophe in
front; in a sheet every text is stored as a text. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

import xlsxwriter
from django.db.models import Choices, QuerySet
from django.db.models.enums import ChoicesType
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from recallops import clock

ROWS_AT_ONCE = 2_000
PIECE = 64_000  # characters; big enough for a network
MOST_SHEET_ROWS = 100_000  # the format holds 1,048,576, which takes minutes to write and is more than people scroll
MOST_SHEET_TEXT = 32_767  # characters of one cell: the format's own limit

TOO_MANY_FOR_A_SHEET = _(
    "An Excel file gets at most {most:,} rows, and these are more. "
    "Filter the list, or take the CSV file: it has no limit."
)

# What a spreadsheet takes for a formula, its full-width forms included. It may stand behind what is not seen (spaces,
# quotes, marks of no width), and at the beginning of what a spreadsheet with another separator takes for a cell.
_FORMULA = re.compile(
    r"(?:^|[;|])[\s\"'`\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212]"
)
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

Response = TypeVar("Response", bound=HttpResponseBase)


class TooManyRowsError(Exception):
    """More rows than a sheet gets; the text is a sentence for the person."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: its heading, the path of the field, and how its values are said."""

    heading: Any
    path: str
    say: type[Choices] | Callable[[Any], Any] | None = None

    def value(self, raw: Any) -> Any:
        """Return what stands in the file for a value of the field."""
        if self.say is None or raw is None:
            return raw
        if isinstance(self.say, ChoicesType):
            return str(dict(self.say.choices).get(raw, raw))
        return self.say(raw)


def rows_of(queryset: QuerySet[Any], columns: Sequence[Column]) -> Iterator[list[Any]]:
    """Yield the rows of a queryset, in its order, read in pieces: only what the columns name."""
    read = queryset.values_list(*(column.path for column in columns))
    for row in read.iterator(chunk_size=ROWS_AT_ONCE):
        yield [column.value(raw) for column, raw in zip(columns, row, strict=True)]


def csv_response(rows: Iterable[Sequence[Any]], columns: Sequence[Column], *, name: str) -> StreamingHttpResponse:
    """Return rows as a CSV file for download, sent while they are read."""
    return _download(
        StreamingHttpResponse(csv_pieces(rows, columns), content_type="text/csv; charset=utf-8"), f"{name}.csv"
    )


def csv_pieces(rows: Iterable[Sequence[Any]], columns: Sequence[Column]) -> Iterator[str]:
    """Yield rows as text of a CSV file (UTF-8, no byte order mark, CRLF), the headings first."""
    waiting = io.StringIO()
    writer = csv.writer(waiting)
    writer.writerow([guarded(str(column.heading)) for column in columns])
    for row in rows:
        writer.writerow([_in_csv(value) for value in row])
        if waiting.tell() > PIECE:
            yield waiting.getvalue()
            waiting.seek(0)
            waiting.truncate()
    yield waiting.getvalue()


def xlsx_response(rows: Iterable[Sequence[Any]], columns: Sequence[Column], *, name: str) -> FileResponse:
    """Return rows as an Excel file for download. Raises TooManyRowsError."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it when it is sent
    try:
        write_xlsx(rows, columns, file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return _download(FileResponse(file, content_type=kind), f"{name}.xlsx")


def write_xlsx(rows: Iterable[Sequence[Any]], columns: Sequence[Column], file: IO[bytes]) -> None:
    """Write rows as an Excel file, row by row, so that memory stays flat. Raises TooManyRowsError."""
    # even so, texts are written by `write_string`, which makes neither a formula nor a link of them
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(file, {**options, "strings_to_numbers": False})
    try:
        sheet = book.add_worksheet()
        bold, moment = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(len(columns) - 1, 0), 22)
        for place, column in enumerate(columns):
            sheet.write_string(0, place, str(column.heading), bold)
        for number, row in enumerate(rows, start=1):
            if number > MOST_SHEET_ROWS:
                raise TooManyRowsError(str(TOO_MANY_FOR_A_SHEET).format(most=MOST_SHEET_ROWS))
            for place, value in enumerate(row):
                plain = _plain(value)
                if isinstance(plain, datetime):
                    sheet.write_datetime(number, place, plain.replace(tzinfo=None), moment)
                elif isinstance(plain, int | float):
                    sheet.write_number(number, place, plain)
                elif plain:
                    sheet.write_string(number, place, plain[:MOST_SHEET_TEXT])
    finally:
        book.close()


def guarded(text: str) -> str:
    """Return a text as one line that no spreadsheet takes for a formula: an apostrophe in front where one might."""
    line = _BREAKS.sub(" ", text)
    return _FORMULA.sub(_apostrophe, line)


def file_name(*parts: object) -> str:
    """Return the name of a download, without its ending: what is in it, and the day."""
    named = [slugify(str(part)) for part in parts]
    return "-".join([part for part in named if part] + [f"{clock.now():%Y-%m-%d}"])


def _apostrophe(found: re.Match[str]) -> str:
    text = found[0]
    return f"{text[0]}'{text[1:]}" if text[0] in ";|" else f"'{text}"


def _in_csv(value: Any) -> str | int | float:
    plain = _plain(value)
    if isinstance(plain, datetime):
        return f"{plain:%Y-%m-%d %H:%M:%S}"
    return guarded(plain) if isinstance(plain, str) else plain


def _plain(value: Any) -> str | int | float | datetime:
    """Return a number, a moment in UTC, or a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and not -1e308 < value < 1e308:
        return str(value)  # a sheet has no number for infinity
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return str(value)


def _download(response: Response, name: str) -> Response:
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response
