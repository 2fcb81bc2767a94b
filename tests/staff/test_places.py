"""Who may see and do what: every address of the staff pages, every act and every action of a list, as each role."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, get_resolver, reverse

from migrations_app import roles
from migrations_app.itineraries import Step
from recallops.admin_base import ModelAdmin
from tests.admin.acts import ACTS
from tests.admin.builders import make_batch, make_staff
from tests.admin.pressing import address, press
from tests.browser.rows import make_rows
from tests.staff.places import APART, LIST_ACTIONS, LOOKED_AT, MODELS, NOBODY, PAGES, STAFF, SUPERUSER

pytestmark = pytest.mark.django_db
each_role = pytest.mark.parametrize("role", roles.ROLES)
ACT_RIGHTS = {act.name: act.needs for act in ACTS}
VERBS = {"v": "view", "a": "add", "d": "delete"}
REFUSED = (403, 404, 405, 500)


def kind_of(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def named() -> Iterator[tuple[str, type[Model] | None]]:
    """Every address of the staff pages by its name, acts left out, with the model whose pages it belongs to."""
    for model, pages in admin.site._registry.items():
        assert isinstance(pages, ModelAdmin), f"{model.__name__} stands on another base"
        acts = {f"{kind_of(model)}_{act.name}" for act in pages.post_actions()}
        for pattern in pages.urls:
            name = getattr(pattern, "name", None)
            if name and name not in acts:
                yield name, model
    known = [kind_of(model) for model in admin.site._registry]
    for pattern in admin.site.urls[0]:
        name = getattr(pattern, "name", None)
        if name and not any(name.startswith(f"{kind}_") for kind in known):
            yield name, None
    for entry in get_resolver().url_patterns:
        if str(entry.pattern).startswith("admin/") and getattr(entry, "app_name", "") != "admin":
            space = f"{entry.app_name}:" if getattr(entry, "app_name", "") else ""
            for pattern in getattr(entry, "url_patterns", [entry]):
                yield f"{space}{pattern.name}", None


def right_of(name: str) -> str | None:
    """The right that an address takes; None for one that no table names."""
    if name in PAGES:
        return PAGES[name]
    kind, _, what = name.rpartition("_")
    looks = what in ("changelist", "change", "history")
    if kind in LOOKED_AT and what in ("changelist", "change", "history", "add", "delete"):
        return LOOKED_AT[kind] if looks else NOBODY
    if kind not in MODELS:
        return None
    letter = "v" if looks else {"add": "a", "delete": "d"}.get(what, "?")
    if letter == "?":
        return None
    if letter not in MODELS[kind]:
        return NOBODY
    label, model = next(
        (one._meta.app_label, one._meta.model_name) for one in admin.site._registry if kind_of(one) == kind
    )
    return f"{label}.{VERBS[letter]}_{model}"


def may(role: str, right: str) -> bool:
    return right == STAFF or right in roles.rights(role)


@pytest.fixture
def rows(db: None) -> None:
    make_staff("anybody")  # the first of staff: only superusers touch a superuser
    make_rows("chief", "correct horse")


def url_of(name: str, model: type[Model] | None) -> str:
    for known in (f"admin:{name}", name):
        with suppress(NoReverseMatch):
            return reverse(known)
    if model is not None:
        pages = admin.site._registry[model]
        row = pages.get_queryset(request_of(User.objects.get(username="chief"))).order_by("pk").first()
        assert row is not None, f"there is no row of {kind_of(model)}"
        return reverse(f"admin:{name}", args=[row.pk])
    raise AssertionError(f"{name} wants arguments that nobody knows")


def request_of(user: User) -> Any:
    request = RequestFactory().get("/")
    request.user = user
    return request


def asked(client: Client, url: str, *, post: bool = False) -> int:
    """The status of an answer; whatever it did is undone."""
    with transaction.atomic():
        response = client.post(url, {}) if post else client.get(url)
        if response.streaming:
            b"".join(response.streaming_content)  # type: ignore[arg-type]
        transaction.set_rollback(True)
    return response.status_code


def test_every_address_of_the_staff_pages_is_in_the_tables_and_no_other() -> None:
    found = {name for name, _ in named()} - APART
    assert sorted(name for name in found if right_of(name) is None) == []
    assert sorted(set(PAGES) - found) == []
    assert sorted({*MODELS, *LOOKED_AT} - {kind_of(model) for model in admin.site._registry}) == []


def test_every_right_of_the_tables_is_given_to_some_role() -> None:
    given = roles.rights(roles.ADMINISTRATOR)
    wanted = {right_of(name) for name, _ in named()} | set(ACT_RIGHTS.values()) | set(LIST_ACTIONS.values())
    assert sorted(right for right in wanted - {None, STAFF, SUPERUSER, NOBODY} if right not in given) == []


@each_role
def test_a_role_sees_what_the_tables_say_and_nothing_else(role: str, rows: None, hired: Callable[..., User]) -> None:
    client = Client()
    client.force_login(hired("dana", role))
    chief = request_of(User.objects.get(username="chief"))
    wrong = []
    for name, model in named():
        if name in APART:
            continue
        url, allowed = url_of(name, model), may(role, right_of(name) or NOBODY)
        if allowed and model and name.endswith("_delete"):  # a row in use stays, whoever asks
            pages = admin.site._registry[model]
            row = pages.get_queryset(chief).order_by("pk").first()
            allowed = pages.has_delete_permission(chief, row)
        status = asked(client, url)
        if (status in REFUSED) == allowed:
            wrong.append(f"{name} {url}: {status}, and should be {'open' if allowed else 'refused'}")
    assert wrong == []


@each_role
def test_a_role_presses_what_the_tables_say_and_nothing_else(role: str, hired: Callable[..., User]) -> None:
    client = Client()
    client.force_login(hired("dana", role))
    wrong = []
    for act in ACTS:
        subject = act.build()
        status = asked(client, address(subject, act.name.partition("_")[2]), post=True)
        if (status == 403) == may(role, act.needs):
            wrong.append(f"{act.name}: {status}")
    assert wrong == []


@each_role
def test_a_role_is_offered_the_actions_of_lists_that_it_may_take(role: str, hired: Callable[..., User]) -> None:
    request = request_of(hired("dana", role))
    offered, known = set(), set(LIST_ACTIONS)
    for model, pages in admin.site._registry.items():
        for action in pages.get_actions(request):
            if action == "delete_selected":
                assert may(role, f"{model._meta.app_label}.delete_{model._meta.model_name}"), kind_of(model)
            else:
                offered.add(f"{kind_of(model)}_{action}")
    assert offered == {name for name in known if may(role, LIST_ACTIONS[name])}


@each_role
def test_every_link_that_a_role_is_shown_opens(role: str, hired: Callable[..., User]) -> None:
    client = Client()
    client.force_login(hired("dana", role))
    page = client.get("/admin/").content.decode()
    links = {link for link in re.findall(r'href="(/admin/[^"#?]*)"', page) if "logout" not in link}
    assert len(links) > 10
    assert [link for link in sorted(links) if asked(client, link) in REFUSED] == []


@pytest.mark.parametrize("model", roles.SECRET)
@pytest.mark.parametrize("role", roles.ROLES[:-1])
def test_pages_of_secrets_are_closed_to_all_but_administrators(
    role: str, model: str, hired: Callable[..., User]
) -> None:
    client = Client()
    client.force_login(hired("dana", role))
    for page in ("changelist", "add"):
        assert client.get(reverse(f"admin:calendars_{model}_{page}")).status_code == 403


def test_an_operator_lets_nothing_be_deleted_at_a_provider_and_an_approver_does(hired: Callable[..., User]) -> None:
    batch = make_batch("acme", goal=Step.HAND_OVER, step=Step.HAND_OVER)
    for role, step in ((roles.OPERATOR, Step.HAND_OVER), (roles.APPROVER, Step.DELETE_OLD)):
        client = Client()
        client.force_login(hired(role, role))
        press(client, batch, "goal", step="delete_old", confirm="acme")
        batch.refresh_from_db()
        assert batch.goal == step


def test_an_operator_sends_no_batch_back_that_has_made_something(hired: Callable[..., User]) -> None:
    batch = make_batch("acme", goal=Step.RECREATE, step=Step.RECREATE)
    for role, back in ((roles.OPERATOR, False), (roles.APPROVER, True)):
        client = Client()
        client.force_login(hired(role, role))
        press(client, batch, "go_back", confirm="acme")
        batch.handover.refresh_from_db()
        assert batch.handover.backwards is back
