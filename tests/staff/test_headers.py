"""Each answer says what a browser may do with it: pages of staff little, data nothing."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.builders import make_batch, make_staff

pytestmark = pytest.mark.django_db


def policy(response: object) -> dict[str, list[str]]:
    header = response["Content-Security-Policy"]  # type: ignore[index]
    return {name: values for name, *values in (part.split() for part in header.split(";"))}


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_staff(superuser=True))
    return client


def test_staff_pages_run_no_script_of_a_page_and_nothing_from_elsewhere(staff: Client) -> None:
    batch = make_batch()
    for url in ("/admin/login/", "/admin/", reverse("admin:migrations_app_batch_change", args=[batch.pk])):
        found = policy(staff.get(url))
        assert found["default-src"] == ["'self'"]
        assert found["script-src"] == ["'self'", "'unsafe-eval'"]
        assert found["object-src"] == found["frame-ancestors"] == ["'none'"]
        assert found["base-uri"] == found["form-action"] == ["'self'"]


@pytest.mark.parametrize("url", ["/healthz", "/readyz", "/api/v1/ids/", "/api/schema/", "/api/none", "/nowhere"])
def test_what_is_no_page_may_do_nothing(url: str, client: Client) -> None:
    found = policy(client.get(url))
    assert found["default-src"] == ["'none'"]
    assert found["frame-ancestors"] == ["'none'"]
    assert "script-src" not in found


def test_the_documentation_of_the_api_has_scripts_of_its_own_and_no_others(client: Client) -> None:
    response = client.get("/api/docs/")
    assert policy(response)["script-src"] == ["'self'"]
    assert b"<script>" not in response.content


def test_a_browser_tells_no_other_site_where_it_was_and_lends_no_camera(staff: Client) -> None:
    response = staff.get("/admin/")
    assert response["Referrer-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


def test_no_page_of_staff_has_a_script_or_a_handler_in_it(staff: Client) -> None:
    batch = make_batch()
    for url in ("/admin/login/", "/admin/", reverse("admin:migrations_app_batch_change", args=[batch.pk])):
        page = staff.get(url, follow=True).content.decode()
        assert "<script>" not in page
        assert " onclick=" not in page
