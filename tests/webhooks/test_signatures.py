"""Signatures: what the specification publishes, what its suites refuse, and one byte more or less."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from calendars.models import WebhookRefusal
from calendars.webhooks.signatures import (
    Candidate,
    Refused,
    Verified,
    check,
    explain,
    read_headers,
    secret_problem,
)
from tests.webhooks.senders import NOON, secret_of, signature, signed

Cause = WebhookRefusal.Cause
Headers = dict[str, str]

# The vectors of the reference libraries: Python, Go and JavaScript; Rust.
VECTORS = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
]
SECRET = VECTORS[0][0]
BODY = b'{"test": 2432232314}'
NOW = int(NOON.timestamp())


def given(headers: Headers, body: bytes = BODY, *secrets: str, now: datetime = NOON) -> Verified | Refused:
    return check(headers, body, secrets or (SECRET,), now=now)


def cause_of(outcome: Verified | Refused) -> Cause | None:
    return outcome.cause if isinstance(outcome, Refused) else None


@pytest.mark.parametrize("family", ["webhook", "svix"])
@pytest.mark.parametrize(("secret", "name", "timestamp", "body", "header"), VECTORS)
def test_the_published_vectors_are_accepted(
    secret: str, name: str, timestamp: int, body: bytes, header: str, family: str
) -> None:
    headers = {f"{family}-id": name, f"{family}-timestamp": str(timestamp), f"{family}-signature": header}
    sent_at = datetime.fromtimestamp(timestamp, UTC)
    assert check(headers, body, [secret], now=sent_at) == Verified(name, sent_at, family, 0)
    assert signature(secret, name, str(timestamp), body) == header, "the tests sign as the specification does"


def put(part: str, value: str) -> Callable[[Headers], Headers]:
    """Replace a header, under the right signature of what was there before."""
    return lambda headers: {**headers, f"webhook-{part}": value}


def resigned(**changes: str) -> Callable[[Headers], Headers]:
    """Sign other values rightly, so that only their form is wrong."""

    def build(headers: Headers) -> Headers:
        name = changes.get("id", headers["webhook-id"])
        stamp = changes.get("timestamp", headers["webhook-timestamp"])
        text = signature(SECRET, name, stamp, BODY)
        return {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": text}

    return build


def without(part: str) -> Callable[[Headers], Headers]:
    return lambda headers: {name: value for name, value in headers.items() if name != f"webhook-{part}"}


def rewritten(change: Callable[[str], str]) -> Callable[[Headers], Headers]:
    return lambda headers: {**headers, "webhook-signature": change(headers["webhook-signature"])}


NEGATIVES: dict[str, tuple[Callable[[Headers], Headers], Cause]] = {
    "no header at all": (lambda headers: {}, Cause.UNSIGNED),
    "no id": (without("id"), Cause.MALFORMED),
    "no timestamp": (without("timestamp"), Cause.MALFORMED),
    "no signature": (without("signature"), Cause.MALFORMED),
    "an empty id": (resigned(id=""), Cause.MALFORMED),
    "an id with a point": (resigned(id="msg.1"), Cause.MALFORMED),
    "an id with a space": (resigned(id="msg 1"), Cause.MALFORMED),
    "an id that is not ASCII": (resigned(id="msg_é"), Cause.MALFORMED),
    "an id with NUL": (resigned(id="msg\x00"), Cause.MALFORMED),
    "an id of 256 characters": (resigned(id="m" * 256), Cause.MALFORMED),
    "another id": (put("id", "msg_2"), Cause.UNKNOWN),
    "an empty timestamp": (put("timestamp", ""), Cause.MALFORMED),
    "a timestamp that is a word": (put("timestamp", "hello"), Cause.MALFORMED),
    "a timestamp with a plus": (resigned(timestamp=f"+{NOW}"), Cause.MALFORMED),
    "a negative timestamp": (resigned(timestamp=f"-{NOW}"), Cause.MALFORMED),
    "a timestamp with a space": (resigned(timestamp=f" {NOW}"), Cause.MALFORMED),
    "a timestamp with a line break": (resigned(timestamp=f"{NOW}\n"), Cause.MALFORMED),
    "a timestamp with a fraction": (resigned(timestamp=f"{NOW}.0"), Cause.MALFORMED),
    "a timestamp with an exponent": (resigned(timestamp="1.79e9"), Cause.MALFORMED),
    "a timestamp with a leading zero": (resigned(timestamp=f"0{NOW}"), Cause.MALFORMED),
    "a timestamp in other digits": (resigned(timestamp="١٧٩٥٤٣٥٢٠٠"), Cause.MALFORMED),
    "a timestamp with underscores": (resigned(timestamp="1_795_435_200"), Cause.MALFORMED),
    "a timestamp of 13 digits": (resigned(timestamp=f"{NOW}000"), Cause.MALFORMED),
    "a timestamp of the year 33658": (resigned(timestamp="9" * 12), Cause.TOO_NEW),
    "a timestamp of 1970": (resigned(timestamp="0"), Cause.TOO_OLD),
    "a changed timestamp": (put("timestamp", str(NOW + 1)), Cause.UNKNOWN),
    "too old, rightly signed": (resigned(timestamp=str(NOW - 301)), Cause.TOO_OLD),
    "too new, rightly signed": (resigned(timestamp=str(NOW + 301)), Cause.TOO_NEW),
    "too old, wrongly signed": (put("timestamp", str(NOW - 301)), Cause.UNKNOWN),
    "an empty signature": (put("signature", ""), Cause.MALFORMED),
    "v1 and nothing": (put("signature", "v1,"), Cause.MALFORMED),
    "no comma": (rewritten(lambda text: text.replace(",", "")), Cause.MALFORMED),
    "two commas": (rewritten(lambda text: text.replace(",", ",,")), Cause.MALFORMED),
    "a truncated signature": (rewritten(lambda text: text[:-5]), Cause.MALFORMED),
    "a signature without its padding": (rewritten(lambda text: text[:-1]), Cause.MALFORMED),
    "a signature with more padding": (rewritten(lambda text: text + "="), Cause.MALFORMED),
    "a signature with other trailing bits": (
        rewritten(lambda text: text[:-2] + chr(ord(text[-2]) + 1) + "="),
        Cause.MALFORMED,
    ),
    "a signature in the alphabet of addresses": (put("signature", "v1," + "-_" * 21 + "A="), Cause.MALFORMED),
    "the right signature as v2": (rewritten(lambda text: text.replace("v1", "v2")), Cause.MALFORMED),
    "the right signature as v1a": (rewritten(lambda text: text.replace("v1", "v1a")), Cause.MALFORMED),
    "the right signature as V1": (rewritten(lambda text: text.replace("v1", "V1")), Cause.MALFORMED),
    "the right signature in hexadecimal": (put("signature", "v1," + "ab" * 32), Cause.MALFORMED),
    "a wrong signature": (put("signature", "v1," + "A" * 43 + "="), Cause.UNKNOWN),
    "a list with commas": (rewritten(lambda text: f"{text},{text}"), Cause.MALFORMED),
    "a list with two spaces": (rewritten(lambda text: f"{text}  {text}"), Cause.MALFORMED),
    "a list that ends in a space": (rewritten(lambda text: f"{text} "), Cause.MALFORMED),
    "a list with a broken item": (rewritten(lambda text: f"nonsense {text}"), Cause.MALFORMED),
    "a list of a hundred": (rewritten(lambda text: " ".join([text] * 100)), Cause.MALFORMED),
    "a signature of a megabyte": (put("signature", "v1," + "A" * 1_000_000), Cause.MALFORMED),
    "both families": (lambda headers: headers | signed(SECRET, BODY, family="svix"), Cause.MIXED),
    "one header of the other family": (lambda headers: headers | {"svix-id": "msg_1"}, Cause.MIXED),
    "three headers of both families": (
        lambda headers: {"webhook-id": "msg_1", **signed(SECRET, BODY, family="svix")},
        Cause.MIXED,
    ),
}


@pytest.mark.parametrize("name", NEGATIVES)
def test_what_is_not_a_good_signature_is_refused_with_its_cause(name: str) -> None:
    change, cause = NEGATIVES[name]
    headers = signed(SECRET, BODY)
    assert isinstance(given(headers), Verified)
    assert cause_of(given(change(headers))) == cause


def test_every_change_of_a_single_byte_is_refused() -> None:
    headers = signed(SECRET, BODY, delivery_id="msg_p5jXN8AQM9LWM0D4loKWxJek")
    tried = 0
    for name, value in [*headers.items(), ("body", BODY.decode())]:
        for place, before in enumerate(value.encode()):
            for after in {before ^ 1, before ^ 0x20, before ^ 0x80, ord("A"), ord("0")} - {before}:
                raw = value.encode()
                changed = raw[:place] + bytes([after]) + raw[place + 1 :]
                if name == "body":
                    outcome = given(headers, changed)
                else:
                    outcome = given({**headers, name: changed.decode("latin-1")})
                assert isinstance(outcome, Refused), f"{name}, byte {place}: {before} became {after}"
                tried += 1
    assert tried > 400


@pytest.mark.parametrize(
    ("seconds", "cause"),
    [
        (-301, Cause.TOO_OLD),
        (-300, None),
        (-299, None),
        (0, None),
        (299, None),
        (300, None),
        (301, Cause.TOO_NEW),
    ],
)
def test_five_minutes_are_tolerated_and_not_a_second_more(seconds: int, cause: Cause | None) -> None:
    assert cause_of(given(signed(SECRET, BODY, timestamp=NOW + seconds))) == cause


def test_half_a_second_over_the_tolerance_is_too_much() -> None:
    late = NOON + timedelta(milliseconds=500)
    assert cause_of(given(signed(SECRET, BODY, timestamp=NOW - 300), now=late)) == Cause.TOO_OLD


def test_any_signature_of_a_list_and_any_secret_may_be_the_right_one() -> None:
    old, new = secret_of("old"), secret_of("new")
    headers = signed(new, BODY)
    wrong = signature(secret_of("nobody"), "msg_1", str(NOW), BODY)
    headers["webhook-signature"] = f"{wrong} v1a,QUJD v2,QUJD {headers['webhook-signature']}"
    outcome = given(headers, BODY, old, new)
    assert isinstance(outcome, Verified)
    assert outcome.secret == 1, "its place among the secrets"


@pytest.mark.parametrize(
    ("secret", "fine"),
    [
        (SECRET, True),
        (SECRET.removeprefix("whsec_"), True),
        (f" {SECRET}\n", True),
        (secret_of("x", size=64), True),
        (secret_of("x", size=32), True),
        (secret_of("x", size=32).rstrip("="), True),
        (secret_of("x", size=25).rstrip("="), True),
        ("", False),
        ("   ", False),
        ("whsec_", False),
        ("whsec_====", False),
        ("whsec_whsec_", False),
        (secret_of("x", size=23), False),
        (secret_of("x", size=64)[:-2] + "AAAA", False),
        ("whsec_" + "A" * 33, False),
        ("whsec_" + "!" * 32, False),
        ("whsec_" + "-_" * 16, False),
        ("whsec_" + "é" * 32, False),
        ("whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw", False),
        ("sk_live_this is no signing secret", False),
    ],
)
def test_only_what_can_be_a_signing_secret_is_one(secret: str, fine: bool) -> None:
    problem = secret_problem(secret)
    assert (problem == "") is fine, problem
    assert len(secret) < 13 or secret[6:] not in problem, "the sentence does not quote it"
    outcome = check(signed(SECRET, BODY), BODY, [secret], now=NOON)
    assert isinstance(outcome, Verified) is (secret.strip().removeprefix("whsec_") in SECRET and fine)


def test_without_a_secret_nothing_is_let_in() -> None:
    assert cause_of(check(signed(SECRET, BODY), BODY, [], now=NOON)) == Cause.NO_SECRET


def test_no_repr_shows_a_signature_or_a_secret() -> None:
    headers = signed(SECRET, BODY)
    text = repr(read_headers(headers)) + repr(Candidate(SECRET, Cause.ROTATED, "old"))
    assert headers["webhook-signature"][3:20] not in text
    assert SECRET[6:] not in text


def test_what_we_accept_the_reference_library_accepts() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    secrets = [secret_of(f"secret {number}") for number in range(3)]
    now = datetime.now(UTC)  # the library knows no other clock
    accepted = stricter = 0
    for number in range(6_000):
        secret = rng.choice(secrets)
        body = rng.choice([BODY, b"", b"{}", "{“é”}".encode(), b"\x00\x01", rng.randbytes(4).hex().encode()])
        stamp = int(now.timestamp()) + rng.choice([0, 1, -1, 290, -290, 310, -310, rng.randrange(-9_999, 9_999)])
        headers = signed(secret, body, delivery_id=f"msg_{number}", timestamp=stamp)
        for _ in range(rng.randrange(3)):
            headers = _mutated(rng, headers)
        theirs = True
        try:
            Webhook(secret).verify(body, headers, json_parse=False)
        except Exception:  # it raises other errors than its own
            theirs = False
        ours = isinstance(check(headers, body, [secret], now=now), Verified)
        assert theirs or not ours, f"seed {seed}, case {number}: {headers}"
        accepted += ours
        stricter += theirs and not ours
    assert accepted > 500, "the comparison compares something"
    assert stricter > 0, "the library takes forms that are not canonical, such as a plus before the time"


def _mutated(rng: random.Random, headers: Headers) -> Headers:
    name = rng.choice(list(headers))
    value = headers[name]
    place = rng.randrange(len(value) + 1)
    changed = rng.choice(
        [
            lambda: value[:place] + chr(rng.randrange(32, 256)) + value[place:],
            lambda: value[:place] + value[place + 1 :],
            lambda: " " + value,
            lambda: "+" + value,
            lambda: value + " " + value,
            lambda: value + " v2,QUJD",
            lambda: "v1a,QUJD " + value,
            lambda: value.replace("v1", "v2"),
            lambda: value.rstrip("="),
            lambda: value + "=",
            lambda: value + ".0",
            lambda: value.upper(),
        ]
    )()
    return {**headers, name: changed}


def test_looking_for_the_cause_is_bounded() -> None:
    read = read_headers(signed(secret_of("nobody"), b"{" * 70_000))
    assert not isinstance(read, Refused)
    others = [Candidate(secret_of("nobody"), Cause.ROTATED, "old")]
    assert explain(read, b"{" * 70_000, [SECRET], others).cause == Cause.UNKNOWN, "the body is too large for it"
    many = [Candidate(secret_of(f"{number}"), Cause.ROTATED, "old") for number in range(20)]
    read = read_headers(signed(secret_of("nobody"), BODY))
    assert not isinstance(read, Refused)
    assert explain(read, BODY, [SECRET], [*many, *others]).cause == Cause.UNKNOWN, "the 21st is not tried"


@pytest.mark.parametrize("body", [b"", b"[" * 60_000, b'"\\ud800"', b"\xff\xfe", b"1" * 5_000, b'{"a":NaN}', b"{"])
def test_looking_for_the_cause_survives_any_body(body: bytes) -> None:
    read = read_headers(signed(secret_of("nobody"), body))
    assert not isinstance(read, Refused)
    assert explain(read, body, [SECRET], []).cause == Cause.UNKNOWN
