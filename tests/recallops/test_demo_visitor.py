"""What the customer of the demo does when the status page does not let them go on."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import respx

from migrations_app.models import ItemStatus
from recallops.demo.place import Options, Place
from recallops.demo.setting_up import BATCH
from recallops.demo.visitor import Visitor
from tests.admin import builders as make

pytestmark = pytest.mark.django_db

PAGE = "http://127.0.0.1:8000/status/rops_link_private/"
EMAIL = "ada@northwind.example"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path / "demo")
    found.prepare(Options())
    found.keep(visitor=EMAIL)
    return found


@pytest.mark.parametrize(
    "trouble",
    [{"side_effect": httpx.ConnectError("refused")}, {"return_value": httpx.Response(404, text="It opens nothing.")}],
)
def test_a_page_that_leads_nowhere_is_told_once_without_its_address(
    place: Place, trouble: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    make.make_item(make.make_batch(slug=BATCH), title=EMAIL, status=ItemStatus.USER)
    visitor = Visitor(place, PAGE)
    with respx.mock:
        asked = respx.get(PAGE).mock(**trouble)
        visitor.look()
        Visitor(place, PAGE).look()
    said = capsys.readouterr().out
    assert asked.call_count == 1
    assert said.startswith(f"{EMAIL} could not connect their calendar again on the status page: ")
    assert "rops_link" not in said


def test_nobody_comes_before_the_calendar_waits_for_them(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    make.make_item(make.make_batch(slug=BATCH), title=EMAIL, status=ItemStatus.WAITING)
    with respx.mock:
        Visitor(place, PAGE).look()
    assert capsys.readouterr().out == ""
    assert place.kept()["visitor"] == EMAIL
