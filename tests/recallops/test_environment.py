"""A start with settings that are missing or wrong says which, and what they want."""

from __future__ import annotations

import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from recallops import development_keys
from recallops.environment import Environment
from tests.conftest import manage

PRODUCTION = {
    "DEBUG": "",
    "DATABASE_URL": "postgresql://recallops:pass@db.example/recallops",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "ALLOWED_HOSTS": "recallops.example",
}


def test_all_that_is_wrong_is_said_at_once_and_without_a_traceback() -> None:
    done = manage(
        "check",
        **{"DATABASE_URL": "mysql://u:hidden-password@h/d", "SECRET_KEY": "", "ENCRYPTION_KEYS": ""},
        **{"DEBUG": "perhaps", "LEASE_SECONDS": "soon", "LOG_FORMAT": "xml"},
    )
    assert done.returncode == 1
    for words in (
        "DATABASE_URL is not the address of a PostgreSQL database",
        "SECRET_KEY is not set",
        "ENCRYPTION_KEYS is not set",
        "ALLOWED_HOSTS is not set",
        'DEBUG is "perhaps"',
        'LEASE_SECONDS is "soon"',
        'LOG_FORMAT is "xml"',
        ".env.example",
    ):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden-password" not in done.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ENCRYPTION_KEYS", "ALLOWED_HOSTS"])
def test_production_makes_up_no_keys_and_no_hosts(missing: str, tmp_path: Path) -> None:
    done = manage("check", **PRODUCTION | {missing: "", "RECALLOPS_DATA_DIR": str(tmp_path)})
    assert done.returncode == 1
    assert f"- {missing} is not set." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_production_settings_pass_the_deployment_check(tmp_path: Path) -> None:
    environment = PRODUCTION | {"RECALLOPS_DATA_DIR": str(tmp_path)}
    done = manage("check", "--deploy", "--fail-level", "WARNING", **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ENCRYPTION_KEYS": "not-a-key"}, "recallops.E001"),
        ({"LEASE_SECONDS": "10", "PROVIDER_TIMEOUT": "10"}, "recallops.E002"),
        ({"HEARTBEAT_STALE_SECONDS": "10", "HEARTBEAT_SECONDS": "5"}, "recallops.E003"),
        ({"HEARTBEAT_LOST_SECONDS": "29"}, "recallops.E004"),
        ({"RECALLOPS_CLOCK_FILE": "/nowhere/clock"}, "recallops.E006"),
        ({"RECALLOPS_DATA_DIR": "/dev/null/data"}, "recallops.E007"),
        ({"DEBUG": "true"}, "recallops.W001"),
    ],
)
def test_settings_that_do_not_go_together_are_named(changes: dict[str, str], says: str) -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION | changes)
    assert done.returncode == 1
    assert says in done.stderr


def test_an_encryption_key_that_is_none_is_not_quoted() -> None:
    assert "s3cr3t-but-short" not in manage("check", **PRODUCTION | {"ENCRYPTION_KEYS": "s3cr3t-but-short"}).stderr


def test_development_makes_its_keys_once_and_for_its_owner_only(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: development_keys.encryption_key(tmp_path), range(8)))
    assert len(keys) == 1
    assert development_keys.secret_key(tmp_path) == development_keys.secret_key(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {"encryption_key", "secret_key"}


def test_development_keys_that_cannot_be_kept_are_said() -> None:
    with pytest.raises(ImproperlyConfigured, match="RECALLOPS_DATA_DIR"):
        development_keys.secret_key(Path("/dev/null/data"))


def test_a_value_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))
    assert Environment().text("SOME_KEY") == "from a file"


def test_a_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY_FILE", "/nowhere/key")
    environment = Environment()
    assert environment.text("OTHER_KEY", default="else") == "else"
    with pytest.raises(ImproperlyConfigured, match="OTHER_KEY_FILE is a file that cannot be read"):
        environment.complain()


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1,5", "0x10"])
def test_a_number_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDS", value)
    environment = Environment()
    assert environment.number("SECONDS", default=3.0) == 3.0
    assert len(environment.sentences) == 1


@pytest.mark.parametrize(
    "value",
    ["postgresql://host", "postgresql://u:p@host:port/name", "sqlite:///file", "host/name", "postgresql://[::1/x"],
)
def test_an_address_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", value)
    environment = Environment()
    assert environment.database("DATABASE_URL") is None
    assert value not in environment.sentences[0]


def test_an_address_with_a_socket_and_a_coded_password_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:p%40ss@/name?host=/run/postgresql")
    found = Environment().database("DATABASE_URL")
    assert found is not None
    assert (found["NAME"], found["USER"], found["PASSWORD"]) == ("name", "me", "p@ss")
    assert found["OPTIONS"] == {"host": "/run/postgresql"}


# --- e-mail and the site


def test_the_address_of_a_mail_server_is_read_in_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL", "smtp+tls://ann:p%40ss@mail.example")
    found = Environment().mail("MAIL", default="consolemail://")
    assert (found["host"], found["port"], found["user"], found["password"]) == ("mail.example", 587, "ann", "p@ss")
    assert (found["tls"], found["ssl"]) == (True, False)
    monkeypatch.setenv("MAIL", "smtp+ssl://mail.example")
    assert Environment().mail("MAIL", default="")["port"] == 465


@pytest.mark.parametrize(
    "address", ["smtp://", "mail.example", "http://ann:hidden-word@mail.example", "smtp:hidden-word"]
)
def test_what_is_no_address_of_a_mail_server_is_said_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL", address)
    environment = Environment()
    environment.mail("MAIL", default="consolemail://")
    [sentence] = environment.sentences
    assert sentence.startswith("MAIL is not the address of a mail server.")
    assert "hidden-word" not in sentence


@pytest.mark.parametrize(
    "address", ["recallops.example", "ftp://recallops.example", "https://", "https://x.example/path"]
)
def test_a_site_is_a_scheme_and_a_host(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE", address)
    environment = Environment()
    environment.site("SITE", default="")
    assert len(environment.sentences) == 1
    monkeypatch.setenv("SITE", "https://recallops.example:8443/")
    assert Environment().site("SITE", default="") == "https://recallops.example:8443"


@pytest.mark.parametrize("address", ["nobody", "@example.com", "ann@"])
def test_a_sender_is_an_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDER", address)
    environment = Environment()
    environment.sender("SENDER", default="x@example.com")
    assert len(environment.sentences) == 1


def test_with_a_clock_of_its_own_no_e_mail_leaves_whatever_is_set(tmp_path: Path) -> None:
    clock_file = tmp_path / "clock.json"
    clock_file.write_text('{"base": 1795000000, "origin": 1795000000, "speed": 1}')
    ask = "from django.conf import settings; print(settings.EMAIL_BACKEND)"
    real = {"EMAIL_URL": "smtp://mail.example", "RECALLOPS_DATA_DIR": str(tmp_path)}
    assert "smtp.EmailBackend" in manage("shell", "-c", ask, **real).stdout
    done = manage("shell", "-c", ask, RECALLOPS_CLOCK_FILE=str(clock_file), **real)
    assert "console.EmailBackend" in done.stdout, done.stderr


def test_production_that_sends_e_mail_must_say_from_whom(tmp_path: Path) -> None:
    done = manage("check", **PRODUCTION | {"EMAIL_URL": "smtp://mail.example", "RECALLOPS_DATA_DIR": str(tmp_path)})
    assert done.returncode == 1
    assert "- DEFAULT_FROM_EMAIL is not set." in done.stderr
