"""Four groups that hold what the table of roles says, whatever became of them since."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission

from migrations_app import roles
from tests.admin.builders import make_staff

pytestmark = pytest.mark.django_db


def held(role: str) -> set[str]:
    rows = Permission.objects.filter(group__name=role).values_list("content_type__app_label", "codename")
    return {f"{label}.{codename}" for label, codename in rows}


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_migrated_database_has_the_group_of_each_role_with_its_rights(role: str) -> None:
    assert held(role) == roles.rights(role)


def test_every_right_of_the_table_exists() -> None:
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    assert roles.rights(roles.ADMINISTRATOR) <= {f"{label}.{codename}" for label, codename in rows}


def test_each_role_may_more_than_the_one_before_it() -> None:
    for less, more in pairwise(roles.ROLES):
        assert roles.rights(less) < roles.rights(more)


def test_a_viewer_only_views_and_sees_no_page_of_secrets() -> None:
    assert all(right.partition(".")[2].startswith("view_") for right in roles.rights(roles.VIEWER))
    for role in (roles.VIEWER, roles.OPERATOR, roles.APPROVER):
        assert not [right for right in roles.rights(role) if right.rpartition("_")[2] in roles.SECRET]


def test_an_operator_allows_no_delete_and_approves_nothing() -> None:
    assert not roles.rights(roles.OPERATOR) & {"migrations_app.approve", "migrations_app.delete_old"}
    assert "migrations_app.waive_blocking" not in roles.rights(roles.OPERATOR)


def test_every_page_of_ours_can_be_seen_by_some_role() -> None:
    ours = [model for model in admin.site._registry if model._meta.app_label in ("calendars", "migrations_app")]
    tables = [model._meta.concrete_model._meta for model in ours]  # drafts are batches
    named = {f"{table.app_label}.view_{table.model_name}" for table in tables}
    assert named - roles.rights(roles.ADMINISTRATOR) == set()


def test_what_somebody_added_to_a_role_is_taken_away_and_what_was_taken_comes_back() -> None:
    viewer = Group.objects.get(name=roles.VIEWER)
    viewer.permissions.set([Permission.objects.get(codename="change_apikey")])
    Group.objects.get(name=roles.APPROVER).delete()
    own = Group.objects.create(name="night shift")
    own.permissions.set([Permission.objects.get(codename="change_apikey")])
    roles.grant()
    for role in roles.ROLES:
        assert held(role) == roles.rights(role)
    assert held("night shift") == {"calendars.change_apikey"}


def test_a_person_in_the_group_has_its_rights() -> None:
    user = make_staff("dana")
    user.groups.add(Group.objects.get(name=roles.OPERATOR))
    assert user.has_perm("migrations_app.change_batch")
    assert not user.has_perm("migrations_app.delete_old")
