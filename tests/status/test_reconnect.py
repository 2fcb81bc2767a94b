"""A person connects their calendar again: through the sandbox's consent pages over real HTTP, and back."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calendars.models import AuditEntry, Calendar, Connection, OAuthClient
from calendars.providers.identity import redirect_uri
from migrations_app.itineraries import Step
from migrations_app.models import Consent, Finding, Item, ItemStatus, StatusLink, StepRecord
from migrations_app.status import words
from migrations_app.status.reconnect import COOKIE, LIFE
from recallops import clock
from recallops.sandbox.control import Control
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.server import Doors
from recallops.sandbox.world import World
from tests.admin import builders as make
from tests.status.conftest import Company

pytestmark = pytest.mark.django_db

ADA = "person-2@northwind.example"  # whose calendar waits for her
CARL = "carl@elsewhere.example"  # another account, maybe her own
NAMES = {GOOGLE: "google", OUTLOOK: "microsoft"}
SECRET = "opens-the-client"
CLIENT = "client.apps.example"


@dataclass
class Visit:
    """Somebody with the customer's link, in a browser of their own."""

    world: World
    item: Item
    link: StatusLink
    secret: str
    browser: Client = field(default_factory=Client)

    def page(self) -> str:
        """Return the status page."""
        return self.browser.get(reverse("status:page", args=[self.secret])).content.decode()

    def leave(self, number: int | None = None) -> str:
        """Press the button; return where it leads."""
        response = self.browser.get(reverse("status:connect", args=[self.secret, number or self.item.pk]))
        assert response.status_code == 302
        return str(response.headers["Location"])

    def decide(self, there: str, email: str = ADA, decision: str = "allow") -> str:
        """Press a button of the consent page; return where it leads."""
        assert httpx.get(there).status_code == 200
        answer = httpx.post(there, data={"email": email, "decision": decision})
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def come_back(self, url: str) -> Any:
        """Follow the way back, to the page on which it ends."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == redirect_uri()
        return self.browser.get(f"{parts.path}?{parts.query}", follow=True)

    def go(self, email: str = ADA, decision: str = "allow") -> str:
        """Go the whole way; return the page on which it ends."""
        return str(self.come_back(self.decide(self.leave(), email, decision)).content.decode())

    def grants(self, email: str) -> list[bool]:
        """Tell of each consent of an account whether it still holds."""
        return [one.revoked_at is None for one in self.world.grants.values() if one.account[1] == email]


@pytest.fixture(params=[GOOGLE, OUTLOOK])
def platform(request: pytest.FixtureRequest) -> str:
    """Both of them, unless a test says which."""
    return str(request.param)


@pytest.fixture
def visit(company: Company, platform: str, settings: Any, time_stands_still: clock.ManualClock) -> Iterator[Visit]:
    """Northwind's link; an identity provider that knows the company's client; Ada's calendar waits for her."""
    world = World(time_stands_still)
    client = world.add_client(platform, CLIENT, secret=SECRET, redirect_uris=(redirect_uri(),))
    for email in (ADA, CARL):
        world.add_account(platform, email)
    doors = Doors(world, Control(world))
    doors.start()
    home = f"{doors.identity_url}/{NAMES[platform]}"
    there = {name: f"{home}/{name}" for name in ("authorize", "token", "account")}
    there["revoke"] = f"{home}/revoke" if platform == GOOGLE else ""
    settings.IDENTITY = {**settings.IDENTITY, platform: {**settings.IDENTITY[platform], **there}}
    OAuthClient.objects.create(platform=platform, client_id=client.client_id, client_secret=SECRET, reconnects=True)
    Calendar.objects.update(platform=platform)
    link, secret = make.make_status_link(company.northwind)
    yield Visit(world, Item.objects.get(title=ADA), link, secret)
    doors.stop()


only_google = pytest.mark.parametrize("platform", [GOOGLE], indirect=True)
only_outlook = pytest.mark.parametrize("platform", [OUTLOOK], indirect=True)


def untouched(item: Item) -> bool:
    """Tell whether nothing has come of it: the item waits, and no token is stored."""
    item.refresh_from_db()
    return item.status == ItemStatus.USER and not Consent.objects.exists()


def test_who_consents_with_the_calendars_own_account_lets_it_go_on(visit: Visit) -> None:
    assert f'id="connect-{visit.item.pk}"' in visit.page()
    said = visit.go()
    assert str(words.RECONNECTED["done"]) in said
    visit.item.refresh_from_db()
    assert (visit.item.status, visit.item.step, visit.item.reason) == (ItemStatus.READY, Step.RECREATE, "")
    consent = Consent.objects.get()
    assert visit.world.grants[consent.refresh_token].account[1] == ADA
    assert (consent.item, consent.link, consent.used_at) == (visit.item, visit.link, None)
    assert f'id="connect-{visit.item.pk}"' not in visit.page()
    assert StepRecord.objects.filter(item=visit.item, status=ItemStatus.READY).count() == 1
    entry = AuditEntry.objects.get(action="item.connected_again")
    assert entry.data["status_link"] == visit.link.pk


