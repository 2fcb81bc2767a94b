"""Who guesses passwords is locked out for a while, by name and address; nobody else is, and no password is kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calendars.models import AuditEntry
from tests.staff.conftest import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
GUESS = "hunter2-is-my-guess"
HERE, ELSEWHERE = "203.0.113.9", "198.51.100.7"


def tried(name: str = "dana", password: str = GUESS, *, address: str = HERE) -> Any:
    return Client().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


@pytest.fixture
def dana(hired: Callable[..., User], settings: Any) -> User:
    settings.AXES_FAILURE_LIMIT = 3
    return hired("dana", "operator")


def test_log_ins_and_log_outs_are_on_record_with_their_address(dana: User) -> None:
    client = Client(REMOTE_ADDR=HERE)
    client.post(LOGIN, {"username": "dana", "password": PASSWORD})
    client.post(reverse("admin:logout"))
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name", "door", "address")) == [
        ("user.log_in", "dana", "admin", HERE),
        ("user.log_out", "dana", "admin", HERE),
    ]


def test_who_changes_the_own_password_does_so_on_record(dana: User) -> None:
    client = Client(REMOTE_ADDR=HERE)
    client.force_login(dana)
    page, new = reverse("admin:password_change"), "quite another horse"
    data = {"old_password": GUESS, "new_password1": new, "new_password2": new}
    assert client.post(page, data).status_code == 200
    assert "user.password" not in acts()
    assert client.post(page, {**data, "old_password": PASSWORD}).status_code == 302
    entry = AuditEntry.objects.get(action="user.password")
    assert (entry.actor_name, entry.subject_name, entry.address) == ("dana", "dana", HERE)
    assert client.get("/admin/").status_code == 200
    assert new not in str(list(AuditEntry.objects.values()))


def test_after_so_many_wrong_passwords_even_the_right_one_is_refused_in_words(dana: User) -> None:
    for _ in range(3):
        response = tried()
    assert response.status_code == 429
    response = tried(password=PASSWORD)
    assert response.status_code == 429
    assert "too many wrong log-ins" in response.content.decode()
    assert acts() == ["user.log_in_failed", "user.log_in_failed", "user.locked_out"]


def test_the_trail_does_not_grow_with_the_tries_of_who_is_locked_out(dana: User) -> None:
    for _ in range(3):
        tried()
    before = acts()
    for _ in range(5):
        tried()
    assert acts() == before


def test_somebody_elsewhere_and_somebody_else_are_let_in(dana: User, hired: Callable[..., User]) -> None:
    hired("eve", "operator")
    for _ in range(3):
        tried()
    assert tried(password=PASSWORD, address=ELSEWHERE).status_code == 302
    assert tried("eve", PASSWORD).status_code == 302
    assert tried(password=PASSWORD).status_code == 429


def test_it_ends_by_itself_whatever_is_tried_meanwhile(dana: User, settings: Any) -> None:
    settings.AXES_COOLOFF_TIME = timedelta(minutes=15)
    for _ in range(4):
        tried()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert tried(password=PASSWORD).status_code == 302


def test_the_right_password_forgets_the_wrong_ones(dana: User) -> None:
    for _ in range(3):
        tried()
        tried()
        assert tried(password=PASSWORD).status_code == 302


def test_a_name_that_does_not_exist_is_answered_like_one_that_does_and_is_not_on_record(dana: User) -> None:
    answers = {name: [tried(name).status_code for _ in range(3)] for name in ("dana", "nobody-of-this-name")}
    assert answers["dana"] == answers["nobody-of-this-name"]
    assert all(entry.subject_name == "dana" for entry in AuditEntry.objects.all())


def test_no_password_and_no_token_of_a_form_is_kept_or_logged(dana: User, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(enforce_csrf_checks=True, REMOTE_ADDR=HERE)
    client.get(LOGIN)
    token = client.cookies["csrftoken"].value
    for _ in range(2):
        client.post(LOGIN, {"username": "dana", "password": GUESS, "csrfmiddlewaretoken": token})
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(a::text, ' ') FROM axes_accessattempt a")
        stored = cursor.fetchone()[0]
    assert "dana" in stored
    for secret in (GUESS, token):
        assert secret not in stored
        assert secret not in caplog.text
        assert secret not in str(list(AuditEntry.objects.values()))


def test_behind_a_proxy_it_is_the_clients_address_that_counts(dana: User, settings: Any) -> None:
    settings.BEHIND_PROXY = True
    for _ in range(3):
        Client().post(LOGIN, {"username": "dana", "password": GUESS}, headers={"X-Forwarded-For": f"10.0.0.1, {HERE}"})
    found = AccessAttempt.objects.get()
    assert found.ip_address == HERE
    free = Client().post(
        LOGIN, {"username": "dana", "password": PASSWORD}, headers={"X-Forwarded-For": f"{HERE}, {ELSEWHERE}"}
    )
    assert free.status_code == 302


def test_an_administrator_lets_somebody_in_again_and_that_is_on_record(dana: User, hired: Callable[..., User]) -> None:
    for _ in range(3):
        tried()
    boss = Client()
    boss.force_login(hired("boss"))
    attempt = AccessAttempt.objects.get()
    page = boss.get(reverse("admin:axes_accessattempt_change", args=[attempt.pk])).content.decode()
    assert "post_data" not in page
    shown = page.partition('name="shown" value="')[2].partition('"')[0]
    boss.post(reverse("admin:axes_accessattempt_forgive", args=[attempt.pk]), {"shown": shown})
    assert acts()[-1] == "user.forgive_log_ins"
    assert tried(password=PASSWORD).status_code == 302


def test_an_operator_sees_no_failed_log_ins(dana: User) -> None:
    client = Client()
    client.force_login(dana)
    assert client.get(reverse("admin:axes_accessattempt_changelist")).status_code == 403


def test_roles_given_are_on_record_and_only_superusers_make_superusers(hired: Callable[..., User]) -> None:
    from django.contrib.auth.models import Group

    boss, dana = hired("boss"), hired("dana", "viewer")
    chief = User.objects.create_superuser("chief", password=PASSWORD)
    client = Client()
    client.force_login(boss)
    page = reverse("admin:auth_user_change", args=[dana.pk])
    data = {
        "username": "dana",
        "is_active": "on",
        "is_staff": "on",
        "groups": [str(Group.objects.get(name="operator").pk)],
        "is_superuser": "on",
        "user_permissions": ["1"],
    }
    response = client.post(page, data)
    assert response.status_code == 302, response.content.decode()[:2000]
    dana.refresh_from_db()
    assert not dana.is_superuser
    assert not dana.user_permissions.exists()
    entry = AuditEntry.objects.get(action="user.roles")
    assert (entry.before, entry.after, entry.actor_name) == (["viewer"], ["operator"], "boss")
    response = client.post(reverse("admin:auth_user_change", args=[chief.pk]), {**data, "username": "chief"})
    assert response.status_code == 403
    response = client.get(reverse("admin:auth_user_password_change", args=[chief.pk]))
    assert response.status_code == 403


def test_the_checks_of_the_packages_find_nothing_wrong() -> None:
    call_command("check", "--fail-level", "WARNING")
