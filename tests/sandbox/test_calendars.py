"""V2 calendars (reference 2)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from tests.sandbox.conftest import CLIENT

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

CALENDARS = "/api/v2/calendars/"


def wish(stage: Stage, **changes: Any) -> dict[str, Any]:
    token = stage.world.grant(stage.alice, CLIENT)
    return {
        "platform": GOOGLE,
        "oauth_client_id": CLIENT,
        "oauth_client_secret": "google-secret",
        "oauth_refresh_token": token,
        **changes,
    }


def test_a_new_calendar_is_connecting_then_connected_with_its_email(stage: Stage) -> None:
    stage.meeting()
    body = wish(stage, metadata={"customer": "7"})
    answer = stage.call("POST", CALENDARS, body)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["status"], made["platform_email"], made["metadata"]) == ("connecting", None, {"customer": "7"})
    stage.later(seconds=30)
    now = stage.get(f"{CALENDARS}{made['id']}/")
    assert (now["status"], now["platform_email"]) == ("connected", "alice@acme.example")
    assert [change["status"] for change in now["status_changes"]] == ["connecting", "connected"]
    assert now["created_at"] == "2026-01-05T12:00:00Z"
    assert now["updated_at"] > now["created_at"]
    assert len(stage.get("/api/v2/calendar-events/")["results"]) == 1


def test_secrets_are_echoed_in_clear(stage: Stage) -> None:
    body = wish(stage)
    stage.call("POST", CALENDARS, body)
    listed = stage.get(CALENDARS)["results"][0]
    assert listed["oauth_client_secret"] == "google-secret"
    assert listed["oauth_refresh_token"] == body["oauth_refresh_token"]


def test_missing_fields_come_in_the_envelope(stage: Stage) -> None:
    answer = stage.call("POST", CALENDARS, {"platform": "lotus_notes"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request_data"
    assert set(answer.json()["errors"]) == {
        "platform",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_refresh_token",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"oauth_refresh_token": "1//unknown"}, "invalid_grant"),
        ({"oauth_client_secret": "wrong"}, "invalid_client"),
        ({"platform": OUTLOOK, "oauth_client_id": "outlook-client"}, "AADSTS7000215"),
    ],
)
def test_bad_credentials_end_in_disconnected_not_in_an_error(stage: Stage, changes: dict[str, Any], code: str) -> None:
    answer = stage.call("POST", CALENDARS, wish(stage, **changes))
    assert answer.status_code == 201
    stage.later(seconds=30)
    now = stage.get(f"{CALENDARS}{answer.json()['id']}/")
    assert (now["status"], now["platform_email"]) == ("disconnected", None)
    assert now["status_changes"][-1]["code"] == code


def test_an_empty_patch_tries_a_disconnected_calendar_again(stage: Stage) -> None:
    made = stage.call("POST", CALENDARS, wish(stage, oauth_client_secret="typo")).json()
    stage.later(seconds=30)
    stage.world.add_client(GOOGLE, CLIENT, secret="typo")
    answer = stage.call("PATCH", f"{CALENDARS}{made['id']}/")
    assert (answer.status_code, answer.json()["status"]) == (200, "connecting")
    stage.later(seconds=30)
    assert stage.get(f"{CALENDARS}{made['id']}/")["status"] == "connected"


def test_a_patched_secret_makes_it_connect_again_and_other_fields_do_not(stage: Stage) -> None:
    calendar = stage.connect(stage.alice)
    answer = stage.call("PATCH", f"{CALENDARS}{calendar.id}/", {"metadata": {"a": "b"}})
    assert (answer.json()["status"], answer.json()["metadata"]) == ("connected", {"a": "b"})
    answer = stage.call("PATCH", f"{CALENDARS}{calendar.id}/", {"oauth_client_secret": "wrong"})
    assert answer.json()["status"] == "connecting"
    stage.later(seconds=30)
    assert stage.get(f"{CALENDARS}{calendar.id}/")["status"] == "disconnected"


def test_a_certificate_opens_an_outlook_calendar_and_is_echoed_only_by_switch(stage: Stage) -> None:
    stage.world.add_client(OUTLOOK, "cert-client", certificate="CERT", private_key="KEY")
    body = {
        "platform": OUTLOOK,
        "oauth_client_id": "cert-client",
        "oauth_client_certificate": "CERT",
        "oauth_client_private_key": "KEY",
        "oauth_refresh_token": stage.world.grant(stage.olaf, "cert-client"),
    }
    made = stage.call("POST", CALENDARS, body)
    assert made.status_code == 201
    stage.later(seconds=30)
    shown = stage.get(f"{CALENDARS}{made.json()['id']}/")
    assert (shown["status"], shown["oauth_client_secret"]) == ("connected", "")
    assert "oauth_client_certificate" not in shown
    stage.world.switches.certificate_echoed = True
    assert stage.get(f"{CALENDARS}{made.json()['id']}/")["oauth_client_private_key"] == "KEY"


def test_a_calendar_may_show_no_token_and_still_work(stage: Stage) -> None:
    meeting = stage.meeting()
    calendar = stage.connect(stage.alice, hide_token=True)
    assert stage.get(f"{CALENDARS}{calendar.id}/")["oauth_refresh_token"] is None
    assert stage.event(calendar, meeting)


def test_the_same_account_twice_is_not_refused(stage: Stage) -> None:
    assert stage.call("POST", CALENDARS, wish(stage)).status_code == 201
    assert stage.call("POST", CALENDARS, wish(stage)).status_code == 201


def test_lists_are_pages_of_100_with_an_absolute_next_link(stage: Stage) -> None:
    for number in range(205):
        stage.connect(stage.world.add_account(GOOGLE, f"person{number}@acme.example"))
        stage.clock.advance(timedelta(microseconds=number % 2))
        stage.world.advance()
    ids, sizes = set(), []
    page = stage.get(CALENDARS)
    while True:
        sizes.append(len(page["results"]))
        ids |= {calendar["id"] for calendar in page["results"]}
        if page["next"] is None:
            break
        assert page["next"].startswith("https://us-west-2.recall.ai/api/v2/calendars/?cursor=")
        page = stage.call("GET", page["next"]).json()
    assert sizes == [100, 100, 5]
    assert len(ids) == 205


def test_lists_are_filtered_and_next_links_keep_the_filter(stage: Stage) -> None:
    alice, olaf = stage.connect(stage.alice), stage.connect(stage.olaf)
    stage.us.disconnect(olaf.id)

    def found(**params: str) -> list[str]:
        return [calendar["id"] for calendar in stage.get(CALENDARS, **params)["results"]]

    assert found(email="alice@acme.example") == [alice.id]
    assert found(platform=OUTLOOK) == [olaf.id]
    assert found(status="disconnected") == [olaf.id]
    assert found(created_at__gte="2026-01-05T12:00:01Z") == []
    stage.us.page_size = 1
    stage.connect(stage.bob)
    page = stage.get(CALENDARS, platform=GOOGLE)
    assert "platform=google_calendar" in page["next"]
    both = page["results"] + stage.call("GET", page["next"]).json()["results"]
    assert {one["platform_email"] for one in both} == {"alice@acme.example", "bob@acme.example"}


def test_a_bad_filter_or_cursor_is_refused(stage: Stage) -> None:
    assert stage.call("GET", CALENDARS, params={"created_at__gte": "yesterday"}).status_code == 400
    assert stage.call("GET", CALENDARS, params={"cursor": "%%%"}).status_code == 404


def test_delete_takes_calendar_events_and_future_bots(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    bot_id = stage.add_bot(event_id).json()["bots"][0]["bot_id"]
    calendar_id = stage.us.events[event_id].calendar_id
    answer = stage.call("DELETE", f"{CALENDARS}{calendar_id}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert stage.call("GET", f"{CALENDARS}{calendar_id}/").status_code == 404
    assert stage.call("GET", f"/api/v2/calendar-events/{event_id}/").status_code == 404
    assert stage.get("/api/v2/calendar-events/")["results"] == []
    assert stage.call("GET", f"/api/v1/bot/{bot_id}/").status_code == 404
    stage.later(days=2)
    assert stage.world.attendance == []


def test_disconnect_takes_bots_but_leaves_calendar_and_events(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    bot_id = stage.add_bot(event_id).json()["bots"][0]["bot_id"]
    stage.world.revoke_account(stage.alice)
    stage.later(minutes=1)
    event = stage.get(f"/api/v2/calendar-events/{event_id}/")
    assert (event["bots"], event["is_deleted"]) == ([], False)
    assert stage.get(f"{CALENDARS}{event['calendar_id']}/")["status"] == "disconnected"
    assert stage.call("GET", f"/api/v1/bot/{bot_id}/").status_code == 404


def test_both_regions_connect_one_account_with_one_token(stage: Stage) -> None:
    source = stage.connect(stage.alice)
    stage.connect(stage.alice, stage.eu, token=source.refresh_token)
    us, eu = stage.get(CALENDARS)["results"], stage.get(CALENDARS, of=stage.eu)["results"]
    assert us[0]["platform_email"] == eu[0]["platform_email"]
    assert us[0]["id"] != eu[0]["id"]


def test_an_access_token_is_kept_until_it_runs_out(stage: Stage) -> None:
    calendar = stage.connect(stage.alice)
    path = f"{CALENDARS}{calendar.id}/access-token/"
    first = stage.call("POST", path)
    assert first.status_code == 200
    assert first.json()["expires_at"] == "2026-01-05T13:00:00Z"
    stage.later(minutes=59)
    assert stage.call("POST", path).json() == first.json()
    stage.later(minutes=1)
    second = stage.call("POST", path).json()
    assert second["token"] != first.json()["token"]
    assert second["expires_at"] == "2026-01-05T14:00:00Z"


def test_an_access_token_of_a_revoked_grant_is_refused_once_the_old_one_has_run_out(stage: Stage) -> None:
    calendar = stage.connect(stage.alice)
    stage.world.switches.revocation_lag = 10_000
    stage.world.revoke_account(stage.alice)
    path = f"{CALENDARS}{calendar.id}/access-token/"
    assert stage.call("POST", path).status_code == 200
    stage.later(hours=1)
    answer = stage.call("POST", path)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_refresh_token")
