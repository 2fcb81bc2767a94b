"""Provider words are made fit to be read: no secrets in any spelling, no characters that forge lines."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote_plus

import pytest

from calendars.providers.redaction import HIDDEN, is_secret_name, quote, secrets_in, without_secrets
from tests.providers.samples import CLIENT_SECRET, KEY, REFRESH_TOKEN, WRONG_REGION


@pytest.mark.parametrize("secret", [KEY, REFRESH_TOKEN, CLIENT_SECRET, 'q"uo\\te/8~+=&é', "pass word 99"])
@pytest.mark.parametrize(
    "spelling",
    [
        lambda secret: secret,
        lambda secret: quote_plus(secret),
        lambda secret: json.dumps(secret),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
        lambda secret: secret.encode().hex(),
        lambda secret: secret[:12] + "...",
        lambda secret: "\x00".join(secret),
        lambda secret: "\u200b".join(secret),
    ],
)
def test_a_known_secret_is_hidden_in_every_spelling(secret: str, spelling: object) -> None:
    assert callable(spelling)
    words = quote(f"the value {spelling(secret)} is refused", secrets=[secret])
    assert words.startswith("the value ")
    assert HIDDEN in words
    assert secret[:11] not in words


def test_random_secrets_never_come_through() -> None:
    rng = random.Random(7)
    for _ in range(500):
        secret = "".join(rng.choices(string.ascii_letters + string.digits + "-_/+=.~", k=rng.randint(12, 60)))
        at = rng.randint(0, len(secret) - 10)
        words = quote(f"got {secret} and {secret[at : at + 11]} instead", secrets=[secret])
        assert not any(secret[start : start + 10] in words for start in range(len(secret) - 9))


@pytest.mark.parametrize(
    "secret",
    [
        "1//0gUnknownGoogleRefreshToken",
        "ya29.a0AfUnknownAccess",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "Token 3f9c1e7ab2d8",
        "Bearer abcdefghijklmnopqrstuvwxyz",
        "0.AXoAUnknownMicrosoftRefreshTokenOfABC_DEFGHIJ-KLMNO",
    ],
)
def test_what_looks_like_a_secret_is_hidden_even_when_we_do_not_know_it(secret: str) -> None:
    words = quote(f"refused: {secret}!")
    assert HIDDEN in words
    assert secret.split()[-1] not in words


def test_ordinary_words_come_through_unchanged() -> None:
    for words in (
        WRONG_REGION["detail"][:230],
        "Token is not valid for this workspace.",
        "calendar 3fa85f64-5717-4562-b3fc-2c963f66afa6 is gone",
        "2026-01-05T15:00:00Z-https://meet.google.com/abc-defg-hij",
    ):
        assert quote(words, limit=400) == words


def test_words_are_one_line_without_marks_that_turn_text_round() -> None:
    hostile = "a\r\nb\x1b[31mc\u202ed\u2066e\u2028f\u2029g\x00h\ud800i\ufeffj"
    assert quote(hostile) == "a b[31mcde f ghij"


def test_words_are_shortened() -> None:
    assert len(quote("long words " * 10_000, limit=50)) <= 50
    assert quote("x y " * 100, limit=20).endswith("…")


@pytest.mark.parametrize(
    "name",
    [
        "oauth_client_secret",
        "oauth_refresh_token",
        "oauth_client_private_key",
        "oauth_client_certificate",
        "meeting_password",
        "api_key",
        "apiKey",
        "Authorization",
        "sso_v2_cert",
        "key",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["id", "email", "deduplication_key", "status", "keyboard", "meeting_url"])
def test_names_of_ordinary_fields_are_not_taken_for_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_are_found_and_dropped_at_any_depth() -> None:
    body = {
        "a": 1,
        "zoom": {"user_password": "pw-1", "list": [{"token": {"x": "tok-2"}}]},
        "oauth_refresh_token": "r-3",
    }
    assert sorted(secrets_in(body)) == ["pw-1", "r-3", "tok-2"]
    assert without_secrets(body) == {"a": 1, "zoom": {"list": [{}]}}
    assert secrets_in(None) == []
