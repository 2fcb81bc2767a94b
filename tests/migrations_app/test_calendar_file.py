"""A file of calendars: every line is read for itself, and what it is wrong about is said."""

from __future__ import annotations

import pytest

from migrations_app import calendar_file
from migrations_app.calendar_file import Line, Unreadable, open_file

ADA = Line(1, "ada@northwind.example", address="ada@northwind.example")


def lines(text: str | bytes) -> list[Line]:
    return list(open_file(text if isinstance(text, bytes) else text.encode()))


def test_a_column_of_addresses_needs_no_headings() -> None:
    assert lines("ada@northwind.example\nben@northwind.example\n") == [
        ADA,
        Line(2, "ben@northwind.example", address="ben@northwind.example"),
    ]


def test_headings_say_where_calendar_and_platform_stand_whatever_else_there_is() -> None:
    (one,) = lines("Name;E-Mail;Platform\nAda;Ada@Northwind.example;Google\n")
    assert one == Line(2, "Ada@Northwind.example", address="ada@northwind.example", platform="google_calendar")


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_spreadsheets_of_every_country_are_read(between: str) -> None:
    (one,) = lines(f"email{between}platform\nada@northwind.example{between}outlook")
    assert (one.address, one.platform) == ("ada@northwind.example", "microsoft_outlook")


def test_the_providers_ids_are_taken_as_they_are() -> None:
    (one,) = lines("0198c2aa-3d52-7000-8000-5be8f07e3bd1")
    assert (one.remote_id, one.address) == ("0198c2aa-3d52-7000-8000-5be8f07e3bd1", "")


@pytest.mark.parametrize(
    ("content", "encoding", "address"),
    [
        ("jörg@nord.example".encode(), "UTF-8", "jörg@nord.example"),
        ("\ufeffjörg@nord.example".encode(), "UTF-8", "jörg@nord.example"),
        ("jörg@nord.example".encode("latin-1"), "Latin-1", "jörg@nord.example"),
    ],
)
def test_the_encoding_is_found_and_told(content: bytes, encoding: str, address: str) -> None:
    file = open_file(content)
    assert file.encoding == encoding
    assert [line.address for line in file] == [address]


@pytest.mark.parametrize(
    "text",
    [
        "not an address",
        "ada@",
        "@northwind.example",
        "ada@north@wind.example",
        '=HYPERLINK("https://evil.example")@x',
        "<script>alert(1)</script>",
        "ada@northwind.example\x00",
        "a" * 3_000 + "@northwind.example",
        "ada@northwind.example,typewriter",
    ],
)
def test_a_line_that_names_nothing_says_so_and_spoils_no_other(text: str) -> None:
    odd, good = lines(f"{text}\nada@northwind.example\n")
    assert not odd.names_one
    assert len(odd.text) <= calendar_file.LONGEST_TEXT
    assert odd.text.isprintable()
    assert good.address == "ada@northwind.example"


def test_a_quotation_mark_that_is_never_closed_spoils_its_own_line_only() -> None:
    found = lines('"ada@northwind.example\nben@northwind.example')
    assert [line.number for line in found] == [1, 2]
    assert found[1].address == "ben@northwind.example"


def test_empty_lines_count_but_are_no_lines() -> None:
    (one,) = lines("\n\n  \nada@northwind.example\r\n\r\n")
    assert one.number == 4


@pytest.mark.parametrize("content", [b"", b"\n\n", b"email,platform\n"])
def test_a_file_without_a_calendar_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(Unreadable, match="no address and no id"):
        open_file(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest of a workbook", "workbook"),
        ("ada@northwind.example".encode("utf-16"), "UTF-16"),
        (b"a" * (calendar_file.MOST_BYTES + 1), "more than 10 megabytes"),
    ],
)
def test_what_is_no_csv_is_refused_with_what_to_do(content: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        open_file(content)


def test_a_file_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_file, "MOST_LINES", 2)
    with pytest.raises(Unreadable, match="more than 2 lines"):
        open_file(b"a@b.example\nc@d.example\ne@f.example\ng@h.example")
