"""Private links: who has one sees the page; whatever else is tried finds out nothing."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from calendars.models import AuditEntry
from migrations_app.models import StatusLink, StatusVisit
from migrations_app.models.status_link import MARK, new_secret
from migrations_app.status.access import STOP_POLLING
from recallops import clock
from recallops.logs import one_line
from recallops.redaction import HIDDEN, redact
from tests.admin import builders as make
from tests.admin.builders import NOON

pytestmark = pytest.mark.django_db

GUESSES = 10_000
PAGES = ("page", "live", "data", "window")


def opened(secret: str, page: str = "page", **more: Any) -> Any:
    return Client().get(reverse(f"status:{page}", args=[secret]), **more)


def expired() -> str:
    return make.make_status_link(expires_at=NOON)[1]


def revoked() -> str:
    link, secret = make.make_status_link()
    assert link.revoke()
    return secret


def test_a_link_opens_the_page_and_only_a_digest_of_it_is_stored() -> None:
    link, secret = make.make_status_link()
    response = opened(secret)
    assert response.status_code == 200
    assert link.customer.name in response.content.decode()
    assert len(secret) - len(MARK) >= 128 / 6
    with connection.cursor() as cursor:
        cursor.execute("SELECT migrations_app_statuslink::text FROM migrations_app_statuslink")
        (stored,) = cursor.fetchone()
    assert secret not in stored
    assert secret.removeprefix(MARK) not in stored


@pytest.mark.parametrize("page", PAGES)
def test_a_wrong_an_expired_and_a_revoked_link_are_refused_with_the_same_answer_after_the_same_queries(
    page: str,
) -> None:
    answers = []
    for secret in (new_secret(), expired(), revoked(), "x", "ü" * 400):
        with CaptureQueriesContext(connection) as queries:
            response = opened(secret, page)
        assert response.status_code == 404
        answers.append((response.content, dict(response.items()), [len(queries), queries[0]["sql"].split("digest")[0]]))
    assert all(answer == answers[0] for answer in answers)


def test_ten_thousand_guessed_links_are_all_refused_with_no_difference_in_answer() -> None:
    client = Client()
    answers = set()
    for _ in range(GUESSES):
        response = client.get(f"/status/{new_secret()}/")
        answers.add((response.status_code, response.content, tuple(sorted(response.items()))))
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    assert not StatusVisit.objects.exists()


def test_who_guesses_shuts_out_nobody_else() -> None:
    _, secret = make.make_status_link()
    client = Client()
    assert {client.get(f"/status/{new_secret()}/").status_code for _ in range(100)} == {404}
    assert opened(secret).status_code == 200  # from the same address


def test_a_page_that_is_open_when_its_link_ends_says_so_and_asks_no_more() -> None:
    for secret in (new_secret(), expired(), revoked()):
        response = opened(secret, "live", headers={"HX-Request": "true"})
        assert response.status_code == STOP_POLLING
        assert "Ask whoever sent it to you" in response.content.decode()
        assert "hx-get" not in response.content.decode()


@pytest.mark.parametrize("path", ["", "elsewhere/", "live"])
def test_whatever_is_answered_below_the_address_nobody_keeps_it(path: str) -> None:
    _, secret = make.make_status_link()
    for response in (Client().get(f"/status/{secret}/{path}"), Client().post(f"/status/{secret}/{path}")):
        assert response["Cache-Control"] == "no-store, private"
        assert response["Referrer-Policy"] == "no-referrer"
        assert "noindex" in response["X-Robots-Tag"]


def test_a_link_is_not_asked_too_often(settings: Any) -> None:
    settings.STATUS_PER_MINUTE = 20
    _, secret = make.make_status_link()
    found = [opened(secret) for _ in range(4)]
    assert [response.status_code for response in found] == [200, 200, 429, 429]
    assert 1 <= int(found[-1]["Retry-After"]) <= 4
    assert found[-1]["Cache-Control"] == "no-store, private"


@pytest.mark.parametrize("make_secret", [lambda: make.make_status_link()[1], new_secret])
def test_nobody_keeps_the_page_finds_it_or_learns_its_address_from_where_it_leads(make_secret: Any) -> None:
    response = opened(make_secret())
    assert response["Cache-Control"] == "no-store, private"
    assert response["Referrer-Policy"] == "no-referrer"
    assert "noindex" in response["X-Robots-Tag"]
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {"'self'"}
    assert not response.cookies
    page = response.content.decode()
    assert '<meta name="referrer" content="no-referrer">' in page
    assert "http://" not in page.replace("http://testserver", "")
    assert "https://" not in page
    assert " style=" not in page
    assert "<script>" not in page


def test_a_visit_is_noted_by_hour_and_address_and_looking_for_news_is_none() -> None:
    link, secret = make.make_status_link()
    for address in ("203.0.113.9", "203.0.113.9", "2001:db8::1"):
        opened(secret, REMOTE_ADDR=address)
    opened(secret, "live", REMOTE_ADDR="203.0.113.9")
    found = set(StatusVisit.objects.values_list("link", "address", "hour", "count"))
    assert found == {(link.pk, "203.0.113.9", NOON, 2), (link.pk, "2001:db8::1", NOON, 1)}
    link.refresh_from_db()
    assert link.last_visit_at == NOON


def test_looking_for_news_is_no_visit() -> None:
    link, secret = make.make_status_link()
    assert opened(secret, "live").status_code == 200
    link.refresh_from_db()
    assert link.last_visit_at is None
    assert not StatusVisit.objects.exists()


def test_no_log_line_holds_a_link(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = make.make_status_link()

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"no rows for {secret}")

    monkeypatch.setattr("migrations_app.status.content.batches_of", fail)
    client = Client(raise_request_exception=False)
    with caplog.at_level(logging.DEBUG):
        assert client.get(reverse("status:page", args=[secret])).status_code == 500
        client.get(f"/status/{secret}x/")
        client.get(f"/status/{secret}/elsewhere")
    lines = [one_line(redact(f"{record.getMessage()} {record.exc_text or ''}")) for record in caplog.records]
    assert any(HIDDEN in line for line in lines)
    assert not [line for line in lines if secret in line or secret.removeprefix(MARK) in line]


def test_nothing_but_reading_is_answered() -> None:
    _, secret = make.make_status_link()
    for page in PAGES:
        assert Client().post(reverse(f"status:{page}", args=[secret])).status_code == 405


# --- staff make, replace and revoke them


@pytest.fixture
def operator() -> Client:
    client = Client()
    rights = ("view_statuslink", "add_statuslink", "change_statuslink")
    staff = make.make_staff(permissions=(*(f"migrations_app.{one}" for one in rights), "calendars.view_customer"))
    client.force_login(staff)
    return client


def made(client: Client, **data: Any) -> tuple[Any, StatusLink]:
    url = reverse("admin:migrations_app_statuslink_add")
    until = clock.now() + timedelta(days=30)
    response = client.post(
        url, {"label": "Ada", "expires_at_0": f"{until:%Y-%m-%d}", "expires_at_1": f"{until:%H:%M:%S}", **data}
    )
    return response, StatusLink.objects.first()  # type: ignore[return-value]


def test_a_link_is_made_by_staff_and_shown_once(operator: Client) -> None:
    response, link = made(operator, customer=make.make_customer().pk)
    assert "no-store" in response["Cache-Control"]
    address = response.context["address"]
    assert address in response.content.decode()
    assert Client().get(address).status_code == 200
    secret = address.rstrip("/").rpartition("/")[2]
    pages = [reverse("admin:migrations_app_statuslink_changelist")]
    pages += [reverse(f"admin:migrations_app_statuslink_{page}", args=[link.pk]) for page in ("change", "history")]
    for page in pages:
        assert secret not in operator.get(page).content.decode()
        assert link.digest not in operator.get(page).content.decode()
    assert [entry.action for entry in AuditEntry.objects.all()] == ["statuslink.add"]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_a_link_that_takes_the_place_of_another_revokes_it_in_the_same_moment(operator: Client) -> None:
    old, secret = make.make_status_link()
    response, link = made(operator, customer=old.customer_id, replaces=old.pk)
    assert opened(secret).status_code == 404
    assert Client().get(response.context["address"]).status_code == 200
    assert {entry.action for entry in AuditEntry.objects.all()} == {"statuslink.add", "statuslink.revoke"}
    assert link.customer == old.customer


def test_a_link_of_another_customer_is_not_replaced(operator: Client) -> None:
    old, secret = make.make_status_link()
    response, _ = made(operator, customer=make.make_customer().pk, replaces=old.pk)
    assert "is of another customer" in response.content.decode()
    assert opened(secret).status_code == 200
    assert StatusLink.objects.count() == 1


@pytest.mark.parametrize(("days", "said"), [(-1, "This moment is over."), (367, "for a year at most")])
def test_a_link_ends_within_a_year(days: int, said: str, operator: Client) -> None:
    until = clock.now() + timedelta(days=days)
    response, _ = made(operator, customer=make.make_customer().pk, expires_at_0=f"{until:%Y-%m-%d}")
    assert said in response.content.decode()
    assert not StatusLink.objects.exists()


def test_people_at_a_public_mail_provider_share_no_page(operator: Client) -> None:
    response, _ = made(operator, customer=make.make_customer(domain="gmail.com").pk)
    assert "do not know each other" in response.content.decode()
    assert not StatusLink.objects.exists()


def test_the_page_of_a_link_tells_who_opened_it(operator: Client) -> None:
    link, secret = make.make_status_link()
    opened(secret, REMOTE_ADDR="203.0.113.9")
    page = operator.get(reverse("admin:migrations_app_statuslink_change", args=[link.pk])).content.decode()
    assert "203.0.113.9" in page
    assert f"replaces={link.pk}" in page


def test_from_a_batch_one_comes_to_the_links_of_its_customers(operator: Client) -> None:
    batch = make.make_batch()
    customer = make.make_customer()
    make.make_item(batch, connection=make.make_connection(batch.source, make.make_calendar(customer)))
    make.make_status_link(customer)
    make.make_status_link(customer, expires_at=NOON)
    url = reverse("admin:migrations_app_batch_customers", args=[batch.pk])
    make.allow(User.objects.get(pk=operator.session["_auth_user_id"]), "migrations_app.view_batch")
    page = operator.get(url).content.decode()
    add = f"{reverse('admin:migrations_app_statuslink_add')}?customer={customer.pk}"
    assert "1 link " in page
    assert add in page
    assert operator.get(add).status_code == 200
