"""A password alone opens no staff page: the whole way of the second factor, and what stands against guessing."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import totp

from calendars.models import AuditEntry
from recallops.staff.models import CODES, Authenticator, RecoveryCodes, digest, new_secret, step_of
from tests.admin.builders import make_batch, make_staff
from tests.staff.conftest import PASSWORD

pytestmark = pytest.mark.django_db
FACTOR, HOME = "/admin/second-factor/", "/admin/"


@pytest.fixture(autouse=True)
def required(settings: Any) -> Iterator[None]:
    settings.STAFF_SECOND_FACTOR = True
    return


def code_of(secret: str, steps: int = 0) -> str:
    return f"{totp(base64.b32decode(secret), drift=steps):06d}"


def wrong_code(secret: str) -> str:
    near = {code_of(secret, steps) for steps in range(-2, 3)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


def logged_in(user: User) -> Client:
    client = Client()
    client.post("/admin/login/", {"username": user.username, "password": PASSWORD})
    return client


def set_up(client: Client, *, following: str = "") -> tuple[str, list[str]]:
    """Set it up as its person does; returns the secret and the recovery codes."""
    page = client.get(FACTOR, {"next": following} if following else {}).content.decode()
    secret = re.search(r'ro-secret">([A-Z2-7 ]+)<', page)
    sealed = re.search(r'name="sealed" value="([^"]+)"', page)
    assert secret
    assert sealed
    plain = secret[1].replace(" ", "")
    answer = client.post(FACTOR, {"code": code_of(plain), "sealed": sealed[1], "next": following}).content.decode()
    return plain, re.findall(r"<code>([a-z0-9-]+)</code>", answer)


def let_time_pass(user: User) -> None:
    """Let the wait after wrong codes be over, and the last code be an old one."""
    for model in (Authenticator, RecoveryCodes):
        model.objects.filter(user=user, throttling_failure_count__gt=0).update(
            throttling_failure_timestamp=timezone.now() - timedelta(hours=1)
        )
    Authenticator.objects.filter(user=user).update(last_step=-1)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def test_with_a_password_alone_every_staff_page_leads_to_the_second_factor(hired: Callable[..., User]) -> None:
    client = logged_in(hired())
    batch = make_batch()
    for url in (
        HOME,
        reverse("admin:migrations_app_batch_change", args=[batch.pk]),
        reverse("admin:calendars_apikey_add"),
    ):
        response = client.get(url)
        assert response.status_code == 302
        assert response["Location"].startswith(FACTOR)
    press = client.post(reverse("admin:migrations_app_batch_pause", args=[batch.pk]))
    assert press["Location"] == FACTOR
    assert not AuditEntry.objects.filter(action="batch.pause").exists()


def test_a_part_of_a_page_is_told_to_load_the_page_anew(hired: Callable[..., User]) -> None:
    client = logged_in(hired())
    response = client.get(
        reverse("admin:migrations_app_batch_live", args=[make_batch().pk]), headers={"HX-Request": "true"}
    )
    assert response["HX-Refresh"] == "true"
    assert response.content == b""


def test_who_is_not_logged_in_is_asked_for_the_password_first(client: Client) -> None:
    assert client.get(FACTOR)["Location"].startswith("/admin/login/")


def test_setting_it_up_shows_ten_codes_once_and_lets_its_person_in(hired: Callable[..., User]) -> None:
    user = hired()
    client = logged_in(user)
    batch = make_batch()
    wanted = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    assert f"next={wanted.replace('/', '%2F')}" in client.get(wanted)["Location"]
    secret, codes = set_up(client, following=wanted)
    assert len(set(codes)) == CODES
    assert client.get(wanted).status_code == 200
    again = client.get(FACTOR).content.decode()
    assert not any(code in again for code in codes)
    assert secret not in again
    assert acts()[-1] == "user.set_up_second_factor"


def test_looking_at_the_square_writes_nothing(hired: Callable[..., User]) -> None:
    client = logged_in(hired())
    before = acts()
    page = client.get(FACTOR).content.decode()
    assert "<svg" in page
    assert "no-store" in client.get(FACTOR)["Cache-Control"]
    assert not Authenticator.objects.exists()
    assert acts() == before


def test_with_a_wrong_code_nothing_is_set_up_and_the_square_stays_the_same(hired: Callable[..., User]) -> None:
    client = logged_in(hired())
    page = client.get(FACTOR).content.decode()
    secret = re.search(r'ro-secret">([A-Z2-7 ]+)<', page)
    sealed = re.search(r'name="sealed" value="([^"]+)"', page)
    assert secret
    assert sealed
    plain = secret[1].replace(" ", "")
    answer = client.post(FACTOR, {"code": wrong_code(plain), "sealed": sealed[1]}).content.decode()
    assert "This code is not right" in answer
    assert secret[1] in answer
    assert not Authenticator.objects.exists()


def test_the_sealed_secret_of_somebody_else_is_not_taken(hired: Callable[..., User]) -> None:
    page = logged_in(hired("eve")).get(FACTOR).content.decode()
    secret = re.search(r'ro-secret">([A-Z2-7 ]+)<', page)
    sealed = re.search(r'name="sealed" value="([^"]+)"', page)
    assert secret
    assert sealed
    client = logged_in(hired("dana"))
    answer = client.post(FACTOR, {"code": code_of(secret[1].replace(" ", "")), "sealed": sealed[1]}).content.decode()
    assert "scan it again" in answer
    assert not Authenticator.objects.exists()


def test_secrets_are_sealed_in_the_database_and_codes_only_hashes(hired: Callable[..., User]) -> None:
    secret, codes = set_up(logged_in(hired()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT a::text || r::text FROM staff_authenticator a, staff_recoverycodes r")
        stored = cursor.fetchone()[0]
    assert secret not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)
    assert digest(codes[0].upper().replace("-", " ")) in stored
    out = StringIO()
    call_command("reencrypt", "--dry-run", stdout=out)
    assert "staff.Authenticator" in out.getvalue()


def test_at_the_next_log_in_a_code_is_asked_for_and_no_code_works_twice(hired: Callable[..., User]) -> None:
    user = hired()
    secret, _ = set_up(logged_in(user))
    let_time_pass(user)
    client = logged_in(user)
    assert "ro-secret" not in client.get(FACTOR).content.decode()
    code = code_of(secret)
    assert client.post(FACTOR, {"code": f"{code[:3]} {code[3:]}"})["Location"] == HOME
    assert client.get(HOME).status_code == 200
    thief = logged_in(user)
    assert "used before" in thief.post(FACTOR, {"code": code}).content.decode()
    assert thief.get(HOME).status_code == 302


def test_the_session_gets_a_new_key_with_the_second_factor(hired: Callable[..., User]) -> None:
    user = hired()
    client = logged_in(user)
    before = client.session.session_key
    set_up(client)
    assert client.session.session_key != before


def test_a_recovery_code_lets_in_once_and_is_said_and_on_record(hired: Callable[..., User]) -> None:
    user = hired()
    _, codes = set_up(logged_in(user))
    client = logged_in(user)
    response = client.post(FACTOR, {"code": codes[3].upper()}, follow=True)
    assert "9 are left" in response.content.decode()
    assert acts()[-1] == "user.used_recovery_code"
    again = logged_in(user)
    assert "not right" in again.post(FACTOR, {"code": codes[3]}).content.decode()
    assert again.get(HOME).status_code == 302


def test_after_wrong_codes_one_waits_longer_and_longer_and_a_right_one_does_not_help(
    hired: Callable[..., User],
) -> None:
    user = hired()
    secret, _ = set_up(logged_in(user))
    let_time_pass(user)
    client = logged_in(user)
    client.post(FACTOR, {"code": wrong_code(secret)})
    Authenticator.objects.update(throttling_failure_count=8)
    page = client.post(FACTOR, {"code": code_of(secret)}).content.decode()
    assert re.search(r"Wait 12[78] seconds", page)
    assert client.get(HOME).status_code == 302


@pytest.mark.parametrize("code", ["", "12345", "1234567", "١٢٣٤٥٦", "-12345", "1e5", "\x00", "x" * 5000])
def test_what_is_no_code_is_refused_with_a_sentence(code: str, hired: Callable[..., User]) -> None:
    user = hired()
    set_up(logged_in(user))
    client = logged_in(user)
    response = client.post(FACTOR, {"code": code})
    assert response.status_code == 200
    assert client.get(HOME).status_code == 302


def test_new_recovery_codes_take_six_digits_and_void_the_old_ones(hired: Callable[..., User]) -> None:
    user = hired()
    client = logged_in(user)
    secret, old = set_up(client)
    let_time_pass(user)
    assert client.get(FACTOR + "codes/").status_code == 405
    client.post(FACTOR + "codes/", {"code": old[0]})
    assert len(RecoveryCodes.objects.get(user=user).digests) == CODES
    let_time_pass(user)
    page = client.post(FACTOR + "codes/", {"code": code_of(secret)}).content.decode()
    new = re.findall(r"<code>([a-z0-9-]+)</code>", page)
    assert len(new) == CODES
    assert not set(new) & set(old)
    thief = logged_in(user)
    assert "not right" in thief.post(FACTOR, {"code": old[1]}).content.decode()


def test_an_administrator_resets_anothers_but_nobody_their_own(hired: Callable[..., User]) -> None:
    user, boss = hired("dana", "operator"), hired("boss")
    hers = logged_in(user)
    set_up(hers)
    his = logged_in(boss)
    set_up(his)
    for person in (user, boss):
        page = his.get(reverse("admin:auth_user_change", args=[person.pk])).content.decode()
        shown = re.search(r'name="shown" value="([^"]*)"', page)
        data = {"shown": shown[1]} if shown else {}
        his.post(reverse("admin:auth_user_reset_second_factor", args=[person.pk]), data)
    assert not Authenticator.objects.filter(user=user).exists()
    assert Authenticator.objects.filter(user=boss).exists()
    assert hers.get(HOME)["Location"].startswith(FACTOR)
    entry = AuditEntry.objects.get(action="user.reset_second_factor")
    assert (entry.actor_name, entry.subject_name) == ("boss", "dana")


def test_an_operator_resets_nobody(hired: Callable[..., User]) -> None:
    user = hired("dana", "operator")
    client = logged_in(user)
    set_up(client)
    other = hired("eve", "operator")
    response = client.post(reverse("admin:auth_user_reset_second_factor", args=[other.pk]))
    assert response.status_code == 403


def test_who_is_no_staff_gets_no_page(db: None) -> None:
    user = make_staff("guest")
    User.objects.filter(pk=user.pk).update(is_staff=False)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    assert client.get(FACTOR)["Location"] == "/admin/login/"
    assert client.get("/admin/login/").status_code == 200


def test_the_way_on_stays_on_this_site(hired: Callable[..., User]) -> None:
    user = hired()
    secret, _ = set_up(logged_in(user))
    let_time_pass(user)
    client = logged_in(user)
    answer = client.post(FACTOR, {"code": code_of(secret), "next": "https://evil.example/admin/"})
    assert answer["Location"] == HOME


def test_where_it_is_switched_off_a_password_is_enough(hired: Callable[..., User], settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = False
    assert logged_in(hired()).get(HOME).status_code == 200


def test_a_session_left_alone_ends_and_a_page_that_renews_itself_does_not_keep_it(
    hired: Callable[..., User], settings: Any
) -> None:
    settings.STAFF_SECOND_FACTOR = False
    settings.SESSION_IDLE_SECONDS = 3600
    client = logged_in(hired())
    session = client.session
    session["seen_at"] -= 3000
    session.save()
    live = reverse("admin:migrations_app_batch_live", args=[make_batch().pk])
    client.get(live, headers={"HX-Request": "true"})
    assert client.session["seen_at"] == session["seen_at"]
    assert client.get(HOME).status_code == 200
    assert client.session["seen_at"] > session["seen_at"]
    session = client.session
    session["seen_at"] -= 3700
    session.save()
    assert client.get(HOME)["Location"].startswith("/admin/login/")


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, for the last six digits."""
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert f"{totp(base64.b32decode(secret), t0=0):06d}" == code_of(secret)
    assert step_of(secret, code_of(secret)) is not None
    assert step_of(secret, code_of(secret, -1)) is not None
    assert step_of(secret, code_of(secret, -3)) in (None, step_of(secret, code_of(secret)))
    assert len(base64.b32decode(new_secret())) == 20


def test_pages_say_since_when_it_is_there_without_markup_and_in_the_zone_that_they_name(
    hired: Callable[..., User],
) -> None:
    user, boss = hired("dana", "operator"), hired("boss")
    client = logged_in(user)
    set_up(client)
    made_at = Authenticator.objects.get(user=user).made_at
    client.cookies["tz"] = "Asia/Tokyo"
    own = client.get(FACTOR).content.decode()
    assert f'title="{made_at:%Y-%m-%d %H:%M:%S} UTC">{made_at + timedelta(hours=9):%Y-%m-%d %H:%M:%S}</time>.' in own
    chief = logged_in(boss)
    set_up(chief)
    page = chief.get(reverse("admin:auth_user_change", args=[user.pk])).content.decode()
    assert f"since {made_at:%Y-%m-%d %H:%M:%S} UTC, 10 recovery codes left" in page


def test_a_wrong_code_after_the_right_password_is_on_record_but_not_each_try_while_one_waits(
    hired: Callable[..., User],
) -> None:
    user = hired("dana", "operator")
    secret, _codes = set_up(logged_in(user))
    thief = logged_in(user)
    for _ in range(3):
        thief.post(FACTOR, {"code": wrong_code(secret)})
    assert acts().count("user.wrong_code") == 1
