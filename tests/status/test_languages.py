"""Status pages speak English, German, French and Japanese, whole: a sentence without a translation fails here.

What is missing comes into the catalogues with `make messages`, and is translated there (docs/status.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from icalendar import Calendar as CalendarFile

from calendars.leases import machine_now
from calendars.models import Handover
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Notice, StatusLink
from migrations_app.models.status_link import new_secret
from migrations_app.status import content
from recallops import clock
from recallops.models import WorkerHeartbeat
from recallops.templatetags.recallops import minute
from tests.admin import builders as make
from tests.admin.builders import NOON
from tests.status import catalogues
from tests.status.conftest import Company

pytestmark = pytest.mark.django_db

LANGUAGES = ("de", "fr", "ja")
PLACE = re.compile(r"%\((\w+)\)s")

everywhere = pytest.mark.parametrize("language", LANGUAGES)


def words_of(message: Any) -> tuple[str, ...]:
    """Return what stands in the code: a sentence, or one for one and one for more."""
    return message.id if isinstance(message.id, tuple) else (message.id,)


# --- the catalogues


@everywhere
def test_every_sentence_is_translated_and_no_other_one(language: str) -> None:
    said = {words_of(message) for message in catalogues.said() if message.id}
    catalogue = catalogues.translated(language)
    known = {words_of(message): message for message in catalogue if message.id}
    assert len(said) > 100
    assert said - known.keys() == set(), "not in the catalogue: make messages"
    assert known.keys() - said == set(), "not said any more: make messages"
    assert [message.id for message in known.values() if not all(catalogues.forms(message)) or message.fuzzy] == []
    numbers = {len(catalogues.forms(message)) for words, message in known.items() if len(words) == 2}
    assert numbers == {catalogue.num_plurals}


@everywhere
def test_a_translation_puts_in_what_the_sentence_puts_in(language: str) -> None:
    for message in catalogues.translated(language):
        wanted = set(PLACE.findall(words_of(message)[-1])) if message.id else None
        for text in catalogues.forms(message) if message.id else ():
            assert set(PLACE.findall(text)) == wanted, message.id
            assert "%" not in PLACE.sub("", text), message.id


@everywhere
def test_what_django_reads_was_compiled_from_what_people_read(language: str) -> None:
    compiled = catalogues.compiled(catalogues.translated(language))
    assert catalogues.po_path(language).with_suffix(".mo").read_bytes() == compiled, "make messages"


def test_each_language_that_can_be_chosen_has_a_catalogue() -> None:
    assert tuple(catalogues.languages()) == LANGUAGES
    assert {code for code, _name in settings.LANGUAGES} == {"en", *LANGUAGES}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Mon 23 Nov 2026, 12:00"),
        ("de", "Mo., 23. Nov. 2026, 12:00"),
        ("fr", "lun. 23 nov. 2026, 12:00"),
        ("ja", "2026年11月23日(月) 12:00"),
    ],
)
def test_moments_are_written_as_people_write_them(language: str, said: str) -> None:
    with translation.override(language):
        assert f">{said}<" in minute(NOON)


# --- the pages


class Said(HTMLParser):
    """What a page says to who looks at it or has it read out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for name, value in attrs if name in ("aria-label", "placeholder", "title") and value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.texts).split())


def english(page: str, language: str) -> list[str]:
    """Return the longer parts of English sentences that a page in another language says."""
    text = str(Said(page))
    return [
        part.strip()
        for message in catalogues.translated(language)
        for words in words_of(message)
        if message.id and words not in catalogues.forms(message)
        for part in PLACE.split(words)[::2]
        if len(part.strip()) > 12 and part.strip() in text
    ]


def test_english_in_a_page_is_found() -> None:
    page = "<p>Ihre <b aria-label='Put it into my calendar'>3 of 4\n calendars have gone over.</b></p>"
    assert english(page, "de") == ["calendars have gone over.", "Put it into my calendar"]


def _as_it_is(company: Company) -> None:
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=NOON + timedelta(days=9))


def _with_all(company: Company) -> None:
    """Nobody works on it, its window is known, much has happened, and there is another move."""
    Handover.objects.filter(batch=company.batch).update(cut_line=NOON + timedelta(hours=20))
    for milestone in ("planned", "needs_you", "problem", "done"):
        Notice.objects.create(
            batch=company.batch, customer=company.northwind, milestone=milestone, found_at=NOON, ended_at=NOON
        )
    other = make.make_batch("other", source=company.batch.target, target=company.batch.source)
    other.customers.add(company.northwind)


def _stopped(company: Company) -> None:
    Batch.objects.update(status=BatchStatus.STOPPED)


def _paused(company: Company) -> None:
    Handover.objects.update(paused=True)


def _back(company: Company) -> None:
    Handover.objects.update(backwards=True)


