"""Keys, routes and the firewall (reference 1.2 and 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

WRONG = (
    "Invalid API token. The API token provided might be for another Recall region (such as us-east-1, us-west-2, "
    "eu-central-1, or ap-northeast-1). Verify token is valid and belongs to the correct region."
)


@pytest.mark.parametrize("scheme", ["Token ", "Bearer ", ""])
def test_a_key_opens_its_workspace_under_each_scheme(stage: Stage, scheme: str) -> None:
    answer = stage.call("GET", "/api/v1/bot/", headers={"Authorization": scheme + stage.us.api_keys[0]})
    assert answer.status_code == 200
    assert answer.json() == {"count": 0, "next": None, "previous": None, "results": []}


def test_no_key_is_told_so(stage: Stage) -> None:
    answer = stage.http.get("https://us-west-2.recall.ai/api/v1/bot/")
    assert answer.status_code == 401
    assert answer.json() == {
        "code": "not_authenticated",
        "detail": "Authentication credentials were not provided.",
    }
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert answer.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize("header", ["Token nonsense", "Bearer nonsense", "nonsense", "Token"])
def test_a_wrong_key_may_belong_to_another_region(stage: Stage, header: str) -> None:
    answer = stage.call("GET", "/api/v1/bot/", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json() == {"code": "authentication_failed", "detail": WRONG}


def test_the_key_of_the_other_region_and_a_revoked_key_look_the_same(stage: Stage) -> None:
    other = stage.call("GET", "/api/v1/bot/", headers={"Authorization": f"Token {stage.eu.api_keys[0]}"})
    revoked = stage.us.add_key()
    assert stage.call("GET", "/api/v1/bot/", headers={"Authorization": f"Token {revoked}"}).status_code == 200
    stage.us.revoke_key(revoked)
    after = stage.call("GET", "/api/v1/bot/", headers={"Authorization": f"Token {revoked}"})
    assert (other.status_code, other.json()) == (after.status_code, after.json()) == (401, after.json())
    assert after.json()["detail"] == WRONG


def test_an_unknown_scheme_is_an_invalid_header(stage: Stage) -> None:
    answer = stage.call("GET", "/api/v1/bot/", headers={"Authorization": "Banana split"})
    assert answer.json() == {
        "code": "authentication_failed",
        "detail": "Invalid token header. No credentials provided.",
    }


def test_a_wrong_method_is_401_without_a_key_and_405_with_one(stage: Stage) -> None:
    assert stage.http.put("https://us-west-2.recall.ai/api/v1/bot/").status_code == 401
    assert stage.call("PUT", "/api/v1/bot/").status_code == 405


def test_an_unknown_path_is_an_html_page_even_without_a_key(stage: Stage) -> None:
    answer = stage.http.get("https://us-west-2.recall.ai/api/v3/calendars/")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>Not Found</h1>" in answer.text


@pytest.mark.parametrize("path", ["/api/v2/calendars/x/", "/api/v2/calendar-events/x/", "/api/v1/bot/x/"])
def test_an_unknown_id_is_a_json_404(stage: Stage, path: str) -> None:
    answer = stage.call("GET", path)
    assert (answer.status_code, answer.json()) == (404, {"code": "not_found", "detail": "Not found."})


def test_paths_work_without_the_last_slash(stage: Stage) -> None:
    assert stage.call("GET", "/api/v2/calendars").status_code == 200


def test_a_get_with_a_body_is_stopped_by_the_firewall(stage: Stage) -> None:
    answer = stage.call("GET", "/api/v2/calendars/", content=b"null")
    assert answer.status_code == 403
    assert "Request blocked." in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_localhost_url_is_stopped_unless_switched_off(stage: Stage) -> None:
    body = {"meeting_url": "https://zoom.us/j/1", "recording_config": {"url": "http://localhost:8000/hook"}}
    assert stage.call("POST", "/api/v1/bot/", body).status_code == 403
    stage.world.switches.refuse_localhost = False
    assert stage.call("POST", "/api/v1/bot/", body).status_code == 201


def test_a_body_that_is_no_json_is_refused(stage: Stage) -> None:
    headers = {"Content-Type": "application/json"}
    answer = stage.call("POST", "/api/v2/calendars/", content=b"{nope", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert stage.call("POST", "/api/v2/calendars/", [1]).status_code == 400


def test_answers_carry_the_domain_time_as_date(stage: Stage) -> None:
    assert stage.call("GET", "/api/v2/calendars/").headers["Date"] == "Mon, 05 Jan 2026 12:00:00 GMT"


def test_an_unknown_host_cannot_be_reached(stage: Stage) -> None:
    import httpx

    with pytest.raises(httpx.ConnectError):
        stage.http.get("https://us-east-1.recall.ai/api/v1/bot/")
