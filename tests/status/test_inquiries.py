"""What customers tell us on their page reaches staff, and nothing that was typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calendars.models import AuditEntry
from migrations_app.models import Inquiry, StatusLink
from tests.admin import builders as make
from tests.admin.builders import NOON
from tests.status.conftest import Company

pytestmark = pytest.mark.django_db

TEXT = "Is my meeting of Friday recorded?"


@pytest.fixture
def opened(company: Company) -> tuple[StatusLink, str]:
    return make.make_status_link(company.northwind)


def tell(secret: str, client: Client | None = None, **data: str) -> Any:
    return (client or Client(enforce_csrf_checks=True)).post(
        reverse("status:tell", args=[secret]), {"text": TEXT, "email": "", **data}
    )


def test_it_reaches_staff_with_its_customer_and_its_batch(opened: tuple[StatusLink, str], company: Company) -> None:
    link, secret = opened
    client = Client(enforce_csrf_checks=True)
    response = tell(secret, client, email="ada@northwind.example")
    assert response.status_code == 302
    assert response["Referrer-Policy"] == "no-referrer"
    assert "Thank you." in client.get(response["Location"].partition("#")[0]).content.decode()
    (found,) = Inquiry.objects.values("link", "customer", "batch", "text", "email", "told_at", "answered_at")
    assert found == {
        "link": link.pk,
        "customer": company.northwind.pk,
        "batch": company.batch.pk,
        "text": TEXT,
        "email": "ada@northwind.example",
        "told_at": NOON,
        "answered_at": None,
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"text": "  "}, "Write a few words."),
        ({"text": "x" * 2001}, "at most 2000 characters"),
        ({"email": "nobody"}, "Enter a valid email address."),
        ({"text": "a\x00b"}, "Null characters are not allowed."),
    ],
)
def test_what_is_wrong_is_told_and_what_was_typed_stays(
    data: dict[str, str], said: str, opened: tuple[StatusLink, str]
) -> None:
    response = tell(opened[1], **data)
    page = response.content.decode()
    assert response.status_code == 400
    assert said in page
    assert data.get("text", TEXT).strip().replace("\x00", "") in page.replace("\x00", "")
    assert not Inquiry.objects.exists()


def test_nobody_fills_our_tables(opened: tuple[StatusLink, str], settings: Any) -> None:
    settings.STATUS_PER_MINUTE = 10_000
    link, secret = opened
    for _ in range(Inquiry.MOST_OPEN):
        make.make_inquiry(link)
    response = tell(secret)
    assert response.status_code == 400
    assert "not answered yet" in response.content.decode()
    assert TEXT in response.content.decode()
    Inquiry.objects.filter(pk=Inquiry.objects.earliest("pk").pk).update(answered_at=NOON)
    assert tell(secret).status_code == 302


def test_without_a_valid_link_nobody_tells_anything() -> None:
    link, secret = make.make_status_link()
    link.revoke()
    assert tell(secret).status_code == 404
    assert not Inquiry.objects.exists()


def test_without_a_move_one_can_tell_us_as_well() -> None:
    _, secret = make.make_status_link()
    assert tell(secret).status_code == 302
    assert Inquiry.objects.get().batch is None


def test_a_batchs_page_and_the_first_page_lead_to_what_is_not_answered(company: Company) -> None:
    open_one = make.make_inquiry(make.make_status_link(company.northwind)[0], company.batch)
    make.make_inquiry(open_one.link, company.batch, answered_at=NOON)
    chief = Client()
    chief.force_login(make.make_staff("chief", superuser=True))
    page = chief.get(reverse("admin:migrations_app_batch_change", args=[company.batch.pk])).content.decode()
    assert "1 inquiry of a customer is not answered." in page
    listed = f"{reverse('admin:migrations_app_inquiry_changelist')}?batch__id__exact={company.batch.pk}"
    assert listed in page.replace("&amp;", "&")
    assert list(chief.get(f"{listed}&answered_at__isempty=1").context["cl"].result_list) == [open_one]
    assert "1 inquiry of a customer is not answered" in chief.get(reverse("admin:index")).content.decode()


def test_that_it_is_answered_is_on_record(company: Company) -> None:
    inquiry = make.make_inquiry(make.make_status_link(company.northwind)[0], company.batch)
    chief = Client()
    chief.force_login(make.make_staff("chief", superuser=True))
    page = chief.get(reverse("admin:migrations_app_inquiry_change", args=[inquiry.pk]))
    assert TEXT in page.content.decode()
    shown = page.context["shown"]
    chief.post(reverse("admin:migrations_app_inquiry_answered", args=[inquiry.pk]), {"shown": shown})
    inquiry.refresh_from_db()
    assert inquiry.answered_at == NOON
    assert str(inquiry.answered_by) == "chief"
    assert [entry.action for entry in AuditEntry.objects.filter(subject_id=inquiry.pk)] == ["inquiry.answered"]