def test_it_asks_for_no_more_than_the_vendor_needs_and_proposes_the_account(visit: Visit, platform: str) -> None:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(visit.leave()).query).items()}
    scopes = {
        GOOGLE: "https://www.googleapis.com/auth/calendar.events.readonly "
        "https://www.googleapis.com/auth/userinfo.email",
        OUTLOOK: "offline_access openid email https://graph.microsoft.com/Calendars.Read",
    }
    assert (asked["scope"], asked["login_hint"]) == (scopes[platform], ADA)
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert visit.secret not in str(asked)


def test_who_consents_with_another_account_is_told_so_and_nothing_is_left_behind(visit: Visit, platform: str) -> None:
    said = visit.go(CARL)
    assert str(words.RECONNECTED["other"]).replace("'", "&#x27;") in said
    assert untouched(visit.item)
    assert visit.grants(CARL) == [platform == OUTLOOK]  # at Microsoft nobody but its own people can take it back
    assert str(words.RECONNECTED["done"]) in visit.go()


@only_google
def test_a_colleague_who_is_connected_already_is_not_cut_off_by_it(visit: Visit, company: Company) -> None:
    """Google takes back everything that a person ever allowed a client, also what their calendar lives on."""
    calendar = make.make_calendar(company.northwind, email=CARL, family=company.batch.source.family)
    make.make_connection(company.batch.source, calendar)
    colleague = "dora@northwind.example"  # connected in some account that nobody told us of
    visit.world.add_account(GOOGLE, colleague)
    for email in (CARL, colleague):
        visit.world.grant(visit.world.accounts[GOOGLE, email], CLIENT)
        visit.go(email)
        assert visit.grants(email) == [True, True]
    assert untouched(visit.item)


def test_who_says_no_may_try_again(visit: Visit) -> None:
    assert str(words.RECONNECTED["declined"]) in visit.go(decision="cancel")
    assert untouched(visit.item)
    assert str(words.RECONNECTED["done"]) in visit.go()


@only_google
def test_what_was_begun_in_one_browser_is_not_finished_in_another(visit: Visit) -> None:
    """Whoever is sent somebody else's way back, or forges one, gets nowhere; the code stays unused."""
    url = visit.decide(visit.leave())
    parts = urlsplit(url)
    answer = Client().get(f"{parts.path}?{parts.query}", follow=True)
    assert answer.status_code == 400
    assert "begun in another browser" in answer.content.decode()
    assert "code=" not in answer.content.decode() + answer.request["QUERY_STRING"]
    assert untouched(visit.item)
    other = Visit(visit.world, visit.item, visit.link, visit.secret)
    other.leave()
    assert other.come_back(url).status_code == 400
    assert str(words.RECONNECTED["done"]) in visit.come_back(url).content.decode()


@only_google
def test_a_way_back_is_taken_once(visit: Visit) -> None:
    url = visit.decide(visit.leave())
    visit.come_back(url)
    assert visit.come_back(url).status_code == 400


