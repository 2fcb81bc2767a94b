"""Staff of each role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from tests.admin.builders import make_staff

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Any) -> None:
    """Half a second for each log-in is what a strong hash costs; nobody breaks in here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def hired(db: None) -> Callable[..., User]:
    """Hire somebody into a role."""

    def hire(name: str = "dana", role: str = "administrator") -> User:
        user = make_staff(name)
        user.groups.add(Group.objects.get(name=role))
        return User.objects.get(pk=user.pk)

    return hire