def _ended(company: Company) -> None:
    Batch.objects.update(closed_at=NOON)


def _that_can_be_put_off(company: Company) -> None:
    company.batch.items.filter(connection__calendar__customer=company.southwind).delete()
    company.batch.items.update(status="waiting", step=Step.HAND_OVER)
    Batch.objects.update(goal=Step.VERIFY, reached=Step.VERIFY, postpone_until=NOON + timedelta(days=5))
    Handover.objects.filter(batch=company.batch).update(cut_line=NOON + timedelta(hours=20))


def _with_many(company: Company) -> None:
    for number in range(content.PER_PAGE):
        calendar = make.make_calendar(company.northwind, email=f"id-{number:03}")
        make.make_item(company.batch, connection=make.make_connection(company.batch.source, calendar))
        make.make_assignment(company.batch.source, calendars=(calendar,), start=NOON + timedelta(hours=1))


def _counted_later(company: Company) -> None:
    Batch.objects.update(goal="")
    company.batch.items.all().delete()
    company.batch.customers.add(company.northwind)


def _without_a_move(company: Company) -> None:
    Batch.objects.update(draft=True)


@pytest.mark.parametrize(
    "come_about",
    [
        _as_it_is,
        _with_all,
        _stopped,
        _paused,
        _back,
        _ended,
        _that_can_be_put_off,
        _with_many,
        _counted_later,
        _without_a_move,
    ],
)
def test_a_page_in_another_language_says_nothing_in_english(
    come_about: Callable[[Company], None], company: Company
) -> None:
    come_about(company)
    _, secret = make.make_status_link(company.northwind)
    for language in LANGUAGES:
        for name in ("page", "live", "data", "window"):
            said = {"told": "1", "put_off": "1", "reconnect": "other"}
            response = Client().get(reverse(f"status:{name}", args=[secret]), {"lang": language, **said})
            text = response.content.decode()
            assert english(text, language) == []
            assert response["Content-Language"] == language
            assert "%(" not in text


@pytest.fixture
def opened(company: Company) -> tuple[StatusLink, str]:
    return make.make_status_link(company.northwind)


@everywhere
def test_what_is_refused_is_refused_in_their_language(language: str, opened: tuple[StatusLink, str]) -> None:
    _, secret = opened
    client = Client(headers={"Accept-Language": language})
    answers = [client.get(reverse("status:page", args=[new_secret()]))]
    answers += [client.get(reverse("status:back"))]
    answers += [client.get(reverse("status:live", args=[new_secret()]), headers={"HX-Request": "true"})]
    answers += [client.post(reverse("status:tell", args=[secret]), data) for data in ({}, {"text": "x", "email": "x"})]
    answers += [client.post(reverse("status:postpone", args=[secret]))]
    StatusLink.objects.update(tat=machine_now().timestamp() + 3600)  # as after far too many
    answers += [client.get(reverse("status:page", args=[secret]))]
    assert [answer.status_code for answer in answers] == [404, 400, 286, 400, 400, 409, 429]
    for answer in answers:
        page = answer.content.decode()
        assert english(page, language) == []
        assert "Enter a valid" not in page
        assert answer.status_code == 286 or f'<html lang="{language}">' in page


# --- the choice


def language_of(response: Any) -> str:
    found = re.search(r'<html lang="([^"]*)">', response.content.decode())
    assert found is not None
    assert found[1] == response["Content-Language"]
    return found[1]


@pytest.mark.parametrize(
    ("wished", "spoken"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-CA", "fr"),
        ("pt-BR,ja;q=0.5", "ja"),
        ("zh,ko", "en"),
        ("*", "en"),
        ("x" * 900 + ",;q=ü", "en"),
    ],
)
def test_without_a_choice_it_is_the_browsers_language(wished: str, spoken: str, opened: tuple[StatusLink, str]) -> None:
    response = Client(headers={"Accept-Language": wished}).get(reverse("status:page", args=[opened[1]]))
    assert language_of(response) == spoken
    assert {"Accept-Language", "Cookie"} <= {name.strip() for name in response["Vary"].split(",")}
    assert not response.cookies


def test_a_choice_is_remembered_for_status_pages_and_nothing_else(opened: tuple[StatusLink, str]) -> None:
    url = reverse("status:page", args=[opened[1]])
    client = Client(headers={"Accept-Language": "fr"})
    response = client.get(url, {"lang": "ja"})
    assert language_of(response) == "ja"
    cookie = response.cookies["lang"]
    assert (cookie.value, cookie["path"], cookie["samesite"]) == ("ja", "/status/", "Lax")
    assert cookie["httponly"]
    assert cookie["max-age"] == 365 * 24 * 3600
    assert language_of(client.get(url)) == "ja"
    assert language_of(client.get(url, {"lang": "en"})) == "en"
    assert language_of(client.get(url)) == "en"