@only_google
def test_a_way_back_is_open_for_a_while(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    url = visit.decide(visit.leave())
    later = datetime.now(UTC).timestamp() + LIFE + 1
    monkeypatch.setattr("cryptography.fernet.time.time", lambda: later)
    assert visit.come_back(url).status_code == 400
    assert untouched(visit.item)


@only_google
@pytest.mark.parametrize("change", [{"revoked_at": timezone.now()}, {"expires_at": make.NOON}])
def test_a_link_that_has_ended_meanwhile_opens_nothing(visit: Visit, change: dict[str, Any]) -> None:
    url = visit.decide(visit.leave())
    StatusLink.objects.filter(pk=visit.link.pk).update(**change)
    answer = visit.come_back(url)
    assert answer.status_code == 404
    assert "This link does not open anything" in answer.content.decode()
    assert untouched(visit.item)


@only_google
@pytest.mark.parametrize("whose", ["of another customer", "one that waits for nobody", "none"])
def test_only_the_customers_own_calendars_that_wait_can_be_connected(
    visit: Visit, company: Company, whose: str
) -> None:
    theirs = Item.objects.filter(title="person-0@southwind.example")
    theirs.update(status=ItemStatus.USER, step=Step.RECREATE, error_kind="customer")
    numbers = {
        "of another customer": theirs.get().pk,
        "one that waits for nobody": Item.objects.get(title="person-1@northwind.example").pk,
        "none": 10**15,
    }
    there = visit.leave(numbers[whose])
    assert there.startswith(reverse("status:page", args=[visit.secret]))
    assert COOKIE not in str(visit.browser.cookies)


@only_google
def test_a_calendar_that_waits_no_more_when_its_person_comes_back_is_left_alone(visit: Visit) -> None:
    url = visit.decide(visit.leave())
    Item.objects.filter(pk=visit.item.pk).update(status=ItemStatus.WAITING, step=Step.HAND_OVER, reason="it goes on")
    assert str(words.RECONNECTED["gone"]) in visit.come_back(url).content.decode()
    visit.item.refresh_from_db()
    assert visit.item.reason == "it goes on"
    assert not Consent.objects.exists()


@only_google
def test_that_staff_press_retry_meanwhile_takes_nothing_from_who_comes_back(visit: Visit) -> None:
    url = visit.decide(visit.leave())
    Item.objects.filter(pk=visit.item.pk).update(status=ItemStatus.READY, reason="", lease_token=uuid.uuid4())
    assert str(words.RECONNECTED["done"]) in visit.come_back(url).content.decode()
    visit.item.refresh_from_db()
    assert visit.item.lease_token is None  # who works on it without the consent writes nothing any more


@only_google
def test_a_link_that_is_used_too_often_says_that_it_did_not_work(visit: Visit) -> None:
    url = visit.decide(visit.leave())
    StatusLink.objects.update(tat=datetime.now(UTC).timestamp() + 3600)
    assert "Too often" in visit.page()
    parts = urlsplit(url)
    answer = visit.browser.get(f"{parts.path}?{parts.query}")
    assert "reconnect=late" in answer.headers["Location"]
    assert untouched(visit.item)


def test_a_client_that_is_not_as_they_know_it_is_told_to_staff_until_it_works(visit: Visit, platform: str) -> None:
    OAuthClient.objects.update(client_secret="an old one")
    assert str(words.RECONNECTED["ours"]) in visit.go()
    assert untouched(visit.item)
    finding = Finding.objects.get(code="reconnect")
    assert "invalid_client" in finding.sentence
    assert "an old one" not in finding.sentence + finding.remedy
    OAuthClient.objects.update(client_secret=SECRET)
    visit.go()
    finding.refresh_from_db()
    assert finding.gone_at is not None


@only_google
def test_what_stands_in_the_address_is_shown_to_nobody_and_known_words_to_staff(visit: Visit) -> None:
    for error, word in {"": "late", "<b>odd": "late", "server_error": "away", "invalid_scope": "ours"}.items():
        state = parse_qs(urlsplit(visit.leave()).query)["state"][0]
        answer = visit.browser.get(reverse("status:back"), {"state": state, "error": error}, follow=True)
        said = answer.content.decode()
        assert "odd" not in said
        assert str(words.RECONNECTED[word]) in said
    assert "invalid_scope" in Finding.objects.get(code="reconnect").sentence


@only_google
def test_who_leaves_a_tick_out_is_told_what_is_missing(visit: Visit, settings: Any) -> None:
    asked = settings.IDENTITY[GOOGLE]["scopes"]
    settings.IDENTITY[GOOGLE]["scopes"] = [scope for scope in asked if "calendar" not in scope]
    url = visit.decide(visit.leave())
    settings.IDENTITY[GOOGLE]["scopes"] = asked
    assert str(words.RECONNECTED["partly"]) in visit.come_back(url).content.decode()
    assert untouched(visit.item)


def test_a_provider_that_does_not_answer_is_no_dead_end(visit: Visit, platform: str, settings: Any) -> None:
    address = settings.IDENTITY[platform]["token"]
    settings.IDENTITY[platform]["token"] = "http://127.0.0.1:9/token"
    assert str(words.RECONNECTED["away"]) in visit.go()
    assert untouched(visit.item)
    settings.IDENTITY[platform]["token"] = address
    assert str(words.RECONNECTED["done"]) in visit.go()


def test_nothing_that_opens_anything_is_logged_or_recorded(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = visit.decide(visit.leave())
    visit.come_back(url)
    carried = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    kept = [*visit.world.grants, SECRET, visit.secret, carried["code"], carried["state"]]
    written = caplog.text + str(list(AuditEntry.objects.values())) + str(list(StepRecord.objects.values()))
    assert "connected_again" in written
    assert [one for one in kept if one in written] == []


@only_google
def test_what_the_browser_keeps_is_for_this_way_only(visit: Visit) -> None:
    visit.leave()
    (kept,) = (morsel for name, morsel in visit.browser.cookies.items() if name.startswith(COOKIE))
    assert (kept["path"], kept["httponly"], kept["samesite"]) == (reverse("status:back"), True, "Lax")
    assert int(kept["max-age"]) == LIFE


@only_google
def test_without_an_address_of_our_own_nobody_is_sent_away(visit: Visit, settings: Any) -> None:
    settings.SITE_URL = ""
    assert f'id="connect-{visit.item.pk}"' not in visit.page()


@only_outlook
def test_a_client_with_a_certificate_signs_for_itself(visit: Visit) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Acme")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(clock.now() - timedelta(days=1)).not_valid_after(clock.now() + timedelta(days=1))
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private = key.private_bytes(*form).decode()
    visit.world.add_client(
        OUTLOOK, CLIENT, certificate=certificate, private_key=private, redirect_uris=(redirect_uri(),)
    )
    OAuthClient.objects.update(client_secret="", certificate=certificate, private_key=private)
    assert str(words.RECONNECTED["done"]) in visit.go()
    credentials = Consent.objects.get().credentials(Connection.objects.get(items=visit.item))
    assert (credentials["oauth_client_secret"], credentials["oauth_client_certificate"]) == (None, certificate)
