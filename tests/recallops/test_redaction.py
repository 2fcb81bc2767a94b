"""No secret reaches a log, in whatever form it is written."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recallops import redaction
from recallops.redaction import redact, remember

REFRESH = "1//0gQ7-refresh_token"
KEY = "0123456789abcdef0123456789abcdef01234567"
WHSEC = "whsec_" + base64.b64encode(b"a webhook secret").decode()
PEM = '-----BEGIN PRIVATE KEY-----\nMIIEvQ"IBADAN\nBgkqhki\n-----END PRIVATE KEY-----'


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", type(redaction._known)())
    monkeypatch.setattr(redaction, "_heads", {})


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Token {KEY}", KEY),
        (f"headers={{'authorization': 'Bearer {KEY}'}}", KEY),
        (f"Authorization%3A%20Token%20{KEY}", KEY),
        (f"sent Token {KEY} to us-west-2", KEY),
        ("Authorization: Basic dXNlcjpwYXNzd29yZDE=", "dXNlcjpwYXNzd29yZDE"),
        (json.dumps({"oauth_refresh_token": "plain words 12", "platform": "google"}), "plain words 12"),
        (json.dumps(json.dumps({"oauth_client_secret": "a b c d", "x": 1})), "a b c d"),
        (repr({"oauth_client_secret": "it's", "x": 1}), "it's"),
        (json.dumps({"oauth_client_private_key": PEM}), "MIIEvQ"),
        (json.dumps({"oauth_client_private_key": PEM})[:60], "MIIEvQ"),
        (f"key: {PEM}", "MIIEvQ"),
        (urlencode({"refresh_token": REFRESH, "grant_type": "refresh_token"}), "0gQ7-refresh_token"),
        (f"could not use {quote(REFRESH, safe='')}", "0gQ7-refresh_token"),
        (f"could not use {REFRESH}", "0gQ7-refresh_token"),
        ("token ya29.a0AfB_byC3 was refused", "a0AfB_byC3"),
        (f"signed with {WHSEC}", WHSEC[6:]),
        (f"signed with {quote(WHSEC, safe='')}", WHSEC[6:16]),
        ("postgresql://recallops:p%40ssw0rd@db/x", "p%40ssw0rd"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIiOiIxIn0"),
        ("Cookie: sessionid=abc123def", "abc123def"),
        ("password=hunter22", "hunter22"),
        ("api_key => k-1", "k-1"),
        ("client secret GOCSPX-abcdefgh1", "abcdefgh1"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert redaction.HIDDEN in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "batch 1b9d6bcd-bbfd-4b2d-9b0e-2c0f3a8a1111 reached recreate",
        "migrations_app.management.commands.run_batch.Command.handle in line 12",
        "/srv/recallops/lib/python3.11/site-packages/django/db/backends/utils.py",
        "deduplication_key 2026-11-23T10:00:00Z-https://meet.google.com/abc-defg-hij",
        "the token is expired; ask the customer to connect the calendar again",
        "a failed token refresh",
        "https://us-west-2.recall.ai/api/v2/calendars/?cursor=abc",
    ],
)
def test_what_a_person_needs_to_read_is_left(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda secret: quote(secret, safe=""),
        quote_plus,
        lambda secret: json.dumps(secret),
        lambda secret: repr(secret),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
        lambda secret: secret.encode().hex(),
    ],
)
@settings(deadline=None)  # a busy machine is no failure
@given(secret=st.text(min_size=8, max_size=60))
def test_a_known_secret_is_hidden_in_every_form(form: object, secret: str) -> None:
    remember(secret)
    written = form(secret)  # type: ignore[operator]
    assert written.strip("\"'=") not in redact(f"<<{written}>>")


def test_what_is_remembered_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MOST", 100)
    for number in range(200):
        remember(f"a secret that is number {number}")
    assert len(redaction._known) == 100
    assert sum(len(forms) for forms in redaction._heads.values()) == 100
    assert "number 199" not in redact("a secret that is number 199")


@pytest.mark.parametrize("piece", ["x_-", "http", "a://", "eyJ", "secret:'", "-----BEGIN A", "1//a", "Aa1", "token="])
def test_a_hostile_text_takes_no_long_time(piece: str) -> None:
    """Patterns that try again from each character would take minutes here, and the test suite's limit with them."""
    assert len(redact(piece * (200_000 // len(piece)))) <= 1_000_000