@pytest.mark.parametrize("odd", ["xx", "../../etc", "<script>", "ü" * 300, "\x00"])
def test_a_language_that_there_is_not_is_no_choice(odd: str, opened: tuple[StatusLink, str]) -> None:
    url = reverse("status:page", args=[opened[1]])
    response = Client(headers={"Accept-Language": "fr"}).get(url, {"lang": odd})
    assert language_of(response) == "fr"
    assert not response.cookies
    client = Client(headers={"Accept-Language": "fr"})
    client.cookies["lang"] = odd.encode("ascii", "ignore").decode().replace("\x00", "")
    assert language_of(client.get(url)) == "fr"


def test_it_is_changed_where_one_is_and_each_language_is_called_as_its_people_call_it(
    opened: tuple[StatusLink, str],
) -> None:
    page = Client().get(reverse("status:page", args=[opened[1]]), {"move": "1", "show": "moved", "lang": "de"})
    links = dict(re.findall(r'<a id="lang-(\w\w)" href="([^"]*)"', page.content.decode()))
    assert list(links) == ["en", "de", "fr", "ja"]
    assert links["fr"].endswith("/?move=1&amp;show=moved&amp;lang=fr")
    for name in (">English<", ">Deutsch<", ">Français<", ">日本語<", 'lang="ja" hreflang="ja"'):
        assert name in page.content.decode()
    wrong = Client().post(reverse("status:tell", args=[opened[1]]) + "?move=1", {})
    (link,) = re.findall(r'<a id="lang-fr" href="([^"]*)"', wrong.content.decode())
    assert language_of(Client().get(link.replace("&amp;", "&"))) == "fr"


def test_news_come_in_the_language_of_the_page_and_choose_nothing(opened: tuple[StatusLink, str]) -> None:
    client = Client()
    page = client.get(reverse("status:page", args=[opened[1]]), {"lang": "de"})
    (address,) = re.findall(r'hx-get="([^"]*)"', page.content.decode())
    address = address.replace("&amp;", "&")
    client.get(reverse("status:page", args=[opened[1]]), {"lang": "fr"})  # in another window
    answer = client.get(address, headers={"HX-Request": "true"})
    assert (answer.status_code, answer["Content-Language"]) == (204, "de")
    assert not answer.cookies
    assert client.get(address.replace("lang=de", "lang=ja"), headers={"HX-Request": "true"}).status_code == 200


def test_what_is_taken_away_is_in_the_same_language(opened: tuple[StatusLink, str], company: Company) -> None:
    Handover.objects.filter(batch=company.batch).update(cut_line=NOON + timedelta(hours=20))
    client = Client(headers={"Accept-Language": "de"})
    move = client.get(reverse("status:data", args=[opened[1]])).json()["move"]
    assert [phase["name"] for phase in move["phases"]] == ["Vorbereiten", "Einrichten", "Umstellen", "Aufräumen"]
    assert move["meetings"][0]["start"] == "2026-11-23T14:00:00Z"
    body = client.get(reverse("status:window", args=[opened[1]])).content
    (event,) = CalendarFile.from_ical(body).walk("VEVENT")
    assert event["SUMMARY"].startswith("Die Aufzeichnung von Besprechungen")


def test_numbers_are_said_as_each_language_says_them(company: Company) -> None:
    _as_it_is(company)
    for language, said in (("de", "etwa 15 Minuten"), ("fr", "environ 15 minutes"), ("ja", "約15分")):
        with translation.override(language):
            assert content.move_of(company.batch, company.northwind).left == said
    for language, said in (("de", "0 Minuten"), ("fr", "0 minute"), ("ja", "0分")):
        with translation.override(language):
            found = translation.ngettext("about %(count)s minute", "about %(count)s minutes", 0) % {"count": 0}
            assert found.endswith(said)


def test_staffs_pages_stay_english_whatever_was_spoken_before(opened: tuple[StatusLink, str]) -> None:
    client = Client(headers={"Accept-Language": "ja"})
    client.cookies["lang"] = "de"
    assert language_of(client.get(reverse("status:page", args=[opened[1]]))) == "de"
    assert translation.get_language() == "en"
    client.force_login(User.objects.create_superuser("chief"))
    response = client.get(reverse("admin:migrations_app_batch_changelist"))
    assert '<html lang="en' in response.content.decode()
    assert "Content-Language" not in response.headers
    assert clock.now() == NOON


def test_an_error_leaves_no_language_behind(opened: tuple[StatusLink, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrations_app.status.content.batches_of", lambda _: 1 / 0)
    client = Client(raise_request_exception=False)
    assert client.get(reverse("status:page", args=[opened[1]]), {"lang": "ja"}).status_code == 500
    assert translation.get_language() == "en"
