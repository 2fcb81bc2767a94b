"""Reads settings from the environment, and says of all that are missing or wrong which they are and what they want."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

Value = TypeVar("Value")

HEADING = "These settings are missing or wrong:"
WHERE = "Each is described in .env.example and docs/configuration.md."
NOT_SET = "{name} is not set. {wants}"
WRONG = "{name} is {value}. {wants}"
YES_OR_NO = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
POSTGRESQL = ("postgres", "postgresql", "psql", "pgsql")


class Environment:
    """The environment as typed values.

    A setting that is wrong gets its default for the moment, and a sentence; `complain` raises with all sentences.
    `NAME_FILE` may name a file that holds the value of `NAME`.
    """

    def __init__(self, file: Path | None = None) -> None:
        if file is not None and file.is_file():
            environ.Env.read_env(file)
        self._source = environ.FileAwareEnv()
        self.sentences: list[str] = []

    def given(self, name: str) -> bool:
        """Tell whether a setting has a value, be it a wrong one."""
        return bool(self._text(name))

    def text(self, name: str, *, default: str = "", one_of: tuple[str, ...] = ()) -> str:
        """Read a text."""
        value = self._text(name) or default
        if one_of and value not in one_of:
            self._wrong(name, value, f"It wants one of: {', '.join(one_of)}.")
            return default
        return value

    def required(self, name: str, *, wants: str) -> str:
        """Read a text that must be there."""
        value = self._text(name)
        if not value:
            self.sentences.append(NOT_SET.format(name=name, wants=wants))
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Read a yes or no."""
        return self._parsed(name, default, lambda text: YES_OR_NO[text.lower()], "It wants true or false.")

    def whole(self, name: str, *, default: int, least: int = 0) -> int:
        """Read a whole number."""
        return self._parsed(name, default, _at_least(int, least), f"It wants a whole number, {least} or more.")

    def number(self, name: str, *, default: float, least: float = 0.0) -> float:
        """Read a number."""
        return self._parsed(name, default, _at_least(float, least), f"It wants a number, {least:g} or more.")

    def texts(self, name: str, *, default: list[str] | None = None) -> list[str]:
        """Read texts that are separated by commas."""
        found = [part.strip() for part in self._text(name).split(",") if part.strip()]
        return found or list(default or [])

    def database(self, name: str) -> dict[str, Any] | None:
        """Read the address of a PostgreSQL database; None where there is none. Its password is never quoted."""
        text = self._text(name)
        if not text:
            return None
        wants = "It wants postgresql://USER:PASSWORD@HOST:PORT/NAME, with special characters in per cent notation."
        if text.partition("://")[0] not in POSTGRESQL:
            self._wrong(name, "not the address of a PostgreSQL database", wants, quoted=False)
            return None
        try:
            found: dict[str, Any] = environ.Env.db_url_config(text)
        except Exception:
            found = {}
        if not found.get("NAME"):
            self._wrong(name, "not an address that can be read", wants, quoted=False)
            return None
        return found

    def mail(self, name: str, *, default: str) -> dict[str, Any]:
        """Read the address of a mail server, in its parts. Its password is never quoted."""
        text = self._text(name) or default
        wants = "It wants smtp+tls://USER:PASSWORD@HOST:587 (or smtp+ssl://…:465, smtp://…:25), or consolemail://."
        try:
            found: dict[str, Any] = environ.Env.email_url_config(text)
        except Exception:
            found = {}
        backend = found.get("EMAIL_BACKEND", "")
        if not backend or (backend.endswith("smtp.EmailBackend") and not found["EMAIL_HOST"]):
            self._wrong(name, "not the address of a mail server", wants, quoted=False)
        tls, ssl = bool(found.get("EMAIL_USE_TLS")), bool(found.get("EMAIL_USE_SSL"))
        return {
            "backend": backend,
            "host": found.get("EMAIL_HOST") or "",
            "port": found.get("EMAIL_PORT") or (465 if ssl else 587 if tls else 25),
            "user": found.get("EMAIL_HOST_USER") or "",
            "password": found.get("EMAIL_HOST_PASSWORD") or "",
            "tls": tls,
            "ssl": ssl,
        }

    def site(self, name: str, *, default: str) -> str:
        """Read the address of a site: scheme and host, no path."""
        text = (self._text(name) or default).rstrip("/")
        parts = urlsplit(text)
        if text and (
            parts.scheme not in {"http", "https"} or not parts.netloc or text != f"{parts.scheme}://{parts.netloc}"
        ):
            self._wrong(name, text, "It wants https://HOST, without a path.")
            return default
        return text

    def sender(self, name: str, *, default: str) -> str:
        """Read one e-mail address, with or without a name."""
        text = self._text(name) or default
        address = parseaddr(text)[1]
        if "@" not in address.strip("@") or "\n" in text or "\r" in text:
            self._wrong(name, text, "It wants an address, such as RecallOps <recallops@example.com>.")
            return default
        return text

    def refuse(self, name: str, *, value: str, wants: str) -> None:
        """Say of a setting what is wrong with it, in words that do not quote it."""
        self._wrong(name, value, wants, quoted=False)

    def complain(self) -> None:
        """Raise if anything was missing or wrong."""
        if self.sentences:
            raise ImproperlyConfigured("\n".join([HEADING, *(f"- {each}" for each in self.sentences), WHERE]))

    def _text(self, name: str) -> str:
        try:
            return str(self._source.ENVIRON.get(name) or "").strip()
        except OSError as error:
            self._wrong(f"{name}_FILE", f"a file that cannot be read ({error.strerror})", "", quoted=False)
            return ""

    def _parsed(self, name: str, default: Value, parse: Callable[[str], Value], wants: str) -> Value:
        text = self._text(name)
        if not text:
            return default
        try:
            return parse(text)
        except (KeyError, ValueError):
            self._wrong(name, text, wants)
            return default

    def _wrong(self, name: str, value: str, wants: str, *, quoted: bool = True) -> None:
        shown = f'"{value[:60]}"' if quoted else value
        self.sentences.append(WRONG.format(name=name, value=shown, wants=wants).strip())


def _at_least(kind: Callable[[str], Any], least: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not value >= least or value == float("inf"):
            raise ValueError
        return value

    return parse
